package assets

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Get("/assets", CanRead, s.showList)
	r.Post("/assets", CanCreate, s.createAsset)
	r.Get("/assets/new", CanCreate, s.showNew)
	r.Get("/assets/import", CanImport, s.showImport)
	r.Post("/assets/import", CanImport, s.importAssets)
	r.Get("/assets/map", CanRead, s.showMap)
	r.Post("/assets/bulk", CanUpdate, s.actOnAssets)
	r.Get("/assets/edit", CanUpdate, s.showBulkEdit)
	r.Post("/assets/edit", CanUpdate, s.editAssets)
	r.Get("/assets/retire", CanRetire, s.showRetire)
	r.Post("/assets/retire", CanRetire, s.retireAssets)
	r.Get("/assets/relationships/{id}/remove", CanUpdate, s.showUnrelate)
	r.Post("/assets/relationships/{id}/remove", CanUpdate, s.unrelate)

	r.Get("/assets/{id}", CanRead, s.showDetail)
	r.Post("/assets/{id}", CanUpdate, s.updateAsset)
	r.Get("/assets/{id}/edit", CanUpdate, s.showEdit)
	r.Get("/assets/{id}/impact", CanRead, s.showImpact)
	if s.activity != nil {
		r.Get("/assets/{id}/activity", CanRead, s.showActivity)
	}
	r.Get("/assets/{id}/relationships", CanUpdate, s.showRelate)
	r.Post("/assets/{id}/relationships", CanUpdate, s.relate)
	r.Get("/assets/{id}/retire", CanRetire, s.showRetireOne)
	r.Post("/assets/{id}/reinstate", CanRetire, s.reinstate)
	r.Get("/assets/{id}/delete", CanDelete, s.showDelete)
	r.Post("/assets/{id}/delete", CanDelete, s.removeAsset)
}

func crumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	out := []web.Crumb{{Text: "Assets"}}
	if len(more) > 0 {
		out[0].Href = r.Path("/assets")
	}
	return append(out, more...)
}

// bulkForm is what the list sends for the selected rows. Its other fields repeat the
// filter, for "select all that match".
type bulkForm struct {
	Do  string   `form:"do"`
	IDs []string `form:"id"`
	All bool     `form:"all"`
}

func (s *Service) actOnAssets(r *web.Request) error {
	var f bulkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	ids, err := s.selected(r, f)
	if err != nil {
		return err
	}
	switch f.Do {
	case "edit":
		return r.SeeOther(r.Path("/assets/edit?") + idQuery(ids))
	case "retire":
		return r.SeeOther(r.Path("/assets/retire?") + idQuery(ids))
	}
	return fault.NewInvalid("unknown_action", "Choose what to do with the selected assets.")
}

// selected returns the ids of a bulk action: the checked ones, or all that match.
func (s *Service) selected(r *web.Request, f bulkForm) ([]uuid.UUID, error) {
	if !f.All {
		ids := parseIDs(f.IDs)
		return ids, checkBulk(ids)
	}
	q, err := filterFrom(r.PostForm).query()
	if err != nil {
		return nil, err
	}
	var page *db.PageResult[Item]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page = q.Limit(MaxBulk).Queue(b) })
	if err != nil {
		return nil, err
	}
	if page.Page.Next != "" {
		return nil, fault.InvalidField("all", "too_many", fmt.Sprintf("More than %d assets match. Narrow the filter first.", MaxBulk))
	}
	ids := make([]uuid.UUID, len(page.Page.Items))
	for i, a := range page.Page.Items {
		ids[i] = a.ID
	}
	return ids, checkBulk(ids)
}

