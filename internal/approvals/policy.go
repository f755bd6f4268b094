package approvals

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// The limits of a policy, and what it says when it says nothing.
const (
	maxPolicies    = 500
	maxName        = 80
	maxStages      = 10
	maxSources     = 20
	maxValues      = 30 // of one condition
	maxValue       = 80
	maxOrder       = 100
	maxDeadline    = 30
	maxValidity    = 365
	defaultDays    = 3  // business days of a stage
	retroDays      = 2  // of a stage that looks back
	boardDays      = 10 // of a stage that waits for a board, which meets now and then
	validHours     = 14 * 24
	emergencyHours = 72
)

// Stage, Source and the words of both are those of the engine.
type (
	Stage  = seats.Stage
	Source = seats.Source
)

// Match is the condition of a policy: each list that is not empty must hold the fact, or
// share one with it. An empty condition matches every normal request and template.
type Match struct {
	Kinds        []Kind   `json:"kinds,omitempty"` // empty means normal and template
	SubjectTypes []string `json:"subject_types,omitempty"`
	ChangeTypes  []string `json:"change_types,omitempty"`
	Categories   []string `json:"categories,omitempty"`
	Environments []string `json:"environments,omitempty"`
	Priorities   []string `json:"priorities,omitempty"`
	Risks        []string `json:"risks,omitempty"`
	AssetTags    []string `json:"asset_tags,omitempty"`
	AssetTypes   []string `json:"asset_types,omitempty"`
	Downtime     *bool    `json:"downtime,omitempty"`
}

// Matches reports whether a policy with this condition speaks about a subject.
func (m Match) Matches(subjectType string, k Kind, f Facts) bool {
	one := func(wanted []string, fact string) bool { return len(wanted) == 0 || slices.Contains(wanted, fact) }
	some := func(wanted, facts []string) bool {
		return len(wanted) == 0 || slices.ContainsFunc(facts, func(v string) bool { return slices.Contains(wanted, v) })
	}
	kinds := m.Kinds
	if len(kinds) == 0 {
		kinds = []Kind{Normal, Template}
	}
	return slices.Contains(kinds, k) && one(m.SubjectTypes, subjectType) && one(m.ChangeTypes, f.ChangeType) &&
		one(m.Categories, f.Category) && one(m.Environments, f.Environment) && one(m.Priorities, f.Priority) &&
		one(m.Risks, f.Risk) && some(m.AssetTags, f.AssetTags) && some(m.AssetTypes, f.AssetTypes) &&
		(m.Downtime == nil || *m.Downtime == f.Downtime)
}

// Policy says who must agree to what. Each change of it makes a version; a request keeps
// the versions that it was composed from.
type Policy struct {
	ID       uuid.UUID `db:"id"`
	Name     string    `db:"name" audit:"name"`
	Priority int       `db:"priority" audit:"priority"` // higher first; it orders and overrules nothing
	Active   bool      `db:"active" audit:"active"`
	Match    Match     `db:"match" audit:"match"`
	Stages   []Stage   `db:"stages" audit:"stages"`
	// ValidityDays is how long an approval counts, 0 for 14 days. The shortest of all
	// matching policies holds; emergencies have 72 hours at most.
	ValidityDays int           `db:"validity_days" audit:"validity_days"`
	Version      int64         `db:"version"`
	CreatedAt    time.Time     `db:"created_at"`
	UpdatedAt    time.Time     `db:"updated_at"`
	UpdatedBy    uuid.NullUUID `db:"updated_by"`
}

// PolicyVersion is what a policy said at one time.
type PolicyVersion struct {
	Version    int64         `db:"version"`
	Name       string        `db:"name"`
	Active     bool          `db:"active"`
	Definition definition    `db:"definition"`
	CreatedAt  time.Time     `db:"created_at"`
	CreatedBy  uuid.NullUUID `db:"created_by"`
	Author     string        `db:"author"` // empty for a token, for somebody who left, and for defaults
}

// definition is the part of a policy that a version keeps.
type definition struct {
	Priority     int     `json:"priority"`
	Match        Match   `json:"match"`
	Stages       []Stage `json:"stages"`
	ValidityDays int     `json:"validity_days"`
}

func (p Policy) defined() definition {
	return definition{Priority: p.Priority, Match: p.Match, Stages: p.Stages, ValidityDays: p.ValidityDays}
}

func (p Policy) subject() event.Subject {
	return event.Subject{Type: "approval_policy", ID: p.ID, Title: p.Name}
}

