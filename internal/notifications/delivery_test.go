package notifications

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/mailcatcher"
)

// mailTo waits for a mail to the address.
func (b *bench) mailTo(t *testing.T, address string) mailcatcher.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	m, err := b.caught.Wait(ctx, func(m mailcatcher.Message) bool { return m.To[0] == address })
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func contains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func TestAnEventArrivesAsMail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.work(t)
	b.happen(t, b.tom, "thing.failed", thing("pay.example <b>"))
	m := b.mailTo(t, b.mara.Email)
	b.drain(t)
	equal(t, "subject", "Thing failed: pay.example <b>", m.Subject)
	equal(t, "sender", "vigilo@vigilo.example", m.From)
	id := b.value(t, `SELECT id::text FROM notifications WHERE user_id = $1`, b.mara.UserID)
	link := "https://vigilo.example/ws/acme/notifications/" + id
	contains(t, "text", m.Text, "Thing failed: pay.example <b>\n", "High, ", "By Tom Fox.", link, "https://vigilo.example/ws/acme/notifications/preferences")
	contains(t, "html", m.HTML, "Thing failed: pay.example &lt;b&gt;", link, "Stop these e-mails")
	equal(t, "message id", "<"+b.value(t, `SELECT id::text FROM mails WHERE user_id = $1`, b.mara.UserID)+"@vigilo.example>", m.Header.Get("Message-Id"))
	equal(t, "one click", "List-Unsubscribe=One-Click", m.Header.Get("List-Unsubscribe-Post"))
	equal(t, "mails that were sent", 2, b.count(t, `SELECT count(*) FROM mails WHERE state = 'sent' AND attempts = 1`))
	equal(t, "mails that arrived", 2, len(b.caught.Messages()))
}

func (b *bench) value(t *testing.T, sql string, args ...any) string {
	t.Helper()
	var v string
	if err := b.Admin(t).QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestALinkInAMailTurnsItOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	b.sendAll(t)
	header := b.mailTo(t, b.mara.Email).Header.Get("List-Unsubscribe")
	u, err := url.Parse(strings.Trim(header, "<>"))
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimPrefix(u.Path, "/unsubscribe/")
	for range 2 { // a mail program may send it again
		if err := b.Unsubscribe(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "audit entries", 1, b.count(t, `SELECT count(*) FROM audit.event WHERE action = $1 AND target_id = $2`, eventPreferences, b.mara.UserID))
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("y")))
	b.handle(t, b.happen(t, b.tom, "thing.burned", thing("z")))
	equal(t, "inbox keeps both", []string{"Thing burned: z", "Thing failed: y", "Thing failed: x"}, b.titles(t, b.mara))
	equal(t, "mails to Mara", 2, b.count(t, `SELECT count(*) FROM mails WHERE user_id = $1`, b.mara.UserID)) // x and z
	equal(t, "mails to Vera", 3, b.count(t, `SELECT count(*) FROM mails WHERE user_id = $1`, b.vera.UserID))

	for name, bad := range map[string]string{
		"empty": "", "damaged": token[:len(token)-2], "made up": strings.Repeat("A", len(token)), "not base64": "%%%", "endless": strings.Repeat("A", 5000),
	} {
		if err := b.Unsubscribe(t.Context(), bad); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s token: %v, want NotFound", name, err)
		}
	}
}

func TestALinkOfSomebodyWhoLeftDoesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	link, err := b.unsubscribeLink(b.mara.WorkspaceID, b.otto.UserID, "thing.failed")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Unsubscribe(t.Context(), strings.TrimPrefix(link, "https://vigilo.example/unsubscribe/")); err != nil {
		t.Fatal(err)
	}
	equal(t, "choices", 0, b.count(t, `SELECT count(*) FROM notification_choices`))
}