// parseIDs reads ids and leaves out what is none: it could match nothing.
func parseIDs(list []string) []uuid.UUID {
	var out []uuid.UUID
	for _, text := range list {
		if id, err := uuid.Parse(text); err == nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func idQuery(ids []uuid.UUID) string {
	q := url.Values{}
	for _, id := range ids {
		q.Add("id", id.String())
	}
	return q.Encode()
}

// chosen reads the assets that a page asks about.
func (s *Service) chosen(r *web.Request, ids []uuid.UUID) ([]Asset, error) {
	if err := checkBulk(ids); err != nil {
		return nil, err
	}
	var rows *db.Result[Asset]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { rows = assetsByID.Queue(b, db.Args{"ids": ids}) }); err != nil {
		return nil, err
	}
	if len(rows.Rows) == 0 {
		return nil, fault.NewNotFound("asset")
	}
	return rows.Rows, nil
}

func names(list []Asset) []string {
	const shown = 12
	var out []string
	for i, a := range list {
		if i == shown && len(list) > shown+1 {
			return append(out, "and "+counted(int64(len(list)-shown), "more asset", "more assets"))
		}
		out = append(out, a.Name+", "+typeLabel(a.Type))
	}
	return out
}

func hiddenIDs(list []Asset) []ui.Hidden {
	out := make([]ui.Hidden, len(list))
	for i, a := range list {
		out[i] = ui.Hidden{Name: "id", Value: a.ID.String()}
	}
	return out
}

type idsForm struct {
	IDs []string `form:"id"`
}

func (s *Service) showRetire(r *web.Request) error {
	return s.confirmRetire(r, parseIDs(r.URL.Query()["id"]), r.Path("/assets"))
}

func (s *Service) showRetireOne(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	return s.confirmRetire(r, []uuid.UUID{id}, r.Path(assetPath(id)))
}

func (s *Service) confirmRetire(r *web.Request, ids []uuid.UUID, cancel string) error {
	list, err := s.chosen(r, ids)
	if err != nil {
		return err
	}
	title := "Retire " + counted(int64(len(list)), "asset", "assets")
	if len(list) == 1 {
		title = "Retire " + list[0].Name
	}
	return r.Page(web.Page{Title: title, Crumbs: crumbs(r, web.Crumb{Text: "Retire"})}, views.ConfirmPage(views.Confirmation{
		Title: title, Confirm: ui.ConfirmForm{
			Action: r.Path("/assets/retire"), Title: title, Confirm: "Retire", Danger: true, CancelHref: cancel,
			Text:   "A retired asset leaves lists, pickers and the map, and no longer counts in the impact of others. Its history and relationships stay, and it can be taken back into use.",
			Points: names(list), Hidden: hiddenIDs(list),
		},
	}))
}

func (s *Service) retireAssets(r *web.Request) error {
	var f idsForm
	if err := r.Form(&f); err != nil {
		return err
	}
	n, err := s.RetireAssets(r.Context(), r.Actor, parseIDs(f.IDs))
	if err != nil {
		return err
	}
	r.Flash(counted(int64(n), "asset", "assets") + " retired.")
	return r.SeeOther(r.Path("/assets"))
}

func (s *Service) reinstate(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	a, err := s.Reinstate(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	r.Flash(a.Name + " is in use again.")
	return r.SeeOther(r.Path(a.Path()))
}

func (s *Service) showDelete(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	return s.answerDelete(r, id, nil)
}

// answerDelete asks before an asset is deleted, or says what keeps it from that.
func (s *Service) answerDelete(r *web.Request, id uuid.UUID, refused error) error {
	a, refs, err := s.deletable(r, id)
	if err != nil {
		return err
	}
	v := views.Confirmation{Title: "Delete " + a.Name}
	page := web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: a.Name, Href: r.Path(a.Path())}, web.Crumb{Text: "Delete"})}
	if len(refs) > 0 {
		e := fault.Find(inUse(a, refs))
		v.Refused = &ui.Notice{Tone: ui.Warn, Title: e.Message, Text: "What refers to it would lose its meaning.", Alert: refused != nil}
		if a.Lifecycle != Retired {
			v.Refused.Action = &ui.Link{Text: "Retire", Href: r.Path(a.Path() + "/retire")}
		}
		if refused != nil {
			page.Status = http.StatusConflict
		}
		return r.Page(page, views.ConfirmPage(v))
	}
	v.Confirm = ui.ConfirmForm{
		Action: r.Path(a.Path() + "/delete"), Title: v.Title, Confirm: "Delete", Danger: true, CancelHref: r.Path(a.Path()),
		Text: "The asset goes for good. Nothing refers to it; the audit log keeps what was known about it.",
	}
	return r.Page(page, views.ConfirmPage(v))
}

// deletable reads an asset with what refers to it.
func (s *Service) deletable(r *web.Request, id uuid.UUID) (Asset, []string, error) {
	var a Asset
	var refs []string
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if a, err = assetByID.One(r.Context(), tx, db.Args{"id": id}); err != nil {
			return err
		}
		refs, err = s.references(r.Context(), tx, id)
		return err
	})
	return a, refs, err
}

