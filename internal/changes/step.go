package changes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Step is one piece of the order of work. What is planned is part of the content that is
// approved; State and what follows is filled in while the change runs.
type Step struct {
	ID           uuid.UUID     `db:"id"`
	Position     int32         `db:"position"`
	Title        string        `db:"title"`
	Description  string        `db:"description"`
	Owner        string        `db:"owner"`
	Minutes      int32         `db:"minutes"` // planned
	Verification string        `db:"verification"`
	RollbackNote string        `db:"rollback_note"`
	Destructive  bool          `db:"destructive"`
	State        string        `db:"state"` // todo, done, skipped
	Note         string        `db:"note"`
	DoneAt       *time.Time    `db:"done_at"`
	DoneBy       uuid.NullUUID `db:"done_by"`
}

// NewStep is a step as a person writes it.
type NewStep struct {
	ID           uuid.UUID `json:"id,omitzero"` // keeps a step that exists already; zero makes a new one
	Title        string    `json:"title"`
	Description  string    `json:"description"`
	Owner        string    `json:"owner"`
	Minutes      int       `json:"minutes"`
	Verification string    `json:"verification"`
	RollbackNote string    `json:"rollback_note"`
	Destructive  bool      `json:"destructive"`
}

// step returns the step that n describes, with what is wrong added to check under field.
func (n NewStep) step(position int, field string, check *form.Check) Step {
	s := Step{
		ID: n.ID, Position: int32(position), Title: oneLine(n.Title), Description: tidyText(n.Description), Owner: oneLine(n.Owner),
		Minutes: int32(n.Minutes), Verification: tidyText(n.Verification), RollbackNote: tidyText(n.RollbackNote), Destructive: n.Destructive, State: "todo",
	}
	check.Text(field+"title", s.Title, "The title of a step", 200)
	check.Longest(field+"description", s.Description, "The description", 10_000)
	check.Longest(field+"owner", s.Owner, "The owner", 80)
	check.Longest(field+"verification", s.Verification, "The verification", 2000)
	check.Longest(field+"rollback_note", s.RollbackNote, "The note", 2000)
	check.Range(field+"minutes", n.Minutes, 0, 10_080, "The minutes")
	return s
}

// SetSteps replaces the order of work. Like any material edit it restarts the approval of a
// change in review, and brings an approved one back to review.
func (s *Service) SetSteps(ctx context.Context, a db.Actor, ref string, list []NewStep, ifMatch string, version *int64) ([]Step, error) {
	return s.editSteps(ctx, a, ref, ifMatch, version, func([]Step) ([]NewStep, string, error) { return list, "", nil })
}

// AddStep adds a step at the end.
func (s *Service) AddStep(ctx context.Context, a db.Actor, ref string, n NewStep) error {
	_, err := s.editSteps(ctx, a, ref, "", nil, func(old []Step) ([]NewStep, string, error) {
		return append(asNew(old), n), "last", nil
	})
	return err
}

// EditStep changes one step.
func (s *Service) EditStep(ctx context.Context, a db.Actor, ref string, n NewStep) error {
	_, err := s.editSteps(ctx, a, ref, "", nil, func(old []Step) ([]NewStep, string, error) {
		list := asNew(old)
		for i := range list {
			if list[i].ID == n.ID {
				list[i] = n
				return list, fmt.Sprint(i), nil
			}
		}
		return nil, "", fault.NewNotFound("step")
	})
	return err
}

// MoveStep moves a step by some places, or removes it when places is zero.
func (s *Service) MoveStep(ctx context.Context, a db.Actor, ref string, id uuid.UUID, places int) error {
	_, err := s.editSteps(ctx, a, ref, "", nil, func(old []Step) ([]NewStep, string, error) {
		list := asNew(old)
		at := slices.IndexFunc(list, func(n NewStep) bool { return n.ID == id })
		if at < 0 {
			return nil, "", fault.NewNotFound("step")
		}
		if places == 0 {
			return slices.Delete(list, at, at+1), "", nil
		}
		step := list[at]
		list = slices.Delete(list, at, at+1)
		return slices.Insert(list, min(max(at+places, 0), len(list)), step), "", nil
	})
	return err
}

func asNew(steps []Step) []NewStep {
	out := make([]NewStep, len(steps))
	for i, s := range steps {
		out[i] = NewStep{
			ID: s.ID, Title: s.Title, Description: s.Description, Owner: s.Owner, Minutes: int(s.Minutes), Verification: s.Verification,
			RollbackNote: s.RollbackNote, Destructive: s.Destructive,
		}
	}
	return out
}

