package notifications

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestAnEventReachesEverybodyButItsCause(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ev := b.happen(t, b.tom, "thing.failed", thing("pay.example"))
	b.handle(t, ev)
	want := []string{"Thing failed: pay.example"}
	equal(t, "inbox of Mara", want, b.titles(t, b.mara))
	equal(t, "inbox of Vera", want, b.titles(t, b.vera))
	equal(t, "inbox of Tom, who did it", []string{}, b.titles(t, b.tom))
	equal(t, "inbox of Otto, elsewhere", []string{}, b.titles(t, b.otto))
	equal(t, "mail", []string{"mara.lind@example.test: Thing failed: pay.example", "vera.ek@example.test: Thing failed: pay.example"}, b.mails(t))

	box, err := b.Inbox(t.Context(), b.mara, InboxFilter{})
	if err != nil {
		t.Fatal(err)
	}
	i := box.Page.Items[0]
	equal(t, "unread", int64(1), box.Unread)
	equal(t, "body", "By Tom Fox.", i.Body)
	equal(t, "path", "/things/"+ev.Subject.ID.String(), i.Path)
	equal(t, "severity", event.High, i.Severity)
}

func TestAnEventThatIsDeliveredTwiceIsToldOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ev := b.happen(t, b.tom, "thing.failed", thing("pay.example"))
	b.handle(t, ev)
	b.handle(t, ev)
	equal(t, "inbox", []string{"Thing failed: pay.example"}, b.titles(t, b.mara))
	equal(t, "mails", 2, len(b.mails(t)))
	// A module that names people for the same event uses the same key.
	b.tell(t, b.tom, Notice{
		Recipients: []uuid.UUID{b.mara.UserID}, DedupeKey: ev.ID.String(), EventName: "thing.failed", Title: "Thing failed again", Mail: true,
	})
	equal(t, "inbox after a notice with the same key", []string{"Thing failed: pay.example"}, b.titles(t, b.mara))
}

func TestChannelsFollowTheMatrix(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		event  string
		choice *event.Channels
		inApp  bool
		mail   bool
	}{
		{"the default of an event", "thing.changed", nil, true, false},
		{"both by default", "thing.failed", nil, true, true},
		{"nothing by default", "thing.noted", nil, false, false},
		{"mail asked for", "thing.changed", &event.Channels{InApp: true, Mail: true}, true, true},
		{"mail alone", "thing.failed", &event.Channels{Mail: true}, false, true},
		{"nothing wanted", "thing.failed", &event.Channels{}, false, false},
		{"asked for what is off by default", "thing.noted", &event.Channels{InApp: true, Mail: true}, true, true},
	}
	b := newBench(t)
	for _, tc := range tests { // one member each, all hear of all events
		a := b.Member(t, b.mara.WorkspaceID, tc.name, "member")
		if tc.choice != nil {
			b.choose(t, a, nil, Choice{Event: tc.event, Channels: *tc.choice})
		}
		b.handle(t, b.happen(t, b.tom, tc.event, thing(tc.name)))
		in := b.count(t, `SELECT count(*) FROM notifications WHERE user_id = $1 AND in_app AND subject_title = $2`, a.UserID, tc.name)
		mailed := b.count(t, `SELECT count(*) FROM mails WHERE user_id = $1 AND subject LIKE '%: ' || $2`, a.UserID, tc.name)
		if (in == 1) != tc.inApp || (mailed == 1) != tc.mail || in > 1 || mailed > 1 {
			t.Errorf("%s: in the inbox %d, mailed %d; want %v, %v", tc.name, in, mailed, tc.inApp, tc.mail)
		}
	}
}

func TestWhatIsBelowTheFloorIsNotTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.choose(t, b.mara, func(p *Preferences) { p.Floor = event.High })
	for _, name := range []string{"thing.changed", "thing.failed", "thing.burned"} {
		b.handle(t, b.happen(t, b.tom, name, thing("x")))
	}
	equal(t, "inbox", []string{"Thing burned: x", "Thing failed: x"}, b.titles(t, b.mara))
}

func TestAMutedThingIsNotTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	noisy, other := thing("noisy"), thing("other")
	b.handle(t, b.happen(t, b.tom, "thing.failed", noisy))
	box, err := b.Inbox(t.Context(), b.mara, InboxFilter{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Mute(t.Context(), b.mara, box.Page.Items[0].ID); err != nil {
		t.Fatal(err)
	}
	b.handle(t, b.happen(t, b.tom, "thing.burned", noisy))
	b.handle(t, b.happen(t, b.tom, "thing.changed", other))
	b.tell(t, b.tom, Notice{
		Recipients: []uuid.UUID{b.mara.UserID, b.vera.UserID}, DedupeKey: "k", EventName: "thing.failed", Title: "By name",
		SubjectType: noisy.Type, SubjectID: noisy.ID,
	})
	equal(t, "inbox of who muted it", []string{"Thing changed: other", "Thing failed: noisy"}, b.titles(t, b.mara))
	equal(t, "inbox of who did not", []string{"By name", "Thing changed: other", "Thing burned: noisy", "Thing failed: noisy"}, b.titles(t, b.vera))

	p, err := b.Profile(t.Context(), b.mara)
	if err != nil || len(p.Mutes) != 1 || p.Mutes[0].Title != "noisy" {
		t.Fatalf("muted things %+v, %v", p.Mutes, err)
	}
	if err := b.Unmute(t.Context(), b.mara, noisy.Type, noisy.ID); err != nil {
		t.Fatal(err)
	}
	b.handle(t, b.happen(t, b.tom, "thing.changed", noisy))
	equal(t, "newest after unmuting", "Thing changed: noisy", b.titles(t, b.mara)[0])
}

func TestAdministrativeEventsReachAdminsOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.handle(t, b.happen(t, b.otto, "right.changed", thing("elsewhere")))
	ann := b.Member(t, b.mara.WorkspaceID, "Ann Oz", "owner")
	b.handle(t, b.happen(t, ann, "right.changed", thing("roles")))
	equal(t, "inbox of the admin", []string{"Rights changed: roles"}, b.titles(t, b.mara))
	equal(t, "inbox of the member", []string{}, b.titles(t, b.tom))
	// A member neither sees the line nor may send it.
	p, err := b.Profile(t.Context(), b.tom)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Events {
		if e.Type.Name == "right.changed" {
			t.Error("a member is offered an administrative event")
		}
	}
	err = b.SavePreferences(t.Context(), b.tom, p.Preferences, []Choice{{Event: "right.changed", Channels: event.Channels{InApp: true}}})
	if !fault.Is(err, fault.Invalid) {
		t.Errorf("choosing it: %v, want Invalid", err)
	}
}

func TestWhoLeftOrIsSuspendedIsNotTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for sql, a := range map[string]db.Actor{
		`UPDATE members SET state = 'suspended' WHERE user_id = $1`: b.mara,
		`UPDATE users SET disabled_at = now() WHERE id = $1`:        b.vera,
	} {
		b.fixture(t, sql, a.UserID)
	}
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	b.tell(t, b.tom, Notice{
		Recipients: []uuid.UUID{b.mara.UserID, b.vera.UserID, b.otto.UserID}, DedupeKey: "k", EventName: "thing.failed", Title: "By name", Mail: true,
	})
	equal(t, "notifications", 0, b.count(t, `SELECT count(*) FROM notifications`))
	equal(t, "mails", []string{}, b.mails(t))
}

