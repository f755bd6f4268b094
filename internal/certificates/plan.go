package certificates

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

// CountHosts counts the hosts of the workspace of tx, paused ones too.
func (s *Service) CountHosts(ctx context.Context, tx *db.Tx) (int, error) {
	n, err := countHosts.One(ctx, tx, nil)
	return int(n), err
}

// checkPlan refuses hosts that the plan of the workspace does not hold: scanned more often
// than it allows, or beyond its number, of which more are new.
func (s *Service) checkPlan(ctx context.Context, tx *db.Tx, hosts []Host, more int) error {
	p, err := s.plan(ctx, tx)
	if err != nil {
		return fmt.Errorf("read plan: %w", err)
	}
	for _, h := range hosts {
		if !p.Allows(h.Interval.Duration()) {
			return fault.InvalidField("scan_interval", "plan_limit", fmt.Sprintf(
				"The plan %s scans a host %s at most. Choose a longer interval, or ask the people who run Vigilo for a larger plan.",
				p.Name.Label(), intervalLabel(shortest(p))))
		}
	}
	if p.Hosts == 0 || more == 0 {
		return nil
	}
	have, err := s.CountHosts(ctx, tx)
	if err != nil {
		return err
	}
	return p.CheckHosts(have, more)
}

// shortest returns the shortest interval that a plan allows.
func shortest(p plan.Plan) Interval {
	for _, i := range Intervals() {
		if p.Allows(i.Duration()) {
			return i
		}
	}
	return DefaultInterval
}

// Kept is how long some workspaces keep scans, where that is shorter than Retention.
type Kept struct {
	Workspaces []uuid.UUID
	For        time.Duration
}

// ExpireByPlan removes the scans that the plans of workspaces do not keep any longer. Each
// workspace is a transaction of its own.
func (s *Service) ExpireByPlan(ctx context.Context) error {
	kept, err := s.kept(ctx)
	if err != nil {
		return fmt.Errorf("read retentions: %w", err)
	}
	for _, k := range kept {
		for _, id := range k.Workspaces {
			if err := s.db.InWorkspace(ctx, db.System(id, "retention of the plan"), func(tx *db.Tx) error {
				_, err := expireOwnObservations.Run(ctx, tx, db.Args{"before": tx.Now.Add(-k.For)})
				return err
			}); err != nil {
				return fmt.Errorf("expire scans of workspace %s: %w", id, err)
			}
		}
	}
	return nil
}

// ExpireByPlanArgs asks for ExpireByPlan.
type ExpireByPlanArgs struct{}

// Kind names the job.
func (ExpireByPlanArgs) Kind() string { return "certificates.expire_by_plan" }

type expireByPlanWorker struct {
	river.WorkerDefaults[ExpireByPlanArgs]
	s *Service
}

// Timeout implements river.Worker: a first sweep after a smaller plan has much to do.
func (w *expireByPlanWorker) Timeout(*river.Job[ExpireByPlanArgs]) time.Duration {
	return 30 * time.Minute
}

// Work implements river.Worker.
func (w *expireByPlanWorker) Work(ctx context.Context, _ *river.Job[ExpireByPlanArgs]) error {
	return w.s.ExpireByPlan(ctx)
}
