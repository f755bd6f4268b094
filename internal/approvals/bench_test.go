package approvals

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// monday is when tests begin: a Monday morning.
var monday = time.Date(2026, time.June, 1, 9, 0, 0, 0, time.UTC)

// outbox keeps what people were told.
type outbox struct {
	mu      sync.Mutex
	notices []Notice
}

func (o *outbox) Notify(_ context.Context, _ *db.Tx, n Notice) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.notices = append(o.notices, n)
	return nil
}

// told returns the titles of what a person was told.
func (o *outbox) told(user uuid.UUID) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []string
	for _, n := range o.notices {
		if slices.Contains(n.Recipients, user) {
			out = append(out, n.Title)
		}
	}
	return out
}

// papers provides subjects for tests: their state and revision are in a table of their own,
// so that its row can be locked as that of a change is.
type papers struct {
	mu      sync.Mutex
	facts   map[uuid.UUID]Subject
	settled []Settlement
}

func (p *papers) LockForDecision(ctx context.Context, tx *db.Tx, id uuid.UUID) (Subject, bool, error) {
	var state, content string
	var revision int64
	err := tx.QueryRow(ctx, `SELECT state, content, revision FROM papers WHERE id = $1 FOR UPDATE`, id).Scan(&state, &content, &revision)
	if err != nil {
		return Subject{}, false, fault.NewNotFound("paper")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.facts[id]
	s.Revision, s.ContentHash = revision, sum(content)
	return s, state == "review", nil
}

func (p *papers) Settled(ctx context.Context, tx *db.Tx, s Subject, r Settlement) error {
	state := map[Outcome]string{Approved: "approved", Rejected: "draft", Returned: "draft", TimedOut: "draft", Overdue: "review"}[r.Outcome]
	if _, err := tx.Exec(ctx, `UPDATE papers SET state = $2 WHERE id = $1`, s.ID, state); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settled = append(p.settled, r)
	return nil
}

func (p *papers) outcomes() []Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Outcome
	for _, s := range p.settled {
		out = append(out, s.Outcome)
	}
	return out
}

func sum(content string) []byte {
	h := sha256.Sum256([]byte(content))
	return h[:]
}

type bench struct {
	*dbtest.DB
	clk    *clock.Fixed
	policy *access.Policy
	svc    *Service
	out    *outbox
	papers *papers
	jobs   *job.Engine

	ws, other uuid.UUID
	// ann and ben are approvers, adam is an admin, rita an approver who requests, mo a member.
	ann, ben, adam, rita, mo, viewer, stranger db.Actor
}

