package freezes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/freezes"
	"github.com/vigilo/vigilo/templates/ui"
)

const (
	tabInside   = "/inside"
	tabActivity = "/activity"
	// shown is how many coming occurrences the page of a freeze lists, and how many entries
	// its activity holds; the audit log has all.
	shown         = 10
	activityShown = 50
)

func (s *Service) header(r *web.Request, f Freeze, tab string) views.Header {
	path := r.Path(f.Path())
	state := stateBadge(f, s.runs(f, r.Now()))
	v := views.Header{
		Page: ui.PageHead{Title: f.Name, Badge: &state, Lede: f.Kind.Label() + ". " + f.Kind.hint()},
		Tabs: ui.Tabs{Label: "Parts of this window", Items: []ui.Tab{{Text: "Overview", Href: path, Current: tab == ""}}},
	}
	if f.Kind != Maintenance {
		v.Tabs.Items = append(v.Tabs.Items, ui.Tab{Text: "What it meets", Href: path + tabInside, Current: tab == tabInside})
	}
	v.Tabs.Items = append(v.Tabs.Items, ui.Tab{Text: "Activity", Href: path + tabActivity, Current: tab == tabActivity})
	if !r.Can(ManageFreezes) {
		return v
	}
	duplicate := ui.LinkButton{Text: "Copy", Href: r.Path(listPath + "/new?from=" + f.ID.String()), Icon: "copy"}
	edit := ui.LinkButton{Text: "Edit", Href: path + "/edit", Icon: "pencil"}
	switch f.State {
	case Draft:
		v.Actions = []ui.LinkButton{
			{Text: "Delete", Href: path + "/delete", Icon: "trash-2"},
			duplicate, edit,
			{Text: "Activate", Href: path + "/activate", Icon: "play", Kind: ui.Primary},
		}
	case Active:
		v.Actions = []ui.LinkButton{duplicate, edit, {Text: "Lift", Href: path + "/lift", Icon: "lock-open", Kind: ui.Danger}}
	case Lifted:
		v.Actions = []ui.LinkButton{duplicate}
	}
	return v
}

// runs reports whether an occurrence of an active window is going on.
func (s *Service) runs(f Freeze, now time.Time) bool {
	found, err := s.between(f, now, now.Add(time.Microsecond), 0)
	return err == nil && f.State == Active && slices.ContainsFunc(found, func(o Occurrence) bool { return !o.Empty() })
}

func (s *Service) showFreeze(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	var freeze *db.Result[Freeze]
	var overrides *db.Result[Override]
	var people, things *db.Result[thingRow]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		args := db.Args{"id": id}
		freeze, overrides = loadFreeze.Queue(b, args), overridesOf.Queue(b, db.Args{"freeze": id})
		people, things = peopleOfFreeze.Queue(b, args), thingsOfFreeze.Queue(b, args)
	})
	if err != nil {
		return err
	}
	f, ok := freeze.First()
	if !ok {
		return fault.NewNotFound("freeze")
	}
	next, err := s.Next(f, r.Now(), shown)
	if err != nil {
		return err
	}
	if f.State == Lifted {
		next = nil
	}
	v := views.Detail{
		Head: s.header(r, f, ""), Reason: textLines(f.Reason), Next: views.Next{Title: "When", Spans: spans(r, f, next), Text: f.ScheduleText() + "."},
		Scope: scopeFacts(r, f, names(things.Rows)), Facts: freezeFacts(r, f, names(people.Rows)),
		Overrides: overrideRows(r, overrides.Rows), Notices: freezeNotices(r, f, next),
	}
	if f.Blocks() && f.State == Active {
		v.NoOverrides = "Nobody has asked to pass it."
		if r.Can(RequestOverrides) {
			v.Ask = &ui.LinkButton{Text: "Ask for an override", Href: r.Path(f.Path() + "/overrides/new"), Icon: "git-pull-request-arrow", Small: true}
		}
	}
	return r.Page(freezePage(r, f), views.DetailPage(v))
}

