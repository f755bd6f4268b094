package approvals

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// maxFormStages is how many stages the form offers: more than that would not fit its fields.
const maxFormStages = 5

// policyForm is a policy as people write it. Stages follow in fields that begin with their
// number, such as s0_name.
type policyForm struct {
	Do           string   `form:"do"`
	Name         string   `form:"name"`
	Priority     string   `form:"priority"`
	Validity     string   `form:"validity_days"`
	Active       bool     `form:"active"`
	Kinds        []string `form:"kinds"`
	Types        []string `form:"change_types"`
	Risks        []string `form:"risks"`
	Priorities   []string `form:"priorities"`
	Categories   string   `form:"categories"`
	Environments string   `form:"environments"`
	Tags         string   `form:"asset_tags"`
	AssetTypes   string   `form:"asset_types"`
	Downtime     string   `form:"downtime"`
	SubjectTypes string   `form:"subject_types"`
	Version      int64    `form:"version"`
	Count        int64    `form:"count"`
	stages       []stageForm
}

// stageForm is a stage as people write it: people by address, one role, owners by boxes.
type stageForm struct {
	Order      string   `form:"order"`
	Name       string   `form:"name"`
	Mode       string   `form:"mode"`
	Need       string   `form:"need"`
	Percent    string   `form:"percent"`
	Role       string   `form:"role"`
	Owners     []string `form:"owners"`
	Critical   string   `form:"criticality"`
	People     string   `form:"people"`
	Groups     []string `form:"groups"`
	Each       bool     `form:"each"`
	Dynamic    bool     `form:"dynamic"`
	Escalation string   `form:"escalation"`
	Deadline   string   `form:"deadline_days"`
	OnReject   string   `form:"on_reject"`
	Reuse      string   `form:"reuse"`
	Reauth     bool     `form:"reauth"`
}

func prefix(i int) string { return fmt.Sprintf("s%d_", i) }

// readPolicyForm fills the form and its stages from what was sent.
func readPolicyForm(values url.Values) (policyForm, error) {
	var f policyForm
	if err := form.Decode(values, &f); err != nil {
		return f, err
	}
	for i := range min(max(int(f.Count), 0), maxFormStages) {
		own := url.Values{}
		for name, v := range values {
			if rest, ok := strings.CutPrefix(name, prefix(i)); ok {
				own[rest] = v
			}
		}
		var st stageForm
		if err := form.Decode(own, &st); err != nil {
			return f, err
		}
		f.stages = append(f.stages, st)
	}
	return f, nil
}

// act adds or removes a stage, as a button of the form asks; false when it asks to save.
func (f *policyForm) act() bool {
	if f.Do == "add" {
		if len(f.stages) < maxFormStages {
			f.stages = append(f.stages, newStageForm(len(f.stages)+1))
		}
		return true
	}
	at, ok := strings.CutPrefix(f.Do, "remove-")
	if !ok {
		return false
	}
	if i, err := strconv.Atoi(at); err == nil && i >= 0 && i < len(f.stages) && len(f.stages) > 1 {
		f.stages = slices.Delete(f.stages, i, i+1)
	}
	return true
}

func newStageForm(order int) stageForm {
	return stageForm{Order: strconv.Itoa(order), Mode: string(seats.Any), Role: string(access.Approver)}
}

// policyFormOf writes a policy as the form shows it. emails holds the addresses of people.
func policyFormOf(p Policy, emails map[uuid.UUID]string) policyForm {
	f := policyForm{
		Name: p.Name, Priority: strconv.Itoa(p.Priority), Active: p.Active, Types: p.Match.ChangeTypes, Risks: p.Match.Risks,
		Priorities: p.Match.Priorities, Categories: strings.Join(p.Match.Categories, ", "), Environments: strings.Join(p.Match.Environments, ", "),
		Tags: strings.Join(p.Match.AssetTags, ", "), AssetTypes: strings.Join(p.Match.AssetTypes, ", "),
		SubjectTypes: strings.Join(p.Match.SubjectTypes, ", "), Version: p.Version,
	}
	if p.ValidityDays > 0 {
		f.Validity = strconv.Itoa(p.ValidityDays)
	}
	for _, k := range p.Match.Kinds {
		f.Kinds = append(f.Kinds, string(k))
	}
	if len(f.Kinds) == 0 {
		f.Kinds = []string{string(Normal), string(Template)}
	}
	if p.Match.Downtime != nil {
		f.Downtime = map[bool]string{true: "yes", false: "no"}[*p.Match.Downtime]
	}
	for _, st := range p.Stages {
		f.stages = append(f.stages, stageFormOf(st, emails))
	}
	return f
}

