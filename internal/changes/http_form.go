package changes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// changeForm is what the pages "New change" and "Edit" send.
type changeForm struct {
	Key            string   `form:"key"` // of the change that is edited, for the preview
	Template       string   `form:"template"`
	Type           string   `form:"type"`
	Title          string   `form:"title"`
	Description    string   `form:"description"`
	Category       string   `form:"category"`
	Environment    string   `form:"environment"`
	Start          string   `form:"planned_start"`
	End            string   `form:"planned_end"`
	Implementation string   `form:"implementation_plan"`
	Backout        string   `form:"backout_plan"`
	Testing        string   `form:"test_plan"`
	Owner          string   `form:"owner"`
	Implementers   []string `form:"implementers"`
	Assets         []string `form:"assets"`
	MoreAssets     string   `form:"more_assets"`
	Priority       string   `form:"priority"`
	Risk           string   `form:"risk"`
	Reason         string   `form:"reason"`
	Vendor         string   `form:"vendor"`
	Tags           string   `form:"tags"`
	Parent         string   `form:"parent"`
	LeadReason     string   `form:"lead_reason"`
	Links          string   `form:"links"`
	Certificate    string   `form:"certificate"`
	Downtime       bool     `form:"downtime"`
	AutoSchedule   bool     `form:"auto_schedule"`
	Evidence       bool     `form:"evidence_required"`
	Version        int64    `form:"version"`

	values map[string]string // parameters of the template
}

// readForm reads the form with the parameters of its template.
func readForm(r *web.Request) (changeForm, error) {
	var f changeForm
	err := r.Form(&f)
	f.values = map[string]string{}
	for name := range r.PostForm {
		if p, ok := strings.CutPrefix(name, "param_"); ok {
			f.values[p] = strings.TrimSpace(r.PostForm.Get(name))
		}
	}
	return f, err
}

// parseLocal reads a local time of the reader's zone. One that the clock skips is refused
// with the next that exists; of one that comes twice, later takes the second.
func parseLocal(text string, zone *time.Location, later bool) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	moments, err := timetext.Local(text, zone)
	if skipped, ok := errors.AsType[*timetext.SkippedError](err); ok {
		return time.Time{}, fmt.Errorf("the clock skips this time; the next that exists is %s", skipped.Next.In(zone).Format("15:04"))
	}
	if err != nil {
		return time.Time{}, errors.New("write a day and a time, such as 2026-11-15 22:00")
	}
	if later {
		return moments[len(moments)-1], nil
	}
	return moments[0], nil
}

func localText(t *time.Time, zone *time.Location) string {
	if t == nil {
		return ""
	}
	return t.In(zone).Format(timetext.LocalLayout)
}

// editOf turns the form into what the service takes. Names of assets become ids.
func (s *Service) editOf(ctx context.Context, a db.Actor, f changeForm, zone *time.Location) (Edit, error) {
	var check form.Check
	start, err := parseLocal(f.Start, zone, false)
	if err != nil {
		check.Add("planned_start", "invalid_time", upperFirst(err.Error())+".")
	}
	end, err := parseLocal(f.End, zone, true)
	if err != nil {
		check.Add("planned_end", "invalid_time", upperFirst(err.Error())+".")
	}
	ids := slices.Clone(f.Assets)
	if f.MoreAssets != "" {
		err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
			for _, name := range SplitTags(f.MoreAssets) {
				name = strings.TrimSpace(name)
				found, err := s.assets.Find(ctx, tx, name, 50)
				if err != nil {
					return err
				}
				at := slices.IndexFunc(found, func(b assets.Brief) bool { return strings.EqualFold(b.Name, name) })
				if at < 0 {
					check.Add("more_assets", "unknown_asset", "There is no asset named "+name+".")
					continue
				}
				ids = append(ids, found[at].ID.String())
			}
			return nil
		})
		if err != nil {
			return Edit{}, err
		}
	}
	tags := SplitTags(f.Tags)
	e := Edit{
		Title: &f.Title, Description: &f.Description, Category: &f.Category, Environment: &f.Environment, Start: &start, End: &end,
		ImplementationPlan: &f.Implementation, BackoutPlan: &f.Backout, TestPlan: &f.Testing, Owner: &f.Owner, Implementers: &f.Implementers, Assets: &ids,
		Priority: &f.Priority, Risk: &f.Risk, Reason: f.Reason, Vendor: &f.Vendor, Tags: &tags, Parent: &f.Parent, LeadReason: &f.LeadReason,
		Downtime: &f.Downtime, AutoSchedule: &f.AutoSchedule, EvidenceRequired: &f.Evidence,
	}
	if f.Type != "" {
		e.Type = &f.Type
	}
	return e, check.Err()
}

// formContext is what the form offers to choose from.
type formContext struct {
	people   []Person
	assets   []assets.Brief
	template *usable
	parent   string
}

// offered is how many assets the form lists; those beyond are named.
const offered = 200

