package notifications

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/internal/mailcatcher"
)

// bench is the module over a real database and a real mail server.
type bench struct {
	*dbtest.DB
	*Service
	clock  *clock.Fixed
	caught *mailcatcher.Catcher
	policy *access.Policy

	mara, tom, vera db.Actor // admin, member, viewer of acme
	otto            db.Actor // owner of another workspace
}

// things are the events of an imagined module.
func things() []event.Type {
	return []event.Type{
		{Name: "thing.changed", Label: "Thing changed", Group: "Things", Severity: event.Info, Category: event.CategoryActivity, Notify: event.Channels{InApp: true}},
		{Name: "thing.failed", Label: "Thing failed", Group: "Things", Severity: event.High, Category: event.CategoryActivity, Notify: event.Channels{InApp: true, Mail: true}},
		{Name: "thing.noted", Label: "Thing noted", Group: "Things", Severity: event.Low, Category: event.CategoryActivity},
		{Name: "thing.burned", Label: "Thing burned", Group: "Things", Severity: event.Critical, Category: event.CategoryActivity, Notify: event.Channels{InApp: true, Mail: true}},
		{Name: "right.changed", Label: "Rights changed", Group: "Access", Severity: event.Medium, Category: event.CategoryAdmin, Notify: event.Channels{InApp: true}},
	}
}

func newBench(t *testing.T, change ...func(*Deps)) *bench {
	t.Helper()
	// The audit log refuses times ahead of the database, so the clock stands just behind it.
	clk := clock.NewFixed(time.Now().Add(-time.Minute))
	d := dbtest.NewAt(t, clk)
	log := slog.New(slog.DiscardHandler)
	jobs, err := job.New(d.DB, log)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(things()...)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.NewPolicy(access.Grant{Permission: web.LivePermission, Min: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	caught, err := mailcatcher.New(mailcatcher.Options{Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caught.Close(); err != nil {
			t.Error(err)
		}
	})
	ring := dbtest.Keyring(t)
	dialer := outbound.NewDialer(outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true})
	deps := Deps{
		DB: d.DB, Ledger: ledger.New(catalogue, jobs, ring), Jobs: jobs, Policy: policy, Index: search.NewIndex(nil, []search.Resolver{thingNames()}),
		Sealer: ring, Clock: clk, Log: log, BaseURL: func(path string) string { return "https://vigilo.example" + path },
		SMTP: settingsFor(t, caught.Addr()), Dial: dialer.DialContext, InstallationDial: dialer.DialContext,
	}
	for _, c := range change {
		c(&deps)
	}
	b := &bench{DB: d, Service: New(deps), clock: clk, caught: caught, policy: policy}
	m := b.Module()
	if err := policy.Add(m.Permissions...); err != nil {
		t.Fatal(err)
	}
	if err := catalogue.Add(m.Events...); err != nil {
		t.Fatal(err)
	}
	acme, globex := d.Workspace(t, "acme"), d.Workspace(t, "globex")
	b.mara, b.tom, b.vera = d.Member(t, acme, "Mara Lind", "admin"), d.Member(t, acme, "Tom Fox", "member"), d.Member(t, acme, "Vera Ek", "viewer")
	b.otto = d.Member(t, globex, "Otto Berg", "owner")
	return b
}

// thingNames gives every thing a page.
func thingNames() search.Resolver {
	return search.Resolver{Type: "thing", Label: "Thing", Resolve: func(_ context.Context, _ *db.Tx, ids []uuid.UUID) (map[uuid.UUID]search.Ref, error) {
		out := map[uuid.UUID]search.Ref{}
		for _, id := range ids {
			out[id] = search.Ref{Title: "Thing", Path: "/things/" + id.String()}
		}
		return out, nil
	}}
}

func settingsFor(t *testing.T, addr string) *mail.Settings {
	t.Helper()
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return &mail.Settings{Host: host, Port: port, From: "Vigilo <vigilo@vigilo.example>", TLS: mail.NoTLS}
}

// work runs the jobs of the program until the test ends.
func (b *bench) work(t *testing.T) {
	t.Helper()
	m := b.Module()
	dispatcher, err := event.NewDispatcher(b.DB.DB, b.jobs, m.On)
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	dispatcher.Register(workers)
	m.Workers(workers)
	if err := b.jobs.Start(context.Background(), job.StartOptions{Workers: workers}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := b.jobs.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// drain waits until no job is left to run now.
func (b *bench) drain(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		idle, err := b.jobs.Idle(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if idle {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal("jobs do not come to rest")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// happen records an event in the name of the actor and returns it as subscribers see it.
func (b *bench) happen(t *testing.T, a db.Actor, name string, subject event.Subject) event.Event {
	t.Helper()
	var ev event.Event
	err := b.InWorkspace(t.Context(), a, func(tx *db.Tx) error {
		id, err := b.ledger.Record(t.Context(), tx, ledger.Entry{Action: name, Subject: subject})
		if err != nil {
			return err
		}
		ev, err = event.Load(t.Context(), tx, id)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func (b *bench) handle(t *testing.T, ev event.Event) {
	t.Helper()
	if err := b.handleEvent(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) tell(t *testing.T, a db.Actor, n Notice) {
	t.Helper()
	if err := b.InWorkspace(t.Context(), a, func(tx *db.Tx) error { return b.Notify(t.Context(), tx, n) }); err != nil {
		t.Fatal(err)
	}
}

func thing(title string) event.Subject {
	return event.Subject{Type: "thing", ID: uuid.Must(uuid.NewV7()), Title: title}
}

// titles returns what is in the actor's inbox, newest first.
func (b *bench) titles(t *testing.T, a db.Actor) []string {
	t.Helper()
	box, err := b.Inbox(t.Context(), a, InboxFilter{})
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, i := range box.Page.Items {
		out = append(out, i.Title)
	}
	return out
}

// choose changes the actor's preferences.
func (b *bench) choose(t *testing.T, a db.Actor, change func(*Preferences), choices ...Choice) {
	t.Helper()
	p, err := b.Profile(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&p.Preferences)
	}
	if err := b.SavePreferences(t.Context(), a, p.Preferences, choices); err != nil {
		t.Fatal(err)
	}
}

// mails returns the recipients of queued and sent mail by subject, as the superuser sees them.
func (b *bench) mails(t *testing.T) []string {
	t.Helper()
	rows, err := b.Admin(t).Query(t.Context(), `SELECT recipient || ': ' || subject FROM mails ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (b *bench) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.Admin(t).QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
