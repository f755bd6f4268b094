package approvals

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

// moment shows a time in the reader's zone.
func moment(r *web.Request, t time.Time) ui.Time { return timetext.Moment(t, r.Now(), r.Zone()) }

// dueBadge is the chip of a deadline.
func dueBadge(now, due time.Time) ui.Badge {
	switch left := due.Sub(now); {
	case left <= 0:
		return ui.Badge{Text: "Overdue", Tone: ui.Crit, Icon: "circle-alert"}
	case left < 24*time.Hour:
		return ui.Badge{Text: "Due " + timetext.Relative(due, now), Tone: ui.Warn, Icon: "clock"}
	default:
		return ui.Badge{Text: "Due " + timetext.Relative(due, now), Tone: ui.Mute, Icon: "clock"}
	}
}

func riskBadge(risk string) *ui.Badge {
	tone := map[string]ui.Tone{"low": ui.Fine, "medium": ui.Info, "high": ui.Warn, "critical": ui.Crit}[risk]
	if tone == "" {
		return nil
	}
	return &ui.Badge{Text: title(risk), Tone: tone}
}

func title(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.ReplaceAll(s[1:], "_", " ")
}

func stateBadge(r Request) ui.Badge {
	b := ui.Badge{Text: stateText(r.State), Tone: ui.Mute, Icon: "circle"}
	switch r.State {
	case StateOpen:
		b.Tone, b.Icon = ui.Info, "circle-dashed"
		if r.Overdue {
			b = ui.Badge{Text: "Overdue", Tone: ui.Crit, Icon: "circle-alert"}
		}
	case StateApproved:
		b.Tone, b.Icon = ui.OK, "circle-check"
	case StateRejected:
		b.Tone, b.Icon = ui.Crit, "circle-x"
	case StateReturned, StateTimedOut:
		b.Tone, b.Icon = ui.Warn, "undo-2"
	case StateWithdrawn:
	}
	return b
}

func verdictBadge(v Verdict) ui.Badge {
	switch v {
	case Approve:
		return ui.Badge{Text: "Approved", Tone: ui.OK, Icon: "circle-check"}
	case Reject:
		return ui.Badge{Text: "Rejected", Tone: ui.Crit, Icon: "circle-x"}
	case Return:
		return ui.Badge{Text: "Returned", Tone: ui.Warn, Icon: "undo-2"}
	default:
		return ui.Badge{Text: string(v)}
	}
}

func stageBadge(s StageState) ui.Badge {
	switch s {
	case StageOpen:
		return ui.Badge{Text: "Open", Tone: ui.Info}
	case StageSatisfied:
		return ui.Badge{Text: "Satisfied", Tone: ui.OK}
	case StageRejected:
		return ui.Badge{Text: "Ended here", Tone: ui.Crit}
	case StageWaiting:
		return ui.Badge{Text: "Not yet", Tone: ui.Mute}
	case StageClosed:
		return ui.Badge{Text: "Not needed", Tone: ui.Mute}
	default:
		return ui.Badge{Text: string(s)}
	}
}

func seatBadge(s SeatStatus, stage StageState) ui.Badge {
	switch s.Status {
	case SeatApproved:
		return verdictBadge(Approve)
	case SeatRejected:
		return verdictBadge(Reject)
	case SeatReturned:
		return verdictBadge(Return)
	case SeatVoided:
		return ui.Badge{Text: "Void", Tone: ui.Mute, Icon: "user-minus"}
	case SeatSuperseded:
		return ui.Badge{Text: "Not needed", Tone: ui.Mute, Icon: "minus"}
	case SeatOpen:
	}
	if stage == StageOpen && s.Kind != BoardSeat && !slices.ContainsFunc(s.Routes, func(r Route) bool { return r.Unrouted == "" }) {
		return ui.Badge{Text: "Nobody can fill it", Tone: ui.Crit, Icon: "circle-alert"}
	}
	return ui.Badge{Text: "Waiting", Tone: ui.Info, Icon: "circle-dashed"}
}

// person shows somebody; the colour of their initials follows from their id.
func person(w Who) ui.Person {
	name := nameOr(w.Name)
	return ui.Person{Name: title(name), Initials: web.Initials(title(name)), Hue: 1 + int(w.UserID[15])%4}
}

