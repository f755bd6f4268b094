package certificates

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

func TestImportSaysWhatItWouldDoAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	if _, _, err := w.AddHost(t.Context(), w.member, NewHost{Hostname: "known.test"}); err != nil {
		t.Fatal(err)
	}
	p, err := w.PreviewImport(t.Context(), w.member, Import{
		Text: "new.test\r\n# a comment\n\nKNOWN.test\nhttps://new.test/\nnew.test:8443,\nnot a name\n", Tags: []string{"bulk"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range p.Rows {
		got = append(got, fmt.Sprintf("%d %s", r.Line, r.State))
	}
	if want := "1 new; 4 exists; 5 twice; 6 new; 7 wrong"; strings.Join(got, "; ") != want {
		t.Errorf("rows are %s, want %s", strings.Join(got, "; "), want)
	}
	if p.New != 2 || p.Exists != 1 || p.Twice != 1 || p.Wrong != 1 {
		t.Errorf("counted %+v", p)
	}
	if n := w.count(`SELECT count(*) FROM monitored_hosts`); n != 1 {
		t.Errorf("a preview made %d hosts", n-1)
	}
}

func TestImportWithOneWrongRowAddsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	text := "hostname,port,starttls,owner\na.test,443,,\nb.test,99999,,\nc.test,25,smtp,nobody@example.test\nd.test,1,2,3,4,5\n"
	_, err := w.ImportHosts(t.Context(), w.member, Import{Text: text})
	e := fault.Find(err)
	if e == nil || e.Kind != fault.Invalid {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, d := range e.Details {
		fields = append(fields, d.Field)
	}
	if got := strings.Join(fields, "; "); got != "line 3: port; line 4: owner; line 5: row" {
		t.Errorf("problems of %s", got)
	}
	if n := w.count(`SELECT count(*) FROM monitored_hosts`); n != 0 {
		t.Errorf("%d hosts were added all the same", n)
	}
}

func TestImportReadsCSVAndWhatWeExport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	text := "\uFEFFHostname;Port;Server_Name;STARTTLS;Scan_Interval;Tags;Owner;Active\r\n" +
		"mail.test;25;mx.test;smtp;6h;\"mail, prod\";" + w.member.Email + ";false\r\n" +
		"[2001:db8::1];8443;;;;;;\r\n"
	p, err := w.ImportHosts(t.Context(), w.member, Import{Text: text, Interval: "15m", Tags: []string{"all"}})
	if err != nil || p.New != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	export := func() string {
		q, err := hostFilter{}.query(time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := w.writeCSV(t.Context(), w.member, q.Sort("host"), &b, time.Now()); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	before := export()
	rows, err := csv.NewReader(strings.NewReader(before)).ReadAll()
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if got := strings.Join(rows[2][1:10], "|"); got != "mail.test|25|mx.test|smtp||6h|false|all, mail, prod|"+w.member.Email {
		t.Errorf("exported %s", got)
	}
	// The same file changes nothing here and makes the same hosts in an empty workspace.
	if p, err = w.ImportHosts(t.Context(), w.member, Import{Text: before}); err != nil || p.New != 0 || p.Exists != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	w.exec(`SET session_replication_role = replica; DELETE FROM host_tags; DELETE FROM host_tokens; DELETE FROM host_schedule; DELETE FROM monitored_hosts; RESET session_replication_role`)
	if p, err = w.ImportHosts(t.Context(), w.member, Import{Text: before}); err != nil || p.New != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	if after := stripIDs(export()); after != stripIDs(before) {
		t.Errorf("came back as\n%s\nwant\n%s", after, stripIDs(before))
	}
}

func stripIDs(text string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		_, rest, _ := strings.Cut(line, ",")
		out = append(out, rest)
	}
	return strings.Join(out, "\n")
}

func TestExportDefusesFormulas(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@x": "'@x", "\tx": "'\tx", "plain": "plain", "": "", "a=b": "a=b",
	} {
		if got := export.Cell(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func TestImportRefusesWhatIsTooMuchOrNoList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	for name, text := range map[string]string{
		"nothing":        " \n\n",
		"only a header":  "hostname,port\n",
		"unknown column": "hostname,colour\na.test,red\n",
		"a column twice": "hostname,host\na.test,b.test\n",
		"no text":        "a.test\x00",
		"latin-1":        "m\xfcnchen.de",
		"too many":       strings.Repeat("a.test\n", MaxImportRows+1),
		"too large":      strings.Repeat("x", MaxImportBytes+1),
	} {
		_, err := w.ImportHosts(t.Context(), w.member, Import{Text: text})
		if form.Messages(err)["text"] == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := w.count(`SELECT count(*) FROM monitored_hosts`); n != 0 {
		t.Errorf("%d hosts were added", n)
	}
}

func TestUploadKeepsCertificatesAndRefusesKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.System())
	leaf := w.ca.leaf(noon, "upload.test", 80*day)
	text := append(w.ca.issuer.PEM(), w.ca.root.PEM()...)
	certs, err := w.UploadCertificates(t.Context(), w.member, append(text, text...))
	if err != nil || len(certs) != 2 {
		t.Fatalf("%d stored, %v", len(certs), err)
	}
	if _, err := w.UploadCertificates(t.Context(), w.member, w.ca.root.PEM()); err != nil {
		t.Fatal(err)
	}
	if n := len(w.emitted(EventCertUploaded)); n != 2 {
		t.Errorf("told %d times, want once each", n)
	}
	key, err := w.ca.issuer.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"a key": append(w.ca.root.PEM(), key...), "nothing": nil, "words": []byte("hello"), "DER": leaf.Certificate[0]} {
		if _, err := w.UploadCertificates(t.Context(), w.member, bad); form.Messages(err)["pem"] == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
