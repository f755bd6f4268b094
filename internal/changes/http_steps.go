package changes

import (
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// stepForm is what the form of one step sends.
type stepForm struct {
	Title        string `form:"title"`
	Description  string `form:"description"`
	Owner        string `form:"owner"`
	Minutes      string `form:"minutes"`
	Verification string `form:"verification"`
	RollbackNote string `form:"rollback_note"`
	Destructive  bool   `form:"destructive"`
}

func (f stepForm) step(id uuid.UUID) (NewStep, error) {
	n := NewStep{
		ID: id, Title: f.Title, Description: f.Description, Owner: f.Owner, Verification: f.Verification, RollbackNote: f.RollbackNote, Destructive: f.Destructive,
	}
	if f.Minutes == "" {
		return n, nil
	}
	var err error
	if n.Minutes, err = strconv.Atoi(f.Minutes); err != nil {
		return n, fault.InvalidField("minutes", "not_a_number", "Use a whole number, such as 30.")
	}
	return n, nil
}

// stepProblem is a refused form of one step; the zero id is the form that adds one.
type stepProblem struct {
	id   uuid.UUID
	form stepForm
	err  error
}

func (s *Service) showSteps(r *web.Request) error { return s.stepsPage(r, stepProblem{}) }

func (s *Service) stepsPage(r *web.Request, problem stepProblem) error {
	var steps []Step
	p, err := s.readPage(r, func(tx *db.Tx, p *pageData) error {
		var err error
		steps, err = stepsOf.All(r.Context(), tx, db.Args{"id": p.c.ID})
		return err
	})
	if err != nil {
		return err
	}
	path := r.Path(p.c.Path())
	v := views.StepsPage{
		Header: s.header(r, p, "/steps"), Back: path,
		Lede: "Whoever carries the change out checks the steps off while it runs. Another order of work is another thing to approve.",
	}
	for i, st := range steps {
		e := views.EditStep{
			Row: views.StepRow{Number: fmt.Sprintf("%d.", st.Position), Title: st.Title, Meta: stepMeta(st)}, First: i == 0, Last: i == len(steps)-1,
			MoveAction: path + "/steps/" + st.ID.String() + "/move",
		}
		f, failed := formOfStep(st), problem.err != nil && problem.id == st.ID
		var stepErr error
		if failed {
			f, stepErr, e.Open = problem.form, problem.err, true
		}
		e.Form = stepFields(path+"/steps/"+st.ID.String(), "s"+strconv.Itoa(i)+"-", "Save", f, stepErr)
		v.Steps = append(v.Steps, e)
	}
	var addErr error
	add := stepForm{}
	if problem.err != nil && problem.id == uuid.Nil {
		add, addErr = problem.form, problem.err
	}
	v.Add = stepFields(path+"/steps", "new-", "Add step", add, addErr)
	if problem.err != nil {
		return r.InvalidPage(problem.err, p.page(r, "Order of work"), views.StepsEditor(v))
	}
	return r.Page(p.page(r, "Order of work"), views.StepsEditor(v))
}

func formOfStep(s Step) stepForm {
	f := stepForm{Title: s.Title, Description: s.Description, Owner: s.Owner, Verification: s.Verification, RollbackNote: s.RollbackNote, Destructive: s.Destructive}
	if s.Minutes > 0 {
		f.Minutes = strconv.Itoa(int(s.Minutes))
	}
	return f
}

func stepFields(action, prefix, submit string, f stepForm, err error) views.StepForm {
	m := form.Messages(err)
	errors := formErrors(err)
	for i := range errors {
		if errors[i].Field != "" {
			errors[i].Field = prefix + errors[i].Field
		}
	}
	return views.StepForm{
		Form: ui.Form{Action: action, Errors: errors}, Submit: submit,
		Name:        ui.Field{ID: prefix + "title", Name: "title", Label: "Step", Value: f.Title, Required: true, MaxLength: 200, Error: m["title"], Placeholder: "Drain edge-oslo and reload"},
		Minutes:     ui.Field{ID: prefix + "minutes", Name: "minutes", Label: "Minutes", Type: "number", Min: "0", Value: f.Minutes, Short: true, Error: m["minutes"]},
		Owner:       ui.Field{ID: prefix + "owner", Name: "owner", Label: "Who", Value: f.Owner, MaxLength: 80, Error: m["owner"], Placeholder: "Network on call"},
		Description: ui.Field{ID: prefix + "description", Name: "description", Label: "How", Value: f.Description, Rows: 3, Error: m["description"]},
		Verify:      ui.Field{ID: prefix + "verification", Name: "verification", Label: "How to check it", Value: f.Verification, MaxLength: 2000, Error: m["verification"]},
		Going:       ui.Field{ID: prefix + "rollback_note", Name: "rollback_note", Label: "Going back from here", Value: f.RollbackNote, MaxLength: 2000, Error: m["rollback_note"]},
		Destructive: ui.Choice{ID: prefix + "destructive", Name: "destructive", Value: "true", Label: "Cannot be undone", Checked: f.Destructive},
	}
}

func (s *Service) addStep(r *web.Request) error {
	return s.saveStep(r, uuid.Nil, func(n NewStep) error { return s.AddStep(r.Context(), r.Actor, r.Param("key"), n) })
}

func (s *Service) editStep(r *web.Request) error {
	id, err := r.UUID("id", "step")
	if err != nil {
		return err
	}
	return s.saveStep(r, id, func(n NewStep) error { return s.EditStep(r.Context(), r.Actor, r.Param("key"), n) })
}

func (s *Service) saveStep(r *web.Request, id uuid.UUID, save func(NewStep) error) error {
	var f stepForm
	if err := r.Form(&f); err != nil {
		return err
	}
	n, err := f.step(id)
	if err == nil {
		err = save(n)
	}
	if err != nil {
		return s.stepsPage(r, stepProblem{id: id, form: f, err: err})
	}
	return r.SeeOther(r.Path(changePath(r.Param("key"))) + "/steps")
}

type moveForm struct {
	To string `form:"to"`
}

func (s *Service) moveStep(r *web.Request) error {
	id, err := r.UUID("id", "step")
	if err != nil {
		return err
	}
	var f moveForm
	if err := r.Form(&f); err != nil {
		return err
	}
	places, ok := map[string]int{"up": -1, "down": 1, "away": 0}[f.To]
	if !ok {
		return fault.NewInvalid("unknown_action", "Say where the step goes.")
	}
	if err := s.MoveStep(r.Context(), r.Actor, r.Param("key"), id, places); err != nil {
		return err
	}
	return r.SeeOther(r.Path(changePath(r.Param("key"))) + "/steps")
}

type checkForm struct {
	State string `form:"state"`
	Note  string `form:"note"`
}

func (s *Service) showSkipStep(r *web.Request) error { return s.skipPage(r, "", nil) }

func (s *Service) skipPage(r *web.Request, note string, err error) error {
	id, idErr := r.UUID("id", "step")
	if idErr != nil {
		return idErr
	}
	c, readErr := s.Change(r.Context(), r.Actor, r.Param("key"))
	if readErr != nil {
		return readErr
	}
	v := views.Ask{
		Title: "Skip a step", Lede: c.Key + " " + c.Title, Submit: "Skip", CancelHref: r.Path(c.Path()),
		Form: ui.Form{
			Action: r.Path(c.Path()) + "/steps/" + id.String() + "/check", Errors: formErrors(err), Hidden: []ui.Hidden{{Name: "state", Value: "skipped"}},
		},
		Areas: []ui.Field{{Name: "note", Label: "Reason", Value: note, Rows: 3, MaxLength: 2000, Required: true, Error: form.Messages(err)["note"]}},
	}
	page := web.Page{Title: v.Title, Crumbs: changeCrumbs(r, c, "Skip a step")}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) checkStep(r *web.Request) error {
	id, err := r.UUID("id", "step")
	if err != nil {
		return err
	}
	var f checkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	if _, err := s.CheckStep(r.Context(), r.Actor, r.Param("key"), id, f.State, f.Note); err != nil {
		if fault.Is(err, fault.Invalid) && f.State == "skipped" {
			return s.skipPage(r, f.Note, err)
		}
		return err
	}
	return r.SeeOther(r.Path(changePath(r.Param("key"))) + "#work")
}
