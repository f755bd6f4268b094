package tasks

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

var noon = time.Date(2026, time.November, 11, 12, 0, 0, 0, time.UTC)

// world is a database with a workspace, its people, and the service under test. A parent
// of type change exists when its id is in changes.
type world struct {
	*Service
	t                   testing.TB
	d                   *dbtest.DB
	clk                 *clock.Fixed
	ws                  uuid.UUID
	viewer, mara, tomas db.Actor
	stranger            db.Actor
	changes             map[uuid.UUID]Parent
	told                []Notice
}

func newWorld(t testing.TB) *world {
	t.Helper()
	clk := clock.NewFixed(noon)
	d := dbtest.NewAt(t, clk)
	w := &world{t: t, d: d, clk: clk, ws: d.Workspace(t, "acme"), changes: map[uuid.UUID]Parent{}}
	w.viewer, w.mara, w.tomas = d.Member(t, w.ws, "Vera Olsen", "viewer"), d.Member(t, w.ws, "Mara Lind", "member"), d.Member(t, w.ws, "Tomas Ferreira", "member")
	w.stranger = d.Member(t, d.Workspace(t, "globex"), "Gina Rossi", "owner")
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(eventTypes()...)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.NewPolicy(access.Grant{Permission: web.LivePermission, Label: "Read", Min: access.Viewer})
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(catalogue, jobs, dbtest.Keyring(t))
	reader := activity.New(l)
	w.Service = New(Deps{
		DB: d.DB, Ledger: l, Policy: policy, Clock: clk, Log: slog.New(slog.DiscardHandler),
		People: func(ctx context.Context, tx *db.Tx) ([]Person, error) {
			rows, err := tx.Query(ctx, `SELECT m.user_id, m.id, u.name, u.email FROM members m JOIN users u ON u.id = m.user_id ORDER BY u.name`)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, pgx.RowToStructByPos[Person])
		},
		Notify: func(_ context.Context, _ *db.Tx, n Notice) error {
			w.told = append(w.told, n)
			return nil
		},
		Activity: func(b *db.Batch, kind string, id uuid.UUID, limit int) func(*time.Location, time.Time) ([]ui.Entry, error) {
			pending := reader.Queue(b, kind, id, limit)
			return func(zone *time.Location, now time.Time) ([]ui.Entry, error) {
				entries, err := pending.Entries()
				return activity.Timeline(entries, zone, now), err
			}
		},
	})
	w.AddParent(ParentKind{
		Type: "change", Label: "Change", Icon: "git-branch", Gates: true, Path: func(id uuid.UUID) string { return "/changes/" + id.String() },
		Read: func(_ context.Context, _ *db.Tx, id uuid.UUID) (Parent, error) {
			p, ok := w.changes[id]
			if !ok {
				return p, fault.NewNotFound("change")
			}
			return p, nil
		},
	})
	w.AddParent(ParentKind{
		Type: "asset", Label: "Asset", Path: func(id uuid.UUID) string { return "/assets/" + id.String() },
		Read: func(context.Context, *db.Tx, uuid.UUID) (Parent, error) { return Parent{Title: "db-01"}, nil },
	})
	if err := policy.Add(w.Module().Permissions...); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) change() uuid.UUID {
	id := uuid.New()
	w.changes[id] = Parent{Key: "CHG-00001", Title: "Rotate keys", Implementers: []uuid.UUID{w.mara.UserID}}
	return id
}

func (w *world) add(title string, change ...func(*NewTask)) Task {
	w.t.Helper()
	in := NewTask{Title: title}
	for _, c := range change {
		c(&in)
	}
	task, err := w.AddTask(w.t.Context(), w.mara, in)
	if err != nil {
		w.t.Fatalf("add %s: %v", title, err)
	}
	return task
}

func of(change uuid.UUID, gate string) func(*NewTask) {
	return func(n *NewTask) { n.ParentType, n.ParentID, n.Gate = "change", change, gate }
}

