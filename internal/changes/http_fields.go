package changes

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// changeFields makes the fields of the form, with what is wrong beside them.
func changeFields(r *web.Request, f changeForm, ctx formContext, err error) views.ChangeForm {
	m := form.Messages(err)
	zone := r.Now().In(r.Zone()).Format("MST")
	t := ctx.template
	v := views.ChangeForm{
		Form: ui.Form{ID: "change-form", Guard: true, Errors: formErrors(err)}, Zone: zone, PreviewAction: r.Path("/changes/preview"),
		Start:        &ui.Field{Name: "planned_start", Label: "Starts", Type: "datetime-local", Value: f.Start, Error: m["planned_start"], Hint: "In " + r.Zone().String() + "."},
		End:          &ui.Field{Name: "planned_end", Label: "Ends", Type: "datetime-local", Value: f.End, Error: m["planned_end"], Hint: "In " + r.Zone().String() + "."},
		Description:  &ui.Field{Name: "description", Label: "Why and what", Value: f.Description, Rows: 4, MaxLength: maxText, Error: m["description"], Hint: "Markdown works."},
		Owner:        peopleField("owner", "Owner", []string{f.Owner}, ctx.people, m["owner"], false),
		Implementers: peopleField("implementers", "Who carries it out", f.Implementers, ctx.people, m["implementers"], true),
		Assets:       assetsField(f.Assets, ctx.assets, m["assets"]),
		Priority:     optionsField("priority", "Priority", f.Priority, levelOptions(), m["priority"]),
		Risk:         optionsField("risk", "Risk, as you see it", f.Risk, append([]ui.Option{{Text: "As computed"}}, levelOptions()...), m["risk"]),
		Vendor:       &ui.Field{Name: "vendor", Label: "Vendor", Value: f.Vendor, MaxLength: 120, Error: m["vendor"], Hint: "When somebody outside does the work."},
		Tags:         &ui.Field{Name: "tags", Label: "Tags", Value: f.Tags, Error: m["tags"], Placeholder: "release, payments", Hint: "Separated by commas."},
		Parent:       &ui.Field{Name: "parent", Label: "Part of", Value: f.Parent, Error: m["parent"], Placeholder: "CHG-00012", Hint: "A change that this one belongs to. They do not collide with each other.", Short: true},
		LeadReason:   &ui.Field{Name: "lead_reason", Label: "Why so soon", Value: f.LeadReason, Error: m["lead_reason"], MaxLength: 1000, Hint: "When it starts in less than 24 hours."},
		PlansOpen:    f.Key != "" || f.Implementation != "" || anyMessage(m, "implementation_plan", "backout_plan", "test_plan"),
		PeopleOpen:   true, MoreOpen: anyMessage(m, "priority", "risk", "reason", "vendor", "tags", "parent", "lead_reason", "links"),
	}
	v.Boxes = []ui.Choice{
		{Name: "downtime", Label: "Users will notice it", Checked: f.Downtime, Value: "true"},
		{Name: "evidence_required", Label: "Ask for evidence that it worked", Checked: f.Evidence, Value: "true"},
		{Name: "auto_schedule", Label: "Schedule as soon as it is approved", Checked: f.AutoSchedule, Value: "true", Hint: "If nothing stands in the way then."},
	}
	v.Form.Hidden = []ui.Hidden{{Name: "key", Value: f.Key}, {Name: "template", Value: f.Template}, {Name: "certificate", Value: f.Certificate}}
	if f.Key != "" {
		v.Form.Hidden = append(v.Form.Hidden, ui.Hidden{Name: "version", Value: strconv.FormatInt(f.Version, 10)})
		v.RiskReason = &ui.Field{Name: "reason", Label: "Why the risk is lower", Value: f.Reason, Error: m["reason"], MaxLength: 1000, Hint: "Only when you lower it."}
	} else {
		v.Links = &ui.Field{Name: "links", Label: "Addresses", Value: f.Links, Rows: 2, Error: m["target"], Placeholder: "https://git.example.com/shop/42", Hint: "One a line."}
	}
	if len(ctx.assets) >= offered {
		v.MoreAssets = &ui.Field{Name: "more_assets", Label: "Other assets", Value: f.MoreAssets, Error: m["more_assets"], Hint: "By name, separated by commas."}
	}
	if t != nil {
		fillTemplate(&v, f, t, m)
		return v
	}
	v.Name = &ui.Field{Name: "title", Label: "Title", Value: f.Title, Required: true, MaxLength: maxTitle, Error: m["title"], Autofocus: f.Key == "", Placeholder: "Renew the certificate on pay.example.com"}
	v.Type = optionsField("type", "Type", f.Type, typeOptions(f.Type), m["type"])
	v.Category = optionsField("category", "Category", f.Category, categoryOptions(), m["category"])
	v.Environment = optionsField("environment", "Environment", f.Environment, append([]ui.Option{{Text: "Choose"}}, environmentOptions()...), m["environment"])
	v.Plans = []ui.Field{
		{Name: "implementation_plan", Label: "Implementation plan", Value: f.Implementation, Rows: 5, MaxLength: maxPlan, Error: m["implementation_plan"], Hint: "What is done, in order. Needed before it is submitted."},
		{Name: "backout_plan", Label: "Backout plan", Value: f.Backout, Rows: 3, MaxLength: maxPlan, Error: m["backout_plan"], Hint: "How to go back. Needed from medium risk on."},
		{Name: "test_plan", Label: "Test plan", Value: f.Testing, Rows: 3, MaxLength: maxPlan, Error: m["test_plan"], Hint: "How you know that it works. Needed from high risk on."},
	}
	return v
}