// NewPolicy returns what the form of a new policy proposes.
func NewPolicy() Policy {
	return Policy{Priority: 100, Active: true, Stages: []Stage{{
		Order: 1, Name: "Peer", Mode: seats.Any, Sources: []Source{{Kind: seats.Role, Role: string(access.Approver)}},
	}}}
}

// Levels are the values of risk, priority and criticality, lowest first.
func Levels() []string { return []string{"low", "medium", "high", "critical"} }

// ChangeTypes are the types of change that a condition may name.
func ChangeTypes() []string { return []string{"standard", "normal", "emergency"} }

// deciders are the roles that may decide, lowest first.
func deciders() []string {
	return []string{string(access.Approver), string(access.Admin), string(access.Owner)}
}

// tidy brings lists to one form, so that equal policies compare as equal.
func (p *Policy) tidy() {
	p.Name = strings.Join(strings.Fields(p.Name), " ")
	m := &p.Match
	for _, l := range []*[]string{
		&m.SubjectTypes, &m.ChangeTypes, &m.Categories, &m.Environments, &m.Priorities, &m.Risks, &m.AssetTags, &m.AssetTypes,
	} {
		*l = trimmed(*l)
	}
	slices.Sort(m.Kinds)
	m.Kinds = slices.Compact(m.Kinds)
	if len(m.Kinds) == 0 {
		m.Kinds = nil
	}
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		st := &p.Stages[i]
		st.Name = strings.Join(strings.Fields(st.Name), " ")
		if st.Mode != seats.NOfM {
			st.Need = 0
		}
		if st.Mode != seats.Percent {
			st.Percent = 0
		}
		if st.Mode == seats.CAB || st.Sources == nil {
			st.Sources = []Source{}
		}
	}
	slices.SortStableFunc(p.Stages, func(a, b Stage) int { return a.Order - b.Order })
}

