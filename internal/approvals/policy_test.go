package approvals

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestAPolicyMatchesWhatItsConditionNames(t *testing.T) {
	t.Parallel()
	yes := true
	f := Facts{ChangeType: "normal", Category: "maintenance", Environment: "production", Priority: "high", Risk: "medium", AssetTags: []string{"pci", "web"}, AssetTypes: []string{"host"}}
	for name, tt := range map[string]struct {
		m    Match
		k    Kind
		want bool
	}{
		"everything":            {Match{}, Normal, true},
		"templates too":         {Match{}, Template, true},
		"but not a look back":   {Match{}, Retro, false},
		"unless it says so":     {Match{Kinds: []Kind{Retro}}, Retro, true},
		"its kind only":         {Match{Kinds: []Kind{Retro}}, Normal, false},
		"a type":                {Match{ChangeTypes: []string{"normal", "emergency"}}, Normal, true},
		"another type":          {Match{ChangeTypes: []string{"emergency"}}, Normal, false},
		"one of the tags":       {Match{AssetTags: []string{"pci", "db"}}, Normal, true},
		"none of the tags":      {Match{AssetTags: []string{"db"}}, Normal, false},
		"all must hold":         {Match{Risks: []string{"medium"}, Environments: []string{"staging"}}, Normal, false},
		"all hold":              {Match{Risks: []string{"medium"}, Environments: []string{"production"}, Categories: []string{"maintenance"}, Priorities: []string{"high"}, AssetTypes: []string{"host"}}, Normal, true},
		"a downtime":            {Match{Downtime: &yes}, Normal, false},
		"another subject":       {Match{SubjectTypes: []string{"risk"}}, Normal, false},
		"the type of a subject": {Match{SubjectTypes: []string{"paper"}}, Normal, true},
	} {
		if got := tt.m.Matches("paper", tt.k, f); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAPolicySaysEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "Taken", anyOf("Peer", role(access.Approver)))
	yes := true
	for name, tt := range map[string]struct {
		edit func(*Policy)
		want string
	}{
		"no name":           {func(p *Policy) { p.Name = " " }, "name required"},
		"a long name":       {func(p *Policy) { p.Name = strings.Repeat("x", 81) }, "name too_long"},
		"a taken name":      {func(p *Policy) { p.Name = "Taken" }, "name name_taken"},
		"a priority":        {func(p *Policy) { p.Priority = -1 }, "priority out_of_range"},
		"a validity":        {func(p *Policy) { p.ValidityDays = 366 }, "validity_days out_of_range"},
		"no stages":         {func(p *Policy) { p.Stages = nil }, "stages out_of_range"},
		"a kind":            {func(p *Policy) { p.Match.Kinds = []Kind{"odd"} }, "match.kinds not_allowed"},
		"a risk":            {func(p *Policy) { p.Match.Risks = []string{"huge"} }, "match.risks not_allowed"},
		"a change type":     {func(p *Policy) { p.Match.ChangeTypes = []string{"odd"} }, "match.change_types not_allowed"},
		"a long tag":        {func(p *Policy) { p.Match.AssetTags = []string{strings.Repeat("x", 81)} }, "match.asset_tags too_long"},
		"an order":          {func(p *Policy) { p.Stages[0].Order = 0 }, "stages.0.order out_of_range"},
		"a mode":            {func(p *Policy) { p.Stages[0].Mode = "most" }, "stages.0.mode not_allowed"},
		"nobody":            {func(p *Policy) { p.Stages[0].Sources = nil }, "stages.0.sources required"},
		"no number":         {func(p *Policy) { p.Stages[0].Mode = seats.NOfM }, "stages.0.need out_of_range"},
		"no percent":        {func(p *Policy) { p.Stages[0].Mode = seats.Percent }, "stages.0.percent out_of_range"},
		"on reject":         {func(p *Policy) { p.Stages[0].OnReject = "shrug" }, "stages.0.on_reject not_allowed"},
		"a deadline":        {func(p *Policy) { p.Stages[0].DeadlineDays = 31 }, "stages.0.deadline_days out_of_range"},
		"a contradiction":   {func(p *Policy) { p.Stages[0].DistinctAcrossStages, p.Stages[0].ReuseAcrossStages = true, &yes }, "stages.0.reuse_across_stages contradiction"},
		"a source":          {func(p *Policy) { p.Stages[0].Sources = []Source{{Kind: "oncall"}} }, "stages.0.sources not_allowed"},
		"a low role":        {func(p *Policy) { p.Stages[0].Sources = []Source{{Kind: seats.Role, Role: "viewer"}} }, "stages.0.sources not_allowed"},
		"odd fields":        {func(p *Policy) { p.Stages[0].Sources = []Source{{Kind: seats.Manager, Role: "admin"}} }, "stages.0.sources not_allowed"},
		"a foreign person":  {func(p *Policy) { p.Stages[0].Sources = []Source{user(b.stranger)} }, "stages.0.sources not_found"},
		"a foreign group":   {func(p *Policy) { p.Stages[0].Sources = []Source{{Kind: seats.Group, ID: uuid.New()}} }, "stages.0.sources not_found"},
		"a board escalates": {func(p *Policy) { p.Stages[0].Escalation = &Source{Kind: seats.Board} }, "stages.0.escalation not_allowed, stages.0.escalation not_allowed"},
		"two problems":      {func(p *Policy) { p.Name, p.Priority = "", 2000 }, "name required, priority out_of_range"},
	} {
		p := NewPolicy()
		p.Name = name
		tt.edit(&p)
		_, err := b.svc.CreatePolicy(context.Background(), b.adam, p)
		var got []string
		if e := fault.Find(err); e != nil {
			for _, d := range e.Details {
				got = append(got, d.Field+" "+d.Code)
			}
		}
		if s := strings.Join(got, ", "); s != tt.want {
			t.Errorf("%s: %q, want %q (%v)", name, s, tt.want, err)
		}
	}
	_, err := b.svc.CreatePolicy(context.Background(), b.ann, NewPolicy())
	refused(t, err, fault.Denied, "forbidden")
}

