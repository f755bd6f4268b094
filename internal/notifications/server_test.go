package notifications

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// guarded is the dialer as a hosted installation has it.
func guarded() mail.Dialer {
	return outbound.NewDialer(outbound.Policy{Mode: outbound.Hosted}).DialContext
}

func example() NewServer {
	return NewServer{
		Host: "smtp.example.org", Port: 587, Username: "vigilo", Password: "hunter2 ", From: "Vigilo <vigilo@example.org>", TLS: "starttls",
	}
}

func TestTheMailServerOfAWorkspaceIsKeptSealedAndRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.SaveServer(t.Context(), b.mara, example()); err != nil {
		t.Fatal(err)
	}
	p, err := b.MailSettings(t.Context(), b.mara)
	if err != nil {
		t.Fatal(err)
	}
	want := &Server{
		ID: p.Server.ID, Host: "smtp.example.org", Port: 587, Username: "vigilo", HasPassword: true, From: "Vigilo <vigilo@example.org>",
		TLS: "starttls", Version: 1,
	}
	equal(t, "settings", want, p.Server)
	equal(t, "rows that show the password", 0, b.count(t, `SELECT count(*) FROM mail_settings WHERE encode(sealed_password, 'escape') LIKE '%hunter2%'`))
	var diff json.RawMessage
	if err := b.Admin(t).QueryRow(t.Context(), `SELECT diff FROM audit.event WHERE action = $1`, eventMailSettings).Scan(&diff); err != nil {
		t.Fatal(err)
	}
	contains(t, "audit entry", string(diff), `"smtp.example.org"`, `{"to": "[redacted]", "from": null, "field": "password"}`)
	payload := b.value(t, `SELECT payload::text FROM events WHERE name = $1`, eventMailSettings)
	if strings.Contains(payload, "hunter2") || strings.Contains(payload, "password") {
		t.Errorf("the event holds the password: %s", payload)
	}
	err = b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
		row, err := loadServer.One(t.Context(), tx, nil)
		if err != nil {
			return err
		}
		plain, err := b.sealer.Open(b.mara.WorkspaceID, passwordPurpose, row.SealedPassword)
		equal(t, "password, blanks kept", "hunter2 ", string(plain))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other, err := b.MailSettings(t.Context(), b.otto)
	if err != nil || other.Server != nil {
		t.Errorf("another workspace sees %+v, %v", other.Server, err)
	}
}

func TestAStoredPasswordDoesNotGoToAnotherServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.SaveServer(t.Context(), b.mara, example()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*NewServer){
		"host":       func(in *NewServer) { in.Host = "evil.example.org" },
		"port":       func(in *NewServer) { in.Port = 25 },
		"user":       func(in *NewServer) { in.Username = "other" },
		"encryption": func(in *NewServer) { in.TLS = "implicit" },
	} {
		in := example()
		in.Password, in.Version = "", 1
		change(&in)
		if err := b.SaveServer(t.Context(), b.mara, in); form.Messages(err)["password"] == "" {
			t.Errorf("another %s was accepted with the stored password: %v", name, err)
		}
	}
	in := example()
	in.Password, in.Version, in.From = "", 1, "Alerts <alerts@example.org>"
	if err := b.SaveServer(t.Context(), b.mara, in); err != nil {
		t.Fatalf("another sender with the stored password: %v", err)
	}
	equal(t, "password kept", 1, b.count(t, `SELECT count(*) FROM mail_settings WHERE sealed_password IS NOT NULL AND version = 2`))
	in.Username, in.Version = "", 2
	if err := b.SaveServer(t.Context(), b.mara, in); err != nil {
		t.Fatal(err)
	}
	equal(t, "password without a user name", 0, b.count(t, `SELECT count(*) FROM mail_settings WHERE sealed_password IS NOT NULL`))
}

func TestEveryFieldOfTheMailServerIsChecked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tests := map[string]func(*NewServer){
		"host":     func(in *NewServer) { in.Host = "https://smtp.example.org/" },
		"port":     func(in *NewServer) { in.Port = 70000 },
		"from":     func(in *NewServer) { in.From = "nobody" },
		"tls":      func(in *NewServer) { in.TLS = "ssl" },
		"username": func(in *NewServer) { in.Username = "" },
		"password": func(in *NewServer) { in.Password = strings.Repeat("x", 501) },
	}
	for field, change := range tests {
		in := example()
		change(&in)
		if err := b.SaveServer(t.Context(), b.mara, in); form.Messages(err)[field] == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	in := example()
	in.TLS = "none"
	if err := b.SaveServer(t.Context(), b.mara, in); form.Messages(err)["tls"] == "" {
		t.Errorf("a password without encryption: %v", err)
	}
	equal(t, "rows", 0, b.count(t, `SELECT count(*) FROM mail_settings`))
}

func TestMailSettingsAreForAdmins(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx := t.Context()
	_, readErr := b.MailSettings(ctx, b.tom)
	_, testErr := b.SendTest(ctx, b.tom)
	for name, err := range map[string]error{
		"read": readErr, "test": testErr, "save": b.SaveServer(ctx, b.tom, example()), "drop": b.DropServer(ctx, b.tom),
	} {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v, want Denied", name, err)
		}
	}
}

func TestASecondAdminDoesNotOverwriteTheFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.SaveServer(t.Context(), b.mara, example()); err != nil {
		t.Fatal(err)
	}
	if err := b.SaveServer(t.Context(), b.mara, example()); !fault.Is(err, fault.Conflict) {
		t.Errorf("saving from a page that was opened before: %v, want Conflict", err)
	}
}

func TestATestMailGoesThroughTheServerInForce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	problem, err := b.SendTest(t.Context(), b.mara)
	if err != nil || problem != "" {
		t.Fatalf("through the installation: %q, %v", problem, err)
	}
	equal(t, "subject", "Test mail from Vigilo", b.mailTo(t, b.mara.Email).Subject)

	s := settingsFor(t, b.caught.Addr())
	own := NewServer{Host: s.Host, Port: s.Port, From: "Acme <acme@example.org>", TLS: "none"}
	if err := b.SaveServer(t.Context(), b.mara, own); err != nil {
		t.Fatal(err)
	}
	if problem, err := b.SendTest(t.Context(), b.mara); err != nil || problem != "" {
		t.Fatalf("through its own: %q, %v", problem, err)
	}
	equal(t, "sender", "acme@example.org", b.caught.Messages()[0].From)
	if err := b.DropServer(t.Context(), b.mara); err != nil {
		t.Fatal(err)
	}
	equal(t, "rows after going back", 0, b.count(t, `SELECT count(*) FROM mail_settings`))
	equal(t, "audit entries", 2, b.count(t, `SELECT count(*) FROM audit.event WHERE action = $1`, eventMailSettings))
}
