package auditlog

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// bench is a workspace with its log, written by the real ledger.
type bench struct {
	*dbtest.DB
	s      *Service
	ledger *ledger.Ledger
	policy *access.Policy
	keys   *secret.Keyring
	ws     uuid.UUID
	admin  db.Actor
	viewer db.Actor
	// hosts is what the resolver of the type host knows.
	hosts map[uuid.UUID]search.Ref
}

func setUp(t testing.TB) *bench {
	t.Helper()
	d := dbtest.New(t)
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	declared := append(events(),
		event.Type{Name: "host.created", Label: "Host added", Group: "Hosts", Severity: event.Info, Category: event.CategoryActivity, Example: map[string]any{"n": 1}},
		event.Type{Name: "host.removed", Label: "Host removed", Group: "Hosts", Severity: event.High, Category: event.CategoryAdmin},
		event.Type{Name: "hostess.hired", Label: "Hostess hired", Group: "Hosts", Severity: event.Info, Category: event.CategoryApproval},
		event.Type{Name: "session.started", Label: "Signed in", Group: "Access", Severity: event.Low, Category: event.CategoryAccess, AuditOnly: true},
	)
	catalogue, err := event.NewCatalogue(declared...)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{DB: d, keys: dbtest.Keyring(t), hosts: map[uuid.UUID]search.Ref{}}
	b.ledger = ledger.New(catalogue, jobs, b.keys)
	if b.policy, err = access.NewPolicy(access.Grant{Permission: web.LivePermission, Label: "Open", Min: access.Viewer}); err != nil {
		t.Fatal(err)
	}
	index := search.NewIndex(nil, []search.Resolver{{Type: "host", Label: "Host", Resolve: func(_ context.Context, _ *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
		out := map[uuid.UUID]search.Ref{}
		for _, id := range ids {
			if ref, ok := b.hosts[id]; ok {
				out[id] = ref
			}
		}
		return out, nil
	}}})
	b.s = New(Deps{DB: d.DB, Ledger: b.ledger, Policy: b.policy, Index: index})
	if err := b.policy.Add(b.s.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	b.ws = d.Workspace(t, "acme")
	b.admin = d.Member(t, b.ws, "Ada Admin", "admin")
	b.viewer = d.Member(t, b.ws, "Vera Viewer", "viewer")
	return b
}

// record writes an entry as an actor and returns its id.
func (b *bench) record(t testing.TB, a db.Actor, e ledger.Entry) uuid.UUID {
	t.Helper()
	if e.Subject.ID == uuid.Nil {
		e.Subject.ID = uuid.New()
	}
	var id uuid.UUID
	err := b.InWorkspace(context.Background(), a, func(tx *db.Tx) error {
		var err error
		id, err = b.ledger.Record(context.Background(), tx, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bench) list(t testing.TB, a db.Actor, f Filter) Page {
	t.Helper()
	c, err := f.Parse(time.Now(), time.UTC)
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	p, err := b.s.List(context.Background(), a, c, after(""), true, nil)
	if err != nil {
		t.Fatalf("%+v: %v", f, err)
	}
	return p
}

func ids(entries []activity.Entry) []uuid.UUID {
	out := make([]uuid.UUID, len(entries))
	for i, e := range entries {
		out[i] = e.ID
	}
	return out
}

type host struct {
	Name  string `audit:"name"`
	Token string `audit:"token,secret"`
}

func TestEachFilterFindsItsEntriesAndNoOthers(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	target := uuid.New()
	b.admin.IP = netip.MustParseAddr("203.0.113.7")
	created := b.record(t, b.admin, ledger.Entry{
		Action: "host.created", Subject: event.Subject{Type: "host", ID: target, Key: "web-01.example.com:443", Title: "Shop front"},
		After: host{Name: "web-01.example.com", Token: "hunter2"},
	})
	removed := b.record(t, b.viewer, ledger.Entry{
		Action: "host.removed", Subject: event.Subject{Type: "host", Key: "CHG-00012", Title: "Überholspur"}, Outcome: ledger.Denied,
		Reason: "decommissioned 100%",
	})
	hired := b.record(t, db.System(b.ws, "nightly"), ledger.Entry{
		Action: "hostess.hired", Subject: event.Subject{Type: "person", ID: uuid.New()}, Outcome: ledger.Failed,
	})
	anonymous := db.Actor{WorkspaceID: b.ws, Kind: db.ActorAnonymous, Name: "Anonymous"}
	started := b.record(t, anonymous, ledger.Entry{Action: "session.started", Subject: event.Subject{Type: "session"}})

	all := []uuid.UUID{started, hired, removed, created}
	for _, c := range []struct {
		name   string
		filter Filter
		want   []uuid.UUID
	}{
		{"nothing asked", Filter{}, all},
		{"a person", Filter{Actor: b.admin.ID.String()}, []uuid.UUID{created}},
		{"somebody unknown", Filter{Actor: uuid.NewString()}, nil},
		{"the system", Filter{Actor: ActorSystem}, []uuid.UUID{hired}},
		{"nobody signed in", Filter{Actor: ActorAnonymous}, []uuid.UUID{started}},
		{"an action", Filter{Action: "host.created"}, []uuid.UUID{created}},
		{"an action is no prefix", Filter{Action: "host"}, nil},
		{"a prefix ends at its dot", Filter{Action: "host."}, []uuid.UUID{removed, created}},
		{"a prefix with a star", Filter{Action: "host.*"}, []uuid.UUID{removed, created}},
		{"a type", Filter{TargetType: "host"}, []uuid.UUID{removed, created}},
		{"a type and id", Filter{Target: "host:" + target.String()}, []uuid.UUID{created}},
		{"an id", Filter{Target: target.String()}, []uuid.UUID{created}},
		{"a key", Filter{Target: "CHG-00012"}, []uuid.UUID{removed}},
		{"a key in small letters", Filter{Target: "chg-00012"}, []uuid.UUID{removed}},
		{"a key with a colon", Filter{Target: "web-01.example.com:443"}, []uuid.UUID{created}},
		{"a key of another type", Filter{Target: "CHG-00012", TargetType: "person"}, nil},
		{"success", Filter{Outcome: "success"}, []uuid.UUID{started, created}},
		{"denied", Filter{Outcome: "denied"}, []uuid.UUID{removed}},
		{"failed", Filter{Outcome: "failed"}, []uuid.UUID{hired}},
		{"category access", Filter{Category: "access"}, []uuid.UUID{started}},
		{"category approval", Filter{Category: "approval"}, []uuid.UUID{hired}},
		{"the last day", Filter{Window: "24h"}, all},
		{"before they happened", Filter{To: time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, nil},
		{"after they happened", Filter{From: time.Now().Add(30 * time.Minute).UTC().Format(time.RFC3339)}, nil},
		{"today", Filter{From: time.Now().UTC().Add(-time.Hour).Format(time.DateOnly), To: time.Now().UTC().Format(time.DateOnly)}, all},
		{"text of a key", Filter{Text: "web-01"}, []uuid.UUID{created}},
		{"text of a title", Filter{Text: "shop"}, []uuid.UUID{created}},
		{"text of a title beyond ASCII", Filter{Text: "überhol"}, []uuid.UUID{removed}},
		{"text of a reason", Filter{Text: "DECOMMISSIONED"}, []uuid.UUID{removed}},
		{"text of an action", Filter{Text: "hired"}, []uuid.UUID{hired}},
		{"text of a new value", Filter{Text: "name web"}, []uuid.UUID{created}},
		{"a secret is not text", Filter{Text: "hunter2"}, nil},
		{"all words must be there", Filter{Text: "shop decommissioned"}, nil},
		{"the middle of a word is no start", Filter{Text: "ront"}, nil},
		{"text and action", Filter{Text: "web", Action: "host.removed"}, nil},
		{"several together", Filter{Text: "front", Action: "host.", Outcome: "success", Actor: b.admin.ID.String(), Window: "7d"}, []uuid.UUID{created}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := b.list(t, b.viewer, c.filter)
			if diff := cmp.Diff(c.want, ids(p.Entries), cmp.Transformer("empty", func(in []uuid.UUID) string { return fmt.Sprint(in) })); diff != "" {
				t.Error(diff)
			}
			if p.Count != int64(len(c.want)) {
				t.Errorf("counted %d, want %d", p.Count, len(c.want))
			}
		})
	}
}

func TestAnEntryTellsWhoWhatAndWhereFrom(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	a := b.admin
	a.IP, a.UserAgent, a.SessionID, a.PlatformAdmin = netip.MustParseAddr("203.0.113.7"), "Browser/1", uuid.New(), true
	subject := event.Subject{Type: "host", ID: uuid.New(), Key: "H-1", Title: "One"}
	b.hosts[subject.ID] = search.Ref{Title: "One, renamed", Path: "/hosts/1"}
	id := b.record(t, a, ledger.Entry{
		Action: "host.created", Subject: subject, Parent: &event.Subject{Type: "zone", ID: uuid.New()}, Reason: "asked for",
		Before: host{Name: "a", Token: "x"}, After: host{Name: "b", Token: "y"}, Detail: map[string]any{"ports": []int{443}},
	})
	d, err := b.s.Entry(context.Background(), b.viewer, id)
	if err != nil {
		t.Fatal(err)
	}
	if d.Actor.Name != "Ada Admin" || d.Actor.UserAgent != "Browser/1" || d.IP != "203.0.113.7" || d.Reason != "asked for" ||
		d.SessionID.UUID != a.SessionID || d.RequestID.UUID != a.RequestID || d.Label != "Host added" || d.Target != subject ||
		d.Parent.Type != "zone" || d.AuthMethod != "dev" {
		t.Errorf("entry %+v", d.Entry)
	}
	changes := activity.Changes(d.Changes, time.UTC)
	if len(changes) != 2 || changes[0].From != "a" || changes[0].To != "b" || changes[1].To != "[redacted]" {
		t.Errorf("changes %+v", changes)
	}
	if diff := cmp.Diff(map[string]any{"ports": []any{float64(443)}, "platform_admin": true}, d.Detail); diff != "" {
		t.Error(diff)
	}
	if d.TargetRef == nil || d.TargetRef.Path != "/hosts/1" || d.ParentRef != nil {
		t.Errorf("resolved %+v, %+v", d.TargetRef, d.ParentRef)
	}
}

func TestAPersonWhoWasErasedHasNoName(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	if _, err := b.Admin(t).Exec(context.Background(), `UPDATE audit.pii_key SET sealed_key = NULL, erased_at = now()
		WHERE subject_id = $1`, b.admin.UserID); err != nil {
		t.Fatal(err)
	}
	p := b.list(t, b.viewer, Filter{})
	if len(p.Entries) != 1 || p.Entries[0].Actor.Name != activity.Erased || !p.Entries[0].Actor.Erased {
		t.Errorf("entries %+v", p.Entries)
	}
}

func TestPagesFollowEachOtherWhileEntriesArrive(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	var want []uuid.UUID
	for range 25 {
		want = append(want, b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}}))
	}
	slices.Reverse(want)
	c, err := Filter{Action: "host."}.Parse(time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	page := func(cursor string) Page {
		p, err := b.s.List(context.Background(), b.viewer, c, func(q *db.ListQuery[activity.Row]) (*db.ListQuery[activity.Row], error) {
			return q.Limit(10).After(cursor)
		}, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	var got []uuid.UUID
	var pages []Page
	for cursor := ""; ; cursor = pages[len(pages)-1].Next {
		pages = append(pages, page(cursor))
		got = append(got, ids(pages[len(pages)-1].Entries)...)
		b.record(t, b.admin, ledger.Entry{Action: "host.removed", Subject: event.Subject{Type: "host"}})
		if pages[len(pages)-1].Next == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	back := page(pages[2].Prev)
	if diff := cmp.Diff(ids(pages[1].Entries), ids(back.Entries)); diff != "" {
		t.Errorf("the page before the last one: %s", diff)
	}
	if _, err := entries.Query().After("not a cursor"); !fault.Is(err, fault.Invalid) {
		t.Errorf("damaged cursor: %v", err)
	}
}

func TestAnotherWorkspaceSeesNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	id := b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host", Key: "H-1", Title: "Secret plan"}})
	stranger := b.Member(t, b.Workspace(t, "globex"), "Gus Globex", "owner")
	for _, f := range []Filter{{}, {Text: "secret"}, {Target: "H-1"}, {Actor: b.admin.ID.String()}} {
		if p := b.list(t, stranger, f); len(p.Entries) != 0 || p.Count != 0 {
			t.Errorf("%+v shows %d entries to another workspace", f, len(p.Entries))
		}
	}
	if _, err := b.s.Entry(context.Background(), stranger, id); !fault.Is(err, fault.NotFound) {
		t.Errorf("entry of another workspace: %v, want not found", err)
	}
	c, _ := Filter{}.Parse(time.Now(), time.UTC)
	if n, err := b.s.Newer(context.Background(), stranger, c, time.Now().Add(-time.Hour), uuid.Nil); err != nil || n != 0 {
		t.Errorf("news of another workspace: %d, %v", n, err)
	}
	if got, err := b.s.Events(context.Background(), stranger, uuid.Nil, 10); err != nil || len(got) != 0 {
		t.Errorf("events of another workspace: %d, %v", len(got), err)
	}
}

func TestNewerCountsWhatArrivedAfterAPlace(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	top := b.list(t, b.viewer, Filter{}).Entries[0]
	b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	b.record(t, b.admin, ledger.Entry{Action: "host.removed", Subject: event.Subject{Type: "host"}})
	for action, want := range map[string]int64{"": 2, "host.removed": 1, "session.": 0} {
		c, err := Filter{Action: action}.Parse(time.Now(), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := b.s.Newer(context.Background(), b.viewer, c, top.RecordedAt, top.ID); err != nil || n != want {
			t.Errorf("action %q: %d new entries, %v; want %d", action, n, err, want)
		}
	}
}

func TestOnlyQuestionsThatNarrowAreRecorded(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	for _, f := range []Filter{{}, {Window: DefaultWindow}, {Text: "plan"}, {Action: "host.", Outcome: "denied"}} {
		c, err := f.Parse(time.Now(), time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.s.RecordSearch(context.Background(), b.viewer, c); err != nil {
			t.Fatal(err)
		}
	}
	got := b.list(t, b.admin, Filter{Action: eventSearched}).Entries
	if len(got) != 2 {
		t.Fatalf("%d searches recorded, want 2", len(got))
	}
	if diff := cmp.Diff(map[string]any{"filter": map[string]any{"action": "host.", "outcome": "denied"}}, got[0].Detail); diff != "" {
		t.Error(diff)
	}
	if got[0].Actor.Name != "Vera Viewer" {
		t.Errorf("recorded for %s", got[0].Actor.Name)
	}
}

func TestSavedFiltersArePersonalOrShared(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	own, err := b.s.SaveFilter(ctx, b.viewer, NewFilter{Name: "Refusals", Filter: Filter{Outcome: "denied"}})
	if err != nil {
		t.Fatal(err)
	}
	if own.Query != "outcome=denied" {
		t.Errorf("query %q", own.Query)
	}
	shared, err := b.s.SaveFilter(ctx, b.admin, NewFilter{Name: "Refusals", Shared: true, Filter: Filter{Outcome: "denied", Window: "7d"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.SavedFilter(ctx, b.admin, own.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("somebody else's filter: %v, want not found", err)
	}
	if f, err := b.s.SavedFilter(ctx, b.viewer, shared.ID); err != nil || f.Query != shared.Query {
		t.Errorf("shared filter: %+v, %v", f, err)
	}
	if err := b.s.RemoveFilter(ctx, b.viewer, shared.ID); !fault.Is(err, fault.Denied) {
		t.Errorf("viewer removes a shared filter: %v, want denied", err)
	}
	stranger := b.Member(t, b.Workspace(t, "globex"), "Gus Globex", "owner")
	if err := b.s.RemoveFilter(ctx, stranger, shared.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("removal from another workspace: %v, want not found", err)
	}
	if err := b.s.RemoveFilter(ctx, b.viewer, own.ID); err != nil {
		t.Error(err)
	}
	if got := len(b.list(t, b.admin, Filter{Action: "audit_filter."}).Entries); got != 3 {
		t.Errorf("%d entries about filters, want 3", got)
	}
}

func TestSavingAFilterRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	good := Filter{Outcome: "denied"}
	if _, err := b.s.SaveFilter(ctx, b.viewer, NewFilter{Name: "Mine", Filter: good}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		in   NewFilter
		kind fault.Kind
	}{
		{"no name", NewFilter{Filter: good}, fault.Invalid},
		{"a long name", NewFilter{Name: strings.Repeat("x", 41), Filter: good}, fault.Invalid},
		{"a name that is taken", NewFilter{Name: "Mine", Filter: good}, fault.Invalid},
		{"nothing asked", NewFilter{Name: "All"}, fault.Invalid},
		{"a filter with mistakes", NewFilter{Name: "Odd", Filter: Filter{Outcome: "maybe"}}, fault.Invalid},
		{"sharing without the right", NewFilter{Name: "Ours", Shared: true, Filter: good}, fault.Denied},
	} {
		if _, err := b.s.SaveFilter(ctx, b.viewer, c.in); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := b.s.SaveFilter(ctx, db.Actor{WorkspaceID: b.ws, Kind: db.ActorService, ID: uuid.New(), Role: "admin"}, NewFilter{Name: "Robot", Filter: good}); !fault.Is(err, fault.Denied) {
		t.Errorf("a token saves a filter: %v", err)
	}
	for i := range maxSaved - 1 {
		if _, err := b.s.SaveFilter(ctx, b.viewer, NewFilter{Name: fmt.Sprint("Filter ", i), Filter: good}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.s.SaveFilter(ctx, b.viewer, NewFilter{Name: "One more", Filter: good}); !fault.Is(err, fault.Invalid) {
		t.Errorf("one filter too many: %v", err)
	}
}