func freezeNotices(r *web.Request, f Freeze, next []Occurrence) []ui.Notice {
	switch {
	case f.State == Draft:
		n := ui.Notice{Tone: ui.Info, Title: "This is a draft.", Text: "It does nothing until somebody activates it."}
		return []ui.Notice{n}
	case f.State == Active && f.Lockdown():
		return []ui.Notice{{Tone: ui.Crit, Icon: "lock", Title: "Lockdown: it has no end.", Text: "It stays in force until somebody lifts it."}}
	case f.State == Active && len(next) == 0 && f.Kind == MaintenanceOnly:
		return []ui.Notice{{Tone: ui.Warn, Title: "No allowed hours are left.", Text: "Every change that it concerns lies outside. Add dates, or lift it."}}
	case f.State == Active && len(next) == 0:
		return []ui.Notice{{Tone: ui.Mute, Title: "It is over.", Text: "Nothing is to come. Lift it to put it away."}}
	}
	return nil
}

func scopeFacts(r *web.Request, f Freeze, things map[uuid.UUID]string) []ui.Fact {
	if f.Everything() {
		return []ui.Fact{{Label: "Scope", Text: "Everything"}}
	}
	var out []ui.Fact
	list := func(label string, values []string) {
		if len(values) > 0 {
			out = append(out, ui.Fact{Label: label, Text: strings.Join(values, ", ")})
		}
	}
	list("Environment", labels(f.Environments))
	list("Type of asset", labels(f.AssetTypes))
	list("Tag", f.AssetTags)
	thing := func(label string, ids []uuid.UUID) {
		gone := 0
		for _, id := range ids {
			if name, ok := things[id]; ok {
				out = append(out, ui.Fact{Label: label, Text: name, Href: r.Path("/assets/" + id.String())})
			} else {
				gone++
			}
		}
		if gone > 0 {
			out = append(out, ui.Fact{Label: label, Text: plural(gone, "thing") + " that no longer exist"})
		}
	}
	thing("Service", f.ServiceIDs)
	thing("Asset", f.AssetIDs)
	list("Type of change", f.ChangeTypes)
	if f.MinRisk != "" {
		out = append(out, ui.Fact{Label: "Risk", Text: capital(f.MinRisk) + " and above"})
	}
	if f.IncludeDownstream {
		out = append(out, ui.Fact{Label: "Downstream", Text: "Included", Sub: "Changes that reach it through what depends on their assets are stopped too."})
	}
	return out
}

func freezeFacts(r *web.Request, f Freeze, people map[uuid.UUID]string) []ui.Fact {
	badge := kindBadge(f.Kind)
	out := []ui.Fact{{Label: "Kind", Badge: &badge}}
	if f.Kind == MaintenanceOnly {
		text := "People are warned"
		if f.Strict {
			text = "Changes are refused"
		}
		out = append(out, ui.Fact{Label: "Outside its hours", Text: text})
	}
	if f.PreapprovesStandard {
		out = append(out, ui.Fact{Label: "Standard changes", Text: "Need no approval of their own inside"})
	}
	who := func(label string, id uuid.NullUUID, at *time.Time) {
		if !id.Valid && at == nil {
			return
		}
		fact := ui.Fact{Label: label, Text: "Vigilo or a token"}
		if name, ok := people[id.UUID]; ok {
			fact.Person = &ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id.UUID[15]%4) + 1}
		} else if id.Valid {
			fact.Text = "A former member"
		}
		if at != nil {
			fact.Sub = at.In(r.Zone()).Format("2 Jan 2006, 15:04 MST")
		}
		out = append(out, fact)
	}
	who("Owner", f.OwnerID, nil)
	who("Approved by", f.ActivatedBy, f.ActivatedAt)
	who("Lifted by", f.LiftedBy, f.LiftedAt)
	made := timetext.Minute(f.CreatedAt, r.Zone())
	return append(out, ui.Fact{Label: "Created", Time: &made}, ui.Fact{Label: "Version", Text: strconv.FormatInt(f.Version, 10)})
}

