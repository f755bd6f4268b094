package members

import (
	"cmp"
	"context"
	"fmt"
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

// HomeProvider reads a section in the transaction of the home page: one statement, few
// rows, nothing that the actor may not see.
type HomeProvider func(ctx context.Context, tx *db.Tx, a db.Actor) (HomeSection, error)

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
	Done       func(ctx context.Context, tx *db.Tx) (bool, error)
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
		Done: func(ctx context.Context, tx *db.Tx) (bool, error) { return hasColleague.One(ctx, tx, nil) },
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

// Home reads what needs the actor now, in one transaction.
func (s *Service) Home(ctx context.Context, a db.Actor) (Home, error) {
	var h Home
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		for i, provide := range s.providers {
			section, err := provide(ctx, tx, a)
			if err != nil {
				return fmt.Errorf("read section %d of the home page: %w", i, err)
			}
			if section.Title != "" {
				h.Sections = append(h.Sections, section)
			}
		}
		var err error
		h.Steps, err = s.stepStates(ctx, tx, a)
		return err
	})
	return h, err
}

// GettingStarted reads the first steps that the actor may take.
func (s *Service) GettingStarted(ctx context.Context, a db.Actor) ([]StepState, error) {
	var out []StepState
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = s.stepStates(ctx, tx, a)
		return err
	})
	return out, err
}

func (s *Service) stepStates(ctx context.Context, tx *db.Tx, a db.Actor) ([]StepState, error) {
	var out []StepState
	for _, step := range s.sortedSteps() {
		if !s.policy.Can(a, step.Permission) {
			continue
		}
		done, err := step.Done(ctx, tx)
		if err != nil {
			return nil, fmt.Errorf("look at step %q: %w", step.Label, err)
		}
		out = append(out, StepState{Step: step, IsDone: done})
	}
	return out, nil
}

func (s *Service) sortedSteps() []Step {
	out := slices.Clone(s.steps)
	slices.SortStableFunc(out, func(a, b Step) int { return cmp.Compare(a.Weight, b.Weight) })
	return out
}
