package certificates

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

func TestPlanBoundsHostsAndHowOftenTheyAreScanned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	ctx := context.Background()
	held := plan.Plan{Name: plan.Starter, Limits: plan.Limits{Hosts: 3, ShortestInterval: time.Hour}}
	w.plan = func(context.Context, *db.Tx) (plan.Plan, error) { return held, nil }
	first, _, err := w.AddHost(ctx, w.member, NewHost{Hostname: "one.example.test", Interval: "1h"})
	if err != nil {
		t.Fatal(err)
	}
	often := Interval("5m")
	tooOften := func(what string, err error) {
		t.Helper()
		if e := fault.Find(err); e == nil || len(e.Details) != 1 || e.Details[0].Field != "scan_interval" || e.Details[0].Code != "plan_limit" ||
			!strings.Contains(e.Details[0].Message, "every hour at most") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, _, err = w.AddHost(ctx, w.member, NewHost{Hostname: "two.example.test", Interval: often})
	tooOften("a new host", err)
	_, err = w.UpdateHost(ctx, w.member, first.ID, HostEdit{Interval: &often})
	tooOften("a change", err)
	_, err = w.ImportHosts(ctx, w.member, Import{Text: "two.example.test\n", Interval: often})
	tooOften("a list", err)
	if _, err := w.ImportHosts(ctx, w.member, Import{Text: "two.example.test\nthree.example.test\nfour.example.test\n"}); !plan.Exceeded(err) {
		t.Errorf("a list beyond the plan: %v", err)
	}
	if _, err := w.ImportHosts(ctx, w.member, Import{Text: "two.example.test\nthree.example.test\n"}); err != nil {
		t.Errorf("a list that fits: %v", err)
	}
	if _, _, err := w.AddHost(ctx, w.member, NewHost{Hostname: "four.example.test"}); !plan.Exceeded(err) {
		t.Errorf("a host beyond the plan: %v", err)
	}
	// Under a smaller plan what is there can still be changed.
	held.Hosts, held.ShortestInterval = 1, 24*time.Hour
	tags := []string{"kept"}
	if _, err := w.UpdateHost(ctx, w.member, first.ID, HostEdit{Tags: &tags}); err != nil {
		t.Errorf("a host that was there: %v", err)
	}
}

func TestPlanKeepsScansForItsTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, clock.NewFixed(noon))
	other := w.d.Workspace(t, "other")
	for _, ws := range []uuid.UUID{w.ws, other} {
		for _, age := range []time.Duration{14*day - time.Second, 14 * day, 14*day + time.Second} {
			w.exec(`INSERT INTO scan_observations (workspace_id, host_id, scanned_at, address, status, duration_ms, changed)
				VALUES ($1, $1, $2, '192.0.2.1', 'ok', 5, false)`, ws, noon.Add(-age))
		}
	}
	w.kept = func(context.Context) ([]Kept, error) {
		return []Kept{{Workspaces: []uuid.UUID{w.ws}, For: 14 * day}, {For: time.Hour}}, nil
	}
	for range 2 {
		if err := w.ExpireByPlan(context.Background()); err != nil {
			t.Fatal(err)
		}
		if mine, theirs := w.count(`SELECT count(*) FROM scan_observations WHERE workspace_id = $1`, w.ws),
			w.count(`SELECT count(*) FROM scan_observations WHERE workspace_id = $1`, other); mine != 2 || theirs != 3 {
			t.Errorf("%d observations here and %d elsewhere, want 2 and 3", mine, theirs)
		}
	}
}
