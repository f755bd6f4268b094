package alertrules

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// inventory stands for module certificates.
type inventory struct {
	mu    sync.Mutex
	hosts map[uuid.UUID]map[uuid.UUID]Host // by workspace
}

func (v *inventory) put(ws uuid.UUID, h Host) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.hosts[ws] == nil {
		v.hosts[ws] = map[uuid.UUID]Host{}
	}
	v.hosts[ws][h.ID] = h
}

func (v *inventory) remove(ws, id uuid.UUID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.hosts[ws], id)
}

func (v *inventory) Hosts(_ context.Context, tx *db.Tx, ids []uuid.UUID) ([]Host, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []Host
	for _, id := range ids {
		if h, ok := v.hosts[tx.Actor.WorkspaceID][id]; ok {
			out = append(out, h)
		}
	}
	return out, nil
}

func (v *inventory) HostsByExpiry(_ context.Context, tx *db.Tx, before time.Time, after uuid.UUID, limit int) ([]Host, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []Host
	for _, h := range v.hosts[tx.Actor.WorkspaceID] {
		if h.NotAfter.Before(before) && bytes.Compare(h.ID[:], after[:]) > 0 {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b Host) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out[:min(limit, len(out))], nil
}

// outbox stands for modules notifications and integrations.
type outbox struct {
	mu        sync.Mutex
	notices   []Notice
	mails     []Mail
	delivered []string // event name and endpoint
	endpoints []Endpoint
	answers   map[uuid.UUID]WebhookAnswer
	noServer  bool
}

func (o *outbox) Notify(_ context.Context, _ *db.Tx, n Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notices = append(o.notices, n)
	return nil
}

func (o *outbox) QueueMailTo(_ context.Context, _ *db.Tx, m Mail) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.noServer {
		return false, nil
	}
	o.mails = append(o.mails, m)
	return true, nil
}

func (o *outbox) Endpoints(context.Context, *db.Tx) ([]Endpoint, error) { return o.endpoints, nil }

func (o *outbox) Deliver(_ context.Context, _ *db.Tx, ids []uuid.UUID, ev event.Event) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		o.delivered = append(o.delivered, ev.Name+" "+id.String())
	}
	return nil
}

func (o *outbox) SendNow(_ context.Context, _ db.Actor, id uuid.UUID, ev event.Event) (WebhookAnswer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.delivered = append(o.delivered, ev.Name+" "+id.String())
	return o.answers[id], nil
}

func (o *outbox) titles() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, n := range o.notices {
		out = append(out, n.Title)
	}
	return out
}

type bench struct {
	*dbtest.DB
	svc           *Service
	clk           *clock.Fixed
	inv           *inventory
	out           *outbox
	policy        *access.Policy
	ws, other     uuid.UUID
	admin, member db.Actor
	viewer        db.Actor
	stranger      db.Actor
}

// start is when the clock of a test stands at first. The database refuses entries from
// the future, so the tests play in the past.
func start() time.Time { return time.Now().UTC().Add(-200 * day).Truncate(time.Hour) }