func setUp(t testing.TB) *bench {
	t.Helper()
	clk := clock.NewFixed(monday)
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
	b := &bench{DB: d, clk: clk, policy: policy, out: &outbox{}, papers: &papers{facts: map[uuid.UUID]Subject{}}, jobs: jobs}
	b.svc = New(Deps{
		DB: d.DB, Ledger: ledger.New(catalogue, jobs, dbtest.Keyring(t)), Jobs: jobs, Policy: policy, Clock: clk, Log: log, Notifier: b.out,
	})
	b.svc.Provide("paper", b.papers)
	if err := policy.Add(b.svc.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	_, err = d.Admin(t).Exec(context.Background(), `CREATE TABLE papers (id uuid PRIMARY KEY, state text, content text, revision bigint);
		GRANT SELECT, INSERT, UPDATE ON papers TO vigilo_app`)
	if err != nil {
		t.Fatal(err)
	}
	b.ws, b.other = d.Workspace(t, "acme"), d.Workspace(t, "globex")
	b.ann, b.ben = b.person(t, "Ann Approver", "approver"), b.person(t, "Ben Approver", "approver")
	b.adam, b.rita = b.person(t, "Adam Admin", "admin"), b.person(t, "Rita Requester", "approver")
	b.mo, b.viewer = b.person(t, "Mo Member", "member"), b.person(t, "Vera Viewer", "viewer")
	b.stranger = d.Member(t, b.other, "Stan Stranger", "owner")
	return b
}

func (b *bench) person(t testing.TB, name, role string) db.Actor {
	t.Helper()
	a := b.Member(t, b.ws, name, role)
	a.SessionID, a.SignedInAt = uuid.Must(uuid.NewV7()), b.clk.Now()
	return a
}

func (b *bench) in(t testing.TB, a db.Actor, fn func(ctx context.Context, tx *db.Tx) error) error {
	t.Helper()
	ctx := context.Background()
	return b.InWorkspace(ctx, a, func(tx *db.Tx) error { return fn(ctx, tx) })
}

func (b *bench) must(t testing.TB, a db.Actor, fn func(ctx context.Context, tx *db.Tx) error) {
	t.Helper()
	if err := b.in(t, a, fn); err != nil {
		t.Fatal(err)
	}
}

// stages adds a policy of stages that matches everything.
func (b *bench) stages(t testing.TB, name string, stages ...Stage) Policy {
	t.Helper()
	p := NewPolicy()
	p.Name, p.Stages = name, stages
	p, err := b.svc.CreatePolicy(context.Background(), b.adam, p)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func user(a db.Actor) Source    { return Source{Kind: seats.User, ID: a.UserID} }
func role(r access.Role) Source { return Source{Kind: seats.Role, Role: string(r)} }
func each(s Source) Source      { s.Each = true; return s }
func anyOf(name string, s ...Source) Stage {
	return Stage{Order: 1, Name: name, Mode: seats.Any, Sources: s}
}

func allOf(name string, s ...Source) Stage {
	return Stage{Order: 1, Name: name, Mode: seats.All, Sources: s}
}

func then(order int, s Stage) Stage {
	s.Order = order
	return s
}

// paper makes a subject in review by rita, not yet opened.
func (b *bench) paper(t testing.TB, edit ...func(*Subject)) Subject {
	t.Helper()
	s := Subject{
		Type: "paper", ID: uuid.Must(uuid.NewV7()), Key: "PAP-00001", Title: "Renew the shop certificate", Path: "/papers/1", Revision: 1,
		ContentHash: sum("first"), Shown: "Replace the certificate of shop.example.com.", PlannedEnd: b.clk.Now().Add(72 * time.Hour),
		Facts:    Facts{ChangeType: "normal", Risk: "low", Requester: b.rita.UserID},
		Excluded: []Excluded{{b.rita.UserID, "requester"}},
	}
	for _, e := range edit {
		e(&s)
	}
	b.papers.mu.Lock()
	b.papers.facts[s.ID] = s
	b.papers.mu.Unlock()
	_, err := b.Admin(t).Exec(context.Background(), `INSERT INTO papers VALUES ($1, 'review', 'first', 1)`, s.ID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// open opens a request for a new paper.
func (b *bench) open(t testing.TB, edit ...func(*Subject)) Subject {
	t.Helper()
	s := b.paper(t, edit...)
	b.must(t, b.rita, func(ctx context.Context, tx *db.Tx) error {
		_, err := b.svc.Open(ctx, tx, s, Normal)
		return err
	})
	return s
}

func (b *bench) status(t testing.TB, s Subject) Status {
	t.Helper()
	var st Status
	b.must(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
		var err error
		st, err = b.svc.Status(ctx, tx, s.Type, s.ID)
		return err
	})
	return st
}

// seatsOf lists the seats of a stage, from 1.
func (b *bench) seatsOf(t testing.TB, s Subject, stage int) []SeatStatus {
	t.Helper()
	var out []SeatStatus
	for _, block := range b.status(t, s).Stages[stage-1].Blocks {
		out = append(out, block.Seats...)
	}
	return out
}

// seatOf finds the seat of a stage whose label begins like this.
func (b *bench) seatOf(t testing.TB, s Subject, stage int, label string) uuid.UUID {
	t.Helper()
	for _, seat := range b.seatsOf(t, s, stage) {
		if strings.HasPrefix(seat.Label, label) {
			return seat.ID
		}
	}
	t.Fatalf("stage %d has no seat %q: %s", stage, label, b.seatLines(t, s, stage))
	return uuid.Nil
}

// seatLines words the seats of a stage: label, status, and who is asked.
func (b *bench) seatLines(t testing.TB, s Subject, stage int) string {
	t.Helper()
	var lines []string
	for _, seat := range b.seatsOf(t, s, stage) {
		line := seat.Label + " " + string(seat.Status)
		for _, r := range seat.Routes {
			var path []string
			for _, w := range r.Path {
				path = append(path, strings.Fields(w.Name)[0])
			}
			line += " [" + strings.Join(path, ">")
			if r.Unrouted != "" {
				line += " " + string(r.Unrouted)
			}
			if r.Escalated {
				line += " escalated"
			}
			line += "]"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func (b *bench) decide(a db.Actor, seat uuid.UUID, v Verdict) (Decided, error) {
	d := Decision{Verdict: v, Revision: 1}
	if v != Approve {
		d.Comment = "The backout plan is missing."
	}
	return b.svc.Decide(context.Background(), a, seat, d)
}

func (b *bench) approve(t testing.TB, a db.Actor, seat uuid.UUID) Decided {
	t.Helper()
	d, err := b.decide(a, seat, Approve)
	if err != nil {
		t.Fatalf("%s approves: %v", a.Name, err)
	}
	return d
}

// refused checks the kind and the code of a refusal.
func refused(t testing.TB, err error, kind fault.Kind, code string) {
	t.Helper()
	e := fault.Find(err)
	if e == nil || e.Kind != kind {
		t.Errorf("got %v, want a refusal with %s", err, code)
		return
	}
	if e.Code == code {
		return
	}
	for _, d := range e.Details {
		if d.Code == code {
			return
		}
	}
	t.Errorf("got code %s (%v), want %s", e.Code, err, code)
}

func (b *bench) count(t testing.TB, sql string, args ...any) int {
	t.Helper()
	var n int
	if err := b.Admin(t).QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (b *bench) audited(t testing.TB, action string) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM audit.event WHERE action = $1`, action)
}

// due does everything that is due, as the sweep and its jobs would.
func (b *bench) due(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	if err := b.svc.DoDue(ctx, b.ws); err != nil {
		t.Fatal(err)
	}
	b.reroute(t)
}

// reroute runs the routing that delegations and absences asked for, in process.
func (b *bench) reroute(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	rows, err := b.Admin(t).Query(ctx, `DELETE FROM river.river_job WHERE kind = 'approvals.reroute' RETURNING args`)
	if err != nil {
		t.Fatal(err)
	}
	var list []RerouteArgs
	for rows.Next() {
		var args RerouteArgs
		if err := rows.Scan(&args); err != nil {
			t.Fatal(err)
		}
		list = append(list, args)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, args := range list {
		w := &rerouteWorker{s: b.svc}
		if err := w.Work(ctx, &river.Job[RerouteArgs]{Args: args}); err != nil {
			t.Fatal(err)
		}
	}
}

func (b *bench) delegation(t testing.TB, from, to db.Actor, edit ...func(*NewDelegation)) Delegation {
	t.Helper()
	in := NewDelegation{Delegate: to.UserID, Kind: "out", Scope: "all", Start: b.clk.Now(), End: b.clk.Now().Add(48 * time.Hour), Reason: "Holiday"}
	for _, e := range edit {
		e(&in)
	}
	d, err := b.svc.CreateDelegation(context.Background(), from, in)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// member changes the role or the state of somebody as the module that owns it would.
func (b *bench) member(t testing.TB, a db.Actor, set string) {
	t.Helper()
	_, err := b.Admin(t).Exec(context.Background(), fmt.Sprintf(`BEGIN; SET LOCAL session_replication_role = replica;
		UPDATE members SET %s WHERE user_id = '%s'; COMMIT`, set, a.UserID))
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) group(t testing.TB, name string, people ...db.Actor) uuid.UUID {
	t.Helper()
	id := uuid.Must(uuid.NewV7())
	sql := fmt.Sprintf(`BEGIN; SET LOCAL session_replication_role = replica;
		INSERT INTO people_groups (workspace_id, id, name, created_at) VALUES ('%s', '%s', '%s', now());`, b.ws, id, name)
	for _, p := range people {
		sql += fmt.Sprintf(`INSERT INTO people_group_members SELECT workspace_id, '%s', id FROM members WHERE user_id = '%s';`, id, p.UserID)
	}
	if _, err := b.Admin(t).Exec(context.Background(), sql+"COMMIT"); err != nil {
		t.Fatal(err)
	}
	return id
}
