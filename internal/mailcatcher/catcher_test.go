package mailcatcher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/smtp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/mailcatcher"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func start(t *testing.T, dir string) *mailcatcher.Catcher {
	t.Helper()
	c, err := mailcatcher.New(mailcatcher.Options{Dir: dir, Clock: clock.NewFixed(now)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func send(t *testing.T, c *mailcatcher.Catcher, raw string) {
	t.Helper()
	raw = strings.ReplaceAll(raw, "\n", "\r\n")
	if err := smtp.SendMail(c.Addr(), nil, "vigilo@example.org", []string{"ada@example.org", "bob@example.org"}, []byte(raw)); err != nil {
		t.Fatal(err)
	}
}

const alternative = `From: Vigilo <vigilo@example.org>
To: Ada <ada@example.org>
Subject: =?utf-8?q?L=C3=A4uft_ab?=
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

Es l=E4uft ab.=
 Bald.
--inner
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: base64

PHA+RXMgbMOk
dWZ0IGFiLjwvcD48c2NyaXB0PmFsZXJ0KDEpPC9zY3JpcHQ+
--inner--
--outer
Content-Type: text/plain; name=report.txt
Content-Disposition: attachment; filename=report.txt

three
--outer--
`

func TestPartsAreDecoded(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	send(t, c, alternative)
	got := c.Messages()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	if m.ID == "" || len(m.Raw) == 0 || m.Header.Get("To") != "Ada <ada@example.org>" {
		t.Errorf("message = %+v", m)
	}
	m.ID, m.Raw, m.Header = "", nil, nil
	want := mailcatcher.Message{
		ReceivedAt: now, From: "vigilo@example.org", To: []string{"ada@example.org", "bob@example.org"}, Subject: "Läuft ab",
		Text: "Es läuft ab. Bald.", HTML: "<p>Es läuft ab.</p><script>alert(1)</script>",
		Attachments: []mailcatcher.Attachment{{Name: "report.txt", MediaType: "text/plain", SizeBytes: 5}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}

func TestDamagedMailIsKeptWithItsSource(t *testing.T) {
	t.Parallel()
	for raw, problem := range map[string]string{
		"\u00a0nonsense\n":                                                "header",
		"Subject: x\nContent-Type: ;;\n\nbody\n":                          "content type",
		"Subject: x\nContent-Type: multipart/mixed\n\nbody\n":             "boundary",
		"Subject: x\nContent-Type: text/plain; charset=klingon\n\nbody\n": "klingon",
		"Subject: x\nContent-Transfer-Encoding: base64\n\n!!!\n":          "decode part",
		nested(12): "inside each other",
	} {
		c := start(t, "")
		send(t, c, raw)
		if m := c.Messages()[0]; !strings.Contains(m.Problem, problem) || len(m.Raw) == 0 {
			t.Errorf("%.40q: problem = %q, %d bytes", raw, m.Problem, len(m.Raw))
		}
	}
}

func nested(depth int) string {
	var b strings.Builder
	b.WriteString("Subject: x\n")
	for i := range depth {
		fmt.Fprintf(&b, "Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n", i, i)
	}
	return b.String() + "\nend\n"
}

func TestWaitReturnsAMailThatIsThere(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	send(t, c, "Subject: one\n\nx\n")
	got, err := c.Wait(t.Context(), func(m mailcatcher.Message) bool { return m.Subject == "one" })
	if err != nil || got.Subject != "one" {
		t.Errorf("got %q, %v", got.Subject, err)
	}
}

func TestWaitReturnsAMailThatArrivesLater(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	looked, found := make(chan struct{}, 8), make(chan error, 1)
	go func() {
		_, err := c.Wait(t.Context(), func(m mailcatcher.Message) bool {
			looked <- struct{}{}
			return m.Subject == "two"
		})
		found <- err
	}()
	send(t, c, "Subject: one\n\nx\n")
	<-looked // it has seen the first one and waits again
	send(t, c, "Subject: two\n\nx\n")
	if err := <-found; err != nil {
		t.Error(err)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Wait(ctx, func(mailcatcher.Message) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}

func TestOnlyTheNewest500AreKeptInMemoryAndFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mail")
	c := start(t, dir)
	client, err := smtp.Dial(c.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 502 {
		deliver(t, client, fmt.Sprintf("Subject: %d\r\n\r\nx\r\n", i))
	}
	if err := client.Quit(); err != nil {
		t.Fatal(err)
	}
	got := c.Messages()
	if len(got) != 500 || got[0].Subject != "501" || got[499].Subject != "2" {
		t.Errorf("kept %d, newest %s, oldest %s", len(got), got[0].Subject, got[len(got)-1].Subject)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	if err != nil || len(names) != 500 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	var newest string
	for _, name := range names {
		if strings.Contains(name, got[0].ID) {
			newest = name
		}
	}
	raw, err := os.ReadFile(newest)
	if err != nil || string(raw) != string(got[0].Raw) {
		t.Errorf("file = %q, %v", raw, err)
	}
}

func deliver(t *testing.T, client *smtp.Client, raw string) {
	t.Helper()
	if err := errors.Join(client.Mail("v@example.org"), client.Rcpt("a@example.org")); err != nil {
		t.Fatal(err)
	}
	w, err := client.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnyPasswordIsTaken(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	auth := smtp.PlainAuth("", "anybody", "anything", "127.0.0.1")
	if err := smtp.SendMail(c.Addr(), auth, "v@example.org", []string{"a@example.org"}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Error(err)
	}
}

func TestOtherMachinesAreNotListenedTo(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:25", "example.org:25", "nonsense"} {
		if c, err := mailcatcher.New(mailcatcher.Options{Addr: addr}); err == nil {
			t.Errorf("%s was accepted (%v)", addr, c.Close())
		}
	}
}

func get(t *testing.T, address string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

func TestPageShowsMailWithoutLettingItRun(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	mux := http.NewServeMux()
	mux.Handle("/mail/", http.StripPrefix("/mail", c.Handler()))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	_, empty := get(t, server.URL+"/mail/")
	if !strings.Contains(empty, "No mail yet") {
		t.Error("the empty list says nothing")
	}
	send(t, c, "Subject: <script>alert(1)</script>\n\n<b>plain</b>\n")
	send(t, c, alternative)
	mail, evil := c.Messages()[0], c.Messages()[1]
	base := server.URL + "/mail/messages/"

	res, list := get(t, server.URL+"/mail/")
	wantContains(t, list, `href="messages/`+mail.ID+`"`, "Läuft ab", "ada@example.org, bob@example.org", "&lt;script&gt;")
	if strings.Contains(list, "<script") || !strings.HasPrefix(res.Header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'self'") {
		t.Errorf("list may run scripts: %s", res.Header.Get("Content-Security-Policy"))
	}
	_, text := get(t, base+mail.ID)
	wantContains(t, text, "<pre>Es läuft ab. Bald.</pre>", `href="../style.css"`, "report.txt")
	_, plain := get(t, base+evil.ID)
	wantContains(t, plain, "&lt;b&gt;plain&lt;/b&gt;")
	_, html := get(t, base+mail.ID+"?view=html")
	wantContains(t, html, `<iframe src="`+mail.ID+`/body" sandbox `)
	_, source := get(t, base+mail.ID+"?view=source")
	wantContains(t, source, "boundary=outer")

	res, body := get(t, base+mail.ID+"/body")
	wantContains(t, body, "<script>alert(1)</script>")
	if policy := res.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "sandbox; default-src 'none';") {
		t.Errorf("HTML of a mail is served with %q", policy)
	}
	res, saved := get(t, base+mail.ID+"/source")
	if saved != string(mail.Raw) || res.Header.Get("Content-Type") != "message/rfc822" {
		t.Error("saved source differs")
	}
	res, style := get(t, server.URL+"/mail/style.css")
	if res.StatusCode != http.StatusOK || !strings.Contains(style, "prefers-color-scheme: dark") {
		t.Error("no stylesheet")
	}
	if res, _ := get(t, base+"unknown"); res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown mail: %s", res.Status)
	}
}

func wantContains(t *testing.T, page string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(page, part) {
			t.Errorf("page has no %q:\n%s", part, page)
		}
	}
}

func TestJSONListsTheNewestFirst(t *testing.T) {
	t.Parallel()
	c := start(t, "")
	send(t, c, "Subject: one\n\nx\n")
	send(t, c, alternative)
	server := httptest.NewServer(c.Handler())
	t.Cleanup(server.Close)
	_, body := get(t, server.URL+"/messages.json")
	var got struct {
		Messages []mailcatcher.Message `json:"messages"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Messages) != 2 || got.Messages[0].Subject != "Läuft ab" || got.Messages[0].Text == "" || got.Messages[1].Subject != "one" {
		t.Errorf("messages = %s", body)
	}
}