// editSteps writes another order of work. only is the index of the step whose problems are
// reported without their place in the list, "last" for the last one.
func (s *Service) editSteps(ctx context.Context, a db.Actor, ref, ifMatch string, version *int64, edit func(old []Step) (list []NewStep, only string, err error)) ([]Step, error) {
	var out []Step
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return nil, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(ifMatch, version, before.Version); err != nil {
			return err
		}
		if !editable(before.State, "steps") {
			return notEditable(before, []string{"steps"})
		}
		old, err := stepsOf.All(ctx, tx, db.Args{"id": before.ID})
		if err != nil {
			return err
		}
		list, only, err := edit(old)
		if err != nil {
			return err
		}
		if out, err = madeSteps(list, only, old); err != nil {
			return err
		}
		return s.saveSteps(ctx, tx, before, old, out)
	})
	return out, err
}

func madeSteps(list []NewStep, only string, old []Step) ([]Step, error) {
	check := &form.Check{}
	if len(list) > maxSteps {
		check.Add("steps", "too_many", fmt.Sprintf("A change has at most %d steps.", maxSteps))
		return nil, check.Err()
	}
	out := make([]Step, len(list))
	for i, n := range list {
		field := fmt.Sprintf("steps[%d].", i)
		if only == fmt.Sprint(i) || (only == "last" && i == len(list)-1) {
			field = ""
		}
		out[i] = n.step(i+1, field, check)
		known := slices.ContainsFunc(old, func(o Step) bool { return o.ID == n.ID })
		twice := slices.ContainsFunc(out[:i], func(o Step) bool { return o.ID == n.ID })
		if !known || twice {
			id, err := newID()
			if err != nil {
				return nil, err
			}
			out[i].ID = id
		}
	}
	return out, check.Err()
}

func (s *Service) saveSteps(ctx context.Context, tx *db.Tx, before Change, old, steps []Step) error {
	if slices.EqualFunc(old, steps, func(a, b Step) bool { return a == b }) {
		return nil
	}
	if _, err := deleteSteps.Run(ctx, tx, db.Args{"id": before.ID}); err != nil {
		return err
	}
	if err := addSteps(ctx, tx, before.ID, steps); err != nil {
		return err
	}
	_, err := s.saveEdit(ctx, tx, before, before, ledger.Entry{
		Action: EventUpdated, Changes: []ledger.Change{{Field: "steps", From: stepTitles(old), To: stepTitles(steps)}},
	})
	return err
}

func stepTitles(steps []Step) []string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = s.Title
	}
	return out
}

// CheckStep notes while the change runs that a step is done, was skipped, or is open again.
func (s *Service) CheckStep(ctx context.Context, a db.Actor, ref string, id uuid.UUID, state, note string) (Step, error) {
	var out Step
	note = tidyText(note)
	if err := s.policy.Check(a, CanComplete); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		steps, err := stepsOf.All(ctx, tx, db.Args{"id": c.ID})
		if err != nil {
			return err
		}
		at := slices.IndexFunc(steps, func(st Step) bool { return st.ID == id })
		if at < 0 {
			return fault.NewNotFound("step")
		}
		var check form.Check
		check.OneOf("state", state, "The state", "todo", "done", "skipped")
		check.Longest("note", note, "The note", 2000)
		if state == "skipped" && note == "" {
			check.Add("note", lifecycle.CodeReason, "Say why the step is skipped.")
		}
		if err := check.Err(); err != nil {
			return err
		}
		if c.State != lifecycle.InProgress && c.State != lifecycle.Failed {
			return fault.NewConflict("not_running", "Steps are checked off while the change is in progress; it is "+strings.ToLower(c.State.Label())+".")
		}
		if !slices.Contains(c.Implementers, a.UserID) && !s.policy.Can(a, CanManage) {
			return fault.NewDenied("forbidden", "Only an implementer of the change checks steps off.")
		}
		before := steps[at]
		out = before
		out.State, out.Note, out.DoneAt, out.DoneBy = state, note, &tx.Now, db.NullID(a.UserID)
		if state == "todo" {
			out.DoneAt, out.DoneBy = nil, uuid.NullUUID{}
		}
		if err := saveStepState(ctx, tx, out); err != nil {
			return err
		}
		_, err = s.record(ctx, tx, ledger.Entry{
			Action: EventStepChecked, Subject: c.subject(), Payload: StepPayload{ChangePayload: c.payload(), StepID: out.ID, Step: out.Title, StepState: state},
			Changes: []ledger.Change{{Field: "step " + fmt.Sprint(out.Position), From: before.State, To: out.State}},
			Detail:  map[string]any{"step": out.Title}, Reason: note,
		})
		return err
	})
	return out, err
}
