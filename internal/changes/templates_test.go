package changes

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// restart files a standard change of a template for srv-1.
func (w *world) restart1(t Template, change ...func(*Edit)) Change {
	w.t.Helper()
	c, err := w.Create(w.ctx(), w.mara, w.newEdit(append([]func(*Edit){func(e *Edit) {
		e.Template, e.TemplateValues, e.Title, e.ImplementationPlan = ptr(t.ID.String()), &map[string]string{"server": "srv-1"}, nil, nil
		e.Description = nil
	}}, change...)...))
	w.must(err)
	return c
}

func TestAStandardChangeIsApprovedByItsTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpl := w.template()
	if tpl.State != TemplateActive || tpl.VersionInUse == nil || *tpl.VersionInUse != 1 || !tpl.ExpiresAt.Equal(w.clk.Now().AddDate(0, 0, 365)) {
		t.Fatalf("%+v", tpl)
	}
	c := w.restart1(tpl)
	if c.Type != lifecycle.Standard || c.Title != "Restart srv-1" || c.ImplementationPlan != "Restart **srv-1**." || c.Environment != "prod" {
		t.Fatalf("%+v", c)
	}
	c = w.move(w.mara, c, lifecycle.Submit)
	if c.State != lifecycle.Approved || c.Preauthorisation == nil || c.Preauthorisation.ApprovedBy != "Ben Okafor" {
		t.Fatalf("%s %+v", c.State, c.Preauthorisation)
	}
	if n := w.count(`SELECT count(*) FROM tasks WHERE parent_id = $1`, c.ID); n != 1 {
		t.Errorf("%d tasks came along", n)
	}
	c = w.move(w.mara, c, lifecycle.Schedule)
	// Another plan is no longer what was authorised: somebody must agree now.
	c, err := w.Update(w.ctx(), w.mara, c.Key, Edit{ImplementationPlan: ptr("Pull the plug.")})
	if err != nil || c.State != lifecycle.Review || c.Preauthorisation != nil || c.Revision != 2 {
		t.Errorf("%v %s %+v", err, c.State, c.Preauthorisation)
	}
}

func TestWhatLeavesTheTemplateIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpl := w.template()
	c := w.restart1(tpl, func(e *Edit) {
		e.Assets, e.End = &[]string{w.edge.ID.String(), w.shop.ID.String()}, ptr(e.Start.Add(2*60*60*1e9))
	})
	c, err := w.Update(w.ctx(), w.mara, c.Key, Edit{BackoutPlan: ptr("Hope."), Title: ptr("Restart all"), Risk: ptr("medium"), Environment: ptr("dev")})
	w.must(err)
	_, err = w.try(w.mara, c, lifecycle.Submit)
	refused(t, err, fault.Invalid, lifecycle.CodeTemplateDrift)
	var fields []string
	for _, d := range fault.Find(err).Details {
		fields = append(fields, d.Field)
	}
	if diff := cmp.Diff([]string{"title", "environment", "backout_plan", "assets", "assets", "risk", "planned_end"}, fields); diff != "" {
		t.Error(diff)
	}
}

func TestParametersAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpl := w.template()
	for value, code := range map[string]string{"": "required", "srv 1; rm": "no_match"} {
		_, err := w.Create(w.ctx(), w.mara, w.newEdit(func(e *Edit) { e.Template, e.TemplateValues = ptr(tpl.ID.String()), &map[string]string{"server": value} }))
		refused(t, err, fault.Invalid, code)
	}
	_, err := w.Create(w.ctx(), w.mara, w.newEdit(func(e *Edit) {
		e.Template, e.TemplateValues = ptr(tpl.ID.String()), &map[string]string{"server": "a", "other": "b"}
	}))
	refused(t, err, fault.Invalid, "unknown_parameter")
}

func TestEachFieldOfATemplateIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for field, change := range map[string]func(*NewTemplate){
		"name":                func(n *NewTemplate) { n.Name = " " },
		"title_pattern":       func(n *NewTemplate) { n.Body.TitlePattern = "Restart {{host}}" },
		"category":            func(n *NewTemplate) { n.Body.Category = "fun" },
		"environment":         func(n *NewTemplate) { n.Body.Environment = "moon" },
		"implementation_plan": func(n *NewTemplate) { n.Body.ImplementationPlan = "" },
		"backout_plan":        func(n *NewTemplate) { n.Body.BackoutPlan = "" },
		"risk_ceiling":        func(n *NewTemplate) { n.Body.RiskCeiling = lifecycle.High },
		"max_assets":          func(n *NewTemplate) { n.Body.MaxAssets = 501 },
		"max_minutes":         func(n *NewTemplate) { n.Body.MaxMinutes = -1 },
		"valid_days":          func(n *NewTemplate) { n.Body.ValidDays = 731 },
		"asset_types":         func(n *NewTemplate) { n.Body.AssetTypes = []string{"toaster"} },
		"parameters[0].name":  func(n *NewTemplate) { n.Body.Parameters = []Parameter{{Name: "A b"}} },
		"steps[0].title":      func(n *NewTemplate) { n.Body.Steps = []NewStep{{}} },
	} {
		n := NewTemplate{Name: "Restart", Body: TemplateBody{TitlePattern: "Restart", ImplementationPlan: "x", BackoutPlan: "y"}}
		change(&n)
		_, err := w.ProposeTemplate(w.ctx(), w.aiko, n)
		e := fault.Find(err)
		if e == nil || e.Kind != fault.Invalid || len(e.Details) != 1 || e.Details[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := w.ProposeTemplate(w.ctx(), w.mara, NewTemplate{})
	refused(t, err, fault.Denied, "forbidden")
}

func TestAProposerDoesNotApproveTheTemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpl, err := w.ProposeTemplate(w.ctx(), w.aiko, NewTemplate{Name: "Restart", Body: TemplateBody{TitlePattern: "Restart", ImplementationPlan: "x", BackoutPlan: "y"}})
	w.must(err)
	refused(t, w.decideSubject(w.aiko, SubjectTemplate, tpl.ID, 1, approvals.Approve), fault.Denied, "sod_violation")
	_, err = w.Create(w.ctx(), w.mara, w.newEdit(func(e *Edit) { e.Template = ptr(tpl.ID.String()) }))
	refused(t, err, fault.Invalid, lifecycle.CodeTemplateInactive)
	w.must(w.decideSubject(w.ben, SubjectTemplate, tpl.ID, 1, approvals.Reject))
	tpl, _, proposed, err := w.TemplateVersions(w.ctx(), w.aiko, tpl.ID)
	if err != nil || tpl.State != TemplateProposed || tpl.VersionProposed != nil || tpl.StateReason == "" || proposed == nil {
		t.Errorf("%v %+v", err, tpl)
	}
}

func TestAnotherVersionLeavesWhatWasMadeAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpl := w.template()
	c := w.restart1(tpl)
	next, err := w.ChangeTemplate(w.ctx(), w.aiko, tpl.ID, NewTemplate{Name: tpl.Name, Body: TemplateBody{TitlePattern: "Reboot", ImplementationPlan: "Reboot.", BackoutPlan: "None."}})
	w.must(err)
	if next.State != TemplateActive || *next.VersionInUse != 1 || *next.VersionProposed != 2 {
		t.Fatalf("%+v", next)
	}
	w.must(w.decideSubject(w.ben, SubjectTemplate, tpl.ID, 2, approvals.Approve))
	if c = w.move(w.mara, c, lifecycle.Submit); c.State != lifecycle.Approved || *c.TemplateVersion != 1 || c.Title != "Restart srv-1" {
		t.Errorf("%s version %d %q", c.State, *c.TemplateVersion, c.Title)
	}
}

func TestATemplateThatGoesWrongTwiceIsSuspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tpl := w.template(func(b *TemplateBody) { b.Tasks = nil })
	draft := w.restart1(tpl)
	for i := range 2 {
		c := w.move(w.mara, w.restart1(tpl), lifecycle.Submit)
		c = w.move(w.mara, c, lifecycle.Schedule)
		w.clk.Advance(2 * day)
		c = w.move(w.tomas, c, lifecycle.Start)
		w.move(w.tomas, c, lifecycle.Fail)
		now, _, _, err := w.TemplateVersions(w.ctx(), w.aiko, tpl.ID)
		w.must(err)
		if want := map[int]TemplateState{0: TemplateActive, 1: TemplateSuspended}[i]; now.State != want {
			t.Fatalf("after %d failures: %s", i+1, now.State)
		}
	}
	draft = w.read(draft)
	if draft.Type != lifecycle.Normal || !strings.Contains(draft.TemplateNote, "suspended") {
		t.Errorf("the draft is %s: %q", draft.Type, draft.TemplateNote)
	}
	if !slices.Contains(w.out.told(w.mara.UserID), draft.Key+" must be approved after all") {
		t.Errorf("told %v", w.out.told(w.mara.UserID))
	}
	if !slices.Contains(w.out.told(w.aiko.UserID), "Template "+tpl.Name+" is suspended") {
		t.Errorf("told %v", w.out.told(w.aiko.UserID))
	}
	again, err := w.ReinstateTemplate(w.ctx(), w.aiko, tpl.ID)
	w.must(err)
	w.must(w.decideSubject(w.ben, SubjectTemplate, tpl.ID, int64(*again.VersionProposed), approvals.Approve))
	now, _, _, err := w.TemplateVersions(w.ctx(), w.aiko, tpl.ID)
	if err != nil || now.State != TemplateActive {
		t.Errorf("%v %s", err, now.State)
	}
	_, err = w.RetireTemplate(w.ctx(), w.aiko, tpl.ID, "Nobody needs it.")
	w.must(err)
	_, err = w.SuspendTemplate(w.ctx(), w.aiko, tpl.ID, "x")
	refused(t, err, fault.Conflict, "template_retired")
}