// stageViews shows stages. me marks the seats of a reader, and href leads to the page of one.
func stageViews(stages []StageStatus, now time.Time, zone *time.Location, me uuid.UUID, href func(uuid.UUID) string) []views.Stage {
	out := make([]views.Stage, len(stages))
	for i, st := range stages {
		v := views.Stage{
			ID: fmt.Sprintf("stage-%d", st.Position), Title: fmt.Sprintf("Stage %d: %s", st.Position, st.Name), Badge: stageBadge(st.State),
		}
		var parts []string
		if st.DueAt != nil && st.State == StageOpen {
			parts = append(parts, "Due "+timetext.Relative(*st.DueAt, now)+", "+timetext.Prose(*st.DueAt, zone))
		}
		if st.Reauth {
			parts = append(parts, "asks for a sign-in of the last five minutes")
		}
		if len(st.Escalation) > 0 {
			parts = append(parts, "goes to "+lower(listWords(st.Escalation))+" when nobody answers")
		}
		if v.Line = strings.Join(parts, "; "); v.Line != "" {
			v.Line = strings.ToUpper(v.Line[:1]) + v.Line[1:] + "."
		}
		for _, b := range st.Blocks {
			v.Blocks = append(v.Blocks, blockView(b, st.State, me, href))
		}
		out[i] = v
	}
	return out
}

// shownSeats is how many seats of a block are listed.
const shownSeats = 50

func blockView(b BlockStatus, stage StageState, me uuid.UUID, href func(uuid.UUID) string) views.Block {
	v := views.Block{Title: modeText(b.Mode, b.Need, b.Of, 0), Who: strings.Join(b.Sources, ", ")}
	if b.Mode == seats.Percent {
		v.Title = fmt.Sprintf("%d of %d", b.Need, b.Of)
	}
	var notes []string
	if len(b.Policies) > 0 {
		notes = append(notes, "Asked by "+listWords(b.Policies)+".")
	}
	if b.Reduced {
		notes = append(notes, "Somebody was left out: nobody approves their own work.")
	}
	for i, s := range b.Seats {
		if i == shownSeats {
			notes = append(notes, fmt.Sprintf("%d more seats are not listed.", len(b.Seats)-shownSeats))
			break
		}
		v.Seats = append(v.Seats, seatView(s, stage, me, href))
	}
	v.Note = strings.Join(notes, " ")
	return v
}

func seatView(s SeatStatus, stage StageState, me uuid.UUID, href func(uuid.UUID) string) views.SeatRow {
	v := views.SeatRow{Label: s.Label, Badge: seatBadge(s, stage)}
	if href != nil && s.ID != uuid.Nil {
		v.Href = href(s.ID)
	}
	var said []string
	for _, d := range s.Decisions {
		said = append(said, decidedBy(d))
	}
	if v.Say = strings.Join(said, " "); len(s.Decisions) > 0 && s.Status != SeatOpen {
		return v
	}
	if s.Status != SeatOpen {
		return v
	}
	for _, r := range s.Routes {
		p := r.Assignee
		if r.Unrouted != "" {
			p = r.Principal
		}
		row := ui.PersonState{Person: person(p)}
		switch {
		case r.Unrouted != "":
			row.Sub = unroutedText(r.Unrouted)
			row.Badge = &ui.Badge{Text: "Unrouted", Tone: ui.Crit}
		case r.Escalated:
			row.Sub = "Asked because nobody answered"
		case len(r.Path) > 1:
			row.Sub = "For " + nameOr(r.Principal.Name) + ", delegation " + listWords(r.Delegations)
		}
		if p.UserID == me && me != uuid.Nil && r.Unrouted == "" {
			row.Badge = &ui.Badge{Text: "You", Tone: ui.Note}
		}
		v.Routes = append(v.Routes, row)
	}
	return v
}

// decidedBy says who decided, for whom and by which delegation.
func decidedBy(d DecisionStatus) string {
	text := verdictBadge(d.Verdict).Text + " by " + nameOr(d.Actor.Name)
	if d.Principal.UserID != d.Actor.UserID && d.Principal.Name != "" {
		text += " for " + d.Principal.Name
	}
	if len(d.Delegations) > 0 {
		text += ", delegation " + listWords(d.Delegations)
	}
	return text + "."
}

// countLabel says how many rows there are; counting stops at 10,000.
func countLabel(n int64, unit string) string {
	if n > 10_000 {
		return "more than 10,000 " + unit + "s"
	}
	return plural(int(n), unit)
}

// levelOptions offers the levels of risk, highest first.
func levelOptions(chosen string) []ui.Option {
	levels := Levels()
	slices.Reverse(levels)
	out := make([]ui.Option, len(levels))
	for i, l := range levels {
		out[i] = ui.Option{Value: l, Text: title(l), Selected: l == chosen}
	}
	return out
}
