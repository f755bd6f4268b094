package approvals

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

// asked is a person who is newly asked for a seat.
type asked struct {
	seat, who, principal uuid.UUID
	delegations          []uuid.UUID
	escalated            bool
}

// tellAsked tells people that a seat waits for them. Those who share a seat get one notice
// together; whoever stands in for somebody is told for whom.
func (s *Service) tellAsked(ctx context.Context, tx *db.Tx, r *round, st stageRow, told []asked, people map[uuid.UUID]personRow) error {
	// A person who is asked for one seat twice, in person and for others, hears of it once.
	seen := map[[2]uuid.UUID]bool{}
	shared := map[uuid.UUID][]uuid.UUID{}
	var order []uuid.UUID
	slices.SortStableFunc(told, func(a, b asked) int { return len(a.delegations) - len(b.delegations) })
	for _, t := range told {
		if seen[[2]uuid.UUID{t.seat, t.who}] {
			continue
		}
		seen[[2]uuid.UUID{t.seat, t.who}] = true
		if len(t.delegations) == 0 && !t.escalated {
			if shared[t.seat] == nil {
				order = append(order, t.seat)
			}
			shared[t.seat] = append(shared[t.seat], t.who)
			continue
		}
		n := s.notice(tx, r, st, t.seat)
		n.Recipients = []uuid.UUID{t.who}
		switch {
		case t.escalated:
			n.Body = "Nobody has decided in time, so you are asked.\n" + n.Body
		default:
			name := "a colleague"
			if p, ok := people[t.principal]; ok {
				name = p.Name
			}
			n.Body = "You stand in for " + name + ".\n" + n.Body
		}
		if err := s.notifier.Notify(ctx, tx, n); err != nil {
			return fmt.Errorf("tell about seat %s: %w", t.seat, err)
		}
	}
	for _, seat := range order {
		n := s.notice(tx, r, st, seat)
		n.Recipients = shared[seat]
		if err := s.notifier.Notify(ctx, tx, n); err != nil {
			return fmt.Errorf("tell about seat %s: %w", seat, err)
		}
	}
	return nil
}

// notice words the request to decide a seat.
func (s *Service) notice(tx *db.Tx, r *round, st stageRow, seat uuid.UUID) Notice {
	n := Notice{
		DedupeKey: fmt.Sprintf("asked:%s:%d", seat, tx.Now.UnixMicro()), EventName: eventRequested, Severity: event.Medium, Icon: "clipboard-check",
		Title: "Approval needed: " + r.req.named(), Path: "/approvals/" + seat.String(), SubjectType: "approval_request",
		SubjectID: r.req.ID, SubjectTitle: r.req.named(), Mail: true,
	}
	lines := []string{fmt.Sprintf("Stage: %s. Revision %d.", st.Name, r.req.Revision)}
	if r.req.Risk != "" {
		lines = append(lines, "Risk: "+r.req.Risk+".")
	}
	if st.DueAt != nil {
		lines = append(lines, "Decide until "+timetext.Prose(*st.DueAt, time.UTC)+".")
	}
	n.Body = strings.Join(lines, "\n")
	if r.req.Kind == Retro {
		n.Title = "Look back needed: " + r.req.named()
	}
	if r.req.Emergency || r.req.Kind == Retro {
		n.Severity = event.High
	}
	return n
}

// remind tells everybody who is asked and has not decided.
func (s *Service) remind(ctx context.Context, tx *db.Tx, r *round, st stageRow) error {
	for _, at := range r.seatsIn(st.ID) {
		seat := r.seats[at]
		if seat.Status != SeatOpen {
			continue
		}
		var who []uuid.UUID
		for _, e := range r.routes {
			if e.SeatID == seat.ID && e.Open && e.Assignee.Valid && !slices.Contains(who, e.Assignee.UUID) {
				who = append(who, e.Assignee.UUID)
			}
		}
		if len(who) == 0 {
			continue
		}
		n := s.notice(tx, r, st, seat.ID)
		n.Recipients, n.EventName, n.DedupeKey = who, eventReminded, "remind:"+seat.ID.String()
		n.Title = "Still waiting for you: " + r.req.named()
		if err := s.notifier.Notify(ctx, tx, n); err != nil {
			return fmt.Errorf("remind about seat %s: %w", seat.ID, err)
		}
	}
	return nil
}

// tellDelegate tells a delegate that a delegation began, changed or ended.
func (s *Service) tellDelegate(ctx context.Context, tx *db.Tx, d Delegation, eventName, title string) error {
	n := Notice{
		Recipients: []uuid.UUID{d.Delegate}, DedupeKey: fmt.Sprintf("%s:%s:%d", eventName, d.ID, d.Version), EventName: eventName,
		Severity: event.Info, Icon: "user-check", Title: title, Path: "/account/away", SubjectType: "delegation", SubjectID: d.ID,
		SubjectTitle: d.Key, Mail: true,
		Body: fmt.Sprintf("Delegation %s: %s, from %s until %s.", d.Key, lower(scopeText(d)), day(d.Start), day(d.End)),
	}
	if d.Reason != "" {
		n.Body += "\n" + d.Reason
	}
	if err := s.notifier.Notify(ctx, tx, n); err != nil {
		return fmt.Errorf("tell delegate of %s: %w", d.Key, err)
	}
	return nil
}

func day(t time.Time) string { return timetext.Prose(t, time.UTC) }
