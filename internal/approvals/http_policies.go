package approvals

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

const policiesPath = "/settings/approval-policies"

func policyCrumbs(r *web.Request, steps ...web.Crumb) []web.Crumb {
	return append([]web.Crumb{{Text: "Admin"}, {Text: "Approval policies", Href: r.Path(policiesPath)}}, steps...)
}

func (s *Service) showPolicies(r *web.Request) error {
	policies, err := s.Policies(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	path := r.Path(policiesPath)
	v := views.Policies{
		Lede:    "Who must agree before something happens. Policies that cover the same thing add up; none takes away what another asks.",
		Actions: []ui.LinkButton{{Text: "Try a sample", Href: path + "/preview", Icon: "eye"}},
	}
	if r.Can(ManagePolicies) {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "New policy", Href: path + "/new", Icon: "plus", Kind: ui.Primary})
	}
	for _, p := range policies {
		v.Rows = append(v.Rows, views.PolicyRow{
			Link:  ui.RowLink{Text: p.Name, Sub: matchText(p.Match), Href: path + "/" + p.ID.String()},
			Match: matchText(p.Match), Stages: stagesText(p.Stages), State: policyBadge(p), When: moment(r, p.UpdatedAt),
		})
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{Icon: "clipboard-check", Title: "No approval policy", Text: "Without a policy nothing can be approved.", Actions: v.Actions}
	}
	return r.Page(web.Page{Title: "Approval policies", Crumbs: []web.Crumb{{Text: "Admin"}, {Text: "Approval policies"}}}, views.PoliciesPage(v))
}

func policyBadge(p Policy) ui.Badge {
	if p.Active {
		return ui.Badge{Text: "Active", Tone: ui.OK, Icon: "circle-check"}
	}
	return ui.Badge{Text: "Retired", Tone: ui.Mute, Icon: "circle-pause"}
}

// matchText says in one line what a policy covers.
func matchText(m Match) string {
	var parts []string
	for _, f := range matchFacts(m) {
		parts = append(parts, f.Label+": "+f.Text)
	}
	if len(parts) == 0 {
		return "Everything"
	}
	return strings.Join(parts, "; ")
}

func matchFacts(m Match) []ui.Fact {
	var out []ui.Fact
	add := func(label string, values []string) {
		if len(values) > 0 {
			out = append(out, ui.Fact{Label: label, Text: strings.Join(values, ", ")})
		}
	}
	if len(m.Kinds) > 0 {
		words := make([]string, len(m.Kinds))
		for i, k := range m.Kinds {
			words[i] = kindText(k)
		}
		add("Requests", words)
	}
	add("Subject", m.SubjectTypes)
	add("Change type", m.ChangeTypes)
	add("Risk", m.Risks)
	add("Priority", m.Priorities)
	add("Category", m.Categories)
	add("Environment", m.Environments)
	add("Asset tag", m.AssetTags)
	add("Asset type", m.AssetTypes)
	if m.Downtime != nil {
		add("Downtime", []string{map[bool]string{true: "yes", false: "no"}[*m.Downtime]})
	}
	return out
}

func stagesText(stages []Stage) string {
	parts := make([]string, len(stages))
	for i, st := range stages {
		parts[i] = fmt.Sprintf("%d. %s", st.Order, st.Name)
	}
	return strings.Join(parts, ", ")
}

func (s *Service) showPolicy(r *web.Request) error {
	id, err := r.UUID("id", "approval policy")
	if err != nil {
		return err
	}
	var found *db.Result[Policy]
	var versions *db.Result[PolicyVersion]
	var names *db.Result[nameRow]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		found, versions, names = loadPolicy.Queue(b, db.Args{"id": id}), policyVersions.Queue(b, db.Args{"id": id}), namesOfPolicies.Queue(b, db.Args{"id": id})
	}); err != nil {
		return err
	}
	p, ok := found.First()
	if !ok {
		return fault.NewNotFound("approval policy")
	}
	l := labels{}
	for _, n := range names.Rows {
		l[n.ID] = n.Name
	}
	return r.Page(web.Page{Title: p.Name, Crumbs: policyCrumbs(r, web.Crumb{Text: p.Name})}, views.PolicyPage(policyView(r, p, versions.Rows, l)))
}