func (w *world) move(task Task, to State) error {
	_, err := w.ChangeState(w.t.Context(), w.mara, task.Key, to, "because")
	return err
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// after makes one task wait for another.
func (w *world) after(successor, predecessor Task) Dependency {
	w.t.Helper()
	d, err := w.DependOn(w.t.Context(), w.mara, successor.Key, predecessor.Key, 0)
	w.must(err)
	return d
}

func (w *world) in(fn func(ctx context.Context, tx *db.Tx) error) {
	w.t.Helper()
	w.must(w.d.InWorkspace(w.t.Context(), w.mara, func(tx *db.Tx) error { return fn(w.t.Context(), tx) }))
}

func refused(t testing.TB, err error, k fault.Kind, code string) {
	t.Helper()
	e := fault.Find(err)
	if e == nil || e.Kind != k {
		t.Errorf("%v, want kind %d with %s", err, k, code)
		return
	}
	if e.Code == code || slices.ContainsFunc(e.Details, func(d fault.Detail) bool { return d.Code == code || d.Field+" "+d.Code == code }) {
		return
	}
	t.Errorf("%v with code %s and details %v, want %s", err, e.Code, e.Details, code)
}

func TestStatesChangeAsTheRulesSay(t *testing.T) {
	t.Parallel()
	me, other := uuid.New(), uuid.New()
	block := []Blocker{{Key: "TASK-0001"}}
	for _, c := range []struct {
		from State
		m    move
		kind fault.Kind
		code string // empty when it is allowed
	}{
		{Todo, move{to: Doing}, 0, ""},
		{Todo, move{to: Done}, 0, ""},
		{Doing, move{to: Todo}, 0, ""},
		{Doing, move{to: Done}, 0, ""},
		{Todo, move{to: Skipped, reason: "not needed"}, 0, ""},
		{Doing, move{to: Cancelled}, 0, ""},
		{Done, move{to: Todo}, 0, ""},
		{Skipped, move{to: Todo}, 0, ""},
		{Todo, move{to: Skipped, reason: "  "}, fault.Invalid, "reason required"},
		{Todo, move{to: "flying"}, fault.Invalid, "state not_allowed"},
		{Todo, move{to: Todo}, fault.Conflict, "state_conflict"},
		{Done, move{to: Doing}, fault.Conflict, "state_conflict"},
		{Cancelled, move{to: Done}, fault.Conflict, "state_conflict"},
		{Todo, move{to: Doing, blockers: block}, fault.Conflict, "task_blocked"},
		{Todo, move{to: Done, blockers: block}, fault.Conflict, "task_blocked"},
		{Todo, move{to: Skipped, reason: "x", blockers: block}, 0, ""},
	} {
		task := Task{Key: "TASK-0002", State: c.from}
		got, err := task.moved(c.m, noon)
		if c.code != "" {
			refused(t, err, c.kind, c.code)
			if got.State != c.from {
				t.Errorf("%s to %s: refused and yet %s", c.from, c.m.to, got.State)
			}
			continue
		}
		if err != nil || got.State != c.m.to || (got.FinishedAt != nil) != c.m.to.Settled() {
			t.Errorf("%s to %s: %+v, %v", c.from, c.m.to, got, err)
		}
	}
	check := Task{Key: "TASK-0003", State: Todo, Gate: BeforeComplete, Verification: true}
	for _, c := range []struct {
		m    move
		kind fault.Kind
	}{
		{move{to: Done, by: me, barred: []uuid.UUID{me}}, fault.Denied},
		{move{to: Done, barred: []uuid.UUID{me}}, fault.Denied}, // nobody known
		{move{to: Skipped, reason: "x", by: other}, fault.Conflict},
		{move{to: Cancelled, by: other}, fault.Conflict},
	} {
		_, err := check.moved(c.m, noon)
		refused(t, err, c.kind, "verification_required")
	}
	if got, err := check.moved(move{to: Done, by: other, barred: []uuid.UUID{me}}, noon); err != nil || got.DoneBy.UUID != other {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBlockersHoldUntilTheLagIsOver(t *testing.T) {
	t.Parallel()
	done := noon.Add(-time.Hour)
	rows := []predecessor{
		{Key: "A", State: Todo},
		{Key: "B", State: Done, FinishedAt: &done, LagMinutes: 60},
		{Key: "C", State: Skipped, FinishedAt: &done, LagMinutes: 61},
		{Key: "D", State: Cancelled, FinishedAt: &done},
		{Key: "E", State: Doing},
	}
	var got []string
	for _, b := range blockers(rows, noon) {
		got = append(got, b.Key)
	}
	if diff := cmp.Diff([]string{"A", "C", "E"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryFieldOfATaskIsChecked(t *testing.T) {
	t.Parallel()
	id := uuid.New()
	for _, c := range []struct {
		in   NewTask
		want string
	}{
		{NewTask{}, "title required"},
		{NewTask{Title: strings.Repeat("ö", 201)}, "title too_long"},
		{NewTask{Title: "a\x00"}, "title invalid_text"},
		{NewTask{Title: "a", Description: strings.Repeat("d", 10001)}, "description too_long"},
		{NewTask{Title: "a", EstimateMinutes: -1}, "estimate_minutes out_of_range"},
		{NewTask{Title: "a", Due: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)}, "due out_of_range"},
		{NewTask{Title: "a", ParentType: "change"}, "parent incomplete"},
		{NewTask{Title: "a", ParentID: id}, "parent incomplete"},
		{NewTask{Title: "a", Gate: BeforeStart}, "gate needs_parent"},
		{NewTask{Title: "a", Gate: "before_lunch", ParentType: "change", ParentID: id}, "gate not_allowed"},
		{NewTask{Title: "a", Verification: true}, "verification needs_gate"},
	} {
		_, err := c.in.task(uuid.New(), noon)
		refused(t, err, fault.Invalid, c.want)
	}
}

func TestATaskIsAddedAssignedDoneAndReopened(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	change := w.change()
	task, err := w.AddTask(ctx, w.mara, NewTask{
		Title: " Take a  backup ", Assignee: w.tomas.Email, Due: noon.Add(24 * time.Hour), EstimateMinutes: 90, ParentType: "change", ParentID: change, Gate: BeforeStart,
	})
	w.must(err)
	if task.Key != "TASK-0001" || task.Title != "Take a backup" || task.AssigneeID.UUID != w.tomas.UserID || task.ParentLabel != "CHG-00001 Rotate keys" || task.Position != 1 {
		t.Errorf("%+v", task)
	}
	if len(w.told) != 1 || w.told[0].Recipients[0] != w.tomas.UserID || w.told[0].EventName != EventAssigned || !strings.Contains(w.told[0].Body, "CHG-00001") {
		t.Errorf("told %+v", w.told)
	}
	version, me := task.Version, w.mara.UserID.String()
	task, err = w.UpdateTask(ctx, w.mara, task.ID.String(), TaskEdit{Assignee: &me, Due: &time.Time{}, Version: &version})
	w.must(err)
	if task.HasDue() || task.AssigneeID.UUID != w.mara.UserID || len(w.told) != 1 {
		t.Errorf("%+v, told %d", task, len(w.told))
	}
	_, err = w.UpdateTask(ctx, w.mara, task.Key, TaskEdit{Version: &version})
	refused(t, err, fault.Conflict, "version_conflict")
	doing, done, todo := Doing, Done, Todo
	for _, to := range []*State{&doing, &done, &todo} {
		task, err = w.UpdateTask(ctx, w.mara, task.Key, TaskEdit{State: to})
		w.must(err)
	}
	_, err = w.ChangeState(ctx, w.mara, strings.ToLower(task.Key), Skipped, "the standby has one")
	w.must(err)
	rows, err := w.d.Admin(t).Query(ctx, `SELECT action || coalesce(' ' || reason, '') FROM audit.event WHERE target_id = $1 AND parent_id = $2 ORDER BY recorded_at, event_id`, task.ID, change)
	w.must(err)
	actions, err := pgx.CollectRows(rows, pgx.RowTo[string])
	w.must(err)
	want := []string{EventCreated, EventAssigned, EventStarted, EventCompleted, EventReopened, EventSkipped + " the standby has one"}
	if diff := cmp.Diff(want, actions); diff != "" {
		t.Error(diff)
	}
}

func TestTasksOfClosedOrUnknownRecordsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	change := w.change()
	task := w.add("a", of(change, ""))
	_, err := w.AddTask(ctx, w.mara, NewTask{Title: "x", ParentType: "change", ParentID: uuid.New()})
	refused(t, err, fault.Invalid, "parent_id unknown_parent")
	_, err = w.AddTask(ctx, w.mara, NewTask{Title: "x", ParentType: "planet", ParentID: uuid.New()})
	refused(t, err, fault.Invalid, "parent_type not_allowed")
	_, err = w.AddTask(ctx, w.mara, NewTask{Title: "x", ParentType: "asset", ParentID: uuid.New(), Gate: BeforeStart})
	refused(t, err, fault.Invalid, "gate not_allowed")
	_, err = w.AddTask(ctx, w.mara, NewTask{Title: "x", Assignee: w.stranger.Email})
	refused(t, err, fault.Invalid, "assignee unknown_member")
	p := w.changes[change]
	p.Closed = "The change is closed."
	w.changes[change] = p
	refused(t, w.move(task, Done), fault.Conflict, "parent_closed")
	_, err = w.AddTask(ctx, w.mara, NewTask{Title: "x", ParentType: "change", ParentID: change})
	refused(t, err, fault.Conflict, "parent_closed")
	_, err = w.DeleteTask(ctx, w.mara, task.Key, true)
	refused(t, err, fault.Conflict, "parent_closed")
}

func TestViewersAndStrangersChangeNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b := w.add("a"), w.add("b")
	d := w.after(b, a)
	for who, kind := range map[*db.Actor]fault.Kind{&w.viewer: fault.Denied, &w.stranger: fault.NotFound} {
		try := map[string]error{}
		_, try["update"] = w.UpdateTask(ctx, *who, a.ID.String(), TaskEdit{})
		_, try["move"] = w.ChangeState(ctx, *who, a.Key, Done, "")
		_, try["depend"] = w.DependOn(ctx, *who, a.ID.String(), b.ID.String(), 0)
		try["remove"] = w.RemoveDependency(ctx, *who, b.Key, d.ID)
		_, try["delete"] = w.DeleteTask(ctx, *who, a.Key, true)
		_, try["bulk"] = w.MoveTasks(ctx, *who, []uuid.UUID{a.ID}, Done)
		for what, err := range try {
			if !fault.Is(err, kind) {
				t.Errorf("%s by %s: %v", what, who.Name, err)
			}
		}
	}
	_, err := w.AddTask(ctx, w.viewer, NewTask{Title: "x"})
	if !fault.Is(err, fault.Denied) {
		t.Error(err)
	}
	if _, err := w.Task(ctx, w.stranger, a.Key); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func TestABlockedTaskCannotBeStarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.add("a"), w.add("b")
	_, err := w.DependOn(t.Context(), w.mara, b.Key, a.ID.String(), 30)
	w.must(err)
	err = w.move(b, Doing)
	refused(t, err, fault.Conflict, "task_blocked")
	if e := fault.Find(err); len(e.Details) != 1 || e.Details[0].Ref != a.Key {
		t.Errorf("%+v", e)
	}
	w.must(w.move(a, Skipped))
	refused(t, w.move(b, Doing), fault.Conflict, "task_blocked") // the lag
	w.clk.Advance(30 * time.Minute)
	w.must(w.move(b, Doing))
}

func TestCirclesAreRefusedWithTheirWayAndDiamondsAreNot(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b, c, d := w.add("a"), w.add("b"), w.add("c"), w.add("d")
	w.after(b, a)
	w.after(c, a)
	w.after(d, b)
	w.after(d, c) // a diamond
	_, err := w.DependOn(ctx, w.mara, a.Key, d.Key, 0)
	refused(t, err, fault.Invalid, "dependency_cycle")
	var way []string
	for _, detail := range fault.Find(err).Details {
		way = append(way, detail.Ref)
	}
	if diff := cmp.Diff([]string{d.Key, a.Key, b.Key, d.Key}, way); diff != "" {
		t.Error(diff)
	}
	_, err = w.DependOn(ctx, w.mara, a.Key, b.Key, 0)
	refused(t, err, fault.Invalid, "dependency_cycle")
	_, err = w.DependOn(ctx, w.mara, a.Key, a.Key, 0)
	refused(t, err, fault.Invalid, "dependency_cycle")
	_, err = w.DependOn(ctx, w.mara, d.Key, b.Key, 0)
	refused(t, err, fault.Invalid, "predecessor duplicate_dependency")
	_, err = w.DependOn(ctx, w.mara, d.Key, "TASK-9999", 0)
	refused(t, err, fault.Invalid, "predecessor unknown_task")
	_, err = w.DependOn(ctx, w.mara, d.Key, a.Key, -1)
	refused(t, err, fault.Invalid, "lag_minutes out_of_range")
}

func TestTwoEdgesAddedAtOnceCannotCloseACircle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 8
	tasks := make([]Task, n)
	for i := range tasks {
		tasks[i] = w.add(fmt.Sprint(i))
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range tasks {
		wg.Go(func() {
			_, errs[i] = w.DependOn(t.Context(), w.mara, tasks[(i+1)%n].Key, tasks[i].Key, 0)
		})
	}
	wg.Wait()
	failed := 0
	for _, err := range errs {
		if err != nil {
			failed++
			refused(t, err, fault.Invalid, "dependency_cycle")
		}
	}
	if failed != 1 {
		t.Errorf("%d of the %d edges of a ring were refused, want 1", failed, n)
	}
}

func TestDeletingAPredecessorNeedsConfirmationAndIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b := w.add("a"), w.add("b")
	d := w.after(b, a)
	_, err := w.DeleteTask(ctx, w.mara, a.Key, false)
	refused(t, err, fault.Conflict, "task_has_successors")
	_, err = w.DeleteTask(ctx, w.mara, a.Key, true)
	w.must(err)
	w.must(w.move(b, Doing))
	var n int
	w.must(w.d.Admin(t).QueryRow(ctx, `SELECT count(*) FROM audit.event WHERE (target_id = $1 AND action = 'task.deleted')
		OR (target_id = $2 AND action = 'task_dependency.deleted')`, a.ID, d.ID).Scan(&n))
	if n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

func TestGatesTellWhatStandsBeforeAStep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	change := w.change()
	backup := w.add("backup", of(change, BeforeStart))
	check := w.add("check", of(change, BeforeComplete), func(n *NewTask) { n.Verification = true })
	w.add("free", of(change, ""))
	dropped := w.add("dropped", of(change, BeforeClose))
	w.must(w.move(dropped, Cancelled))
	w.must(w.move(backup, Done))
	refused(t, w.move(check, Done), fault.Denied, "verification_required") // Mara implements
	_, err := w.ChangeState(ctx, w.tomas, check.Key, Done, "")
	w.must(err)
	w.in(func(ctx context.Context, tx *db.Tx) error {
		gates, err := w.Gates(ctx, tx, "change", change)
		if err != nil {
			return err
		}
		var got []string
		for _, g := range gates {
			got = append(got, fmt.Sprint(g.Title, " ", g.Gate, " ", g.Done))
		}
		if diff := cmp.Diff([]string{"backup before_start true", "check before_complete true"}, got); diff != "" {
			t.Error(diff)
		}
		// Tomas joined the implementers after he had verified.
		gates, err = w.Gates(ctx, tx, "change", change, w.mara.UserID, w.tomas.UserID)
		if err == nil && gates[1].Done {
			t.Error("a verification by an implementer counts")
		}
		open, countErr := w.OpenCounts(ctx, tx, "change", []uuid.UUID{change, uuid.New()})
		if diff := cmp.Diff(map[uuid.UUID]int{change: 1}, open); diff != "" || countErr != nil {
			t.Error(diff, countErr)
		}
		return err
	})
}

func TestTasksAreCopiedWithTheirOrderAndDates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	from, to := w.change(), w.change()
	start := noon.Add(48 * time.Hour)
	a := w.add("a", of(from, BeforeStart), func(n *NewTask) { n.Due, n.EstimateMinutes = start.Add(-2*time.Hour), 30 })
	b := w.add("b", of(from, BeforeComplete), func(n *NewTask) { n.Verification = true })
	w.must(w.move(w.add("c", of(from, "")), Cancelled))
	w.after(b, a)
	later := start.Add(240 * time.Hour)
	w.in(func(ctx context.Context, tx *db.Tx) error {
		drafts, err := w.Drafts(ctx, tx, "change", from, start)
		if err != nil {
			return err
		}
		made, err := w.Copy(ctx, tx, drafts, "change", to, later)
		if err != nil {
			return err
		}
		if len(made) != 2 || !made[0].DueAt.Equal(later.Add(-2*time.Hour)) || made[0].EstimateMinutes != 30 || !made[1].Verification || made[1].HasDue() {
			t.Errorf("%+v", made)
		}
		items, err := w.ForParent(ctx, tx, "change", to)
		if err == nil && (len(items) != 2 || items[0].Blocked() || !items[1].Blocked()) {
			t.Errorf("%+v", items)
		}
		n, cancelErr := w.CancelOpen(ctx, tx, "change", to, "The change was cancelled.")
		if n != 2 || cancelErr != nil {
			t.Errorf("%d cancelled, %v", n, cancelErr)
		}
		return err
	})
}

func TestManyTasksAreMovedOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b := w.add("a"), w.add("b")
	w.after(b, a)
	_, err := w.MoveTasks(ctx, w.mara, []uuid.UUID{a.ID, b.ID}, Doing)
	refused(t, err, fault.Conflict, "task_blocked")
	if got, err := w.Task(ctx, w.mara, a.Key); err != nil || got.State != Todo {
		t.Errorf("%+v, %v", got, err)
	}
	if n, err := w.TakeTasks(ctx, w.tomas, []uuid.UUID{a.ID, b.ID}); err != nil || n != 2 {
		t.Error(n, err)
	}
	if len(w.told) != 0 {
		t.Errorf("somebody who takes a task is told of it: %+v", w.told)
	}
	var read func(time.Time) []Open
	if err := w.d.ReadBatch(ctx, w.tomas, func(b *db.Batch) { read = w.QueueMine(b, w.tomas.UserID, 10) }); err != nil {
		t.Fatal(err)
	}
	if mine := read(time.Now()); len(mine) != 2 || mine[0].Blocked == mine[1].Blocked {
		t.Errorf("%+v", mine)
	}
}
