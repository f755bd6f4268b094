package freezes

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/freezes"
	"github.com/vigilo/vigilo/templates/ui"
)

// askForm asks for an override.
type askForm struct {
	Change string `form:"change"`
	Reason string `form:"reason"`
}

func askView(r *web.Request, f Freeze, in askForm, err error) views.AskForm {
	labels := map[string]string{"change": "Change", "reason": "Reason"}
	return views.AskForm{
		Head: ui.PageHead{Title: "Ask to pass " + f.Name, Lede: "Somebody else who may grant it decides. It lets this revision of one change pass this freeze, and nothing else."},
		Back: r.Path(f.Path()), Form: ui.Form{Action: r.Path(f.Path() + "/overrides/new"), Guard: true, Errors: web.FormErrors(err, labels)},
		Change: web.WithError(ui.Field{Name: "change", Label: "Change", Value: in.Change, Required: true, Placeholder: "CHG-00012", Autocomplete: "off", Short: true}, err),
		Reason: web.WithError(ui.Field{
			Name: "reason", Label: "Reason", Value: in.Reason, Rows: 4, Required: true, MaxLength: maxReason,
			Hint: "Why it cannot wait, in at least 15 characters. It is kept for good.",
		}, err),
	}
}

func (s *Service) showAsk(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	f, err := s.Freeze(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	in := askForm{Change: clip(r.URL.Query().Get("change"), 40)}
	return r.Page(freezePage(r, f, web.Crumb{Text: "Ask for an override"}), views.AskPage(askView(r, f, in, nil)))
}

func (s *Service) ask(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	f, err := s.Freeze(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	var in askForm
	var o Override
	if err = r.Form(&in); err == nil {
		o, err = s.RequestOverride(r.Context(), r.Actor, id, NewOverride{Change: in.Change, Reason: in.Reason})
	}
	if err != nil {
		return r.InvalidPage(shownDenial(err), freezePage(r, f, web.Crumb{Text: "Ask for an override"}), views.AskPage(askView(r, f, in, err)))
	}
	r.Flash("Asked. Whoever may grant it is told.")
	return r.SeeOther(r.Path(o.Path()))
}

// shownDenial lets a refusal for the sake of separation of duties, or a change that does not
// exist, be shown on the form: the person can choose another.
func shownDenial(err error) error {
	e := fault.Find(err)
	if e == nil || (e.Code != "sod_violation" && e.Kind != fault.NotFound) {
		return err
	}
	return &fault.Error{Kind: fault.Conflict, Code: e.Code, Message: e.Message, Cause: err}
}

// overridePage reads an override with the names of its people, in one round trip.
type overridePage struct {
	o      Override
	freeze Freeze
	people map[uuid.UUID]string
}

func (s *Service) readOverride(r *web.Request) (overridePage, error) {
	var p overridePage
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return p, err
	}
	oid, err := r.UUID("oid", "override")
	if err != nil {
		return p, err
	}
	var override *db.Result[Override]
	var freeze *db.Result[Freeze]
	var people *db.Result[thingRow]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		override = loadOverride.Queue(b, db.Args{"id": oid, "freeze": id})
		freeze, people = loadFreeze.Queue(b, db.Args{"id": id}), peopleOfFreeze.Queue(b, db.Args{"id": id})
	})
	if err != nil {
		return p, err
	}
	var found bool
	if p.o, found = override.First(); !found {
		return p, fault.NewNotFound("override")
	}
	p.freeze, _ = freeze.First()
	p.people = names(people.Rows)
	return p, nil
}

func (p overridePage) page(r *web.Request) web.Page {
	return freezePage(r, p.freeze, web.Crumb{Text: "Override for " + p.o.ChangeKey})
}

func (s *Service) showOverride(r *web.Request) error {
	p, err := s.readOverride(r)
	if err != nil {
		return err
	}
	return r.Page(p.page(r), views.OverridePage(overrideView(r, p, "", nil)))
}