func (s *Service) formContext(r *web.Request, template string, chosen []string, parent uuid.NullUUID) (formContext, error) {
	var c formContext
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if c.people, err = s.people(r.Context(), tx); err != nil {
			return fmt.Errorf("read people: %w", err)
		}
		if c.assets, err = s.assets.Find(r.Context(), tx, "", offered); err != nil {
			return fmt.Errorf("read assets: %w", err)
		}
		var missing []uuid.UUID
		for _, id := range parseIDs(chosen) {
			if !slices.ContainsFunc(c.assets, func(b assets.Brief) bool { return b.ID == id }) {
				missing = append(missing, id)
			}
		}
		more, err := s.assets.Briefs(r.Context(), tx, missing)
		if err != nil {
			return fmt.Errorf("read assets: %w", err)
		}
		c.assets = append(c.assets, more...)
		if parent.Valid {
			p, ok, err := changeByID.Maybe(r.Context(), tx, db.Args{"id": parent.UUID})
			if err != nil {
				return err
			}
			if ok {
				c.parent = p.Key
			}
		}
		if template != "" {
			c.template, err = s.templateFor(r.Context(), tx, template)
		}
		return err
	})
	return c, err
}

func (s *Service) showNew(r *web.Request) error {
	q := r.URL.Query()
	if q.Get("type") == "" && q.Get("template") == "" && q.Get("from") == "" && len(q["asset"]) == 0 && q.Get("certificate") == "" {
		return s.showChoose(r)
	}
	f := changeForm{
		Template: q.Get("template"), Type: q.Get("type"), Owner: r.Actor.UserID.String(), Category: "other", Priority: "medium", Assets: q["asset"],
		Title: q.Get("title"), Certificate: q.Get("certificate"), Parent: q.Get("parent"), values: map[string]string{},
	}
	if !slices.Contains([]string{"normal", "emergency"}, f.Type) {
		f.Type = "normal"
	}
	if f.Certificate != "" {
		f.Category = "security"
	}
	if from := q.Get("from"); from != "" {
		c, err := s.Change(r.Context(), r.Actor, from)
		if err != nil {
			return err
		}
		f = formOf(c, r.Zone())
		f.Key, f.Start, f.End, f.Version, f.Owner = "", "", "", 0, r.Actor.UserID.String()
		if c.Type == lifecycle.Standard {
			f.Type = "normal"
		}
	}
	ctx, err := s.formContext(r, f.Template, f.Assets, uuid.NullUUID{})
	if err != nil {
		return err
	}
	return s.sendForm(r, f, ctx, nil, nil)
}

// showChoose asks how the change begins.
func (s *Service) showChoose(r *web.Request) error {
	var rows *db.Result[Template]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { rows = activeTemplates.Queue(b, nil) }); err != nil {
		return err
	}
	v := views.Choose{
		Kinds: []ui.Row{
			{Icon: "git-pull-request-arrow", Title: "Normal change", Href: r.Path("/changes/new?type=normal"), Sub: "Somebody else agrees before it happens."},
			{
				Icon: "siren", Tone: ui.Crit, Title: "Emergency change", Href: r.Path("/changes/new?type=emergency"),
				Sub: "Something is broken now. It may start without approval, which is then asked for afterwards.",
			},
		},
		More: &ui.Link{Text: "All templates", Href: r.Path("/changes/templates")},
	}
	for _, t := range rows.Rows {
		v.Templates = append(v.Templates, ui.Row{
			Icon: "copy", Title: t.Name, Href: r.Path("/changes/new?template=" + t.ID.String()), Sub: "Approved until " + t.ExpiresAt.In(r.Zone()).Format("2 January 2006"),
		})
	}
	return r.Page(web.Page{Title: "New change", Crumbs: crumbs(r, web.Crumb{Text: "New change"})}, views.ChoosePage(v))
}

// sendForm answers with the form, with what is wrong with it when err is one.
func (s *Service) sendForm(r *web.Request, f changeForm, ctx formContext, c *Change, err error) error {
	page, body, previewErr := s.formPage(r, f, ctx, c, err)
	if previewErr != nil {
		return previewErr
	}
	if err != nil {
		return r.InvalidPage(err, page, body)
	}
	return r.Page(page, body)
}

func (s *Service) formPage(r *web.Request, f changeForm, ctx formContext, c *Change, err error) (web.Page, templ.Component, error) {
	v := changeFields(r, f, ctx, err)
	at := "New change"
	if c == nil {
		v.Title, v.Submit = "New "+strings.ToLower(typeLabel(Type(f.Type)))+" change", "Save as draft"
		v.Lede = "Nothing is sent yet: you submit the draft from its page."
		if ctx.template != nil {
			v.Title, v.Lede = ctx.template.Name, "A standard change: its plans are approved already. Fill in what differs each time."
		}
		v.Form.Action, v.CancelHref = r.Path("/changes"), r.Path("/changes")
	} else {
		at = "Edit"
		v.Title, v.Submit = "Edit "+c.Key, "Save"
		v.Lede = editLede(*c)
		v.Form.Action, v.CancelHref = r.Path(c.Path()), r.Path(c.Path())
		if e := fault.Find(err); e != nil && e.Code == "version_conflict" {
			v.Notice = &ui.Notice{
				Tone: ui.Warn, Title: "Somebody changed this meanwhile.", Text: "Your entries are kept below. Look at the present state, then open the form again.",
				Action: &ui.Link{Text: "Open the form again", Href: r.Path(c.Path() + "/edit")},
			}
		}
	}
	var previewErr error
	v.Preview, previewErr = s.preview(r, f, ctx)
	p := web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: at})}
	if c != nil {
		p.Crumbs = changeCrumbs(r, *c, at)
	}
	return p, views.FormPage(v), previewErr
}

