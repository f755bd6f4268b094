package seats

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// Stage is one step of a policy, as an admin writes it.
type Stage struct {
	// Order places the stage: stages of several policies with the same order run together.
	Order int    `json:"order"`
	Name  string `json:"name"`
	Mode  Mode   `json:"mode"`
	// Need is n of n_of_m; Percent is p of percent, 1 to 100.
	Need     int      `json:"need,omitempty"`
	Percent  int      `json:"percent,omitempty"`
	OnReject OnReject `json:"on_reject,omitempty"`
	Sources  []Source `json:"sources"`
	// Escalation names who is asked when nobody answers, or when nobody else may.
	Escalation *Source `json:"escalation,omitempty"`
	// DeadlineDays are business days, 0 for the default.
	DeadlineDays int `json:"deadline_days,omitempty"`
	// Reauth asks for a sign-in of the last minutes at the click.
	Reauth bool `json:"reauth,omitempty"`
	// DistinctAcrossStages refuses people who decided in an earlier stage.
	DistinctAcrossStages bool `json:"distinct_across_stages,omitempty"`
	// ReuseAcrossStages allows them; nil means yes for any, no for the other modes.
	ReuseAcrossStages *bool `json:"reuse_across_stages,omitempty"`
}

// reuses reports whether people who decided in an earlier stage may decide in this one.
func (s Stage) reuses() bool {
	switch {
	case s.DistinctAcrossStages:
		return false
	case s.ReuseAcrossStages != nil:
		return *s.ReuseAcrossStages
	default:
		return s.Mode == Any || s.Mode == CAB
	}
}

// rejects returns what a rejection does in the stage.
func (s Stage) rejects() OnReject {
	switch {
	case s.Mode == All || s.Mode == CAB:
		return FailFast
	case s.OnReject != "":
		return s.OnReject
	case s.Mode == Any:
		return FailFast
	default:
		return UntilImpossible
	}
}

// Policy is a version of a policy that matched a subject.
type Policy struct {
	ID       uuid.UUID
	Name     string
	Priority int // higher first; it orders names and nothing else
	Stages   []Stage
}

// Composed is a stage made of the stages of all matching policies with its order. It is
// satisfied when each of its blocks is.
type Composed struct {
	Order      int      `json:"order"`
	Name       string   `json:"name"`
	Blocks     []Block  `json:"blocks"`
	Escalation []Source `json:"escalation,omitempty"`
	// DeadlineDays is the shortest that a policy asks for, 0 for the default.
	DeadlineDays int  `json:"deadline_days,omitempty"`
	Reauth       bool `json:"reauth,omitempty"`
	// Distinct refuses people who decided in an earlier stage: one policy is enough to ask.
	Distinct bool `json:"distinct,omitempty"`
}

// Block is a requirement of a composed stage.
type Block struct {
	Mode     Mode        `json:"mode"`
	Need     int         `json:"need,omitempty"`
	Percent  int         `json:"percent,omitempty"`
	OnReject OnReject    `json:"on_reject"`
	Sources  []Source    `json:"sources"`
	Policies []uuid.UUID `json:"policies"`
}

// Compose merges the stages of policies by their order. A policy adds to what others ask
// and never takes away: requirements that differ stand side by side, equal ones are asked
// once. The result does not depend on the order of the policies.
func Compose(policies []Policy) []Composed {
	sorted := slices.Clone(policies)
	slices.SortFunc(sorted, func(a, b Policy) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), strings.Compare(a.Name, b.Name), slices.Compare(a.ID[:], b.ID[:]))
	})
	var out []Composed
	for _, p := range sorted {
		for _, st := range p.Stages {
			i := slices.IndexFunc(out, func(c Composed) bool { return c.Order == st.Order })
			if i < 0 {
				out, i = append(out, Composed{Order: st.Order}), len(out)
			}
			out[i].add(p.ID, st)
		}
	}
	slices.SortStableFunc(out, func(a, b Composed) int { return cmp.Compare(a.Order, b.Order) })
	return out
}

// Distinctness of the first stage says nothing, since no stage is earlier; it is kept so
// that a preview shows what a policy says.
func (c *Composed) add(policy uuid.UUID, st Stage) {
	if st.Name != "" && !slices.Contains(strings.Split(c.Name, " and "), st.Name) {
		c.Name = strings.TrimPrefix(c.Name+" and "+st.Name, " and ")
	}
	if st.Escalation != nil && !slices.Contains(c.Escalation, *st.Escalation) {
		c.Escalation = append(c.Escalation, *st.Escalation)
	}
	if st.DeadlineDays > 0 && (c.DeadlineDays == 0 || st.DeadlineDays < c.DeadlineDays) {
		c.DeadlineDays = st.DeadlineDays
	}
	c.Reauth = c.Reauth || st.Reauth
	c.Distinct = c.Distinct || !st.reuses()
	b := Block{Mode: st.Mode, Need: st.Need, Percent: st.Percent, OnReject: st.rejects(), Sources: unique(st.Sources), Policies: []uuid.UUID{policy}}
	for i := range c.Blocks {
		if c.Blocks[i].absorb(b) {
			return
		}
	}
	c.Blocks = append(c.Blocks, b)
}

// absorb takes over another requirement when one of them already says both: everybody of
// both for all, the same people for the other modes, of which the stricter count stays.
func (b *Block) absorb(o Block) bool {
	if b.Mode != o.Mode {
		return false
	}
	if b.Mode != All && !sameSources(b.Sources, o.Sources) {
		return false
	}
	if o.OnReject == FailFast {
		b.OnReject = FailFast
	}
	b.Need, b.Percent = max(b.Need, o.Need), max(b.Percent, o.Percent)
	b.Sources = unique(append(slices.Clone(b.Sources), o.Sources...))
	for _, p := range o.Policies {
		if !slices.Contains(b.Policies, p) {
			b.Policies = append(b.Policies, p)
		}
	}
	return true
}

func sameSources(a, b []Source) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(s Source) bool { return !slices.Contains(b, s) })
}

func unique(in []Source) []Source {
	out := make([]Source, 0, len(in))
	for _, s := range in {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
