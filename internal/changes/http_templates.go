package changes

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/internal/tasks"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

func templateCrumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	at := web.Crumb{Text: "Templates"}
	if len(more) > 0 {
		at.Href = r.Path("/changes/templates")
	}
	return crumbs(r, append([]web.Crumb{at}, more...)...)
}

func (s *Service) showTemplates(r *web.Request) error {
	var rows *db.Result[Template]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { rows = allTemplates.Queue(b, nil) }); err != nil {
		return err
	}
	v := views.TemplateList{
		Lede: "What is done often and is known to be safe is approved once, here, and then needs no approval each time.", MayAdd: r.Can(CanManage), AddHref: r.Path("/changes/templates/new"),
	}
	for _, t := range rows.Rows {
		row := views.TemplateRow{Link: ui.RowLink{Text: t.Name, Href: r.Path(t.Path()), Sub: t.StateReason}, State: templateBadge(t.State), Version: versionText(t)}
		if t.State == TemplateActive {
			when := moment(t.ExpiresAt, r.Zone())
			row.Expires = &when
			if !r.Now().Before(t.ExpiresAt) {
				row.State = ui.Badge{Text: "Expired", Tone: ui.Warn, Icon: "clock"}
			} else if r.Can(CanCreate) {
				row.UseHref = query(r.Path("/changes/new"), "template", t.ID.String())
			}
		}
		v.Rows = append(v.Rows, row)
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{Icon: "copy", Title: "There is no template yet", Text: "Take a change that went well several times and propose it as a template: its plans, its steps, and which assets it may touch."}
		if v.MayAdd {
			v.Empty.Actions = []ui.LinkButton{{Text: "Propose a template", Href: v.AddHref, Icon: "plus", Kind: ui.Primary}}
		}
	}
	return r.Page(web.Page{Title: "Change templates", Crumbs: templateCrumbs(r)}, views.TemplatesPage(v))
}

func versionText(t Template) string {
	var parts []string
	if t.VersionInUse != nil {
		parts = append(parts, fmt.Sprintf("%d in use", *t.VersionInUse))
	}
	if t.VersionProposed != nil && (t.VersionInUse == nil || *t.VersionProposed != *t.VersionInUse) {
		parts = append(parts, fmt.Sprintf("%d proposed", *t.VersionProposed))
	}
	return strings.Join(parts, ", ")
}

