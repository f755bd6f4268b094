package approvals

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

// policyFormView draws the form. Messages of the rules name fields as the API does; the
// inputs have shorter names.
func policyFormView(f policyForm, groups []nameRow, action, back string, err error) views.PolicyForm {
	messages := form.Messages(err)
	field := func(key string, in ui.Field) ui.Field {
		in.Error = messages[key]
		return in
	}
	labels := map[string]string{
		"name": "Name", "priority": "Priority", "validity_days": "Days that an approval counts", "categories": "Categories",
		"environments": "Environments", "asset_tags": "Asset tags", "asset_types": "Asset types",
	}
	v := views.PolicyForm{
		Back: back,
		Form: ui.Form{Action: action, Guard: true, Hidden: []ui.Hidden{
			{Name: "version", Value: strconv.FormatInt(f.Version, 10)},
			{Name: "count", Value: strconv.Itoa(len(f.stages))},
			{Name: "subject_types", Value: f.SubjectTypes},
		}},
		Name: field("name", ui.Field{
			Name: "name", Label: "Name", Value: f.Name, Required: true, MaxLength: maxName, Autocomplete: "off",
			Hint: "It stands beside what it asks, such as “Service owner”.",
		}),
		Priority: field("priority", ui.Field{
			Name: "priority", Label: "Priority", Value: f.Priority, Type: "number", Min: "0", Max: "1000", Short: true, Required: true, Hint: "Higher comes first in lists.",
		}),
		Validity: field("validity_days", ui.Field{
			Name: "validity_days", Label: "Days that an approval counts", Value: f.Validity, Type: "number", Min: "1", Max: "365", Short: true, Hint: "Left empty, 14.",
		}),
		Active: ui.Choice{Name: "active", Label: "The policy is active", Checked: f.Active},
		Kinds: boxes("kinds", f.Kinds, []string{string(Normal), string(Template), string(Retro)}, func(k string) string {
			return kindText(Kind(k))
		}),
		Types: boxes("change_types", f.Types, ChangeTypes(), title), Risks: boxes("risks", f.Risks, Levels(), title),
		Priorities: boxes("priorities", f.Priorities, Levels(), title),
		Categories: field("match.categories", ui.Field{
			Name: "categories", Label: "Categories", Value: f.Categories, Placeholder: "deployment, security", Autocomplete: "off", Hint: "Divided by commas; none means all.",
		}),
		Environments: field("match.environments", ui.Field{Name: "environments", Label: "Environments", Value: f.Environments, Placeholder: "production", Autocomplete: "off"}),
		Tags: field("match.asset_tags", ui.Field{
			Name: "asset_tags", Label: "Asset tags", Value: f.Tags, Placeholder: "pci, customer", Autocomplete: "off", Hint: "One of them is enough.",
		}),
		AssetTypes: field("match.asset_types", ui.Field{Name: "asset_types", Label: "Asset types", Value: f.AssetTypes, Placeholder: "database", Autocomplete: "off"}),
		Downtime: ui.Field{Name: "downtime", Label: "Downtime that people notice", Required: true, Options: []ui.Option{
			{Text: "Either way"}, {Value: "yes", Text: "Only with a downtime", Selected: f.Downtime == "yes"}, {Value: "no", Text: "Only without", Selected: f.Downtime == "no"},
		}},
		CanAdd: len(f.stages) < maxFormStages,
	}
	for key, name := range map[string]string{
		"match.categories": "categories", "match.environments": "environments", "match.asset_tags": "asset_tags", "match.asset_types": "asset_types",
	} {
		labels[key] = labels[name]
	}
	for i, st := range f.stages {
		v.Stages = append(v.Stages, stageFormView(i, len(f.stages), st, groups, messages, labels))
	}
	v.Form.Errors = policyErrors(err, labels)
	return v
}

// policyErrors lists the problems with links to their inputs.
func policyErrors(err error, labels map[string]string) []ui.FormError {
	out := web.FormErrors(err, labels)
	for i := range out {
		if id, ok := inputOf(out[i].Field); ok {
			out[i].Field = id
		}
	}
	return out
}