func TestARequestKeepsTheVersionItWasComposedFrom(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	p := b.stages(t, "P", anyOf("Peer", role(access.Approver)))
	s := b.open(t)
	one := int64(1)
	p, err := b.svc.ChangePolicy(ctx, b.adam, p.ID, PolicyChange{Version: &one, Edit: func(p *Policy) {
		p.Stages = append(p.Stages, then(2, anyOf("Admin", role(access.Admin))))
	}})
	if err != nil || p.Version != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	_, err = b.svc.ChangePolicy(ctx, b.adam, p.ID, PolicyChange{Version: &one, Edit: func(p *Policy) { p.Priority = 1 }})
	refused(t, err, fault.Conflict, "version_conflict")
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Any"))
	st := b.status(t, s)
	if !st.Approved() || cmp.Diff([]PinnedPolicy{{p.ID, "P", 1}}, st.Request.Pinned) != "" {
		t.Errorf("%+v", st.Request)
	}
	second := b.open(t)
	if st := b.status(t, second); len(st.Stages) != 2 || st.Request.Pinned[0].Version != 2 {
		t.Errorf("%+v", st)
	}
	for _, sql := range []string{`UPDATE approval_policy_versions SET name = 'x'`, `DELETE FROM approval_policy_versions`} {
		if _, err := b.Admin(t).Exec(ctx, sql); err == nil {
			t.Errorf("%s was allowed", sql)
		}
	}
	if _, err := b.svc.Policy(ctx, b.stranger, p.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("another workspace sees it: %v", err)
	}
}

func TestTheDefaultsAskMoreTheHigherTheRisk(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.must(t, b.adam, b.svc.SeedDefaults)
	boss := b.person(t, "Boss Owner", "owner")
	for risk, want := range map[string]string{
		"low":      "Peer",
		"medium":   "Peer, Service owner",
		"high":     "Peer, Service owner, Two approvers",
		"critical": "Peer, Service owner, Two approvers, Director",
	} {
		var p Preview
		b.must(t, b.rita, func(ctx context.Context, tx *db.Tx) error {
			s := b.paper(t, func(s *Subject) { s.Facts.Risk, s.Facts.ServiceOwners = risk, []uuid.UUID{b.ben.UserID} })
			var err error
			p, err = b.svc.Preview(ctx, tx, s)
			return err
		})
		var names []string
		for _, st := range p.Stages {
			names = append(names, st.Name)
		}
		if got := strings.Join(names, ", "); got != want || len(p.Problems) != 0 {
			t.Errorf("%s: %q, problems %v", risk, got, p.Problems)
		}
		if risk == "critical" && p.Stages[2].Blocks[0].Of != 4 {
			t.Errorf("two of %d: %+v", p.Stages[2].Blocks[0].Of, boss.Name)
		}
	}
}

func TestAPreviewShowsADraftInPlaceOfThePolicy(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	p := b.stages(t, "P", anyOf("Peer", role(access.Approver)))
	draft := p
	draft.Stages = []Stage{allOf("Both", user(b.ann), user(b.rita))}
	b.delegation(t, b.ann, b.ben)
	b.must(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
		got, err := b.svc.PreviewWith(ctx, tx, b.paper(t), Normal, &draft)
		if err != nil {
			return err
		}
		block := got.Stages[0].Blocks[0]
		if len(got.Stages) != 1 || len(block.Seats) != 1 || !block.Reduced || block.Seats[0].Routes[0].Assignee.Name != "Ben Approver" ||
			block.Seats[0].Routes[0].Delegations[0] != "DLG-00001" {
			t.Errorf("%+v", got)
		}
		draft.Name = ""
		_, err = b.svc.PreviewWith(ctx, tx, b.paper(t), Normal, &draft)
		refused(t, err, fault.Invalid, "required")
		return nil
	})
	if n := b.count(t, `SELECT count(*) FROM approval_requests`); n != 0 {
		t.Errorf("a preview left %d requests", n)
	}
}
