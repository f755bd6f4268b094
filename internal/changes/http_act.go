package changes

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// actForm is what the page of an action sends.
type actForm struct {
	Reason  string `form:"reason"`
	Outcome string `form:"outcome"`
	Notes   string `form:"notes"`
	Version int64  `form:"version"`
}

// actionOf reads the action of the address, which the actor must hold the permission for.
func (s *Service) actionOf(r *web.Request) (lifecycle.Action, error) {
	a := lifecycle.Action(r.Param("action"))
	ok, perm := permission(a)
	if !ok {
		return a, fault.NewNotFound("action")
	}
	return a, s.policy.Check(r.Actor, access.Permission(perm))
}

func (s *Service) showAct(r *web.Request) error {
	a, err := s.actionOf(r)
	if err != nil {
		return err
	}
	p, err := s.readPage(r, nil)
	if err != nil {
		return err
	}
	return s.askAct(r, p, a, actForm{Version: p.c.Version}, nil)
}

// askAct asks for what an action needs, and says what stands in its way.
func (s *Service) askAct(r *web.Request, p *pageData, a lifecycle.Action, f actForm, err error) error {
	c := p.c
	m := form.Messages(err)
	path := r.Path(c.Path())
	v := views.Ask{
		Title: a.Label(), Lede: c.Key + " " + c.Title, Submit: a.Label(), CancelHref: path, Danger: a == lifecycle.Cancel || a == lifecycle.StartEmergency,
		Form: ui.Form{Action: path + "/act/" + string(a), Errors: formErrors(err), Hidden: []ui.Hidden{{Name: "version", Value: fmt.Sprint(c.Version)}}},
	}
	if a == lifecycle.Complete {
		v.Radios = []ui.Field{{Name: "outcome", Label: "How did it go?", Required: true, Error: m["outcome"], Options: []ui.Option{
			{Value: Successful, Text: "Successful", Hint: "It did what it should.", Selected: f.Outcome == Successful || f.Outcome == ""},
			{Value: WithIssues, Text: "Successful, with issues", Hint: "It works, but something went wrong on the way. A review is asked for.", Selected: f.Outcome == WithIssues},
		}}}
	}
	if asksReason(a) || a == lifecycle.Submit {
		field := ui.Field{Name: "reason", Label: "Reason", Value: f.Reason, Rows: 3, MaxLength: 2000, Required: a != lifecycle.Submit, Error: m["reason"], Hint: reasonHint(a)}
		if a == lifecycle.Submit {
			field.Label = "Why so soon"
		}
		v.Areas = append(v.Areas, field)
	}
	if a == lifecycle.Complete || a == lifecycle.Fail || a == lifecycle.Rollback {
		v.Areas = append(v.Areas, ui.Field{Name: "notes", Label: "Notes", Value: f.Notes, Rows: 3, MaxLength: 10_000, Error: m["notes"]})
	}
	for _, o := range p.options {
		if o.Action != a {
			continue
		}
		for _, fail := range o.Failures {
			v.Points = append(v.Points, fail.Message)
		}
	}
	if len(v.Points) > 0 {
		v.Notice = &ui.Notice{Tone: ui.Warn, Title: "Something stands in the way.", Text: "What is missing is listed below."}
	}
	page := web.Page{Title: v.Title + ", " + c.Key, Crumbs: changeCrumbs(r, c, a.Label())}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func asksReason(a lifecycle.Action) bool { return slices.Contains(lifecycle.Asks(a), "reason") }

func reasonHint(a lifecycle.Action) string {
	switch a {
	case lifecycle.StartEmergency:
		return "Why this cannot wait, in at least 15 characters. Approval is asked for afterwards, and a review."
	case lifecycle.Submit:
		return "It starts in less than 24 hours; those who decide read this."
	case lifecycle.Fail, lifecycle.Rollback:
		return "What went wrong. A review is asked for."
	}
	return "Kept in the audit log; those involved read it."
}

func (s *Service) act(r *web.Request) error {
	a, err := s.actionOf(r)
	if err != nil {
		return err
	}
	var f actForm
	if err := r.Form(&f); err != nil {
		return err
	}
	act := Act{Action: a, Reason: f.Reason, Outcome: f.Outcome, Notes: f.Notes}
	if f.Version > 0 {
		act.Version = &f.Version
	}
	c, err := s.Move(r.Context(), r.Actor, r.Param("key"), act)
	if err != nil {
		e := fault.Find(err)
		if e == nil || (e.Kind != fault.Invalid && e.Kind != fault.Conflict) {
			return err
		}
		p, readErr := s.readPage(r, nil)
		if readErr != nil {
			return readErr
		}
		return s.askAct(r, p, a, f, err)
	}
	r.Flash(c.Key + " is " + strings.ToLower(c.State.Label()) + " now.")
	return r.SeeOther(r.Path(c.Path()))
}

type reasonForm struct {
	Reason string `form:"reason"`
}

// showHold asks why the change is held, and shows the holds that can be released.
func (s *Service) showHold(r *web.Request) error {
	p, err := s.readPage(r, nil)
	if err != nil {
		return err
	}
	if err := s.mayHold(r.Actor, p.c); err != nil {
		return err
	}
	return s.holdPage(r, p, "", nil)
}

func (s *Service) holdPage(r *web.Request, p *pageData, reason string, err error) error {
	path := r.Path(p.c.Path())
	v := views.Ask{
		Title: "Put on hold", Lede: p.c.Key + " keeps its state and its approvals, and does not go on.", Submit: "Put on hold", CancelHref: path,
		Form:  ui.Form{Action: path + "/hold", Errors: formErrors(err)},
		Areas: []ui.Field{{Name: "reason", Label: "Reason", Value: reason, Rows: 3, MaxLength: 1000, Required: true, Error: form.Messages(err)["reason"]}},
	}
	for _, h := range p.f.holds {
		if h.ReleasedAt == nil && h.Kind == "manual" {
			v.Title, v.Submit, v.Lede = "Release the hold", "Release", h.Reason
			v.Form.Action = path + "/holds/" + h.ID.String() + "/release"
			v.Areas[0].Required, v.Areas[0].Hint = false, "Why it may go on."
			break
		}
	}
	page := web.Page{Title: v.Title, Crumbs: changeCrumbs(r, p.c, "Hold")}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) hold(r *web.Request) error {
	var f reasonForm
	if err := r.Form(&f); err != nil {
		return err
	}
	key := r.Param("key")
	if _, err := s.PutOnHold(r.Context(), r.Actor, key, f.Reason); err != nil {
		if !fault.Is(err, fault.Invalid) {
			return err
		}
		p, readErr := s.readPage(r, nil)
		if readErr != nil {
			return readErr
		}
		return s.holdPage(r, p, f.Reason, err)
	}
	r.Flash("The change is on hold.")
	return r.SeeOther(r.Path(changePath(key)))
}

func (s *Service) releaseHold(r *web.Request) error {
	id, err := r.UUID("id", "hold")
	if err != nil {
		return err
	}
	var f reasonForm
	if err := r.Form(&f); err != nil {
		return err
	}
	if err := s.Release(r.Context(), r.Actor, r.Param("key"), id, f.Reason); err != nil {
		return err
	}
	r.Flash("The hold is released.")
	return r.SeeOther(r.Path(changePath(r.Param("key"))))
}

func (s *Service) watchChange(on bool) web.Handler {
	return func(r *web.Request) error {
		key := r.Param("key")
		if err := s.Watch(r.Context(), r.Actor, key, on); err != nil {
			return err
		}
		if on {
			r.Flash("You are told what happens to this change.")
		} else {
			r.Flash("You are no longer told about this change.")
		}
		return r.SeeOther(r.Path(changePath(key)))
	}
}

type linkForm struct {
	Kind   string `form:"kind"`
	Target string `form:"target"`
	Title  string `form:"title"`
}

func (s *Service) showAddLink(r *web.Request) error {
	c, err := s.Change(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	return linkPage(r, c, linkForm{Kind: "url"}, nil)
}

func linkPage(r *web.Request, c Change, f linkForm, err error) error {
	m := form.Messages(err)
	v := views.Ask{
		Title: "Add a link", Lede: c.Key + " " + c.Title, Submit: "Add", CancelHref: r.Path(c.Path()), Form: ui.Form{Action: r.Path(c.Path()) + "/links", Errors: formErrors(err)},
		Inputs: []ui.Field{
			{Name: "target", Label: "Address, key or id", Value: f.Target, Required: true, MaxLength: 2048, Error: m["target"], Hint: "An address for the web, the key of a change, or the id at the end of the address of a certificate or host."},
			{Name: "title", Label: "Title", Value: f.Title, MaxLength: 200, Error: m["title"]},
		},
	}
	kind := ui.Field{Name: "kind", Label: "What it is", Required: true, Error: m["kind"]}
	for _, k := range LinkKinds() {
		text := upperFirst(k)
		if k == "url" {
			text = "Address on the web"
		}
		kind.Options = append(kind.Options, ui.Option{Value: k, Text: text, Selected: k == f.Kind})
	}
	v.Selects = []ui.Field{kind}
	page := web.Page{Title: v.Title, Crumbs: changeCrumbs(r, c, "Add a link")}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) addLink(r *web.Request) error {
	var f linkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	key := r.Param("key")
	if _, err := s.AddLink(r.Context(), r.Actor, key, NewLink(f)); err != nil {
		c, readErr := s.Change(r.Context(), r.Actor, key)
		if readErr != nil {
			return readErr
		}
		return linkPage(r, c, f, err)
	}
	return r.SeeOther(r.Path(changePath(key)))
}

func (s *Service) removeLink(r *web.Request) error {
	id, err := r.UUID("id", "link")
	if err != nil {
		return err
	}
	if err := s.RemoveLink(r.Context(), r.Actor, r.Param("key"), id); err != nil {
		return err
	}
	r.Flash("The link is removed.")
	return r.SeeOther(r.Path(changePath(r.Param("key"))))
}

type evidenceForm struct {
	Kind       string `form:"kind"`
	Summary    string `form:"summary"`
	URL        string `form:"url"`
	Attachment string `form:"attachment_id"`
}

func (s *Service) showAddEvidence(r *web.Request) error {
	return s.evidencePage(r, evidenceForm{Kind: "validation"}, nil)
}

func (s *Service) evidencePage(r *web.Request, f evidenceForm, err error) error {
	var c Change
	var files []Attachment
	readErr := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if c, err = findChange(r.Context(), tx, r.Param("key")); err != nil {
			return err
		}
		files, err = attachmentsOf.All(r.Context(), tx, db.Args{"id": c.ID})
		return err
	})
	if readErr != nil {
		return readErr
	}
	m := form.Messages(err)
	v := views.Ask{
		Title: "Add evidence", Lede: "What shows that " + c.Key + " works, or that it was undone.", Submit: "Add", CancelHref: r.Path(c.Path()),
		Form: ui.Form{Action: r.Path(c.Path()) + "/evidence", Errors: formErrors(err)},
		Radios: []ui.Field{{Name: "kind", Label: "What it shows", Required: true, Error: m["kind"], Options: []ui.Option{
			{Value: "validation", Text: "It works", Selected: f.Kind != "backout"}, {Value: "backout", Text: "It was undone", Selected: f.Kind == "backout"},
		}}},
		Areas:  []ui.Field{{Name: "summary", Label: "What was seen", Value: f.Summary, Rows: 3, MaxLength: 5000, Required: true, Error: m["summary"]}},
		Inputs: []ui.Field{{Name: "url", Label: "Address", Value: f.URL, Error: m["url"], Placeholder: "https://ci.example.com/run/17"}},
	}
	if len(files) > 0 {
		field := ui.Field{Name: "attachment_id", Label: "File", Error: m["attachment_id"], Options: []ui.Option{{Text: "None"}}}
		for _, file := range files {
			field.Options = append(field.Options, ui.Option{Value: file.ID.String(), Text: file.Name, Selected: f.Attachment == file.ID.String()})
		}
		v.Selects = []ui.Field{field}
	}
	page := web.Page{Title: v.Title, Crumbs: changeCrumbs(r, c, "Evidence")}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) addEvidence(r *web.Request) error {
	var f evidenceForm
	if err := r.Form(&f); err != nil {
		return err
	}
	key := r.Param("key")
	if _, err := s.AddEvidence(r.Context(), r.Actor, key, NewEvidence{Kind: f.Kind, Summary: f.Summary, URL: f.URL, Attachment: f.Attachment}); err != nil {
		return s.evidencePage(r, f, err)
	}
	r.Flash("The evidence is added.")
	return r.SeeOther(r.Path(changePath(key)))
}

