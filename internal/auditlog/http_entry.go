package auditlog

import (
	"cmp"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/auditlog"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) entryView(r *web.Request, d Detail) views.Entry {
	zone, now := r.Zone(), r.Now()
	v := views.Entry{
		Head: ui.PageHead{
			Title: d.Label, Badge: &ui.Badge{Text: outcomeWord(d.Outcome).label, Tone: activity.OutcomeTone(d.Outcome)},
			Lede: d.Actor.Name + ", " + activity.Moment(d.RecordedAt, zone, now).Title,
		},
		Reason: d.Reason, Changes: activity.Changes(d.Changes, zone), Detail: d.DetailFacts(zone),
		Facts: s.entryFacts(r, d), Origin: originFacts(d),
	}
	about := Filter{Target: d.Target.Type + ":" + d.Target.ID.String(), Window: "365d"}
	v.Actions = append(v.Actions, ui.LinkButton{Text: "All about this thing", Href: r.Path(logAddress(about)), Icon: "history"})
	if f := (Filter{Actor: actorFilter(d.Actor)}); f.Actor != "" {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "All by this actor", Href: r.Path(logAddress(f)), Icon: "user"})
	}
	return v
}

// actorFilter is what finds the entries of an actor.
func actorFilter(a activity.Actor) string {
	switch {
	case a.Kind == db.ActorSystem:
		return ActorSystem
	case a.ID != uuid.Nil:
		return a.ID.String()
	case a.Kind == db.ActorAnonymous:
		return ActorAnonymous
	default:
		return ""
	}
}

func (s *Service) entryFacts(r *web.Request, d Detail) []ui.Fact {
	zone, now := r.Zone(), r.Now()
	when := activity.Moment(d.RecordedAt, zone, now)
	facts := []ui.Fact{{Label: "Recorded", Time: &when, Sub: timetext.Relative(d.RecordedAt, now)}}
	// The two times of an ordinary entry are milliseconds apart.
	if gap := d.RecordedAt.Sub(d.OccurredAt).Abs(); gap > day/24/60 {
		occurred := activity.Moment(d.OccurredAt, zone, now)
		facts = append(facts, ui.Fact{Label: "Happened", Time: &occurred})
	}
	if d.Actor.Kind == db.ActorSystem {
		facts = append(facts, ui.Fact{Label: "Who", Text: d.Actor.Name})
	} else {
		who := activity.Person(d.Actor)
		facts = append(facts, ui.Fact{Label: "Who", Person: &who, Sub: d.Actor.Email})
	}
	facts = append(facts, ui.Fact{Label: "Acting as", Text: kindLabel(d.Actor.Kind)})
	if d.OnBehalfOf.Valid {
		facts = append(facts, ui.Fact{Label: "On behalf of", Text: d.OnBehalfOf.UUID.String(), Mono: true})
	}
	facts = append(facts,
		ui.Fact{Label: "Action", Text: d.Action, Mono: true},
		s.thingFact(r, "About", d.Target, d.TargetRef))
	if d.Parent.Type != "" {
		facts = append(facts, s.thingFact(r, "Part of", d.Parent, d.ParentRef))
	}
	return append(facts,
		ui.Fact{Label: "Category", Text: categoryWord(d.Category).label},
		ui.Fact{Label: "Severity", Text: activity.FieldName(severityWord(d.Severity))},
		ui.Fact{Label: "Entry id", Text: d.ID.String(), Copy: "Copy entry id"})
}

func kindLabel(k db.ActorKind) string {
	switch k {
	case db.ActorUser:
		return "A person"
	case db.ActorAPIKey:
		return "A personal access token"
	case db.ActorService:
		return "A service token"
	case db.ActorSystem:
		return "The system"
	default:
		return "Somebody who was not signed in"
	}
}

// thingFact names a thing as it is called now, or as it was called then when it is gone.
func (s *Service) thingFact(r *web.Request, label string, subject event.Subject, now *search.Ref) ui.Fact {
	kind := cmp.Or(s.index.Types()[subject.Type], activity.FieldName(subject.Type))
	f := ui.Fact{Label: label, Text: cmp.Or(subject.Title, subject.Key, subject.ID.String()), Sub: kind}
	if subject.Key != "" && subject.Key != f.Text {
		f.Text = subject.Key + " " + f.Text
	}
	if now == nil {
		return f
	}
	f.Text = cmp.Or(now.Title, f.Text)
	if now.Key != "" && now.Key != f.Text {
		f.Text = now.Key + " " + f.Text
	}
	if now.Path != "" {
		f.Href = r.Path(now.Path)
	}
	return f
}

func originFacts(d Detail) []ui.Fact {
	var facts []ui.Fact
	add := func(label, text string, mono bool) {
		if text != "" {
			facts = append(facts, ui.Fact{Label: label, Text: text, Mono: mono})
		}
	}
	add("Signed in by", d.AuthMethod, false)
	add("Second factor", d.MFA, false)
	add("Address", d.IP, true)
	add("Device", d.Actor.UserAgent, false)
	add("Session", id(known(d.SessionID)), true)
	if d.RequestID.Valid {
		facts = append(facts, ui.Fact{Label: "Request id", Text: d.RequestID.UUID.String(), Copy: "Copy request id"})
	}
	add("Trace", d.TraceID, true)
	if len(facts) == 0 {
		add("Origin", "Vigilo itself", false)
	}
	return facts
}

// saveView is the form that names a filter, with what was typed and what is wrong.
func (s *Service) saveView(r *web.Request, in saveForm, f Filter, err error) views.Save {
	wrong := form.Messages(err)
	v := views.Save{
		Head: ui.PageHead{Title: "Save filter", Lede: "It becomes a tab above the audit log."},
		Form: ui.Form{ID: "save-filter", Action: r.Path(pathLog + "/filters"), Hidden: []ui.Hidden{{Name: "query", Value: in.Query}}},
		Name: ui.Field{
			Name: "name", Label: "Name", Value: in.Name, Required: true, MaxLength: 40, Error: wrong["name"], Autofocus: true,
		},
		Cancel: r.Path(logAddress(f)),
	}
	for _, a := range askedBy(f, func(actor string) string { return actor }, s.index.Types()) {
		v.Asks = append(v.Asks, ui.Fact{Label: a.label, Text: a.value})
	}
	if r.Can(canShare) {
		v.Share = &ui.Choice{Name: "shared", Label: "Share it with everybody in this workspace", Checked: in.Shared}
	}
	if e := fault.Find(err); e != nil {
		for _, d := range e.Details {
			problem := ui.FormError{Text: d.Message}
			if d.Field == "name" {
				problem.Field, problem.Label = "name", "Name"
			}
			v.Form.Errors = append(v.Form.Errors, problem)
		}
	}
	return v
}

func removalPage(r *web.Request, f SavedFilter) templ.Component {
	c := ui.ConfirmForm{
		Action: r.Path(pathLog + "/filters/" + f.ID.String() + "/remove"), Title: "Remove the filter “" + f.Name + "”?",
		Text: "The tab goes away. Entries of the log are not touched.", Confirm: "Remove filter", Danger: true,
		CancelHref: r.Path(pathLog + "?" + f.Query),
	}
	if f.Shared {
		c.Points = []string{"It is shared: it goes away for everybody in this workspace."}
	}
	return ui.ConfirmPage(c)
}