// fixture changes a row that the completeness guard protects.
func (b *bench) fixture(t *testing.T, sql string, args ...any) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), b.Admin(t), func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(t.Context(), sql, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestANoticeStandsAndFallsWithItsTransaction(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	boom := errors.New("boom")
	err := b.InWorkspace(t.Context(), b.tom, func(tx *db.Tx) error {
		n := Notice{Recipients: []uuid.UUID{b.mara.UserID}, DedupeKey: "k", EventName: "thing.failed", Title: "x", Mail: true}
		if err := b.Notify(t.Context(), tx, n); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("err = %v", err)
	}
	equal(t, "rows", 0, b.count(t, `SELECT (SELECT count(*) FROM notifications) + (SELECT count(*) FROM mails)
		+ (SELECT count(*) FROM river.river_job WHERE kind = 'mail.send')`))
}

func TestANoticeForAnUndeclaredEventIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	err := b.InWorkspace(t.Context(), b.tom, func(tx *db.Tx) error {
		return b.Notify(t.Context(), tx, Notice{Recipients: []uuid.UUID{b.mara.UserID}, DedupeKey: "k", EventName: "thing.unheard", Title: "x"})
	})
	if !errors.Is(err, ErrUnknownEvent) {
		t.Errorf("err = %v", err)
	}
}

func TestTextsOfANoticeFitTheirPlaces(t *testing.T) {
	t.Parallel()
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'x'
	}
	n := tidy(Notice{Title: "one\r\ntwo\x00" + string(long), Body: " a\nb ", Path: "https://evil.example/x", Severity: event.Medium})
	if got := len([]rune(n.Title)); got != maxTitle {
		t.Errorf("title has %d characters", got)
	}
	equal(t, "start of title", "one two", n.Title[:7])
	equal(t, "body", "a\nb", n.Body)
	equal(t, "path", "", n.Path)
	equal(t, "icon", "triangle-alert", n.Icon)
}

func TestReadingIsForOneselfAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	box, err := b.Inbox(t.Context(), b.mara, InboxFilter{})
	if err != nil {
		t.Fatal(err)
	}
	id := box.Page.Items[0].ID
	for who, a := range map[string]db.Actor{"a colleague": b.vera, "another workspace": b.otto} {
		if n, err := b.MarkRead(t.Context(), a, []uuid.UUID{id}); n != 0 || err != nil {
			t.Errorf("%s marked %d, %v", who, n, err)
		}
		if _, err := b.Find(t.Context(), a, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s found it: %v", who, err)
		}
		if _, err := b.Mute(t.Context(), a, id); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s muted it: %v", who, err)
		}
	}
	for want := int64(1); want >= 0; want-- {
		if n, err := b.MarkRead(t.Context(), b.mara, []uuid.UUID{id}); n != want || err != nil {
			t.Errorf("the reader marked %d, %v; want %d", n, err, want)
		}
	}
	unread, err := b.Inbox(t.Context(), b.mara, InboxFilter{Unread: true})
	if err != nil || unread.Unread != 0 || len(unread.Page.Items) != 0 {
		t.Errorf("unread after reading: %+v, %v", unread, err)
	}
	service := db.Actor{WorkspaceID: b.mara.WorkspaceID, Kind: db.ActorService, ID: uuid.New(), Role: "admin"}
	if _, err := b.Inbox(t.Context(), service, InboxFilter{}); !fault.Is(err, fault.Denied) {
		t.Errorf("inbox of a service token: %v, want Denied", err)
	}
}