func (s *Service) removeAsset(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	err = s.DeleteAsset(r.Context(), r.Actor, id)
	if fault.Is(err, fault.Conflict) {
		return s.answerDelete(r, id, err)
	}
	if err != nil {
		return err
	}
	r.Flash("The asset is deleted.")
	return r.SeeOther(r.Path("/assets"))
}

// bulkEdit is what the page for several assets sends. An empty field keeps what each has.
type bulkEdit struct {
	IDs         []string `form:"id"`
	Owner       string   `form:"owner"`
	Team        string   `form:"team"`
	Criticality string   `form:"criticality"`
	Environment string   `form:"environment"`
	AddTags     string   `form:"add_tags"`
	RemoveTags  string   `form:"remove_tags"`
}

// nobody takes the owner away in an edit of many, where empty means unchanged.
const nobody = "none"

func (f bulkEdit) edit() (AssetEdit, error) {
	e := AssetEdit{AddTags: SplitTags(f.AddTags), RemoveTags: SplitTags(f.RemoveTags)}
	set := func(dst **string, value string) {
		if value != "" {
			*dst = &value
		}
	}
	set(&e.Team, f.Team)
	set(&e.Criticality, f.Criticality)
	set(&e.Environment, f.Environment)
	set(&e.Owner, f.Owner)
	if f.Owner == nobody {
		*e.Owner = ""
	}
	if f.Team+f.Criticality+f.Environment+f.Owner == "" && len(e.AddTags)+len(e.RemoveTags) == 0 {
		return e, fault.InvalidField("owner", "required", "Change at least one field.")
	}
	return e, nil
}

func (s *Service) showBulkEdit(r *web.Request) error {
	list, err := s.chosen(r, parseIDs(r.URL.Query()["id"]))
	if err != nil {
		return err
	}
	people, err := s.readPeople(r)
	if err != nil {
		return err
	}
	page, body := bulkPage(r, list, bulkEdit{}, people, nil)
	return r.Page(page, body)
}

func (s *Service) editAssets(r *web.Request) error {
	var f bulkEdit
	if err := r.Form(&f); err != nil {
		return err
	}
	ids := parseIDs(f.IDs)
	e, err := f.edit()
	if err == nil {
		var n int
		if n, err = s.EditAssets(r.Context(), r.Actor, ids, e); err == nil {
			r.Flash(counted(int64(n), "asset", "assets") + " changed.")
			return r.SeeOther(r.Path("/assets"))
		}
	}
	list, readErr := s.chosen(r, ids)
	if readErr != nil {
		return readErr
	}
	people, readErr := s.readPeople(r)
	if readErr != nil {
		return readErr
	}
	page, body := bulkPage(r, list, f, people, err)
	return r.InvalidPage(err, page, body)
}

func bulkPage(r *web.Request, list []Asset, f bulkEdit, people []Person, err error) (web.Page, templ.Component) {
	m := form.Messages(err)
	v := views.BulkForm{
		Title: "Edit " + counted(int64(len(list)), "asset", "assets"), CancelHref: r.Path("/assets"), Names: names(list),
		Lede:        "What you leave alone stays as each asset has it.",
		Form:        ui.Form{Action: r.Path("/assets/edit"), Errors: formErrors(err), Hidden: hiddenIDs(list)},
		Owner:       ownerField(people, f.Owner, m["owner"]),
		Team:        ui.Field{Name: "team", Label: "Team", Value: f.Team, Error: m["team"]},
		Criticality: keepField("criticality", "Criticality", f.Criticality, m["criticality"], Criticalities(), criticalityLabel),
		Environment: keepField("environment", "Environment", f.Environment, m["environment"], Environments(), environmentTitle),
		AddTags:     ui.Field{ID: "tags", Name: "add_tags", Label: "Add tags", Value: f.AddTags, Error: m["tags"], Hint: "Separated by commas."},
		RemoveTags:  ui.Field{Name: "remove_tags", Label: "Remove tags", Value: f.RemoveTags, Hint: "Separated by commas."},
	}
	v.Owner.Options = slices.Concat([]ui.Option{{Text: "As it is"}, {Value: nobody, Text: "Nobody", Selected: f.Owner == nobody}}, v.Owner.Options[1:])
	return web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: "Edit"})}, views.BulkPage(v)
}

func keepField(name, label, value, message string, values []string, words func(string) string) ui.Field {
	f := selectField(name, label, value, message, values, words)
	f.Options = slices.Concat([]ui.Option{{Text: "As it is"}}, f.Options)
	f.Required = false
	return f
}
