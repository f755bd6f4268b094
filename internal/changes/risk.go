package changes

import (
	"context"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// recompute brings what is derived from the content of a change up to date and saves it.
func (s *Service) recompute(ctx context.Context, tx *db.Tx, c *Change) error {
	before := *c
	s.assess(c)
	if before.Risk == c.Risk && before.RiskScore == c.RiskScore && c.RiskAt != nil {
		return nil
	}
	c.RiskAt = &tx.Now
	return saveRisk(ctx, tx, *c)
}

// assess takes the highest of the levels that are known (work.md 2.3).
func (s *Service) assess(c *Change) {
	c.Risk = lifecycle.Highest(c.RiskQuestionnaire, c.RiskManual)
}

// checkRisk lets anybody who may edit raise the risk. Lowering it is for a change manager
// with a reason, and never goes below the questionnaire.
func (s *Service) checkRisk(a db.Actor, before, after Change, reason string, check *form.Check) {
	was := lifecycle.Highest(before.RiskManual, before.RiskQuestionnaire)
	if after.RiskManual == before.RiskManual || lifecycle.Highest(after.RiskManual, after.RiskQuestionnaire).Rank() >= was.Rank() {
		return
	}
	switch {
	case !s.policy.Can(a, CanManage):
		check.Add("risk", "forbidden", "Only a change manager lowers the risk.")
	case reason == "":
		check.Add("reason", "reason_required", "Say why the risk is lower.")
	}
}