func (s *Service) showTemplate(r *web.Request) error {
	id, err := r.UUID("id", "template")
	if err != nil {
		return err
	}
	t, inUse, proposed, err := s.TemplateVersions(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	shown := inUse
	if shown == nil {
		shown = proposed
	}
	q, err := Filter{Template: id.String()}.query(r.Actor.UserID, r.Zone())
	if err != nil {
		return err
	}
	var uses *db.PageResult[Item]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { uses = q.Sort("-created").Limit(8).Queue(b) }); err != nil {
		return err
	}
	badge := templateBadge(t.State)
	path := r.Path(t.Path())
	v := views.TemplatePage{
		Head: ui.PageHead{Title: t.Name, Badge: &badge, Lede: templateLede(t, *shown)}, MayUse: t.State == TemplateActive && r.Now().Before(t.ExpiresAt) && r.Can(CanCreate),
		UseHref: query(r.Path("/changes/new"), "template", id.String()), MayEdit: r.Can(CanManage) && t.State != TemplateRetired,
		Menu: ui.Menu{ID: "template-menu", Label: "Change"}, Facts: templateFacts(r, t, *shown),
	}
	if t.State != TemplateRetired {
		v.Menu.Items = append(v.Menu.Items, ui.MenuItem{Text: "Propose another version", Href: path + "/edit", Icon: "pencil"})
	}
	if t.State == TemplateActive {
		v.Menu.Items = append(v.Menu.Items, ui.MenuItem{Text: "Suspend", Href: path + "/suspend", Icon: "circle-pause"})
	}
	if t.State == TemplateSuspended && t.VersionProposed == nil {
		v.Menu.Items = append(v.Menu.Items, ui.MenuItem{Text: "Ask to reinstate it", Href: path + "/reinstate", Icon: "rotate-ccw", Post: true})
	}
	if t.State != TemplateRetired {
		v.Menu.Items = append(v.Menu.Items, ui.MenuItem{Text: "Retire", Href: path + "/retire", Icon: "archive", Danger: true})
	}
	v.Notices = templateNotices(r, t)
	for _, p := range []struct{ title, text string }{
		{"Title", shown.Body.TitlePattern},
		{"Why and what", shown.Body.Description},
		{"Implementation", shown.Body.ImplementationPlan},
		{"Going back", shown.Body.BackoutPlan},
		{"How we know it works", shown.Body.TestPlan},
	} {
		if p.text != "" {
			v.What = append(v.What, views.Prose{Title: p.title, HTML: help.Text(p.text)})
		}
	}
	shown.values = map[string]string{}
	for _, st := range shown.steps() {
		v.Steps = append(v.Steps, views.StepRow{Number: fmt.Sprintf("%d.", st.Position), Title: st.Title, Meta: stepMeta(st), HTML: help.Text(st.Description), Check: st.Verification, Back: st.RollbackNote})
	}
	for _, p := range shown.Body.Parameters {
		text := p.Label + ", " + p.Kind
		if len(p.Options) > 0 {
			text += ": " + strings.Join(p.Options, ", ")
		}
		v.Params = append(v.Params, ui.Fact{Label: p.Name, Text: text})
	}
	for _, task := range shown.Body.Tasks {
		text := task.Title
		if g := gateWords(task.Gate); g != "" {
			text += " (holds back " + lowerFirst(g) + ")"
		}
		v.Tasks = append(v.Tasks, ui.Check{Text: text, State: "comes with each change"})
	}
	for _, c := range uses.Page.Items {
		b := stateBadge(c.State)
		v.Uses = append(v.Uses, ui.Row{Icon: "git-pull-request-arrow", Key: c.Key, Title: c.Title, Href: r.Path(c.Path()), Badge: &b})
	}
	if len(v.Uses) > 0 {
		v.UsesLink = &ui.Link{Text: "All uses", Href: query(r.Path("/changes"), "template", id.String())}
	}
	return r.Page(web.Page{Title: t.Name, Crumbs: templateCrumbs(r, web.Crumb{Text: t.Name})}, views.TemplateView(v))
}

func templateLede(t Template, u usable) string {
	text := fmt.Sprintf("Version %d", u.BodyVersion)
	if u.ApprovedBy != "" {
		text += ", approved by " + u.ApprovedBy
	}
	if t.State == TemplateActive {
		text += ", valid until " + t.ExpiresAt.Format("2 January 2006")
	}
	return text + "."
}

func templateNotices(r *web.Request, t Template) []ui.Notice {
	var out []ui.Notice
	if t.VersionProposed != nil {
		out = append(out, ui.Notice{Tone: ui.Info, Icon: "clock", Title: fmt.Sprintf("Version %d waits for approval.", *t.VersionProposed), Text: "Whoever proposed it cannot approve it.", Action: &ui.Link{Text: "Approvals", Href: r.Path("/approvals")}})
	}
	if t.StateReason != "" {
		out = append(out, ui.Notice{Tone: ui.Warn, Title: templateLabel(t.State) + ".", Text: t.StateReason})
	}
	return out
}

func templateFacts(r *web.Request, t Template, u usable) []ui.Fact {
	b := u.Body
	risk := riskBadge(b.RiskCeiling)
	out := []ui.Fact{
		{Label: "Highest risk", Badge: &risk},
		{Label: "Category", Text: upperFirst(b.Category)},
		{Label: "Environment", Text: environmentOrAny(b.Environment)},
		{Label: "Assets", Text: "at most " + count(b.MaxAssets, "asset"), Sub: "type: " + anyOf(b.AssetTypes) + "; tag: " + anyOf(b.AssetTags)},
	}
	if b.MaxMinutes > 0 {
		out = append(out, ui.Fact{Label: "Window", Text: "at most " + count(b.MaxMinutes, "minute")})
	}
	if b.EvidenceRequired {
		out = append(out, ui.Fact{Label: "Evidence", Text: "asked for each time"})
	}
	expires := moment(t.ExpiresAt, r.Zone())
	return append(out, ui.Fact{Label: "Valid until", Time: &expires})
}