// readPreview reads a freeze and what it meets.
func (s *Service) readPreview(r *web.Request) (Freeze, Preview, error) {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return Freeze{}, Preview{}, err
	}
	var f Freeze
	var p Preview
	err = s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if f, err = loadFreeze.One(r.Context(), tx, db.Args{"id": id}); err != nil || f.State == Lifted {
			return err
		}
		p, err = s.preview(r.Context(), tx, f)
		return err
	})
	return f, p, err
}

func (s *Service) showInside(r *web.Request) error {
	f, p, err := s.readPreview(r)
	if err != nil {
		return err
	}
	title := "Scheduled changes inside"
	switch {
	case f.Blocks() && f.State == Active:
		title = "Scheduled changes that it holds"
	case f.Blocks() && f.State == Draft:
		title = "Scheduled changes that it will hold"
	}
	v := views.Inside{Head: s.header(r, f, tabInside), Impact: impactView(r, p.Affected, p.Certificates, title)}
	if len(p.Affected)+len(p.Certificates) == 0 {
		v.Impact.Nothing = &ui.Empty{Icon: "circle-check", Title: "It meets nothing", Text: "No change has its window inside, and no certificate ends there."}
		if f.State == Lifted {
			v.Impact.Nothing.Text = "It was lifted and stops nothing any more."
		}
	}
	return r.Page(freezePage(r, f, web.Crumb{Text: "What it meets"}), views.InsidePage(v))
}

func (s *Service) showActivity(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	var freeze *db.Result[Freeze]
	var versions *db.Result[versionRow]
	var people *db.Result[thingRow]
	read := func(*time.Location, time.Time) ([]ui.Entry, error) { return nil, nil }
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		args := db.Args{"id": id}
		freeze, versions, people = loadFreeze.Queue(b, args), versionsOf.Queue(b, args), peopleOfFreeze.Queue(b, args)
		if s.activity != nil {
			read = s.activity(b, "freeze", id, activityShown)
		}
	})
	if err != nil {
		return err
	}
	f, ok := freeze.First()
	if !ok {
		return fault.NewNotFound("freeze")
	}
	v := views.Activity{Head: s.header(r, f, tabActivity)}
	if v.Entries, err = read(r.Zone(), r.Now()); err != nil {
		return err
	}
	if v.Versions, err = versionViews(r, versions.Rows, names(people.Rows)); err != nil {
		return err
	}
	return r.Page(freezePage(r, f, web.Crumb{Text: "Activity"}), views.ActivityPage(v))
}

// nextOf draws the coming occurrences of a preview and what they concern.
func nextOf(r *web.Request, f Freeze, p Preview) *views.Next {
	return &views.Next{
		Title: "When", Spans: spans(r, f, p.Occurrences), Text: f.ScheduleText() + ". It concerns " + lower(f.ScopeText()) + ".",
	}
}

// versionFields are what a version is compared by.
type versionFields struct {
	Name          string     `json:"name" audit:"name"`
	Kind          string     `json:"kind" audit:"kind"`
	State         string     `json:"state" audit:"state"`
	Reason        string     `json:"reason" audit:"reason"`
	Owner         *uuid.UUID `json:"owner"`
	OwnerName     string     `json:"-" audit:"owner"`
	Schedule      string     `json:"schedule_text" audit:"schedule"`
	Scope         string     `json:"scope_text" audit:"concerns"`
	BlocksOutside bool       `json:"blocks_outside" audit:"blocks_outside"`
	Preapproves   bool       `json:"preapproves_standard" audit:"preapproves_standard"`
}

func readVersion(row versionRow, people map[uuid.UUID]string) (versionFields, error) {
	var v versionFields
	if err := json.Unmarshal(row.Snapshot, &v); err != nil {
		return v, fmt.Errorf("read version %d: %w", row.Version, err)
	}
	if v.Owner != nil {
		v.OwnerName = cmp.Or(people[*v.Owner], "A former member")
	}
	return v, nil
}