func TestTheInboxIsReadPageByPage(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 5 {
		b.handle(t, b.happen(t, b.tom, "thing.changed", thing("same moment")))
	}
	b.clock.Advance(time.Second)
	b.handle(t, b.happen(t, b.tom, "thing.changed", thing("last")))
	seen := map[uuid.UUID]bool{}
	var pages []int
	for cursor := ""; ; {
		box, err := b.Inbox(t.Context(), b.mara, InboxFilter{Limit: 4, Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range box.Page.Items {
			seen[i.ID] = true
		}
		pages = append(pages, len(box.Page.Items))
		if cursor = box.Page.Next; cursor == "" {
			break
		}
	}
	equal(t, "pages", []int{4, 2}, pages)
	equal(t, "different notifications", 6, len(seen))
}

func TestPreferencesAreSavedOnceAndRecorded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stale, err := b.Profile(t.Context(), b.mara)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "before any choice", DefaultPreferences(), stale.Preferences)
	b.choose(t, b.mara, func(p *Preferences) { p.Digest, p.Floor = DigestDaily, event.Low },
		Choice{Event: "thing.failed", Channels: event.Channels{InApp: true}}, Choice{Event: "thing.changed", Channels: event.Channels{InApp: true}})
	got, err := b.Profile(t.Context(), b.mara)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultPreferences()
	want.Digest, want.Floor, want.Version = DigestDaily, event.Low, 1
	equal(t, "preferences", want, got.Preferences)
	equal(t, "stored choices: what did not change is not stored", 1, b.count(t, `SELECT count(*) FROM notification_choices`))

	if err := b.SavePreferences(t.Context(), b.mara, stale.Preferences, nil); !fault.Is(err, fault.Conflict) {
		t.Errorf("saving from a stale page: %v, want Conflict", err)
	}
	var diff json.RawMessage
	if err := b.Admin(t).QueryRow(t.Context(), `SELECT diff FROM audit.event WHERE action = $1`, eventPreferences).Scan(&diff); err != nil {
		t.Fatal(err)
	}
	equal(t, "audit entry", `[{"to": "low", "from": "info", "field": "severity_floor"}, {"to": "daily", "from": "none", "field": "digest"}, `+
		`{"to": "in-app", "from": "in-app, mail", "field": "thing.failed"}]`, string(diff))
	equal(t, "events about preferences", 0, b.count(t, `SELECT count(*) FROM events WHERE name = $1`, eventPreferences))

	b.choose(t, b.mara, nil)
	equal(t, "audit entries after saving the same", 1, b.count(t, `SELECT count(*) FROM audit.event WHERE action = $1`, eventPreferences))
	other, err := b.Profile(t.Context(), b.tom)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "preferences of a colleague", DefaultPreferences(), other.Preferences)
}

func TestWhoLeavesTheWorkspaceLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.choose(t, b.mara, func(p *Preferences) { p.Digest = DigestDaily }, Choice{Event: "thing.noted", Channels: event.Channels{InApp: true}})
	b.handle(t, b.happen(t, b.tom, "thing.failed", thing("x")))
	// As an owner: the guard wants an entry, so it is switched off; cascades must still run.
	if _, err := b.Admin(t).Exec(t.Context(), `ALTER TABLE members DISABLE TRIGGER audit_required`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(t.Context(), `DELETE FROM members WHERE user_id = $1`, b.mara.UserID); err != nil {
		t.Fatal(err)
	}
	equal(t, "rows left", 0, b.count(t, `SELECT (SELECT count(*) FROM notifications WHERE user_id = $1) + (SELECT count(*) FROM mails WHERE user_id = $1)
		+ (SELECT count(*) FROM notification_settings WHERE user_id = $1) + (SELECT count(*) FROM notification_choices WHERE user_id = $1)`, b.mara.UserID))
}

func TestOfTwoSavesAtOnceOneIsRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.choose(t, b.mara, func(p *Preferences) { p.Floor = event.Low })
	p, err := b.Profile(t.Context(), b.mara)
	if err != nil {
		t.Fatal(err)
	}
	// The other window commits between our reading of the row and our writing of it.
	other := p.Preferences
	other.Digest = DigestDaily
	err = b.InWorkspace(t.Context(), b.mara, func(tx *db.Tx) error {
		before, err := currentPreferences(t.Context(), tx, b.mara.UserID)
		if err != nil {
			return err
		}
		if err := b.SavePreferences(t.Context(), b.mara, other, nil); err != nil {
			t.Fatal(err)
		}
		after := before
		after.Digest = DigestHourly
		return b.savePreferences(t.Context(), tx, b.mara.UserID, before, after, nil)
	})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("second save: %v, want Conflict", err)
	}
	equal(t, "digest", "daily", b.value(t, `SELECT digest FROM notification_settings`))
}