// inputOf returns the id of the input of a field that the rules name.
func inputOf(field string) (string, bool) {
	var n int
	var rest string
	if _, err := fmt.Sscanf(field, "stages.%d.%s", &n, &rest); err == nil {
		if rest == "sources" {
			rest = "role"
		}
		return prefix(n) + rest, true
	}
	if len(field) > 6 && field[:6] == "match." {
		return field[6:], true
	}
	return field, field != ""
}

func boxes(name string, chosen, values []string, label func(string) string) []ui.Choice {
	out := make([]ui.Choice, len(values))
	for i, v := range values {
		out[i] = ui.Choice{ID: name + "-" + v, Name: name, Value: v, Label: label(v), Checked: slices.Contains(chosen, v)}
	}
	return out
}

func stageFormView(i, n int, st stageForm, groups []nameRow, messages, known map[string]string) views.StageForm {
	p, at := prefix(i), fmt.Sprintf("stages.%d.", i)
	head := fmt.Sprintf("Stage %d", i+1)
	field := func(name string, in ui.Field) ui.Field {
		in.Name, in.Error = p+name, messages[at+name]
		known[at+name] = head + ", " + lower(in.Label)
		return in
	}
	known[at+"sources"] = head + ", who decides"
	roles := func(chosen, none string) []ui.Option {
		out := []ui.Option{{Text: none}}
		for _, r := range deciders() {
			out = append(out, ui.Option{Value: r, Text: access.Role(r).Label() + " or higher", Selected: r == chosen, Group: "Roles"})
		}
		return out
	}
	v := views.StageForm{
		ID: "stage-" + strconv.Itoa(i), Title: head, Problem: messages[at+"sources"],
		Name:  field("name", ui.Field{Label: "Name", Value: st.Name, Required: true, MaxLength: maxName, Autocomplete: "off"}),
		Order: field("order", ui.Field{Label: "Order", Value: st.Order, Type: "number", Min: "1", Max: "100", Short: true, Required: true, Hint: "Stages with one order run together."}),
		Mode: field("mode", ui.Field{Label: "Needs", Required: true, Options: []ui.Option{
			{Value: "any", Text: "One of them", Selected: st.Mode == "any"},
			{Value: "all", Text: "All of them", Selected: st.Mode == "all"},
			{Value: "n_of_m", Text: "A number of them", Selected: st.Mode == "n_of_m"},
			{Value: "percent", Text: "A share of them", Selected: st.Mode == "percent"},
			{Value: "cab", Text: "A board's decision", Selected: st.Mode == "cab"},
		}}),
		Need:     field("need", ui.Field{Label: "Number", Value: st.Need, Type: "number", Min: "1", Max: "50", Short: true, Unmarked: true, Hint: "For “A number of them”."}),
		Percent:  field("percent", ui.Field{Label: "Percent", Value: st.Percent, Type: "number", Min: "1", Max: "100", Short: true, Unmarked: true, Hint: "For “A share of them”; rounded up."}),
		Role:     field("role", ui.Field{Label: "Role", Required: true, Options: roles(st.Role, "No role")}),
		Critical: field("criticality", ui.Field{Label: "Owners in the blast radius", Required: true, Options: append([]ui.Option{{Text: "Not asked"}}, fromLevels(st.Critical)...)}),
		Owners: boxes(p+"owners", st.Owners, []string{string(seats.AssetOwner), string(seats.ServiceOwner), string(seats.Manager)}, func(k string) string {
			return labels{}.source(Source{Kind: seats.SourceKind(k)})
		}),
		People: field("people", ui.Field{Label: "People", Value: st.People, Rows: 2, Placeholder: "mara@example.com", Hint: "One e-mail address of a member a line."}),
		Each: ui.Choice{
			Name: p + "each", Label: "Each person has a seat of their own", Hint: "Otherwise a role or group shares one seat: the first of them to decide fills it.", Checked: st.Each,
		},
		Dynamic: ui.Choice{Name: p + "dynamic", Label: "People who join later get a seat too", Checked: st.Dynamic},
		OnReject: field("on_reject", ui.Field{Label: "A rejection", Required: true, Options: []ui.Option{
			{Text: "As usual for its mode"},
			{Value: "fail_fast", Text: "Ends the request at once", Selected: st.OnReject == "fail_fast"},
			{Value: "until_impossible", Text: "Counts until no approval is possible", Selected: st.OnReject == "until_impossible"},
		}}),
		Reuse: field("reuse", ui.Field{Label: "People of earlier stages", Required: true, Options: []ui.Option{
			{Text: "As usual for its mode"}, {Value: "yes", Text: "May decide again", Selected: st.Reuse == "yes"}, {Value: "no", Text: "May not decide again", Selected: st.Reuse == "no"},
		}}),
		Deadline: field("deadline_days", ui.Field{Label: "Business days", Value: st.Deadline, Type: "number", Min: "1", Max: "30", Short: true, Hint: "Left empty, 3; for a board 10."}),
		Reauth:   ui.Choice{Name: p + "reauth", Label: "Asks for a sign-in of the last five minutes", Checked: st.Reauth},
	}
	escalation := roles(st.Escalation, "Nobody")
	for _, k := range []seats.SourceKind{seats.AssetOwner, seats.ServiceOwner, seats.Manager} {
		escalation = append(escalation, ui.Option{Value: string(k), Text: labels{}.source(Source{Kind: k}), Selected: st.Escalation == string(k), Group: "Owners"})
	}
	for _, g := range groups {
		id := g.ID.String()
		v.Groups = append(v.Groups, ui.Choice{ID: p + "group-" + id, Name: p + "groups", Value: id, Label: g.Name, Checked: slices.Contains(st.Groups, id)})
		escalation = append(escalation, ui.Option{Value: id, Text: g.Name, Selected: st.Escalation == id, Group: "Groups"})
	}
	v.Escalation = field("escalation", ui.Field{Label: "When nobody answers, ask", Required: true, Options: escalation})
	if n > 1 {
		v.Remove = "remove-" + strconv.Itoa(i)
	}
	return v
}