func trimmed(in []string) []string {
	var out []string
	for _, s := range in {
		if s = strings.TrimSpace(s); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// check collects everything that is wrong with a policy by itself.
func (p Policy) check() *form.Check {
	var c form.Check
	c.Text("name", p.Name, "Name", maxName)
	c.Range("priority", p.Priority, 0, 1000, "Priority")
	c.Range("validity_days", p.ValidityDays, 0, maxValidity, "Days that an approval counts")
	p.Match.check(&c)
	if n := len(p.Stages); n == 0 || n > maxStages {
		c.Add("stages", "out_of_range", fmt.Sprintf("A policy has 1 to %d stages.", maxStages))
	}
	for i, st := range p.Stages {
		checkStage(&c, fmt.Sprintf("stages.%d.", i), st)
	}
	return &c
}

func (m Match) check(c *form.Check) {
	for _, k := range m.Kinds {
		c.OneOf("match.kinds", string(k), "Kind", string(Normal), string(Retro), string(Template))
	}
	for _, l := range []struct {
		field, label string
		values       []string
		allowed      []string
	}{
		{"match.subject_types", "A subject type", m.SubjectTypes, nil},
		{"match.change_types", "A change type", m.ChangeTypes, ChangeTypes()},
		{"match.categories", "A category", m.Categories, nil},
		{"match.environments", "An environment", m.Environments, nil},
		{"match.priorities", "A priority", m.Priorities, Levels()},
		{"match.risks", "A risk level", m.Risks, Levels()},
		{"match.asset_tags", "A tag", m.AssetTags, nil},
		{"match.asset_types", "An asset type", m.AssetTypes, nil},
	} {
		if len(l.values) > maxValues {
			c.Add(l.field, "too_many", fmt.Sprintf("At most %d values fit here.", maxValues))
		}
		for _, v := range l.values {
			if c.Has(l.field) {
				break
			}
			c.Longest(l.field, v, l.label, maxValue)
			if l.allowed != nil {
				c.OneOf(l.field, v, l.label, l.allowed...)
			}
		}
	}
}

func checkStage(c *form.Check, at string, st Stage) {
	c.Range(at+"order", st.Order, 1, maxOrder, "Order")
	c.Text(at+"name", st.Name, "Name of the stage", maxName)
	modes := make([]string, 0, len(seats.Modes()))
	for _, m := range seats.Modes() {
		modes = append(modes, string(m))
	}
	c.OneOf(at+"mode", string(st.Mode), "Mode", modes...)
	if st.Mode == seats.NOfM {
		c.Range(at+"need", st.Need, 1, 50, "Number of approvals")
	}
	if st.Mode == seats.Percent {
		c.Range(at+"percent", st.Percent, 1, 100, "Percent")
	}
	if st.OnReject != "" {
		c.OneOf(at+"on_reject", string(st.OnReject), "What a rejection does", string(seats.FailFast), string(seats.UntilImpossible))
	}
	c.Range(at+"deadline_days", st.DeadlineDays, 0, maxDeadline, "Business days")
	if st.DistinctAcrossStages && st.ReuseAcrossStages != nil && *st.ReuseAcrossStages {
		c.Add(at+"reuse_across_stages", "contradiction", "A stage cannot both refuse and allow people of earlier stages.")
	}
	switch {
	case st.Mode == seats.CAB:
	case len(st.Sources) == 0:
		c.Add(at+"sources", "required", "Say who decides: people, a role, a group or owners.")
	case len(st.Sources) > maxSources:
		c.Add(at+"sources", "too_many", fmt.Sprintf("A stage asks at most %d sources.", maxSources))
	}
	for _, s := range st.Sources {
		checkSource(c, at+"sources", s)
	}
	if st.Escalation != nil {
		if st.Escalation.Kind == seats.Board {
			c.Add(at+"escalation", "not_allowed", "A board cannot stand in for others.")
		}
		checkSource(c, at+"escalation", *st.Escalation)
	}
}

func checkSource(c *form.Check, field string, s Source) {
	kinds := make([]string, 0, 8)
	for _, k := range seats.SourceKinds() {
		kinds = append(kinds, string(k))
	}
	c.OneOf(field, string(s.Kind), "A source", kinds...)
	plain := Source{Kind: s.Kind}
	switch s.Kind {
	case seats.User:
		if plain.ID = s.ID; s.ID == uuid.Nil {
			c.Add(field, "required", "Name the person by id.")
		}
	case seats.Group:
		if plain.ID, plain.Each, plain.Dynamic = s.ID, s.Each, s.Dynamic; s.ID == uuid.Nil {
			c.Add(field, "required", "Name the group by id.")
		}
	case seats.Role:
		plain.Role, plain.Each, plain.Dynamic = s.Role, s.Each, s.Dynamic
		c.OneOf(field, s.Role, "The role of a source", deciders()...)
	case seats.BlastOwner:
		plain.Criticality = s.Criticality
		c.OneOf(field, s.Criticality, "The criticality of a source", Levels()...)
	default:
	}
	if s != plain {
		c.Add(field, "not_allowed", fmt.Sprintf("A source of kind %s has no more than its own fields.", s.Kind))
	}
	if s.Dynamic && !s.Each {
		c.Add(field, "not_allowed", "Only a source that gives each person a seat can be dynamic; a shared seat always is.")
	}
}

// Defaults are the policies of a new workspace. They add up: each level of risk asks what
// the lower ones ask and one thing more (work.md 2.3). Until the workspace has a board, high
// risk asks two approvers in its place.
func Defaults() []Policy {
	role := func(r access.Role, each bool) Source { return Source{Kind: seats.Role, Role: string(r), Each: each} }
	admins := role(access.Admin, false)
	from := func(level string) []string { return Levels()[slices.Index(Levels(), level):] }
	return []Policy{
		{Name: "Peer review", Priority: 400, Active: true, Stages: []Stage{
			{Order: 1, Name: "Peer", Mode: seats.Any, Sources: []Source{role(access.Approver, false)}, Escalation: &admins},
		}},
		{Name: "Service owner", Priority: 300, Active: true, Match: Match{Risks: from("medium")}, Stages: []Stage{
			{Order: 2, Name: "Service owner", Mode: seats.Any, Sources: []Source{{Kind: seats.ServiceOwner}}, Escalation: &admins},
		}},
		{Name: "Two approvers", Priority: 200, Active: true, Match: Match{Risks: from("high")}, Stages: []Stage{
			{Order: 3, Name: "Two approvers", Mode: seats.NOfM, Need: 2, Sources: []Source{role(access.Approver, true)}, ReuseAcrossStages: ptr(true)},
		}},
		{Name: "Director", Priority: 100, Active: true, Match: Match{Risks: from("critical")}, Stages: []Stage{
			{Order: 4, Name: "Director", Mode: seats.Any, Sources: []Source{admins}, DistinctAcrossStages: true, Reauth: true},
		}},
		{Name: "Look back at emergencies", Priority: 50, Active: true, Match: Match{Kinds: []Kind{Retro}}, Stages: []Stage{retroStage()}},
	}
}

// retroStage is asked when no policy says who looks back at an emergency.
func retroStage() Stage {
	return Stage{
		Order: 1, Name: "Look back", Mode: seats.Any, Sources: []Source{{Kind: seats.Role, Role: string(access.Approver)}}, DeadlineDays: retroDays,
		Escalation: &Source{Kind: seats.Role, Role: string(access.Admin)},
	}
}

func ptr[T any](v T) *T { return &v }