// versionViews compares each version with the one before; rows are newest first.
func versionViews(r *web.Request, rows []versionRow, people map[uuid.UUID]string) ([]views.Version, error) {
	out := make([]views.Version, len(rows))
	for i, row := range rows {
		out[i] = views.Version{Title: "Version " + strconv.FormatInt(row.Version, 10), Time: timetext.Minute(row.CreatedAt, r.Zone()), Widened: row.Widened, By: "by Vigilo or a token"}
		if name, ok := people[row.ChangedBy.UUID]; ok {
			out[i].By = "by " + name
		}
		if i+1 == len(rows) {
			continue
		}
		now, err := readVersion(row, people)
		if err != nil {
			return nil, err
		}
		before, err := readVersion(rows[i+1], people)
		if err != nil {
			return nil, err
		}
		diff, err := ledger.Diff(before, now)
		if err != nil {
			return nil, err
		}
		for _, c := range diff {
			out[i].Changes = append(out[i].Changes, ui.Change{
				Field: activity.FieldName(c.Field), From: changeText(c.From, r.Zone()), To: changeText(c.To, r.Zone()),
			})
		}
	}
	return out, nil
}

func changeText(v any, zone *time.Location) string {
	raw, ok := v.(json.RawMessage)
	if !ok {
		return ""
	}
	return activity.Value(raw, zone)
}

func (s *Service) showActivate(r *web.Request) error {
	f, p, err := s.readPreview(r)
	if err != nil {
		return err
	}
	if f.State != Draft {
		return r.SeeOther(r.Path(f.Path()))
	}
	return r.Page(freezePage(r, f, web.Crumb{Text: "Activate"}), views.DecidePage(activateView(r, f, p, nil)))
}

func activateView(r *web.Request, f Freeze, p Preview, err error) views.Decide {
	v := views.Decide{
		Head:   ui.PageHead{Title: "Activate " + f.Name, Lede: "This is what it meets. Nothing has happened yet."},
		Next:   nextOf(r, f, p),
		Impact: impactView(r, p.Affected, p.Certificates, "Scheduled changes that it will hold"),
		Form: ui.ConfirmForm{
			Action: r.Path(f.Path() + "/activate"), Title: "Put this in force?", Confirm: "Activate", CancelHref: r.Path(f.Path()),
			Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}}, Errors: web.FormErrors(err, nil),
		},
	}
	held := len(v.Impact.Held)
	switch {
	case f.Kind == Maintenance:
		v.Form.Points = []string{"Alerts of what it covers stay silent while it runs.", "No change is stopped."}
	case !f.Blocks():
		v.Impact.HeldTitle = "Scheduled changes inside"
		v.Form.Points = []string{"Whoever schedules or starts a change that it concerns is warned.", "Nothing is put on hold."}
	case held == 0:
		v.Form.Points = []string{"No scheduled change is inside, so nothing is put on hold.", "No change that it concerns can be scheduled or started inside, unless two people agree on an override."}
	default:
		v.Form.Points = []string{
			plural(held, "scheduled change") + " inside will be put on hold, and the owners are told.",
			"Changes that run already are not stopped.",
			"No change that it concerns can be scheduled or started inside, unless two people agree on an override.",
		}
	}
	if f.Lockdown() {
		v.Notices = append(v.Notices, ui.Notice{Tone: ui.Warn, Icon: "lock", Title: "This is a lockdown.", Text: "It has no end and stays in force until somebody lifts it."})
	}
	return v
}

// versionForm is the version that somebody saw when they decided.
type versionForm struct {
	Version int64  `form:"version"`
	Reason  string `form:"reason"`
}