func anyMessage(m map[string]string, fields ...string) bool {
	return slices.ContainsFunc(fields, func(f string) bool { return m[f] != "" })
}

// fillTemplate shows what a template fixes, and asks for its parameters.
func fillTemplate(v *views.ChangeForm, f changeForm, t *usable, m map[string]string) {
	v.Facts = []ui.Fact{
		{Label: "Template", Text: fmt.Sprintf("%s, version %d", t.Name, t.BodyVersion)},
		{Label: "Category", Text: upperFirst(t.Body.Category)},
		{Label: "At most", Text: count(t.Body.MaxAssets, "asset")},
	}
	if t.Body.Environment != "" {
		v.Facts = append(v.Facts, ui.Fact{Label: "Environment", Text: environmentLabel(t.Body.Environment)})
	} else {
		v.Environment = optionsField("environment", "Environment", f.Environment, append([]ui.Option{{Text: "Choose"}}, environmentOptions()...), m["environment"])
	}
	v.LeadReason = nil
	v.Boxes = v.Boxes[2:]
	for i, p := range t.Body.Parameters {
		field := ui.Field{
			ID: "param-" + p.Name, Name: "param_" + p.Name, Label: p.Label, Value: f.values[p.Name], Required: p.Required, Error: m["template_values."+p.Name], Autofocus: i == 0,
		}
		switch p.Kind {
		case "choice":
			field.Options = []ui.Option{{Text: "Choose"}}
			for _, o := range p.Options {
				field.Options = append(field.Options, ui.Option{Value: o, Text: o, Selected: o == field.Value})
			}
		case "number":
			field.Type, field.Short = "number", true
		}
		v.Parameters = append(v.Parameters, field)
	}
}

func optionsField(name, label, value string, options []ui.Option, message string) *ui.Field {
	f := &ui.Field{Name: name, Label: label, Required: true, Error: message}
	for _, o := range options {
		o.Selected = o.Value == value
		f.Options = append(f.Options, o)
	}
	return f
}

func levelOptions() []ui.Option {
	var out []ui.Option
	for _, l := range lifecycle.Levels() {
		out = append(out, ui.Option{Value: string(l), Text: upperFirst(string(l))})
	}
	return out
}