// sendAll tries every waiting mail once, as the jobs would.
func (b *bench) sendAll(t *testing.T) {
	t.Helper()
	rows, err := b.Admin(t).Query(t.Context(), `SELECT workspace_id, id FROM mails WHERE state = 'waiting' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	var ids [][2]uuid.UUID
	for rows.Next() {
		var pair [2]uuid.UUID
		if err := rows.Scan(&pair[0], &pair[1]); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, pair)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := b.deliver(t.Context(), id[0], id[1], 1); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADigestGathersWhatWasNotRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.choose(t, b.mara, func(p *Preferences) { p.Digest = DigestHourly })
	for _, name := range []string{"first", "second", "third"} {
		b.handle(t, b.happen(t, b.tom, "thing.failed", thing(name)))
		b.clock.Advance(time.Second)
	}
	b.handle(t, b.happen(t, b.tom, "thing.burned", thing("critical")))
	equal(t, "mails at once: only what is critical", 1, b.count(t, `SELECT count(*) FROM mails WHERE user_id = $1`, b.mara.UserID))
	box, err := b.Inbox(t.Context(), b.mara, InboxFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.MarkRead(t.Context(), b.mara, []uuid.UUID{box.Page.Items[2].ID}); err != nil { // second
		t.Fatal(err)
	}
	if err := b.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "digests before the hour", 0, b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'notifications.digest'`))
	b.clock.Advance(time.Hour)
	if err := b.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "digests after it", 1, b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'notifications.digest'`))
	for range 2 { // the job may run twice
		if err := b.queueDigest(t.Context(), b.mara.WorkspaceID, b.mara.UserID); err != nil {
			t.Fatal(err)
		}
	}
	b.sendAll(t)
	var digests []mailcatcher.Message
	for _, m := range b.caught.Messages() {
		if m.To[0] == b.mara.Email && m.Subject == "2 notifications" {
			digests = append(digests, m)
		}
	}
	if len(digests) != 1 {
		t.Fatalf("%d digests arrived, want 1", len(digests))
	}
	contains(t, "digest", digests[0].Text, "2 notifications from acme", "Thing failed: first", "Thing failed: third", "/ws/acme/notifications\n")
	contains(t, "digest", digests[0].HTML, "Thing failed: first", "Thing failed: third")
	if strings.Contains(digests[0].Text, "second") {
		t.Error("the digest repeats what was read")
	}
	if i, j := strings.Index(digests[0].Text, "first"), strings.Index(digests[0].Text, "third"); i > j {
		t.Error("the digest is not in the order of what happened")
	}
}

func TestMailWaitsForTheEndOfQuietHours(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	// Quiet from now until two hours from now, on a clock that may show any time of the day.
	now := b.clock.Now()
	minute := now.Hour()*60 + now.Minute()
	b.choose(t, b.mara, func(p *Preferences) { p.Quiet = QuietHours{On: true, From: minute, To: (minute + 120) % 1440} })
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	equal(t, "inbox", []string{"Thing failed: x"}, b.titles(t, b.mara))
	equal(t, "mails during", 0, b.count(t, `SELECT count(*) FROM mails WHERE user_id = $1`, b.mara.UserID))
	b.clock.Advance(2 * time.Hour)
	b.work(t)
	if err := b.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := b.mailTo(t, b.mara.Email)
	equal(t, "a single held notification is a mail of its own", "Thing failed: x", m.Subject)
	b.drain(t)
}

func TestHeldMailIsNotSentToWhoTurnedMailOff(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.choose(t, b.mara, func(p *Preferences) { p.Digest = DigestHourly })
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("held")))
	b.handle(t, b.happen(t, b.tom, "thing.burned", thing("waiting")))
	b.choose(t, b.mara, func(p *Preferences) { p.MailEnabled = false })
	b.clock.Advance(time.Hour)
	if err := b.queueDigest(t.Context(), b.mara.WorkspaceID, b.mara.UserID); err != nil {
		t.Fatal(err)
	}
	b.sendAll(t)
	for _, m := range b.caught.Messages() {
		if m.To[0] == b.mara.Email {
			t.Errorf("she still got %q", m.Subject)
		}
	}
	equal(t, "waiting mail of hers", 0, b.count(t, `SELECT count(*) FROM mails WHERE user_id = $1 AND state <> 'dropped'`, b.mara.UserID))
}

func TestAnInvitationArrivesAndItsTextIsGoneAfterwards(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	const secret = "https://vigilo.example/invitations/vgi_0123456789"
	err := b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
		return b.QueueInvitation(t.Context(), tx, "new@example.org", "Mara invites you\r\nBcc: x@example.org", "Open "+secret, "<p>Open "+secret+"</p>")
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "rows that show the link", 0, b.count(t, `SELECT count(*) FROM mails WHERE encode(sealed_body, 'escape') LIKE '%vgi_%'`))
	b.sendAll(t)
	m := b.mailTo(t, "new@example.org")
	equal(t, "subject is one line", "Mara invites you Bcc: x@example.org", m.Subject)
	contains(t, "text", m.Text, secret)
	contains(t, "html", m.HTML, secret)
	equal(t, "texts kept", 0, b.count(t, `SELECT count(*) FROM mails WHERE sealed_body IS NOT NULL`))
	equal(t, "list header of a mail that is no list", "", m.Header.Get("List-Unsubscribe"))
}

func TestExternalRecipientsGetANoticeOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	send := func() error {
		return b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
			queued, err := b.QueueMailTo(t.Context(), tx, ExternalMail{
				To: []string{"team@example.org", "pager@example.org"}, DedupeKey: "alert-1", Severity: event.Critical, Title: "pay.example expires",
				Body: "In 2 days.", Path: "/certificates/1", Because: "The alert rule Payments names this address; an admin of acme can change it.",
			})
			equal(t, "queued", true, queued)
			return err
		})
	}
	for range 2 {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	b.sendAll(t)
	equal(t, "mails", 2, len(b.caught.Messages()))
	m := b.mailTo(t, "pager@example.org")
	contains(t, "text", m.Text, "pay.example expires\nCritical\nIn 2 days.\nhttps://vigilo.example/ws/acme/certificates/1\n", "an admin of acme can change it")
	err := b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
		_, err := b.QueueMailTo(t.Context(), tx, ExternalMail{To: []string{"nobody"}, Title: "x"})
		return err
	})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("an address that is none: %v", err)
	}
}

func TestWithoutAMailServerTheInboxWorks(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(d *Deps) { d.SMTP = nil })
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	equal(t, "inbox", []string{"Thing failed: x"}, b.titles(t, b.mara))
	equal(t, "mails", []string{}, b.mails(t))
	err := b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
		if err := b.QueueInvitation(t.Context(), tx, "new@example.org", "s", "t", "h"); err != nil {
			t.Errorf("an invitation: %v", err)
		}
		queued, err := b.QueueMailTo(t.Context(), tx, ExternalMail{To: []string{"team@example.org"}, Title: "x"})
		if queued || err != nil {
			t.Errorf("a notice: %v, %v", queued, err)
		}
		return b.QueueMail(t.Context(), tx, "new@example.org", "s", "t", "h")
	})
	if !errors.Is(err, ErrNoServer) {
		t.Errorf("other mail: %v, want ErrNoServer", err)
	}
}

// relay is an SMTP server that answers each recipient with a code.
type relay struct{ code atomic.Int32 }

func (r *relay) NewSession(*smtp.Conn) (smtp.Session, error) { return relaySession{r}, nil }

type relaySession struct{ r *relay }

func (relaySession) Mail(string, *smtp.MailOptions) error { return nil }
func (s relaySession) Rcpt(string, *smtp.RcptOptions) error {
	if code := int(s.r.code.Load()); code != 250 {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "secret words of the server"}
	}
	return nil
}
func (relaySession) Data(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err }
func (relaySession) Reset()                 {}
func (relaySession) Logout() error          { return nil }

func startRelay(t *testing.T, code int) (*relay, *mail.Settings) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{}
	r.code.Store(int32(code))
	server := smtp.NewServer(r)
	server.Domain = "relay.test"
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }() // ends with Close
	t.Cleanup(func() { _ = server.Close(); <-done })
	return r, settingsFor(t, listener.Addr().String())
}

func (b *bench) onlyMail(t *testing.T) uuid.UUID {
	t.Helper()
	return uuid.MustParse(b.value(t, `SELECT id::text FROM mails`))
}

func queueOne(t *testing.T, b *bench) uuid.UUID {
	t.Helper()
	err := b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
		return b.QueueMail(t.Context(), tx, "new@example.org", "Subject", "text", "")
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.onlyMail(t)
}

func TestARefusalForGoodEndsTheMailAndIsShown(t *testing.T) {
	t.Parallel()
	_, settings := startRelay(t, 550)
	b := newBench(t, func(d *Deps) { d.SMTP = settings })
	id := queueOne(t, b)
	if err := b.deliver(t.Context(), b.mara.WorkspaceID, id, 1); err != nil {
		t.Fatalf("the job would come back: %v", err)
	}
	p, err := b.MailSettings(t.Context(), b.mara)
	if err != nil {
		t.Fatal(err)
	}
	want := []Problem{{Recipient: "new@example.org", Subject: "Subject", State: "failed", Attempts: 1, Problem: problemRejected, UpdatedAt: b.clock.Now()}}
	equal(t, "last failures", want, p.Problems)
	if strings.Contains(ProblemText(p.Problems[0].Problem), "secret words") {
		t.Error("the page repeats what the server said")
	}
	equal(t, "texts kept", 0, b.count(t, `SELECT count(*) FROM mails WHERE sealed_body IS NOT NULL`))
}

func TestARefusalForNowIsTriedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	r, settings := startRelay(t, 451)
	b := newBench(t, func(d *Deps) { d.SMTP = settings })
	id := queueOne(t, b)
	ws := b.mara.WorkspaceID
	if err := b.deliver(t.Context(), ws, id, 1); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("first attempt: %v, want Unavailable so that the job comes back", err)
	}
	p, err := b.MailSettings(t.Context(), b.mara)
	if err != nil || len(p.Problems) != 1 || p.Problems[0].State != "waiting" || p.Problems[0].Problem != problemDeferred {
		t.Fatalf("shown meanwhile: %+v, %v", p.Problems, err)
	}
	if err := b.deliver(t.Context(), ws, id, attempts); err != nil {
		t.Fatalf("last attempt: %v, want it written down", err)
	}
	equal(t, "state", "failed", b.value(t, `SELECT state FROM mails`))
	r.code.Store(250)
	if err := b.deliver(t.Context(), ws, id, attempts); err != nil {
		t.Fatal(err)
	}
	equal(t, "a mail that was given up stays so", "failed", b.value(t, `SELECT state FROM mails`))
}

func TestATemporaryFailurePassesWithoutASecondMail(t *testing.T) {
	t.Parallel()
	r, settings := startRelay(t, 451)
	b := newBench(t, func(d *Deps) { d.SMTP = settings })
	id := queueOne(t, b)
	if err := b.deliver(t.Context(), b.mara.WorkspaceID, id, 1); err == nil {
		t.Fatal("no error")
	}
	r.code.Store(250)
	for range 2 {
		if err := b.deliver(t.Context(), b.mara.WorkspaceID, id, 2); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "state and attempts", "sent 2 ", b.value(t, `SELECT state || ' ' || attempts || ' ' || problem FROM mails`))
}

func TestAServerInABlockedNetworkIsNotReached(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(d *Deps) {
		d.InstallationDial = func(context.Context, string, string) (net.Conn, error) {
			t.Error("the dialer of the installation was used for a workspace")
			return nil, net.ErrClosed
		}
		d.Dial = guarded()
	})
	s := settingsFor(t, b.caught.Addr())
	if err := b.SaveServer(t.Context(), b.mara, NewServer{Host: s.Host, Port: s.Port, From: s.From, TLS: string(mail.NoTLS)}); err != nil {
		t.Fatal(err)
	}
	problem, err := b.SendTest(t.Context(), b.mara)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", "This address is blocked by the network policy of this installation.", ProblemText(problem))
	equal(t, "mails that arrived", 0, len(b.caught.Messages()))
}

func TestWaitsBetweenAttemptsGrow(t *testing.T) {
	t.Parallel()
	var total time.Duration
	for attempt := 1; attempt < attempts; attempt++ {
		if attempt > 1 && retryAfter(attempt) <= retryAfter(attempt-1) {
			t.Errorf("attempt %d waits no longer than the one before", attempt)
		}
		total += retryAfter(attempt)
	}
	if total < 40*time.Hour || total > 72*time.Hour {
		t.Errorf("tried for %v in all, want about two days", total)
	}
}

func TestOldRowsArePurged(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	b.clock.Advance(keepMails + time.Hour)
	if err := b.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "mails after a month", 0, b.count(t, `SELECT count(*) FROM mails`))
	equal(t, "notifications after a month", 2, b.count(t, `SELECT count(*) FROM notifications`))
	b.clock.Advance(keepNotifications)
	if err := b.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	equal(t, "notifications after half a year", 0, b.count(t, `SELECT count(*) FROM notifications`))
}

func TestOneDigestFollowsTheOther(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.work(t)
	b.choose(t, b.mara, func(p *Preferences) { p.Digest = DigestHourly })
	// Recorded beforehand: the audit log refuses times ahead of the database.
	names := []string{"first", "second"}
	events := []event.Event{b.happen(t, b.vera, "thing.noted", thing("first")), b.happen(t, b.vera, "thing.noted", thing("second"))}
	b.drain(t) // while nobody listens to the event
	b.choose(t, b.mara, nil, Choice{Event: "thing.noted", Channels: event.Channels{InApp: true, Mail: true}})
	for i, name := range names {
		b.handle(t, events[i])
		b.clock.Advance(time.Hour)
		err := b.System(t.Context(), func(tx *db.SystemTx) error { return b.jobs.InsertSystem(t.Context(), tx, sweepArgs{}) })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_, err = b.caught.Wait(ctx, func(m mailcatcher.Message) bool { return m.To[0] == b.mara.Email && m.Subject == "Thing noted: "+name })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b.drain(t)
	}
}
