package freezes

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/freezes"
	"github.com/vigilo/vigilo/templates/ui"
)

// showNew shows an empty form, or a copy of the window named by from.
func (s *Service) showNew(r *web.Request) error {
	q := r.URL.Query()
	kind := Hard
	if k := Kind(q.Get("kind")); slices.Contains(Kinds(), k) {
		kind = k
	}
	zone := r.Zone()
	if z, err := s.zone(r.Workspace.TimeZone); err == nil && r.Workspace.TimeZone != "" {
		zone = z.zone
	}
	f := newForm(kind, zone, r.Now())
	var people []Person
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		if id, err := uuid.Parse(q.Get("from")); err == nil {
			old, err := loadFreeze.One(r.Context(), tx, db.Args{"id": id})
			if err != nil {
				return err
			}
			if f, err = s.formOf(r.Context(), tx, old, r.Now()); err != nil {
				return err
			}
			f.Name, f.Version = clip("Copy of "+f.Name, maxName), 0
		}
		var err error
		people, err = s.people(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return r.Page(newPage(r, f), views.FormPage(s.newView(r, f, people, nil)))
}

func clip(text string, limit int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), limit)])
}

func newTitle(f freezeForm) string {
	if Kind(f.Kind) == Maintenance {
		return "New maintenance window"
	}
	return "New freeze"
}

func newPage(r *web.Request, f freezeForm) web.Page {
	return web.Page{Title: newTitle(f), Crumbs: crumbs(r, web.Crumb{Text: newTitle(f)})}
}

func (s *Service) newView(r *web.Request, f freezeForm, people []Person, err error) views.Form {
	v := formView(r, f, people, s.nextView(r, f), err)
	v.Title, v.Submit, v.Back = newTitle(f), "Save draft", r.Path(listPath)
	v.Lede = "It does nothing until it is activated. Before that you see what it meets."
	if Kind(f.Kind) == Maintenance {
		v.Lede = "While it runs, alerts of the assets that it covers stay silent. It does nothing until it is activated."
	}
	v.Form.Action = r.Path(listPath + "/new")
	return v
}

// readPeople lists the members whom the form offers as owners.
func (s *Service) readPeople(ctx context.Context, a db.Actor) ([]Person, error) {
	var people []Person
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		people, err = s.people(ctx, tx)
		return err
	})
	return people, err
}

func (s *Service) create(r *web.Request) error {
	var in freezeForm
	err := r.Form(&in)
	var f Freeze
	if err == nil {
		var edit func(*Freeze)
		if edit, err = s.edit(r.Context(), r.Actor, in); err == nil {
			edit(&f)
			f, err = s.CreateFreeze(r.Context(), r.Actor, f)
		}
	}
	if err != nil {
		people, readErr := s.readPeople(r.Context(), r.Actor)
		if readErr != nil {
			return readErr
		}
		return r.InvalidPage(err, newPage(r, in), views.FormPage(s.newView(r, in, people, err)))
	}
	r.Flash("Draft saved. Look at what it meets, then activate it.")
	return r.SeeOther(r.Path(f.Path() + "/activate"))
}