func categoryOptions() []ui.Option {
	var out []ui.Option
	for _, c := range Categories() {
		out = append(out, ui.Option{Value: c, Text: upperFirst(c)})
	}
	return out
}

func environmentOptions() []ui.Option {
	var out []ui.Option
	for _, e := range Environments() {
		out = append(out, ui.Option{Value: e, Text: environmentLabel(e)})
	}
	return out
}

func typeOptions(value string) []ui.Option {
	out := []ui.Option{{Value: "normal", Text: "Normal"}, {Value: "emergency", Text: "Emergency"}}
	if value == "standard" {
		out = append(out, ui.Option{Value: "standard", Text: "Standard, from a template"})
	}
	return out
}

func peopleField(name, label string, chosen []string, people []Person, message string, many bool) *ui.Field {
	f := &ui.Field{Name: name, Label: label, Error: message}
	if many {
		f.Attrs = templ.Attributes{"multiple": true, "size": "4"}
		f.Hint = "Several: hold Ctrl or Cmd. They cannot approve it."
	} else {
		f.Options = []ui.Option{{Text: "Nobody"}}
	}
	known := map[string]bool{}
	for _, p := range people {
		id := p.UserID.String()
		known[id] = true
		f.Options = append(f.Options, ui.Option{Value: id, Text: p.Name, Selected: slices.Contains(chosen, id)})
	}
	for _, id := range chosen {
		if id != "" && !known[id] {
			f.Options = append(f.Options, ui.Option{Value: id, Text: "Former member", Selected: true})
		}
	}
	return f
}

func assetsField(chosen []string, list []assets.Brief, message string) *ui.Field {
	f := &ui.Field{
		Name: "assets", Label: "Affected assets", Error: message, Hint: "What the change touches. It decides who is asked and what it collides with.",
		Attrs: templ.Attributes{"multiple": true, "size": "5"},
	}
	for _, b := range list {
		id := b.ID.String()
		f.Options = append(f.Options, ui.Option{Value: id, Text: b.Name + " (" + b.Type + ", " + b.Environment + ")", Selected: slices.Contains(chosen, id)})
	}
	return f
}

// formErrors lists what is wrong with a form, each with its field.
func formErrors(err error) []ui.FormError {
	e := fault.Find(err)
	if e == nil {
		return nil
	}
	labels := map[string]string{
		"title": "Title", "planned_start": "Starts", "planned_end": "Ends", "description": "Why and what", "implementation_plan": "Implementation plan",
		"backout_plan": "Backout plan", "test_plan": "Test plan", "owner": "Owner", "implementers": "Who carries it out", "assets": "Affected assets",
		"more_assets": "Other assets", "lead_reason": "Why so soon", "parent": "Part of", "risk": "Risk", "reason": "Reason", "tags": "Tags",
		"environment": "Environment", "file": "File", "body": "Comment", "summary": "Summary", "outcome": "Outcome", "target": "Address", "name": "Name",
		"title_pattern": "Title", "parameters": "Parameters", "steps": "Steps", "tasks": "Tasks", "risk_ceiling": "Highest risk",
	}
	if len(e.Details) == 0 {
		return []ui.FormError{{Text: e.Message}}
	}
	var out []ui.FormError
	for _, d := range e.Details {
		field, label := d.Field, labels[d.Field]
		if p, ok := strings.CutPrefix(field, "template_values."); ok {
			field, label = "param-"+p, p
		}
		if label == "" {
			label = upperFirst(strings.ReplaceAll(field, "_", " "))
		}
		if strings.ContainsAny(field, "[.") || field == "current_version" || field == "version" {
			field = ""
		}
		out = append(out, ui.FormError{Field: field, Label: label, Text: d.Message})
	}
	return out
}

// query adds values to an address.
func query(path string, values ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(values); i += 2 {
		q.Set(values[i], values[i+1])
	}
	return path + "?" + q.Encode()
}