type reviewForm struct {
	Summary   string `form:"summary"`
	WentWell  string `form:"went_well"`
	WentBadly string `form:"went_badly"`
	FollowUp  string `form:"follow_up"`
}

func (s *Service) showReview(r *web.Request) error { return s.reviewPage(r, nil, nil) }

func (s *Service) reviewPage(r *web.Request, f *reviewForm, err error) error {
	var c Change
	var rev Review
	readErr := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if c, err = findChange(r.Context(), tx, r.Param("key")); err != nil {
			return err
		}
		rev, err = reviewOf.One(r.Context(), tx, db.Args{"id": c.ID})
		return err
	})
	if readErr != nil {
		return readErr
	}
	if f == nil {
		f = &reviewForm{Summary: rev.Summary, WentWell: rev.WentWell, WentBadly: rev.WentBadly, FollowUp: rev.FollowUp}
	}
	m := form.Messages(err)
	open := c.PIR == "required" && r.Can(CanUpdate)
	v := views.Ask{
		Title: "Review of " + c.Key, Lede: "Asked for because " + reviewWords(rev.Why) + ". Due " + rev.DueAt.In(r.Zone()).Format("2 January 2006") + ".",
		Submit: "Complete the review", CancelHref: r.Path(c.Path()), Form: ui.Form{Action: r.Path(c.Path()) + "/review", Guard: open, Errors: formErrors(err)},
		Areas: []ui.Field{
			{Name: "summary", Label: "Summary", Value: f.Summary, Rows: 3, Required: true, Error: m["summary"], MaxLength: maxText, ReadOnly: !open},
			{Name: "went_well", Label: "What went well", Value: f.WentWell, Rows: 3, Error: m["went_well"], MaxLength: maxText, ReadOnly: !open},
			{Name: "went_badly", Label: "What went badly", Value: f.WentBadly, Rows: 3, Error: m["went_badly"], MaxLength: maxText, ReadOnly: !open},
			{Name: "follow_up", Label: "What follows from it", Value: f.FollowUp, Rows: 3, Error: m["follow_up"], MaxLength: maxText, ReadOnly: !open},
		},
	}
	if rev.CompletedAt != nil {
		v.Notice = &ui.Notice{Tone: ui.OK, Icon: "circle-check", Title: "Completed by " + rev.CompleterName + ".", Text: rev.CompletedAt.In(r.Zone()).Format("2 January 2006, 15:04 MST")}
	}
	page := web.Page{Title: v.Title, Crumbs: changeCrumbs(r, c, "Review")}
	if !open {
		v.Submit = ""
	}
	if err != nil {
		return r.InvalidPage(err, page, views.AskPage(v))
	}
	return r.Page(page, views.AskPage(v))
}

func (s *Service) completeReview(r *web.Request) error {
	var f reviewForm
	if err := r.Form(&f); err != nil {
		return err
	}
	key := r.Param("key")
	if _, err := s.CompleteReview(r.Context(), r.Actor, key, NewReview(f)); err != nil {
		return s.reviewPage(r, &f, err)
	}
	r.Flash("The review is complete.")
	return r.SeeOther(r.Path(changePath(key)))
}
