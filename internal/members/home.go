package members

import (
	"cmp"
	"slices"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// HomeItem is one thing that needs somebody. Tone is one of "", "ok", "warn", "crit",
// "info"; Icon a name of the sprite.
type HomeItem struct {
	Title string
	Href  string // below the workspace
	Meta  string
	Tone  string
	Icon  string
}

// HomeSection is one part of the home page. Href leads to the whole list; Empty is what
// the page says when there is no item. A section without a title is not shown, which is
// how a provider says that it has nothing for this reader.
type HomeSection struct {
	Title string
	Href  string // below the workspace
	Empty string
	Items []HomeItem
}

// HomeProvider adds the read of a section to the batch of the home page, few rows and
// nothing that the actor may not see, and returns what makes the section of it once the
// batch has run.
type HomeProvider func(b *db.Batch, a db.Actor) func() HomeSection

// Step is one of the first things to do in a new workspace. It is shown to whoever holds
// Permission and ticked off once Done says so.
type Step struct {
	Label      string
	Text       string
	Href       string // below the workspace
	Action     string // words of the link, such as "Add a host"
	Icon       string
	Weight     int // order on the page
	Permission access.Permission
	// Done adds the question whether the step is done to a batch.
	Done func(b *db.Batch) *db.Result[bool]
}

// StepState is a step and whether it is done.
type StepState struct {
	Step
	IsDone bool
}

func inviteStep() Step {
	return Step{
		Label: "Invite a colleague", Text: "A second person sees what you see, and can act when you are away.",
		Href: "/members/invitations/new", Action: "Invite someone", Icon: "user-plus", Weight: 20, Permission: ManageMembers,
		Done: func(b *db.Batch) *db.Result[bool] { return hasColleague.Queue(b, nil) },
	}
}

// Home is what the home page shows.
type Home struct {
	Sections []HomeSection
	Steps    []StepState
}

// Items returns how many things need somebody.
func (h Home) Items() int {
	n := 0
	for _, s := range h.Sections {
		n += len(s.Items)
	}
	return n
}

// StepsDone returns how many steps are done.
func (h Home) StepsDone() int {
	n := 0
	for _, s := range h.Steps {
		if s.IsDone {
			n++
		}
	}
	return n
}

// queueHome reads what needs the actor now.
func (s *Service) queueHome(b *db.Batch, a db.Actor) func() Home {
	sections := make([]func() HomeSection, len(s.providers))
	for i, provide := range s.providers {
		sections[i] = provide(b, a)
	}
	steps := s.queueSteps(b, a)
	return func() Home {
		h := Home{Steps: steps()}
		for _, section := range sections {
			if v := section(); v.Title != "" {
				h.Sections = append(h.Sections, v)
			}
		}
		return h
	}
}

// queueSteps reads the first steps that the actor may take.
func (s *Service) queueSteps(b *db.Batch, a db.Actor) func() []StepState {
	var out []StepState
	var done []*db.Result[bool]
	for _, step := range s.sortedSteps() {
		if s.policy.Can(a, step.Permission) {
			out, done = append(out, StepState{Step: step}), append(done, step.Done(b))
		}
	}
	return func() []StepState {
		for i := range out {
			out[i].IsDone, _ = done[i].First()
		}
		return out
	}
}

func (s *Service) sortedSteps() []Step {
	out := slices.Clone(s.steps)
	slices.SortStableFunc(out, func(a, b Step) int { return cmp.Compare(a.Weight, b.Weight) })
	return out
}