func editLede(c Change) string {
	switch c.State {
	case lifecycle.Review:
		return "It is in review: another plan, window or asset restarts the approval."
	case lifecycle.Approved, lifecycle.Scheduled:
		return "It is approved: another plan, asset or person, or a window that moves by more than 30 minutes, brings it back to review."
	case lifecycle.InProgress:
		return "It is in progress: only the title, the description, tags and the owner can change."
	case lifecycle.Draft, lifecycle.Completed, lifecycle.Failed, lifecycle.RolledBack, lifecycle.Cancelled:
	}
	return ""
}

func formOf(c Change, zone *time.Location) changeForm {
	f := changeForm{
		Key: c.Key, Type: string(c.Type), Title: c.Title, Description: c.Description, Category: c.Category, Environment: c.Environment,
		Start: localText(c.Start, zone), End: localText(c.End, zone), Implementation: c.ImplementationPlan, Backout: c.BackoutPlan, Testing: c.TestPlan,
		Priority: string(c.Priority), Risk: string(c.RiskManual), Vendor: c.Vendor, Tags: strings.Join(c.Tags, ", "), LeadReason: c.LeadReason,
		Downtime: c.Downtime, AutoSchedule: c.AutoSchedule, Evidence: c.EvidenceRequired, Version: c.Version, values: map[string]string{},
	}
	if c.Owner.Valid {
		f.Owner = c.Owner.UUID.String()
	}
	for _, id := range c.Implementers {
		f.Implementers = append(f.Implementers, id.String())
	}
	for _, id := range c.AssetIDs {
		f.Assets = append(f.Assets, id.String())
	}
	return f
}

func (s *Service) createChange(r *web.Request) error {
	f, err := readForm(r)
	var c Change
	var e Edit
	if err == nil {
		if e, err = s.editOf(r.Context(), r.Actor, f, r.Zone()); err == nil {
			lines := strings.Fields(f.Links)
			e.Links = &lines
			if f.Template != "" {
				e.Template, e.TemplateValues = &f.Template, &f.values
			}
			if f.Certificate != "" {
				e.Certificates = &[]string{f.Certificate}
			}
			if c, err = s.Create(r.Context(), r.Actor, e); err == nil {
				r.Flash(c.Key + " is saved as a draft.")
				return r.SeeOther(r.Path(c.Path()))
			}
		}
	}
	ctx, ctxErr := s.formContext(r, f.Template, f.Assets, uuid.NullUUID{})
	if ctxErr != nil {
		return ctxErr
	}
	base := Change{Type: lifecycle.Normal, Priority: lifecycle.Medium, Category: "other"}
	if ctx.template != nil {
		base.Title = ctx.template.Name
	}
	return s.sendForm(r, f, ctx, nil, alsoWrong(e, base, ctx, err))
}

// alsoWrong adds to what could not be read what the rules say about the rest, so that a form
// names everything at once.
func alsoWrong(e Edit, base Change, ctx formContext, err error) error {
	if !fault.Is(err, fault.Invalid) || e.Title == nil {
		return err
	}
	_, check := e.apply(base, ctx.people)
	known := fault.Find(err).Details
	for _, d := range known {
		if !check.Has(d.Field) {
			check.Add(d.Field, d.Code, d.Message)
		}
	}
	if problems := check.Err(); problems != nil {
		return problems
	}
	return err
}

func (s *Service) showEdit(r *web.Request) error {
	c, err := s.Change(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	f := formOf(c, r.Zone())
	ctx, err := s.formContext(r, "", f.Assets, c.ParentID)
	if err != nil {
		return err
	}
	f.Parent = ctx.parent
	return s.sendForm(r, f, ctx, &c, nil)
}

func (s *Service) updateChange(r *web.Request) error {
	key := r.Param("key")
	f, err := readForm(r)
	var e Edit
	if err == nil {
		if e, err = s.editOf(r.Context(), r.Actor, f, r.Zone()); err == nil {
			e.Version = &f.Version
			var c Change
			if c, err = s.Update(r.Context(), r.Actor, key, e); err == nil {
				r.Flash(c.Key + " is saved.")
				return r.SeeOther(r.Path(c.Path()))
			}
		}
	}
	c, readErr := s.Change(r.Context(), r.Actor, key)
	if readErr != nil {
		return readErr
	}
	ctx, readErr := s.formContext(r, "", f.Assets, c.ParentID)
	if readErr != nil {
		return readErr
	}
	return s.sendForm(r, f, ctx, &c, alsoWrong(e, c, ctx, err))
}