func (s *Service) activatePage(r *web.Request) error {
	f, p, err := s.readPreview(r)
	if err != nil {
		return err
	}
	var in versionForm
	if err := r.Form(&in); err != nil {
		return err
	}
	if _, err := s.ActivateFreeze(r.Context(), r.Actor, f.ID, &in.Version, ""); err != nil {
		return r.InvalidPage(err, freezePage(r, f, web.Crumb{Text: "Activate"}), views.DecidePage(activateView(r, f, p, err)))
	}
	r.Flash(f.Name + " is active")
	return r.SeeOther(r.Path(f.Path()))
}

func (s *Service) showLift(r *web.Request) error {
	f, p, err := s.readPreview(r)
	if err != nil {
		return err
	}
	if f.State != Active {
		return r.SeeOther(r.Path(f.Path()))
	}
	return r.Page(freezePage(r, f, web.Crumb{Text: "Lift"}), views.DecidePage(liftView(r, f, p, "", nil)))
}

func liftView(r *web.Request, f Freeze, p Preview, reason string, err error) views.Decide {
	field := web.WithError(ui.Field{Name: "reason", Label: "Why it is lifted", Value: reason, Rows: 3, Required: true, MaxLength: maxReason}, err)
	v := views.Decide{
		Head:   ui.PageHead{Title: "Lift " + f.Name, Lede: "It ends for good. To use it again later, copy it."},
		Impact: impactView(r, p.Affected, nil, "Changes that meet it now"), Reason: &field,
		Form: ui.ConfirmForm{
			Action: r.Path(f.Path() + "/lift"), Title: "Lift this now?", Confirm: "Lift", Danger: true, CancelHref: r.Path(f.Path()),
			Points: []string{"Its holds are removed; what somebody else holds stays held.", "It stays on record."},
			Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}}, Errors: web.FormErrors(err, map[string]string{"reason": "Why it is lifted"}),
		},
	}
	if f.Kind == Maintenance {
		v.Form.Points = []string{"Alerts of what it covers are told again at once.", "It stays on record."}
	}
	return v
}

func (s *Service) liftPage(r *web.Request) error {
	f, p, err := s.readPreview(r)
	if err != nil {
		return err
	}
	var in versionForm
	if err := r.Form(&in); err != nil {
		return err
	}
	if _, err := s.LiftFreeze(r.Context(), r.Actor, f.ID, in.Reason, &in.Version, ""); err != nil {
		return r.InvalidPage(err, freezePage(r, f, web.Crumb{Text: "Lift"}), views.DecidePage(liftView(r, f, p, in.Reason, err)))
	}
	r.Flash(f.Name + " is lifted")
	return r.SeeOther(r.Path(f.Path()))
}

func deleteView(r *web.Request, f Freeze, err error) views.Decide {
	return views.Decide{
		Head: ui.PageHead{Title: "Delete " + f.Name},
		Form: ui.ConfirmForm{
			Action: r.Path(f.Path() + "/delete"), Title: "Delete this draft?", Text: "It was never in force, so nothing else changes.", Confirm: "Delete draft",
			Danger: true, CancelHref: r.Path(f.Path()), Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}},
			Errors: web.FormErrors(err, nil),
		},
	}
}

func (s *Service) showDelete(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	f, err := s.Freeze(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if f.State != Draft {
		return r.SeeOther(r.Path(f.Path()))
	}
	return r.Page(freezePage(r, f, web.Crumb{Text: "Delete"}), views.DecidePage(deleteView(r, f, nil)))
}

func (s *Service) deletePage(r *web.Request) error {
	id, err := r.UUID("id", "freeze")
	if err != nil {
		return err
	}
	f, err := s.Freeze(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	var in versionForm
	if err := r.Form(&in); err != nil {
		return err
	}
	if err := s.DeleteDraft(r.Context(), r.Actor, id, &in.Version, ""); err != nil {
		return r.InvalidPage(err, freezePage(r, f, web.Crumb{Text: "Delete"}), views.DecidePage(deleteView(r, f, err)))
	}
	r.Flash(f.Name + " was deleted")
	return r.SeeOther(r.Path(listPath))
}