func policyView(r *web.Request, p Policy, versions []PolicyVersion, l labels) views.Policy {
	path := r.Path(policiesPath + "/" + p.ID.String())
	badge := policyBadge(p)
	made, changed := moment(r, p.CreatedAt), moment(r, p.UpdatedAt)
	v := views.Policy{
		Head:  ui.PageHead{Title: p.Name, Badge: &badge, Lede: "Open requests keep the version that they began with."},
		Match: matchFacts(p.Match),
		Facts: []ui.Fact{
			{Label: "Version", Text: strconv.FormatInt(p.Version, 10)},
			{Label: "Priority", Text: strconv.Itoa(p.Priority), Sub: "Orders names; it overrules nothing."},
			{Label: "Approval counts", Text: validityText(p.ValidityDays), Sub: "72 hours for emergencies. The shortest of all matching policies holds."},
			{Label: "Created", Time: &made},
			{Label: "Changed", Time: &changed},
		},
	}
	if len(v.Match) == 0 {
		v.Match = []ui.Fact{{Label: "Covers", Text: "Everything", Sub: "Every request before it happens, and every template."}}
	}
	for i, st := range p.Stages {
		v.Stages = append(v.Stages, policyStageView(i, st, l))
	}
	for _, old := range versions {
		row := ui.Row{Icon: "history", Title: fmt.Sprintf("Version %d", old.Version), Href: path, Sub: stagesText(old.Definition.Stages)}
		row.Aside = old.CreatedAt.In(r.Zone()).Format("2 Jan 2006")
		if old.Author != "" {
			row.Sub += ", by " + old.Author
		}
		if !old.Active {
			row.Sub += ", retired"
		}
		v.Versions = append(v.Versions, row)
	}
	if !p.Active {
		v.Notice = &ui.Notice{Tone: ui.Warn, Title: "This policy is retired.", Text: "It covers nothing new."}
	}
	v.Actions = []ui.LinkButton{{Text: "Try a sample", Href: r.Path(policiesPath + "/preview"), Icon: "eye"}}
	if !r.Can(ManagePolicies) {
		return v
	}
	v.Actions = append(v.Actions, ui.LinkButton{Text: "Edit", Href: path + "/edit", Icon: "pencil", Kind: ui.Primary})
	v.Toggle = &views.Toggle{Action: path + "/retire", Button: ui.Button{Text: "Retire", Icon: "circle-pause"}}
	if !p.Active {
		v.Toggle = &views.Toggle{Action: path + "/activate", Button: ui.Button{Text: "Activate", Icon: "circle-play"}}
	}
	return v
}

func validityText(days int) string {
	if days == 0 {
		return "14 days"
	}
	return plural(days, "day")
}

func policyStageView(i int, st Stage, l labels) views.PolicyStage {
	facts := []ui.Fact{{Label: "Needs", Text: modeText(st.Mode, st.Need, 0, st.Percent)}}
	if st.Mode != seats.CAB {
		facts = append(facts, ui.Fact{Label: "Asks", Text: strings.Join(l.sources(st.Sources), ", ")})
	}
	reject := map[seats.OnReject]string{
		seats.FailFast: "The first rejection ends it", seats.UntilImpossible: "Only when no approval is possible any more", "": "The first rejection ends it",
	}[st.OnReject]
	if st.OnReject == "" && (st.Mode == seats.NOfM || st.Mode == seats.Percent) {
		reject = "Only when no approval is possible any more"
	}
	days := st.DeadlineDays
	if days == 0 {
		days = defaultDays
		if st.Mode == seats.CAB {
			days = boardDays
		}
	}
	facts = append(facts, ui.Fact{Label: "On rejection", Text: reject}, ui.Fact{Label: "Deadline", Text: plural(days, "business day")})
	if st.Escalation != nil {
		facts = append(facts, ui.Fact{Label: "Escalates to", Text: l.source(*st.Escalation)})
	}
	switch {
	case st.DistinctAcrossStages:
		facts = append(facts, ui.Fact{Label: "People", Text: "Nobody who decided in an earlier stage"})
	case st.ReuseAcrossStages != nil && *st.ReuseAcrossStages:
		facts = append(facts, ui.Fact{Label: "People", Text: "May have decided in an earlier stage"})
	}
	if st.Reauth {
		facts = append(facts, ui.Fact{Label: "Sign-in", Text: "Of the last five minutes"})
	}
	return views.PolicyStage{ID: fmt.Sprintf("stage-%d", i+1), Title: fmt.Sprintf("Stage %d: %s", st.Order, st.Name), Facts: facts}
}