func fromLevels(chosen string) []ui.Option {
	var out []ui.Option
	for _, l := range Levels() {
		out = append(out, ui.Option{Value: l, Text: "Criticality " + l + " and above", Selected: l == chosen})
	}
	return out
}

func (s *Service) showNewPolicy(r *web.Request) error {
	groups, err := s.groups(r)
	if err != nil {
		return err
	}
	p := NewPolicy()
	return r.Page(newPolicyPage(r), views.PolicyFormPage(newPolicyView(r, policyFormOf(p, nil), groups, nil)))
}

func (s *Service) groups(r *web.Request) ([]nameRow, error) {
	var groups *db.Result[nameRow]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { groups = allGroups.Queue(b, nil) }); err != nil {
		return nil, err
	}
	return groups.Rows, nil
}

func newPolicyPage(r *web.Request) web.Page {
	return web.Page{Title: "New approval policy", Crumbs: policyCrumbs(r, web.Crumb{Text: "New"})}
}

func newPolicyView(r *web.Request, f policyForm, groups []nameRow, err error) views.PolicyForm {
	v := policyFormView(f, groups, r.Path(policiesPath+"/new"), r.Path(policiesPath), err)
	v.Head = ui.PageHead{Title: "New approval policy", Lede: "Say what it covers, and who must agree. It adds to what other policies ask."}
	v.Submit = "Create policy"
	return v
}

func (s *Service) createPolicyPage(r *web.Request) error {
	f, again, err := s.sentPolicy(r)
	var p Policy
	if err == nil && !again {
		var edit func(*Policy)
		if edit, err = s.editPolicy(r.Context(), r.Actor, f); err == nil {
			p = NewPolicy()
			edit(&p)
			p, err = s.CreatePolicy(r.Context(), r.Actor, p)
		}
	}
	if err == nil && !again {
		r.Flash("Policy created")
		return r.SeeOther(r.Path(policiesPath + "/" + p.ID.String()))
	}
	groups, groupsErr := s.groups(r)
	if groupsErr != nil {
		return groupsErr
	}
	body := views.PolicyFormPage(newPolicyView(r, f, groups, err))
	if err == nil {
		return r.Page(newPolicyPage(r), body)
	}
	return r.InvalidPage(err, newPolicyPage(r), body)
}