func environmentOrAny(e string) string {
	if e == "" {
		return "Each change says"
	}
	return environmentLabel(e)
}

// templateForm is what the form of a template sends.
type templateForm struct {
	Name           string `form:"name"`
	Pattern        string `form:"title_pattern"`
	Description    string `form:"description"`
	Category       string `form:"category"`
	Environment    string `form:"environment"`
	Implementation string `form:"implementation_plan"`
	Backout        string `form:"backout_plan"`
	Testing        string `form:"test_plan"`
	Risk           string `form:"risk_ceiling"`
	Types          string `form:"asset_types"`
	Tags           string `form:"asset_tags"`
	MaxAssets      string `form:"max_assets"`
	MaxMinutes     string `form:"max_minutes"`
	ValidDays      string `form:"valid_days"`
	Parameters     string `form:"parameters"`
	Steps          string `form:"steps"`
	Tasks          string `form:"tasks"`
	Downtime       bool   `form:"downtime"`
	Evidence       bool   `form:"evidence_required"`
	Version        int64  `form:"version"`
}

func (f templateForm) template() (NewTemplate, error) {
	var check form.Check
	number := func(field, text string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			check.Add(field, "not_a_number", "Use a whole number.")
		}
		return n
	}
	n := NewTemplate{Name: f.Name, Body: TemplateBody{
		TitlePattern: f.Pattern, Description: f.Description, Category: f.Category, Environment: f.Environment, ImplementationPlan: f.Implementation,
		BackoutPlan: f.Backout, TestPlan: f.Testing, Downtime: f.Downtime, EvidenceRequired: f.Evidence, RiskCeiling: Level(f.Risk), AssetTypes: splitList(f.Types),
		AssetTags: SplitTags(f.Tags), MaxAssets: number("max_assets", f.MaxAssets), MaxMinutes: number("max_minutes", f.MaxMinutes), ValidDays: number("valid_days", f.ValidDays),
	}}
	n.Body.Parameters = parameterLines(f.Parameters, &check)
	n.Body.Steps = stepLines(f.Steps, &check)
	n.Body.Tasks = taskLines(f.Tasks, &check)
	return n, check.Err()
}

// parameterLines reads one parameter a line: name, kind, label, and the options of a choice,
// separated by vertical bars.
func parameterLines(text string, check *form.Check) []Parameter {
	var out []Parameter
	for i, line := range lines(text) {
		parts := bars(line)
		p := Parameter{Name: parts[0], Kind: "text", Required: true}
		if len(parts) > 1 && parts[1] != "" {
			p.Kind = parts[1]
		}
		if len(parts) > 2 {
			p.Label = parts[2]
		}
		if len(parts) > 3 {
			if p.Kind == "choice" {
				p.Options = SplitTags(parts[3])
				for j := range p.Options {
					p.Options[j] = strings.TrimSpace(p.Options[j])
				}
			} else {
				p.Pattern = parts[3]
			}
		}
		if len(parts) > 4 {
			check.Add("parameters", "malformed", fmt.Sprintf("Line %d has more than four parts.", i+1))
		}
		out = append(out, p)
	}
	return out
}

// stepLines reads one step a line: title, minutes, how to check it, going back.
func stepLines(text string, check *form.Check) []NewStep {
	var out []NewStep
	for i, line := range lines(text) {
		parts := bars(line)
		n := NewStep{Title: parts[0]}
		if len(parts) > 1 && parts[1] != "" {
			minutes, err := strconv.Atoi(parts[1])
			if err != nil {
				check.Add("steps", "not_a_number", fmt.Sprintf("Line %d: the minutes must be a whole number.", i+1))
			}
			n.Minutes = minutes
		}
		if len(parts) > 2 {
			n.Verification = parts[2]
		}
		if len(parts) > 3 {
			n.RollbackNote = parts[3]
		}
		out = append(out, n)
	}
	return out
}