func (s *Service) switchPolicy(on bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "approval policy")
		if err != nil {
			return err
		}
		p, err := s.ChangePolicy(r.Context(), r.Actor, id, PolicyChange{Edit: func(p *Policy) { p.Active = on }})
		if err != nil {
			return err
		}
		if on {
			r.Flash(p.Name + " is active")
		} else {
			r.Flash(p.Name + " is retired. What is open keeps it.")
		}
		return r.SeeOther(r.Path(policiesPath + "/" + id.String()))
	}
}

// showTrial shows what the policies would ask of a sample that nobody keeps.
func (s *Service) showTrial(r *web.Request) error {
	q := r.URL.Query()
	pick := func(name, or string, allowed []string) string {
		for _, v := range allowed {
			if q.Get(name) == v {
				return v
			}
		}
		return or
	}
	text := func(name string) string {
		v := strings.ToValidUTF8(strings.ReplaceAll(q.Get(name), "\x00", ""), "")
		if len(v) > maxValue {
			v = strings.ToValidUTF8(v[:maxValue], "")
		}
		return strings.TrimSpace(v)
	}
	kinds := []string{string(Normal), string(Retro), string(Template)}
	kind := pick("kind", string(Normal), kinds)
	subj := Subject{
		Type: "change", ID: uuid.Max, Key: "CHG-00000", ContentHash: make([]byte, 32), Revision: 1,
		Facts: Facts{
			ChangeType: pick("change_type", "normal", ChangeTypes()), Risk: pick("risk", "low", Levels()), Priority: pick("priority", "medium", Levels()),
			Category: text("category"), Environment: text("environment"), AssetTags: words(text("tags")), Downtime: q.Get("downtime") == "on",
			Requester: r.Actor.UserID,
		},
		Excluded: []Excluded{{r.Actor.UserID, "requester"}},
	}
	subj.Emergency = subj.Facts.ChangeType == "emergency"
	var p Preview
	if err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		p, err = s.PreviewWith(r.Context(), tx, subj, Kind(kind), nil)
		return err
	}); err != nil {
		return err
	}
	options := func(values []string, chosen string, words func(string) string) []ui.Option {
		out := make([]ui.Option, len(values))
		for i, v := range values {
			out[i] = ui.Option{Value: v, Text: words(v), Selected: v == chosen}
		}
		return out
	}
	v := views.Trial{
		Head: ui.PageHead{Title: "Try a sample", Lede: "What the active policies would ask of a change like this, if you requested it now. Nothing is kept."},
		Back: ui.LinkButton{Text: "Back to the policies", Href: r.Path(policiesPath)}, Form: ui.Form{Action: r.Path(policiesPath + "/preview")},
		Fields: []ui.Field{
			{Name: "kind", Label: "Request", Required: true, Options: options(kinds, kind, func(k string) string { return kindText(Kind(k)) })},
			{Name: "change_type", Label: "Change type", Required: true, Options: options(ChangeTypes(), subj.Facts.ChangeType, title)},
			{Name: "risk", Label: "Risk", Required: true, Options: options(Levels(), subj.Facts.Risk, title)},
			{Name: "priority", Label: "Priority", Required: true, Options: options(Levels(), subj.Facts.Priority, title)},
			{Name: "category", Label: "Category", Value: subj.Facts.Category, Unmarked: true, MaxLength: maxValue},
			{Name: "environment", Label: "Environment", Value: subj.Facts.Environment, Unmarked: true, MaxLength: maxValue},
			{Name: "tags", Label: "Asset tags", Value: strings.Join(subj.Facts.AssetTags, ", "), Unmarked: true, MaxLength: maxValue, Hint: "Divided by commas."},
		},
		Downtime: ui.Choice{Name: "downtime", Label: "People notice a downtime", Checked: subj.Facts.Downtime},
		Stages:   stageViews(p.Stages, r.Now(), r.Zone(), r.Actor.UserID, nil),
	}
	for _, pr := range p.Problems {
		v.Problems = append(v.Problems, ui.Finding{Tone: ui.Crit, Title: pr.Text, Text: pr.Fix})
	}
	var names []string
	for _, pol := range p.Policies {
		names = append(names, "“"+pol.Name+"”")
	}
	if len(names) > 0 {
		v.Policies = "Covered by " + listWords(names) + "."
	}
	return r.Page(web.Page{Title: "Try a sample", Crumbs: policyCrumbs(r, web.Crumb{Text: "Sample"})}, views.TrialPage(v))
}

// words splits what was typed at commas, semicolons and ends of lines.
func words(text string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;\n\r", r) }) {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}