func setUp(t *testing.T) *bench {
	t.Helper()
	clk := clock.NewFixed(start())
	d := dbtest.NewAt(t, clk)
	log := slog.New(slog.DiscardHandler)
	jobs, err := job.New(d.DB, log)
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(eventTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.NewPolicy()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		DB: d, clk: clk, policy: policy, inv: &inventory{hosts: map[uuid.UUID]map[uuid.UUID]Host{}},
		out: &outbox{answers: map[uuid.UUID]WebhookAnswer{}},
	}
	b.svc = New(Deps{
		DB: d.DB, Ledger: ledger.New(catalogue, jobs, dbtest.Keyring(t)), Jobs: jobs, Policy: policy, Clock: clk, Log: log,
		Hosts: b.inv, Notifier: b.out, Webhooks: b.out,
	})
	if err := policy.Add(b.svc.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	b.ws, b.other = d.Workspace(t, "acme"), d.Workspace(t, "globex")
	b.admin, b.member = d.Member(t, b.ws, "Adam Admin", "admin"), d.Member(t, b.ws, "Mara Member", "member")
	b.viewer, b.stranger = d.Member(t, b.ws, "Vera Viewer", "viewer"), d.Member(t, b.other, "Stan Stranger", "owner")
	return b
}

// host adds a valid host whose certificate of 90 days ends in some days.
func (b *bench) host(name string, days int, tags ...string) Host {
	end := b.clk.Now().Add(time.Duration(days) * day)
	h := Host{
		ID: uuid.Must(uuid.NewV7()), Title: name + ":443", NotBefore: end.Add(-90 * day), NotAfter: end, Status: "valid", Tags: tags,
	}
	h.Path = "/certificates/" + h.ID.String()
	b.inv.put(b.ws, h)
	return h
}

// rule adds a rule by the admin, with an edit to the usual one.
func (b *bench) rule(t *testing.T, name string, edit func(*Rule)) Rule {
	t.Helper()
	r := NewRule()
	r.Name = name
	if edit != nil {
		edit(&r)
	}
	r, err := b.svc.CreateRule(context.Background(), b.admin, r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func trigger(tr Trigger) func(*Rule) { return func(r *Rule) { r.Trigger = tr } }

// look evaluates hosts because time passed.
func (b *bench) look(t *testing.T, hosts ...Host) {
	t.Helper()
	var ids []uuid.UUID
	for _, h := range hosts {
		ids = append(ids, h.ID)
	}
	if err := b.svc.Evaluate(context.Background(), b.ws, ids, nil); err != nil {
		t.Fatal(err)
	}
}

// happen delivers an event about a host and returns it.
func (b *bench) happen(t *testing.T, name string, h Host) event.Event {
	t.Helper()
	payload, err := json.Marshal(map[string]any{"host_id": h.ID})
	if err != nil {
		t.Fatal(err)
	}
	ev := event.Event{
		ID: uuid.Must(uuid.NewV7()), WorkspaceID: b.ws, Name: name, OccurredAt: b.clk.Now(), Payload: payload,
		Subject: event.Subject{Type: "host", ID: h.ID, Title: h.Title},
	}
	b.deliver(t, ev)
	return ev
}

func (b *bench) deliver(t *testing.T, ev event.Event) {
	t.Helper()
	if err := b.svc.subscriptions()[0].Handle(context.Background(), ev); err != nil {
		t.Fatal(err)
	}
}

// sweep does what the job of each minute does, for this workspace.
func (b *bench) sweep(t *testing.T) {
	t.Helper()
	if err := b.svc.EvaluateDue(context.Background(), b.ws); err != nil {
		t.Fatal(err)
	}
}

// alerts lists the alerts of the workspace, oldest first, as "state host: rule".
func (b *bench) alerts(t *testing.T) []string {
	t.Helper()
	rows, err := b.Admin(t).Query(context.Background(),
		`SELECT state || ' ' || host_title || ': ' || rule_name FROM alerts WHERE workspace_id = $1 ORDER BY fired_at, rule_name, host_title`, b.ws)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

func (b *bench) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.Admin(t).QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// events counts events of a name in the workspace; audited counts entries of the log.
func (b *bench) events(t *testing.T, name string) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM events WHERE workspace_id = $1 AND name = $2`, b.ws, name)
}

func (b *bench) audited(t *testing.T, name string) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM audit.event WHERE workspace_id = $1 AND action = $2`, b.ws, name)
}

func (b *bench) memberID(t *testing.T, a db.Actor) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := b.Admin(t).QueryRow(context.Background(), `SELECT id FROM members WHERE workspace_id = $1 AND user_id = $2`, b.ws, a.UserID).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func (b *bench) inWorkspace(t *testing.T, a db.Actor, fn func(ctx context.Context, tx *db.Tx) error) {
	t.Helper()
	ctx := context.Background()
	if err := b.InWorkspace(ctx, a, func(tx *db.Tx) error { return fn(ctx, tx) }); err != nil {
		t.Fatal(err)
	}
}

// problems lists fields and codes of an error, or its code.
func problems(err error) string {
	e := fault.Find(err)
	if e == nil {
		if err != nil {
			return err.Error()
		}
		return ""
	}
	if len(e.Details) == 0 {
		return e.Code
	}
	var out []string
	for _, d := range e.Details {
		out = append(out, d.Field+" "+d.Code)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

func index() *search.Index { return search.NewIndex(searchSources(), resolvers()) }