// showNext answers with the coming occurrences of a form: the list alone for a script, the
// whole form without.
func (s *Service) showNext(r *web.Request) error {
	var f freezeForm
	if err := r.Form(&f); err != nil {
		return err
	}
	if r.HTMX() {
		return r.Fragment(200, views.NextCard(s.nextView(r, f)))
	}
	people, err := s.readPeople(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	id, idErr := uuid.Parse(r.PostForm.Get("freeze_id"))
	if idErr != nil {
		return r.Page(newPage(r, f), views.FormPage(s.newView(r, f, people, nil)))
	}
	z, err := s.Freeze(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return r.Page(freezePage(r, z, web.Crumb{Text: "Edit"}), views.FormPage(s.editView(r, z, f, people, nil)))
}

func (s *Service) editView(r *web.Request, z Freeze, f freezeForm, people []Person, err error) views.Form {
	v := formView(r, f, people, s.nextView(r, f), err)
	v.Title, v.Submit, v.Back = "Edit "+z.Name, "Save", r.Path(z.Path())
	v.Form.Action = r.Path(z.Path() + "/edit")
	v.Form.Hidden = append(v.Form.Hidden, ui.Hidden{Name: "freeze_id", Value: z.ID.String()})
	if z.State == Active {
		v.Lede = "It is in force. Before the change counts you see what it meets."
		v.Submit = "Go on"
	}
	return v
}

func (s *Service) showEdit(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	var z Freeze
	var f freezeForm
	var people []Person
	err = s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if z, err = loadFreeze.One(r.Context(), tx, db.Args{"id": id}); err != nil {
			return err
		}
		if f, err = s.formOf(r.Context(), tx, z, r.Now()); err != nil {
			return err
		}
		people, err = s.people(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	if z.State == Lifted {
		return r.SeeOther(r.Path(z.Path()))
	}
	return r.Page(freezePage(r, z, web.Crumb{Text: "Edit"}), views.FormPage(s.editView(r, z, f, people, nil)))
}

// save stores an edit. Of an active freeze it first shows what the change meets.
func (s *Service) save(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	z, err := s.Freeze(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	var f freezeForm
	var edit func(*Freeze)
	if err = r.Form(&f); err == nil {
		edit, err = s.edit(r.Context(), r.Actor, f)
	}
	if err == nil && z.State == Active && !f.Confirmed {
		var after Freeze
		var p Preview
		if after, p, err = s.PreviewFreeze(r.Context(), r.Actor, id, edit); err == nil {
			return r.Page(freezePage(r, z, web.Crumb{Text: "Confirm the change"}), views.DecidePage(confirmEditView(r, z, after, p)))
		}
	}
	if err == nil {
		_, err = s.ChangeFreeze(r.Context(), r.Actor, id, Change{Edit: edit, Version: &f.Version})
	}
	if err != nil {
		people, readErr := s.readPeople(r.Context(), r.Actor)
		if readErr != nil {
			return readErr
		}
		return r.InvalidPage(err, freezePage(r, z, web.Crumb{Text: "Edit"}), views.FormPage(s.editView(r, z, f, people, err)))
	}
	r.Flash("Saved")
	return r.SeeOther(r.Path("/settings/maintenance/" + id.String()))
}

// confirmEditView carries the whole form in hidden fields, so that confirming needs nothing
// kept on the server.
func confirmEditView(r *web.Request, before, after Freeze, p Preview) views.Decide {
	v := views.Decide{
		Head:   ui.PageHead{Title: "Change " + before.Name, Lede: "This window is in force. This is what it will meet once you confirm."},
		Next:   nextOf(r, after, p),
		Impact: impactView(r, p.Affected, p.Certificates, "Scheduled changes that are held"),
		Form: ui.ConfirmForm{
			Action: r.Path(before.Path() + "/edit"), Title: "Change this window now?", Confirm: "Save the change", CancelHref: r.Path(before.Path() + "/edit"),
			Points: []string{"Changes that no longer meet it are released.", "Scheduled changes inside are put on hold, and their owners are told."},
		},
	}
	if !after.Blocks() {
		v.Impact.HeldTitle = "Changes inside"
		v.Form.Points = []string{"Changes that it held are released."}
	}
	if p.Widens {
		v.Notices = append(v.Notices, ui.Notice{
			Tone: ui.Warn, Title: "It stops more than before.", Text: "Every override of it becomes void: whoever let a change pass must look again.",
		})
	}
	for name, values := range r.PostForm {
		for _, value := range values {
			v.Form.Hidden = append(v.Form.Hidden, ui.Hidden{Name: name, Value: value})
		}
	}
	slices.SortFunc(v.Form.Hidden, func(a, b ui.Hidden) int {
		if a.Name != b.Name {
			if a.Name < b.Name {
				return -1
			}
			return 1
		}
		return 0
	})
	v.Form.Hidden = append(v.Form.Hidden, ui.Hidden{Name: "confirmed", Value: "on"})
	return v
}
