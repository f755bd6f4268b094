package changes

import (
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// previewChange says who would have to say yes to what the form holds: a part of the page for
// htmx, the whole form without script.
func (s *Service) previewChange(r *web.Request) error {
	f, err := readForm(r)
	if err != nil {
		return err
	}
	var old *Change
	if f.Key != "" {
		c, err := s.Change(r.Context(), r.Actor, f.Key)
		if err != nil {
			return err
		}
		old = &c
	}
	ctx, err := s.formContext(r, f.Template, f.Assets, uuid.NullUUID{})
	if err != nil {
		return err
	}
	if r.HTMX() {
		v, err := s.preview(r, f, ctx)
		if err != nil {
			return err
		}
		return r.Fragment(200, views.PreviewPart(v))
	}
	return s.sendForm(r, f, ctx, old, nil)
}

// preview asks approvals and freezes about what is being written. What is wrong with the form
// is left out: it is said when the form is sent.
func (s *Service) preview(r *web.Request, f changeForm, ctx formContext) (views.Preview, error) {
	v := views.Preview{}
	if ctx.template != nil {
		v.Empty = "Nobody: the template " + ctx.template.Name + " is approved, by " + ctx.template.ApprovedBy + "."
		return v, nil
	}
	e, err := s.editOf(r.Context(), r.Actor, f, r.Zone())
	if fault.KindOf(err) == fault.Unavailable {
		return v, err
	}
	err = s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		base := Change{
			ID: uuid.Must(uuid.NewV7()), Key: "CHG", Type: lifecycle.Normal, State: lifecycle.Draft, Priority: lifecycle.Medium, Category: "other", Title: "Draft",
			Requester: db.NullID(r.Actor.UserID), Revision: 1, Risk: lifecycle.Low,
		}
		if f.Key != "" {
			old, err := findChange(r.Context(), tx, f.Key)
			if err != nil {
				return err
			}
			base = old
			base.State = lifecycle.Draft
		}
		c, _ := e.apply(base, ctx.people)
		if !slices.Contains(lifecycle.Types(), c.Type) {
			c.Type = lifecycle.Normal
		}
		s.assess(&c)
		var err error
		if c.ContentHash, err = contentHash(c, nil); err != nil {
			return err
		}
		subject, err := s.approvalSubject(r.Context(), tx, c)
		if err != nil {
			return err
		}
		p, err := s.approvals.Preview(r.Context(), tx, subject)
		if err != nil {
			return fmt.Errorf("preview approval: %w", err)
		}
		v = previewView(p, c.Risk)
		if c.HasWindow() && c.Start.Before(*c.End) {
			hits, err := s.freezeHits(r.Context(), tx, c)
			if err != nil {
				return err
			}
			v.Warnings = freezeFindings(r, hits)
		}
		return nil
	})
	return v, err
}

func previewView(p approvals.Preview, risk Level) views.Preview {
	v := views.Preview{Lede: upperFirst(string(risk)) + " risk"}
	for _, st := range p.Stages {
		stage := views.PreviewStage{Name: st.Name}
		for _, b := range st.Blocks {
			stage.Rule = ruleText(b)
			for _, seat := range b.Seats {
				people := seatPeople(seat)
				if len(seat.Routes) > 1 {
					// Said once, and not beside each of them.
					stage.Rule = seat.Label
					for i := range people {
						people[i].Sub = ""
					}
				}
				stage.People = append(stage.People, people...)
			}
		}
		v.Stages = append(v.Stages, stage)
	}
	for _, p := range p.Problems {
		v.Problems = append(v.Problems, ui.Finding{Tone: ui.Crit, Icon: "circle-alert", Title: p.Stage + ": " + p.Text, Text: p.Fix})
	}
	if len(p.Stages) == 0 && len(p.Problems) == 0 {
		v.Empty = "No approval policy matches this change."
	}
	return v
}

// shownPeople is how many candidates of a shared seat are named.
const shownPeople = 5

// seatPeople are those who could fill a seat.
func seatPeople(seat approvals.SeatStatus) []ui.PersonState {
	var out []ui.PersonState
	for i, rt := range seat.Routes {
		if i == shownPeople {
			rest := len(seat.Routes) - i
			out = append(out, ui.PersonState{Person: ui.Person{Name: "and " + count(rest, "other"), Initials: fmt.Sprintf("+%d", rest)}})
			break
		}
		who := rt.Assignee
		p := ui.PersonState{Sub: seat.Label}
		if who.UserID == uuid.Nil {
			who = rt.Principal
			p.Badge = &ui.Badge{Text: "Nobody is asked", Tone: ui.Warn, Icon: "triangle-alert"}
		} else if rt.Principal.UserID != who.UserID && rt.Principal.Name != "" {
			p.Sub = "for " + rt.Principal.Name
		}
		p.Person = person(who.UserID, who.Name)
		out = append(out, p)
	}
	if len(seat.Routes) == 0 {
		out = append(out, ui.PersonState{Person: ui.Person{Name: seat.Label, Initials: "?"}})
	}
	return out
}

// ruleText says how many of a requirement must agree.
func ruleText(b approvals.BlockStatus) string {
	switch {
	case b.Of <= 1 && len(b.Seats) == 1 && len(b.Seats[0].Routes) > 1:
		return "any one of them"
	case b.Of <= 1:
		return ""
	case b.Need == b.Of:
		return fmt.Sprintf("all %d", b.Of)
	}
	return fmt.Sprintf("%d of %d", b.Need, b.Of)
}