// taskLines reads one task a line: title, and what it holds back.
func taskLines(text string, check *form.Check) []tasks.Draft {
	var out []tasks.Draft
	for i, line := range lines(text) {
		parts := bars(line)
		d := tasks.Draft{Ref: fmt.Sprintf("t%d", i+1), Title: parts[0]}
		if len(parts) > 1 {
			gate, ok := map[string]string{"": "", "start": tasks.BeforeStart, "complete": tasks.BeforeComplete, "review": tasks.BeforeClose}[strings.ToLower(parts[1])]
			if !ok {
				check.Add("tasks", "not_allowed", fmt.Sprintf("Line %d: a task holds back start, complete or review.", i+1))
			}
			d.Gate = gate
		}
		out = append(out, d)
	}
	return out
}

func lines(text string) []string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func bars(line string) []string {
	parts := strings.Split(line, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func formOfTemplate(t Template, u usable) templateForm {
	b := u.Body
	f := templateForm{
		Name: t.Name, Pattern: b.TitlePattern, Description: b.Description, Category: b.Category, Environment: b.Environment, Implementation: b.ImplementationPlan,
		Backout: b.BackoutPlan, Testing: b.TestPlan, Risk: string(b.RiskCeiling), Types: strings.Join(b.AssetTypes, ", "), Tags: strings.Join(b.AssetTags, ", "),
		MaxAssets: strconv.Itoa(b.MaxAssets), ValidDays: strconv.Itoa(b.ValidDays), Downtime: b.Downtime, Evidence: b.EvidenceRequired, Version: t.Version,
	}
	if b.MaxMinutes > 0 {
		f.MaxMinutes = strconv.Itoa(b.MaxMinutes)
	}
	var params, steps, list []string
	for _, p := range b.Parameters {
		line := p.Name + " | " + p.Kind + " | " + p.Label
		if len(p.Options) > 0 {
			line += " | " + strings.Join(p.Options, ", ")
		} else if p.Pattern != "" {
			line += " | " + p.Pattern
		}
		params = append(params, line)
	}
	for _, s := range b.Steps {
		steps = append(steps, strings.TrimRight(strings.Join([]string{s.Title, strconv.Itoa(s.Minutes), s.Verification, s.RollbackNote}, " | "), " |"))
	}
	for _, d := range b.Tasks {
		gate := map[string]string{tasks.BeforeStart: "start", tasks.BeforeComplete: "complete", tasks.BeforeClose: "review"}[d.Gate]
		list = append(list, strings.TrimRight(d.Title+" | "+gate, " |"))
	}
	f.Parameters, f.Steps, f.Tasks = strings.Join(params, "\n"), strings.Join(steps, "\n"), strings.Join(list, "\n")
	return f
}

func (s *Service) showNewTemplate(r *web.Request) error {
	f := templateForm{Category: "maintenance", Risk: "low", MaxAssets: "10", ValidDays: strconv.Itoa(defaultValidDays)}
	if from := r.URL.Query().Get("from"); from != "" {
		c, err := s.Change(r.Context(), r.Actor, from)
		if err != nil {
			return err
		}
		f.Pattern, f.Description, f.Category, f.Environment = c.Title, c.Description, c.Category, c.Environment
		f.Implementation, f.Backout, f.Testing, f.Downtime = c.ImplementationPlan, c.BackoutPlan, c.TestPlan, c.Downtime
	}
	return sendTemplateForm(r, f, nil, nil)
}

func sendTemplateForm(r *web.Request, f templateForm, t *Template, err error) error {
	m := form.Messages(err)
	area := func(name, label, value, hint string, rows int, required bool) ui.Field {
		return ui.Field{Name: name, Label: label, Value: value, Rows: rows, Hint: hint, Required: required, Error: m[name]}
	}
	v := views.TemplateForm{
		Title: "Propose a template", Lede: "Somebody else approves it; then changes that keep to it need no approval of their own.", Submit: "Propose", CancelHref: r.Path("/changes/templates"),
		Form: ui.Form{Action: r.Path("/changes/templates"), Guard: true, Errors: formErrors(err)},
		Name: ui.Field{Name: "name", Label: "Name", Value: f.Name, Required: true, MaxLength: 120, Error: m["name"], Placeholder: "Restart a web server"},
		Pattern: ui.Field{
			Name: "title_pattern", Label: "Title of its changes", Value: f.Pattern, Required: true, MaxLength: maxTitle, Error: m["title_pattern"],
			Placeholder: "Restart {{host}}", Hint: "A parameter is written as {{name}}; it works in the plans too.",
		},
		Category:    *optionsField("category", "Category", f.Category, categoryOptions(), m["category"]),
		Environment: *optionsField("environment", "Environment", f.Environment, append([]ui.Option{{Text: "Each change says"}}, environmentOptions()...), m["environment"]),
		Risk:        *optionsField("risk_ceiling", "Highest risk", f.Risk, levelOptions()[:2], m["risk_ceiling"]),
		Description: area("description", "Why and what", f.Description, "", 3, false), Implementation: area("implementation_plan", "Implementation plan", f.Implementation, "", 5, true),
		Backout: area("backout_plan", "Backout plan", f.Backout, "", 3, true), Testing: area("test_plan", "Test plan", f.Testing, "", 3, false),
		Types:      ui.Field{Name: "asset_types", Label: "Types of asset", Value: f.Types, Error: m["asset_types"], Hint: "Empty for any. Known: " + strings.Join(assets.Types(), ", ") + "."},
		TagsField:  ui.Field{Name: "asset_tags", Label: "Tags of assets", Value: f.Tags, Error: m["asset_tags"], Hint: "Empty for any; one of them is enough."},
		MaxAssets:  ui.Field{Name: "max_assets", Label: "Most assets", Type: "number", Min: "1", Max: "500", Value: f.MaxAssets, Error: m["max_assets"], Short: true},
		MaxMinutes: ui.Field{Name: "max_minutes", Label: "Longest window, minutes", Type: "number", Min: "0", Value: f.MaxMinutes, Error: m["max_minutes"], Short: true},
		ValidDays:  ui.Field{Name: "valid_days", Label: "Valid, days", Type: "number", Min: "1", Max: strconv.Itoa(maxValidDays), Value: f.ValidDays, Error: m["valid_days"], Short: true},
		Parameters: area("parameters", "Parameters", f.Parameters, "One a line: name | text, number or choice | label | options or pattern.", 3, false),
		StepsField: area("steps", "Order of work", f.Steps, "One step a line: title | minutes | how to check it | going back.", 4, false),
		TasksF:     area("tasks", "Tasks", f.Tasks, "One task a line: title | start, complete or review, if it holds that back.", 3, false),
		Boxes:      []ui.Choice{{Name: "downtime", Value: "true", Label: "Users will notice it", Checked: f.Downtime}, {Name: "evidence_required", Value: "true", Label: "Ask for evidence each time", Checked: f.Evidence}},
	}
	v.Parameters.Code, v.StepsField.Code, v.TasksF.Code = true, true, true
	page := web.Page{Title: v.Title, Crumbs: templateCrumbs(r, web.Crumb{Text: v.Title})}
	if t != nil {
		v.Title, v.Submit = "Another version of "+t.Name, "Propose this version"
		v.Lede = "The version in use stays until this one is approved. Changes that began from it keep it."
		v.Form.Action, v.CancelHref = r.Path(t.Path()), r.Path(t.Path())
		v.Form.Hidden = []ui.Hidden{{Name: "version", Value: fmt.Sprint(f.Version)}}
		page = web.Page{Title: v.Title, Crumbs: templateCrumbs(r, web.Crumb{Text: t.Name, Href: r.Path(t.Path())}, web.Crumb{Text: "Another version"})}
		if e := fault.Find(err); e != nil && e.Code == "version_conflict" {
			v.Notice = &ui.Notice{Tone: ui.Warn, Title: "Somebody changed this meanwhile.", Text: "Open the form again to see it.", Action: &ui.Link{Text: "Open again", Href: r.Path(t.Path()) + "/edit"}}
		}
	}
	if err != nil {
		return r.InvalidPage(err, page, views.TemplateFormPage(v))
	}
	return r.Page(page, views.TemplateFormPage(v))
}

func (s *Service) createTemplate(r *web.Request) error {
	var f templateForm
	err := r.Form(&f)
	if err == nil {
		var n NewTemplate
		if n, err = f.template(); err == nil {
			var t Template
			if t, err = s.ProposeTemplate(r.Context(), r.Actor, n); err == nil {
				r.Flash(t.Name + " is proposed.")
				return r.SeeOther(r.Path(t.Path()))
			}
		}
	}
	return sendTemplateForm(r, f, nil, err)
}

func (s *Service) showEditTemplate(r *web.Request) error {
	id, err := r.UUID("id", "template")
	if err != nil {
		return err
	}
	t, inUse, proposed, err := s.TemplateVersions(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if proposed != nil {
		inUse = proposed
	}
	return sendTemplateForm(r, formOfTemplate(t, *inUse), &t, nil)
}

func (s *Service) changeTemplate(r *web.Request) error {
	id, err := r.UUID("id", "template")
	if err != nil {
		return err
	}
	var f templateForm
	if err = r.Form(&f); err == nil {
		var n NewTemplate
		if n, err = f.template(); err == nil {
			n.Version = &f.Version
			var t Template
			if t, err = s.ChangeTemplate(r.Context(), r.Actor, id, n); err == nil {
				r.Flash("Another version of " + t.Name + " is proposed.")
				return r.SeeOther(r.Path(t.Path()))
			}
		}
	}
	t, readErr := s.templateOf(r, id)
	if readErr != nil {
		return readErr
	}
	return sendTemplateForm(r, f, &t, err)
}

func (s *Service) templateOf(r *web.Request, id uuid.UUID) (Template, error) {
	t, _, _, err := s.TemplateVersions(r.Context(), r.Actor, id)
	return t, err
}

func (s *Service) reinstateTemplate(r *web.Request) error {
	id, err := r.UUID("id", "template")
	if err != nil {
		return err
	}
	t, err := s.ReinstateTemplate(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	r.Flash("The approval of " + t.Name + " is asked for again.")
	return r.SeeOther(r.Path(t.Path()))
}

// showEndTemplate asks before a template is suspended or retired.
func (s *Service) showEndTemplate(r *web.Request) error { return s.endTemplateAsk(r, "", nil) }

func (s *Service) endTemplateAsk(r *web.Request, reason string, err error) error {
	id, idErr := r.UUID("id", "template")
	if idErr != nil {
		return idErr
	}
	end := r.Param("end")
	if end != "suspend" && end != "retire" {
		return fault.NewNotFound("page")
	}
	t, readErr := s.templateOf(r, id)
	if readErr != nil {
		return readErr
	}
	v := views.Ask{
		Title: upperFirst(end) + " " + t.Name, Lede: "Drafts that began from it go the normal way: they must be approved.", Submit: upperFirst(end), Danger: end == "retire", CancelHref: r.Path(t.Path()),
		Form:  ui.Form{Action: r.Path(t.Path()) + "/" + end, Errors: formErrors(err)},
		Areas: []ui.Field{{Name: "reason", Label: "Reason", Value: reason, Rows: 3, MaxLength: 1000, Required: true, Error: form.Messages(err)["reason"]}},
	}
	page := web.Page{Title: v.Title, Crumbs: templateCrumbs(r, web.Crumb{Text: t.Name, Href: r.Path(t.Path())}, web.Crumb{Text: upperFirst(end)})}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) endTemplatePage(r *web.Request) error {
	id, err := r.UUID("id", "template")
	if err != nil {
		return err
	}
	var f reasonForm
	if err := r.Form(&f); err != nil {
		return err
	}
	var t Template
	switch r.Param("end") {
	case "suspend":
		t, err = s.SuspendTemplate(r.Context(), r.Actor, id, f.Reason)
	case "retire":
		t, err = s.RetireTemplate(r.Context(), r.Actor, id, f.Reason)
	default:
		return fault.NewNotFound("page")
	}
	if err != nil {
		return s.endTemplateAsk(r, f.Reason, err)
	}
	r.Flash(t.Name + " is " + string(t.State) + ".")
	return r.SeeOther(r.Path(t.Path()))
}