func stageFormOf(st Stage, emails map[uuid.UUID]string) stageForm {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	out := stageForm{
		Order: strconv.Itoa(st.Order), Name: st.Name, Mode: string(st.Mode), Need: number(st.Need), Percent: number(st.Percent),
		Deadline: number(st.DeadlineDays), OnReject: string(st.OnReject), Reauth: st.Reauth,
	}
	switch {
	case st.DistinctAcrossStages:
		out.Reuse = "no"
	case st.ReuseAcrossStages != nil:
		out.Reuse = map[bool]string{true: "yes", false: "no"}[*st.ReuseAcrossStages]
	}
	var people []string
	for _, src := range st.Sources {
		switch src.Kind {
		case seats.User:
			if emails[src.ID] != "" {
				people = append(people, emails[src.ID])
			}
		case seats.Role:
			out.Role = src.Role
		case seats.Group:
			out.Groups = append(out.Groups, src.ID.String())
		case seats.BlastOwner:
			out.Critical = src.Criticality
		case seats.AssetOwner, seats.ServiceOwner, seats.Manager:
			out.Owners = append(out.Owners, string(src.Kind))
		case seats.Board:
		}
		out.Each, out.Dynamic = out.Each || src.Each, out.Dynamic || src.Dynamic
	}
	out.People = strings.Join(people, "\n")
	if e := st.Escalation; e != nil {
		switch e.Kind {
		case seats.Role:
			out.Escalation = e.Role
		case seats.Group:
			out.Escalation = e.ID.String()
		default:
			out.Escalation = string(e.Kind)
		}
	}
	return out
}

// plainForm reports whether the form can say everything about a policy: saving it would
// otherwise lose what only the API can say.
func plainForm(p Policy) bool {
	if len(p.Stages) > maxFormStages {
		return false
	}
	for _, st := range p.Stages {
		var shared *Source
		roles, levels := 0, 0
		for _, src := range st.Sources {
			switch src.Kind {
			case seats.Role, seats.Group:
				if src.Kind == seats.Role {
					roles++
				}
				if shared != nil && (shared.Each != src.Each || shared.Dynamic != src.Dynamic) {
					return false
				}
				shared = &src
			case seats.BlastOwner:
				levels++
			default:
			}
		}
		if roles > 1 || levels > 1 {
			return false
		}
		if e := st.Escalation; e != nil && (e.Kind == seats.User || e.Kind == seats.BlastOwner || e.Each || e.Dynamic) {
			return false
		}
	}
	return true
}

