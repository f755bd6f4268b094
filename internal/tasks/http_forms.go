package tasks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/tasks"
	"github.com/vigilo/vigilo/templates/ui"
)

// taskForm is what the pages "Add task" and "Edit" send.
type taskForm struct {
	Title        string `form:"title"`
	Description  string `form:"description"`
	Assignee     string `form:"assignee"`
	Due          string `form:"due"`
	Estimate     string `form:"estimate_minutes"`
	ParentType   string `form:"parent_type"`
	ParentID     string `form:"parent_id"`
	Gate         string `form:"gate"`
	Verification bool   `form:"verification"`
	Version      int64  `form:"version"`
}

// read reads the fields that are no plain text, and reports what is wrong with them.
func (f taskForm) read(zone *time.Location) (NewTask, error) {
	var c form.Check
	n := NewTask{
		Title: f.Title, Description: f.Description, Assignee: f.Assignee, ParentType: f.ParentType, Gate: f.Gate, Verification: f.Verification,
	}
	if f.Due != "" {
		at, err := timetext.Local(f.Due, zone)
		switch skipped, gap := errors.AsType[*timetext.SkippedError](err); {
		case gap:
			c.Add("due", "missing_time", "Clocks are put forward then: this time does not exist. The next is "+skipped.Next.In(zone).Format("15:04")+".")
		case err != nil:
			c.Add("due", "invalid_time", "Write a date and a time, such as 2026-11-20 16:00.")
		default:
			// Of an hour that comes twice the first is meant: nobody is told late.
			n.Due = at[0]
		}
	}
	if f.Estimate != "" {
		minutes, err := strconv.Atoi(f.Estimate)
		if err != nil {
			c.Add("estimate_minutes", "not_a_number", "Use whole minutes, such as 90.")
		}
		n.EstimateMinutes = minutes
	}
	if f.ParentID != "" {
		id, err := uuid.Parse(f.ParentID)
		if err != nil {
			c.Add("parent_id", "unknown_parent", "There is no such record.")
		}
		n.ParentID = id
	}
	return n, c.Err()
}

func formOf(t Task, zone *time.Location) taskForm {
	f := taskForm{
		Title: t.Title, Description: t.Description, ParentType: t.ParentType, Gate: t.Gate, Verification: t.Verification, Version: t.Version,
	}
	if t.AssigneeID.Valid {
		f.Assignee = t.AssigneeID.UUID.String()
	}
	if t.HasDue() {
		f.Due = t.DueAt.In(zone).Format(timetext.LocalLayout)
	}
	if t.EstimateMinutes > 0 {
		f.Estimate = strconv.Itoa(int(t.EstimateMinutes))
	}
	if t.ParentID.Valid {
		f.ParentID = t.ParentID.UUID.String()
	}
	return f
}

func (s *Service) showNew(r *web.Request) error {
	q := r.URL.Query()
	return s.answerNew(r, taskForm{ParentType: q.Get("parent_type"), ParentID: q.Get("parent_id")}, nil)
}

func (s *Service) answerNew(r *web.Request, f taskForm, problem error) error {
	v, err := s.fields(r, f, problem)
	if err != nil {
		return err
	}
	v.Title, v.Submit, v.CancelHref = "Add task", "Add task", r.Path("/tasks")
	v.Form.Action = r.Path("/tasks")
	v.Form.Hidden = []ui.Hidden{{Name: "parent_type", Value: f.ParentType}, {Name: "parent_id", Value: f.ParentID}}
	page := web.Page{Title: "Add task", Crumbs: crumbs(r, web.Crumb{Text: "Add task"})}
	if problem != nil {
		return r.InvalidPage(problem, page, views.FormPage(v))
	}
	return r.Page(page, views.FormPage(v))
}

func (s *Service) createTask(r *web.Request) error {
	var f taskForm
	if err := r.Form(&f); err != nil {
		return s.answerNew(r, f, err)
	}
	in, err := f.read(r.Zone())
	if err != nil {
		return s.answerNew(r, f, err)
	}
	t, err := s.AddTask(r.Context(), r.Actor, in)
	if err != nil {
		return s.answerNew(r, f, err)
	}
	r.Flash(t.Key + " is added.")
	return r.SeeOther(r.Path(t.Path()))
}

func (s *Service) showEdit(r *web.Request) error {
	t, err := s.Task(r.Context(), r.Actor, r.Param("id"))
	if err != nil {
		return err
	}
	return s.answerEdit(r, t, formOf(t, r.Zone()), nil)
}

func (s *Service) answerEdit(r *web.Request, t Task, f taskForm, problem error) error {
	f.ParentType, f.ParentID = t.ParentType, ""
	if t.ParentID.Valid {
		f.ParentID = t.ParentID.UUID.String()
	}
	v, err := s.fields(r, f, problem)
	if err != nil {
		return err
	}
	v.Title, v.Submit, v.CancelHref = "Edit "+t.Key, "Save", r.Path(t.Path())
	v.Form.Action = r.Path(t.Path())
	v.Form.Hidden = []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}}
	page := web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: t.Key, Href: r.Path(t.Path())}, web.Crumb{Text: "Edit"})}
	if problem != nil {
		return r.InvalidPage(problem, page, views.FormPage(v))
	}
	return r.Page(page, views.FormPage(v))
}