func overrideView(r *web.Request, p overridePage, note string, err error) views.Override {
	o := p.o
	badge := overrideBadge(o)
	start, end := timetext.Minute(o.Start, r.Zone()), timetext.Minute(o.End, r.Zone())
	v := views.Override{
		Head:   ui.PageHead{Title: o.ChangeKey + " past " + o.FreezeName, Badge: &badge, Lede: o.ChangeTitle},
		Reason: textLines(o.Reason), Note: textLines(o.DecisionNote),
		Actions: []ui.LinkButton{{Text: "Open the change", Href: r.Path(o.ChangePath), Icon: "git-pull-request-arrow"}},
		Facts: []ui.Fact{
			{Label: "Change", Text: o.ChangeKey, Href: r.Path(o.ChangePath), Sub: o.ChangeTitle},
			{Label: "Revision", Text: plain(o.Revision), Sub: "An edit of the change makes the override void."},
			{Label: "Window begins", Time: &start},
			{Label: "Window ends", Time: &end},
			{Label: "Freeze", Text: o.FreezeName, Href: r.Path(p.freeze.Path()), Sub: "Version " + plain(o.FreezeVersion)},
		},
	}
	person := func(label string, id uuid.UUID, at string) {
		f := ui.Fact{Label: label, Text: "A former member", Sub: at}
		if name, ok := p.people[id]; ok {
			f.Person = &ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id[15]%4) + 1}
		}
		v.Rail = append(v.Rail, f)
	}
	const layout = "2 Jan 2006, 15:04 MST"
	person("Asked by", o.RequestedBy, o.RequestedAt.In(r.Zone()).Format(layout))
	if o.DecidedBy.Valid && o.DecidedAt != nil {
		person("Decided by", o.DecidedBy.UUID, o.DecidedAt.In(r.Zone()).Format(layout))
	}
	switch {
	case o.State == Granted && o.FreezeVersion < p.freeze.WidenedVersion:
		v.Notices = append(v.Notices, ui.Notice{Tone: ui.Warn, Title: "It no longer counts.", Text: "The freeze stops more than it did when this was granted."})
	case o.SelfGranted:
		v.Notices = append(v.Notices, ui.Notice{Tone: ui.Crit, Icon: "zap", Title: "An emergency granted this itself.", Text: "It is part of what the retrospective approval of the change looks at."})
	case o.State == Requested && o.RequestedBy == r.Actor.UserID:
		v.Notices = append(v.Notices, ui.Notice{Tone: ui.Info, Icon: "hourglass", Title: "It waits for somebody else.", Text: "Who asks does not decide. Those who may were told."})
	case o.State == Requested && r.Can(GrantOverrides):
		v.Decide = &views.DecideForm{
			Form:   ui.Form{Action: r.Path(o.Path() + "/grant"), Errors: web.FormErrors(err, map[string]string{"note": "Note"})},
			Refuse: r.Path(o.Path() + "/refuse"),
			Note: web.WithError(ui.Field{
				Name: "note", Label: "Note", Value: note, Rows: 3, MaxLength: maxReason, Unmarked: true,
				Hint: "Needed for a refusal, in at least 15 characters.",
			}, err),
		}
	case o.State == Requested:
		v.Notices = append(v.Notices, ui.Notice{Tone: ui.Info, Icon: "hourglass", Title: "It waits for a decision.", Text: "An approver or admin decides it."})
	}
	return v
}

func (s *Service) decidePage(grant bool) web.Handler {
	return func(r *web.Request) error {
		p, err := s.readOverride(r)
		if err != nil {
			return err
		}
		var in struct {
			Note string `form:"note"`
		}
		if err := r.Form(&in); err != nil {
			return err
		}
		if _, err := s.DecideOverride(r.Context(), r.Actor, p.o.FreezeID, p.o.ID, grant, in.Note); err != nil {
			return r.InvalidPage(err, p.page(r), views.OverridePage(overrideView(r, p, in.Note, err)))
		}
		if grant {
			r.Flash(p.o.ChangeKey + " may pass " + p.o.FreezeName)
		} else {
			r.Flash("Refused. The one who asked is told.")
		}
		return r.SeeOther(r.Path(p.o.Path()))
	}
}
