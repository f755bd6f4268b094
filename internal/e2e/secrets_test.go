package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// operator runs commands of the binary on a database.
type operator struct {
	t *testing.T
	d *dbtest.DB
}

func (o operator) settings(keys string) []string {
	return []string{
		"VIGILO_AUTH=dev", "VIGILO_DATABASE_URL=" + o.d.URL("vigilo_app"), "VIGILO_SYSTEM_DATABASE_URL=" + o.d.URL("vigilo_system"),
		"VIGILO_SECRET_KEYS=" + keys,
	}
}

// says runs a command and looks for texts in what it prints.
func (o operator) says(keys string, args []string, code int, texts ...string) {
	o.t.Helper()
	stdout, stderr, got := runBinary(o.t, o.settings(keys), args...)
	out := stdout + stderr
	if got != code {
		o.t.Errorf("vigilo %s: exit code %d, want %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			o.t.Errorf("vigilo %s does not say %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
}

// sealedColumns are where the program keeps sealed values.
var sealedColumns = []string{
	"sessions.id_token", "audit.pii_key.sealed_key", "idempotency_keys.body", "webhook_endpoints.secret_sealed",
	"webhook_endpoints.previous_sealed", "mail_settings.sealed_password", "mails.sealed_body",
}

// perKey counts the sealed values of each column by the id of their key.
func (o operator) perKey() map[string]map[string]int {
	o.t.Helper()
	out := map[string]map[string]int{}
	for _, c := range sealedColumns {
		i := strings.LastIndexByte(c, '.')
		rows, err := o.d.Admin(o.t).Query(context.Background(), fmt.Sprintf(`SELECT %[2]s FROM %[1]s WHERE %[2]s IS NOT NULL`, c[:i], c[i+1:]))
		if err != nil {
			o.t.Fatal(err)
		}
		out[c] = map[string]int{}
		for rows.Next() {
			var sealed []byte
			if err := rows.Scan(&sealed); err != nil {
				o.t.Fatal(err)
			}
			id, err := secret.KeyID(sealed)
			if err != nil {
				o.t.Fatalf("%s: %v", c, err)
			}
			out[c][id]++
		}
		if err := rows.Err(); err != nil {
			o.t.Fatal(err)
		}
	}
	return out
}

// fill makes the program store a secret of every kind, and more mails than a batch holds.
func (o operator) fill(p *program, ws uuid.UUID, ring *secret.Keyring, h *hook) (webhookSecret, token, kept string, lastMail uuid.UUID) {
	t, ctx := o.t, context.Background()
	t.Helper()
	p.webhook(t, "acme", h, "session_limits.*")
	var id uuid.UUID
	if err := o.d.Admin(t).QueryRow(ctx, `SELECT id FROM webhook_endpoints`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	a := p.json(t, p.token(t, "acme", "admin"), http.MethodPost, "/ws/acme/api/v1/webhooks/"+id.String()+"/rotate-secret", "")
	var rotated struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(a.body), &rotated); err != nil || rotated.Secret == "" {
		t.Fatalf("rotate: %d %s", a.status, clip(a.body))
	}
	form := url.Values{
		"host": {"mail.example.com"}, "port": {"587"}, "tls": {"starttls"}, "username": {"vigilo"}, "password": {"hunter2"}, "from": {"vigilo@example.com"},
	}
	if a := p.post(t, "admin@acme.test", "/ws/acme/settings/mail", form.Encode()); a.status != http.StatusSeeOther {
		t.Fatalf("mail settings: %d %s", a.status, clip(a.body))
	}
	token = p.token(t, "acme", "admin")
	kept = o.repeatable(p, token)
	seal := func(ws uuid.UUID, purpose string) []byte {
		sealed, err := ring.Seal(ws, purpose, []byte("text"))
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	if _, err := o.d.Admin(t).Exec(ctx, `UPDATE sessions SET id_token = $1`, seal(uuid.Nil, "identity.id_token")); err != nil {
		t.Fatal(err)
	}
	for range 250 {
		lastMail = uuid.Must(uuid.NewV7())
		if _, err := o.d.Admin(t).Exec(ctx, `INSERT INTO mails (workspace_id, id, kind, recipient, subject, sealed_body, state, created_at, updated_at)
			VALUES ($1, $2, 'direct', 'x@example.com', 'x', $3, 'failed', now(), now())`, ws, lastMail, seal(ws, "notifications.mail_body")); err != nil {
			t.Fatal(err)
		}
	}
	return rotated.Secret, token, kept, lastMail
}

// repeatable calls the API with an idempotency key and returns the answer.
func (o operator) repeatable(p *program, token string) string {
	o.t.Helper()
	req, err := http.NewRequest(http.MethodPost, p.base+"/ws/acme/api/v1/invitations", strings.NewReader(`{"email":"new@example.com","role":"viewer"}`))
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", "the same call")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		o.t.Fatal(err)
	}
	if res.StatusCode != http.StatusCreated {
		o.t.Fatalf("invite: %d %s", res.StatusCode, b.String())
	}
	return b.String()
}

// TestSecretsMoveToANewKeyAlthoughTheRotationIsKilled lets the program store secrets under
// one key, rotates to another one with a kill in the middle, takes the first key away and
// sees that everything still opens.
func TestSecretsMoveToANewKeyAlthoughTheRotationIsKilled(t *testing.T) {
	t.Parallel()
	p := start(t)
	ws := p.workspace(t, "acme")
	oldKey, newKey := p.keys, secret.NewKey()
	oldID, _, _ := strings.Cut(oldKey, ":")
	newID, _, _ := strings.Cut(newKey, ":")
	ring, err := secret.ParseKeyring(oldKey)
	if err != nil {
		t.Fatal(err)
	}
	o, h := operator{t: t, d: p.db}, newHook(t)
	webhookSecret, token, kept, lastMail := o.fill(p, ws, ring, h)
	p.stop(t)
	before := o.perKey()
	total := 0
	for column, keys := range before {
		if keys[oldID] == 0 || len(keys) != 1 {
			t.Fatalf("%s is not filled: %v", column, keys)
		}
		total += keys[oldID]
	}
	both := newKey + "," + oldKey
	o.says(both, []string{"doctor"}, 0, fmt.Sprintf("%[1]d of %[1]d stored secrets are under former keys (%[1]d %[2]s): run vigilo secrets rotate", total, oldID))

	o.killInTheMiddle(both, lastMail)
	between := o.perKey()["mails.sealed_body"]
	if between[newID] != 200 || between[oldID] == 0 {
		t.Errorf("after the kill the mails are under %v", between)
	}
	left := 0
	for _, keys := range o.perKey() {
		left += keys[oldID]
	}
	o.says(both, []string{"secrets", "rotate"}, 0, fmt.Sprintf("%7d  values are sealed with key %s now", left, newID), "mails on their way")
	o.says(both, []string{"secrets", "rotate"}, 0, fmt.Sprintf("%7d  values are sealed with key %s now", 0, newID))
	o.says(newKey, []string{"doctor"}, 0, fmt.Sprintf("%d stored secrets are sealed with key %s", total, newID))
	for column, keys := range o.perKey() {
		if diff := cmp.Diff(map[string]int{newID: before[column][oldID]}, keys); diff != "" {
			t.Errorf("%s: %s", column, diff)
		}
	}

	next := startOn(t, p.db, newKey, true)
	next.people, next.spaces = p.people, p.spaces
	if again := o.repeatable(next, token); again != kept {
		t.Errorf("the kept answer changed:\n%s\n%s", kept, again)
	}
	if a := next.get(t, "owner@acme.test", "/ws/acme/governance/audit"); a.status != http.StatusOK || !strings.Contains(a.body, "Admin Tester") {
		t.Errorf("the audit log does not name people any more: %d", a.status)
	}
	if a := next.json(t, next.token(t, "acme", "admin"), http.MethodPatch, "/ws/acme/api/v1/workspace", `{"session_idle_minutes":60}`); a.status != http.StatusOK {
		t.Fatalf("change: %d %s", a.status, clip(a.body))
	}
	checkSigned(t, webhookSecret, h.wait(t, "a delivery after the rotation", func(e event.Event) bool { return e.Name == "session_limits.changed" }))
	for _, subject := range []string{"webhook", "mail_settings"} {
		var n int
		if err := p.db.Admin(t).QueryRow(context.Background(), `SELECT count(*) FROM audit.event
			WHERE action = 'secret.resealed' AND target_type = $1 AND actor_kind = 4`, subject).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n != 1 {
			t.Errorf("%d entries about the secret of a %s, want 1", n, subject)
		}
	}
}

// killInTheMiddle starts the rotation, waits until it stands before a mail that somebody
// else holds, and kills it.
func (o operator) killInTheMiddle(keys string, mail uuid.UUID) {
	o.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tx, err := o.d.Admin(o.t).Begin(ctx)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, `SELECT 1 FROM mails WHERE id = $1 FOR UPDATE`, mail); err != nil {
		o.t.Fatal(err)
	}
	path, err := binary()
	if err != nil {
		o.t.Fatal(err)
	}
	cmd := exec.Command(path, "secrets", "rotate")
	cmd.Env = o.settings(keys)
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, "the rotation waits for the mail", func() bool {
		var waiting bool
		err := o.d.Admin(o.t).QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock' AND usename = 'vigilo_app')`).Scan(&waiting)
		return err == nil && waiting
	})
	if err := cmd.Process.Kill(); err != nil {
		o.t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if err := tx.Rollback(ctx); err != nil {
		o.t.Fatal(err)
	}
}

func TestSecretsUnderAMissingKeyAreCountedAndLeftAlone(t *testing.T) {
	t.Parallel()
	p := start(t)
	ws := p.workspace(t, "acme")
	p.stop(t)
	lost, key := secret.NewKey(), secret.NewKey()
	lostID, _, _ := strings.Cut(lost, ":")
	ring, err := secret.ParseKeyring(lost)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := ring.Seal(ws, "notifications.mail_body", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	root, ctx := p.db.Admin(t), context.Background()
	if _, err := root.Exec(ctx, `INSERT INTO mails (workspace_id, id, kind, recipient, subject, sealed_body, created_at, updated_at)
		VALUES ($1, gen_random_uuid(), 'direct', 'x@example.com', 'x', $2, now(), now()),
			($1, gen_random_uuid(), 'direct', 'x@example.com', 'x', '\x01', now(), now())`, ws, sealed); err != nil {
		t.Fatal(err)
	}
	o := operator{t: t, d: p.db}
	o.says(key+","+p.keys, []string{"doctor"}, 1, "1 with the missing key "+lostID, "1 damaged")
	o.says(key+","+p.keys, []string{"secrets", "rotate"}, 1, "mails on their way, 2 cannot be opened", "2 values cannot be opened and stay as they are")
	o.says(key, []string{"secrets"}, 2, "Usage: vigilo secrets rotate")
	var same int
	if err := root.QueryRow(ctx, `SELECT count(*) FROM mails WHERE sealed_body IN ($1, '\x01')`, sealed).Scan(&same); err != nil {
		t.Fatal(err)
	}
	if same != 2 {
		t.Errorf("%d of 2 values are as they were", same)
	}
}