func (s *Service) updateTask(r *web.Request) error {
	var f taskForm
	err := r.Form(&f)
	var in NewTask
	if err == nil {
		in, err = f.read(r.Zone())
	}
	if err == nil {
		var t Task
		t, err = s.UpdateTask(r.Context(), r.Actor, r.Param("id"), TaskEdit{
			Title: &in.Title, Description: &in.Description, Assignee: &in.Assignee, Due: &in.Due, EstimateMinutes: &in.EstimateMinutes,
			Gate: &in.Gate, Verification: &in.Verification, Version: &f.Version,
		})
		if err == nil {
			r.Flash("Saved.")
			return r.SeeOther(r.Path(t.Path()))
		}
	}
	current, readErr := s.Task(r.Context(), r.Actor, r.Param("id"))
	if readErr != nil {
		return readErr
	}
	if e := fault.Find(err); e != nil && e.Code == "version_conflict" {
		// What is sent next is compared with what the page says now.
		f.Version = current.Version
		err = &fault.Error{Kind: fault.Conflict, Code: e.Code, Details: e.Details, Message: fmt.Sprintf(
			"Somebody saved version %d meanwhile: %s, %s. Your values are kept below; save again to replace theirs.",
			current.Version, current.Title, stateWord(current.State))}
	}
	return s.answerEdit(r, current, f, err)
}

// fields makes the form; what a task is for is named above it.
func (s *Service) fields(r *web.Request, f taskForm, problem error) (views.Form, error) {
	people, parent, err := s.formContext(r.Context(), r.Actor, f)
	if err != nil {
		return views.Form{}, err
	}
	m := form.Messages(problem)
	v := views.Form{
		Form:        ui.Form{Guard: true, Errors: formErrors(problem)},
		Name:        ui.Field{Name: "title", Label: "Title", Value: f.Title, Required: true, Error: m["title"], MaxLength: maxTitle, Autofocus: f.Title == ""},
		Description: ui.Field{Name: "description", Label: "What to do", Value: f.Description, Error: m["description"], Rows: 5},
		Assignee:    ui.Field{Name: "assignee", Label: "Assignee", Error: m["assignee"], Options: []ui.Option{{Text: "Nobody yet"}}},
		Due:         ui.Field{Name: "due", Label: "Due", Type: "datetime-local", Value: f.Due, Error: m["due"], Hint: "In " + r.Zone().String() + "."},
		Estimate:    ui.Field{Name: "estimate_minutes", Label: "Estimate in minutes", Type: "number", Min: "0", Value: f.Estimate, Error: m["estimate_minutes"]},
	}
	for _, p := range people {
		v.Assignee.Options = append(v.Assignee.Options, ui.Option{Value: p.UserID.String(), Text: p.Name, Selected: p.UserID.String() == f.Assignee})
	}
	kind, ok := s.parents[f.ParentType]
	if !ok || parent == nil {
		return v, nil
	}
	v.Lede = "For " + orText(parent.label(), kind.Label) + "."
	if !kind.Gates {
		return v, nil
	}
	v.Gate = &ui.Field{Name: "gate", Label: "Guards", Error: m["gate"], Options: []ui.Option{{Text: "No step"}}}
	for _, g := range GateNames() {
		v.Gate.Options = append(v.Gate.Options, ui.Option{Value: g, Text: gateLabel(g), Selected: f.Gate == g})
	}
	v.Verification = &ui.Choice{
		Name: "verification", Label: "Verifies the work", Checked: f.Verification, Error: m["verification"],
		Hint: "Only somebody who did not do the work can mark it as done.",
	}
	return v, nil
}

// formContext reads who may be given the task, and what it is for; nil for nothing, or for
// what does not exist, which saving reports.
func (s *Service) formContext(ctx context.Context, a db.Actor, f taskForm) (people []Person, parent *Parent, err error) {
	err = s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		if people, err = s.people(ctx, tx); err != nil {
			return fmt.Errorf("read people: %w", err)
		}
		id, parseErr := uuid.Parse(f.ParentID)
		if parseErr != nil {
			return nil
		}
		p, err := s.parent(ctx, tx, Task{ParentType: f.ParentType, ParentID: db.NullID(id)})
		switch {
		case err == nil:
			parent = &p
		case !fault.Is(err, fault.Invalid):
			return err
		}
		return nil
	})
	return people, parent, err
}

// formErrors is the summary above a refused form.
func formErrors(err error) []ui.FormError {
	e := fault.Find(err)
	if e == nil {
		return nil
	}
	labels := map[string]string{
		"title": "Title", "description": "What to do", "assignee": "Assignee", "due": "Due", "estimate_minutes": "Estimate in minutes",
		"gate": "Guards", "verification": "Verifies the work", "reason": "Why?", "predecessor": "Task to wait for", "lag_minutes": "Minutes after it",
	}
	var out []ui.FormError
	for _, d := range e.Details {
		entry := ui.FormError{Text: d.Message}
		if label, ok := labels[d.Field]; ok {
			entry.Field, entry.Label = d.Field, label
		}
		if !slices.Contains(out, entry) {
			out = append(out, entry)
		}
	}
	if len(out) == 0 || e.Code == "version_conflict" {
		out = []ui.FormError{{Text: e.Message}}
	}
	return out
}