// edit turns the form into a change of a policy. Addresses become members.
func (s *Service) editPolicy(ctx context.Context, a db.Actor, f policyForm) (func(*Policy), error) {
	var c form.Check
	number := func(field, text string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			c.Add(field, "not_a_number", "Use a whole number, such as 3.")
		}
		return n
	}
	emails := []string{}
	for _, st := range f.stages {
		for _, e := range words(st.People) {
			emails = append(emails, strings.ToLower(e))
		}
	}
	known := map[string]uuid.UUID{}
	if len(emails) > 0 {
		if err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
			rows, err := peopleByEmail.All(ctx, tx, db.Args{"emails": emails})
			for _, p := range rows {
				// The oldest membership wins where two accounts carry one address.
				if _, ok := known[p.Email]; !ok {
					known[p.Email] = p.UserID
				}
			}
			return err
		}); err != nil {
			return nil, err
		}
	}
	priority, validity := number("priority", f.Priority), number("validity_days", f.Validity)
	stages := make([]Stage, len(f.stages))
	for i, st := range f.stages {
		stages[i] = st.stage(&c, fmt.Sprintf("stages.%d.", i), known, number)
	}
	edit := func(p *Policy) {
		p.Name, p.Priority, p.ValidityDays, p.Active, p.Stages = f.Name, priority, validity, f.Active, stages
		p.Match = Match{
			ChangeTypes: f.Types, Risks: f.Risks, Priorities: f.Priorities, Categories: words(f.Categories), Environments: words(f.Environments),
			AssetTags: words(f.Tags), AssetTypes: words(f.AssetTypes), SubjectTypes: words(f.SubjectTypes),
		}
		for _, k := range f.Kinds {
			p.Match.Kinds = append(p.Match.Kinds, Kind(k))
		}
		slices.Sort(p.Match.Kinds)
		if slices.Equal(p.Match.Kinds, []Kind{Normal, Template}) {
			p.Match.Kinds = nil
		}
		if f.Downtime == "yes" || f.Downtime == "no" {
			p.Match.Downtime = ptr(f.Downtime == "yes")
		}
	}
	if len(f.Kinds) == 0 {
		c.Add("match.kinds", "required", "Choose at least one kind of request.")
	}
	if c.Err() == nil {
		return edit, nil
	}
	// What else is wrong is said at the same time.
	draft := NewPolicy()
	edit(&draft)
	draft.tidy()
	for field, text := range form.Messages(draft.check().Err()) {
		if !c.Has(field) {
			c.Add(field, "invalid", text)
		}
	}
	return nil, c.Err()
}

func (f stageForm) stage(c *form.Check, at string, known map[string]uuid.UUID, number func(field, text string) int) Stage {
	st := Stage{
		Order: number(at+"order", f.Order), Name: f.Name, Mode: Mode(f.Mode), Need: number(at+"need", f.Need), Percent: number(at+"percent", f.Percent),
		OnReject: seats.OnReject(f.OnReject), DeadlineDays: number(at+"deadline_days", f.Deadline), Reauth: f.Reauth,
	}
	switch f.Reuse {
	case "yes":
		st.ReuseAcrossStages = ptr(true)
	case "no":
		st.DistinctAcrossStages = true
	}
	for _, e := range words(f.People) {
		id, ok := known[strings.ToLower(e)]
		if !ok {
			c.Add(at+"people", "not_found", "No member has the address "+e+".")
			continue
		}
		st.Sources = append(st.Sources, Source{Kind: seats.User, ID: id})
	}
	each, dynamic := f.Each, f.Each && f.Dynamic
	if f.Role != "" {
		st.Sources = append(st.Sources, Source{Kind: seats.Role, Role: f.Role, Each: each, Dynamic: dynamic})
	}
	for _, g := range f.Groups {
		id, err := uuid.Parse(g)
		if err != nil {
			c.Add(at+"groups", "not_found", "A group that was chosen does not exist. Choose again.")
			continue
		}
		st.Sources = append(st.Sources, Source{Kind: seats.Group, ID: id, Each: each, Dynamic: dynamic})
	}
	for _, o := range f.Owners {
		st.Sources = append(st.Sources, Source{Kind: seats.SourceKind(o)})
	}
	if f.Critical != "" {
		st.Sources = append(st.Sources, Source{Kind: seats.BlastOwner, Criticality: f.Critical})
	}
	switch {
	case f.Escalation == "":
	case slices.Contains(deciders(), f.Escalation):
		st.Escalation = &Source{Kind: seats.Role, Role: f.Escalation}
	default:
		src := Source{Kind: seats.SourceKind(f.Escalation)}
		if id, err := uuid.Parse(f.Escalation); err == nil {
			src = Source{Kind: seats.Group, ID: id}
		}
		st.Escalation = &src
	}
	return st
}