// sentPolicy reads the form; again says that it was sent to show more or fewer stages.
func (s *Service) sentPolicy(r *web.Request) (f policyForm, again bool, err error) {
	if err = r.ParseBody(); err != nil {
		return f, false, err
	}
	if f, err = readPolicyForm(r.PostForm); err != nil {
		return f, false, err
	}
	return f, f.act(), nil
}

func editPolicyView(r *web.Request, p Policy, f policyForm, groups []nameRow, err error) views.PolicyForm {
	path := r.Path(policiesPath + "/" + p.ID.String())
	v := policyFormView(f, groups, path+"/edit", path, err)
	v.Head = ui.PageHead{Title: "Edit " + p.Name, Lede: "Saving makes a new version. Open requests keep theirs until their subject changes."}
	v.Submit = "Save policy"
	if !plainForm(p) {
		v.Notice = &ui.Notice{
			Tone: ui.Warn, Title: "This policy was made through the API and says more than this form can show.", Text: "Saving here keeps only what the form shows. Change it through the API instead.",
		}
	}
	return v
}

func policyPage(r *web.Request, p Policy, step string) web.Page {
	return web.Page{Title: step + " " + p.Name, Crumbs: policyCrumbs(r, web.Crumb{Text: p.Name, Href: r.Path(policiesPath + "/" + p.ID.String())}, web.Crumb{Text: step})}
}

// readPolicy reads a policy with the addresses of the people it names, and the groups.
func (s *Service) readPolicy(r *web.Request, id uuid.UUID) (Policy, map[uuid.UUID]string, []nameRow, error) {
	var p Policy
	var groups []nameRow
	emails := map[uuid.UUID]string{}
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if p, err = loadPolicy.One(r.Context(), tx, db.Args{"id": id}); err != nil {
			return err
		}
		ids := []uuid.UUID{}
		for _, st := range p.Stages {
			for _, src := range st.Sources {
				if src.Kind == seats.User {
					ids = append(ids, src.ID)
				}
			}
		}
		rows, err := peopleByID.All(r.Context(), tx, db.Args{"ids": ids})
		if err != nil {
			return err
		}
		for _, x := range rows {
			emails[x.UserID] = x.Email
		}
		groups, err = allGroups.All(r.Context(), tx, nil)
		return err
	})
	return p, emails, groups, err
}

func (s *Service) showEditPolicy(r *web.Request) error {
	id, err := r.UUID("id", "approval policy")
	if err != nil {
		return err
	}
	p, emails, groups, err := s.readPolicy(r, id)
	if err != nil {
		return err
	}
	return r.Page(policyPage(r, p, "Edit"), views.PolicyFormPage(editPolicyView(r, p, policyFormOf(p, emails), groups, nil)))
}

func (s *Service) savePolicyPage(r *web.Request) error {
	id, err := r.UUID("id", "approval policy")
	if err != nil {
		return err
	}
	f, again, err := s.sentPolicy(r)
	if err == nil && !again {
		var edit func(*Policy)
		if edit, err = s.editPolicy(r.Context(), r.Actor, f); err == nil {
			_, err = s.ChangePolicy(r.Context(), r.Actor, id, PolicyChange{Edit: edit, Version: &f.Version})
		}
	}
	if err == nil && !again {
		r.Flash("Policy saved")
		return r.SeeOther(r.Path(policiesPath + "/" + id.String()))
	}
	p, _, groups, readErr := s.readPolicy(r, id)
	if readErr != nil {
		return readErr
	}
	body := views.PolicyFormPage(editPolicyView(r, p, f, groups, err))
	if err == nil {
		return r.Page(policyPage(r, p, "Edit"), body)
	}
	if fault.Is(err, fault.Conflict) {
		f.Version = p.Version
		v := editPolicyView(r, p, f, groups, nil)
		v.Notice = &ui.Notice{Tone: ui.Crit, Title: "Somebody saved this policy meanwhile.", Text: "Your values are below. Save again to replace theirs, or cancel to see them.", Alert: true}
		body = views.PolicyFormPage(v)
	}
	return r.InvalidPage(err, policyPage(r, p, "Edit"), body)
}
