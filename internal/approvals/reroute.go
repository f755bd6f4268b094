package approvals

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// routing is who is asked for the seats of a stage now.
type routing struct {
	of      map[uuid.UUID][]seats.Assignment // by open seat
	world   seats.World
	people  map[uuid.UUID]personRow
	pool    seats.Pool
	helpers []uuid.UUID // who the stage escalates to
}

// routing resolves the open seats of a stage at the moment of the transaction.
func (s *Service) routing(ctx context.Context, tx *db.Tx, r *round, i int) (*routing, error) {
	st := r.stages[i]
	out := &routing{of: map[uuid.UUID][]seats.Assignment{}}
	var err error
	if out.pool, err = pools(ctx, tx, r.req.Facts, sourcesOf(st.Spec)); err != nil {
		return nil, err
	}
	excluded := r.excluded(st)
	out.helpers = escalationPeople(st.Spec, out.pool, func(id uuid.UUID) bool { return excluded[id] != "" })
	ids := everybody(out.pool)
	at := r.seatsIn(st.ID)
	for _, n := range at {
		if p := r.seats[n].Principal; p.Valid {
			ids = append(ids, p.UUID)
		}
	}
	if out.world, out.people, err = world(ctx, tx, tx.Now, append(ids, tx.Actor.UserID), excluded); err != nil {
		return nil, err
	}
	spoke := r.decidedIn(st.ID)
	filled := map[uuid.UUID]uuid.UUID{}
	for _, d := range r.decisions {
		if d.Fills {
			filled[d.SeatID] = d.Actor
		}
	}
	chairs := make([]seats.Chair, len(at))
	for n, x := range at {
		seat := r.seats[x]
		c := seats.Chair{Kind: seat.Kind, Topic: r.topic(st.Spec.Blocks[seat.Block]), Filled: filled[seat.ID], Closed: seat.Status != SeatOpen}
		if seat.Kind == seats.Personal {
			c.Principals = []uuid.UUID{seat.Principal.UUID}
		} else {
			c.Principals = slices.DeleteFunc(candidates(st.Spec, seat, out.pool), func(id uuid.UUID) bool { return excluded[id] != "" || spoke[id] })
		}
		chairs[n] = c
	}
	for n, list := range out.world.Route(chairs) {
		if seat := r.seats[at[n]]; seat.Status == SeatOpen {
			out.of[seat.ID] = list
		}
	}
	return out, nil
}

// candidates are the people who share a seat now.
func candidates(spec seats.Composed, seat seatRow, pool seats.Pool) []uuid.UUID {
	block := spec.Blocks[seat.Block]
	sources := []Source{seat.Source}
	switch {
	case !slices.Contains(block.Sources, seat.Source):
		sources = spec.Escalation
	case block.Mode == seats.Any:
		sources = block.Sources
	}
	var out []uuid.UUID
	for _, src := range sources {
		for _, id := range pool[src] {
			if !slices.Contains(out, id) {
				out = append(out, id)
			}
		}
	}
	return out
}

// reseat writes who is asked for the open seats of a stage now, and tells those who were
// not asked before. It reports whether anything changed.
func (s *Service) reseat(ctx context.Context, tx *db.Tx, r *round, i int) (bool, error) {
	now, err := s.routing(ctx, tx, r, i)
	if err != nil {
		return false, err
	}
	type place struct{ seat, principal uuid.UUID }
	before := map[place]routeRow{}
	for _, e := range r.routes {
		if !e.Escalated && e.Open {
			before[place{e.SeatID, e.Principal}] = e
		}
	}
	var plainSeats, plainPeople []uuid.UUID
	var plainPositions []int
	var told []asked
	changed := false
	kept := map[place]bool{}
	for seat, list := range now.of {
		for n, a := range list {
			at := place{seat, a.Principal}
			kept[at] = true
			old, had := before[at]
			row := routeRow{
				SeatID: seat, Principal: a.Principal, Path: a.Path, Delegations: a.Delegations, Unrouted: a.Unrouted, Open: true, Position: n,
				Assignee: uuid.NullUUID{UUID: a.Assignee, Valid: a.Routed()},
			}
			if had && old.Assignee == row.Assignee && old.Unrouted == row.Unrouted && slices.Equal(old.Path, row.Path) {
				continue
			}
			changed = true
			if a.Routed() && (!had || old.Assignee != row.Assignee) {
				told = append(told, asked{seat: seat, who: a.Assignee, principal: a.Principal, delegations: a.Delegations})
			}
			r.putRoute(row)
			if a.Routed() && len(a.Path) == 1 {
				plainSeats, plainPeople, plainPositions = append(plainSeats, seat), append(plainPeople, a.Principal), append(plainPositions, n)
				continue
			}
			if err := writeRoute(ctx, tx, row); err != nil {
				return false, err
			}
		}
	}
	if len(plainSeats) > 0 {
		if _, err := putPlainRoutes.Run(ctx, tx, db.Args{
			"seats": plainSeats, "principals": plainPeople, "positions": plainPositions, "escalated": false,
		}); err != nil {
			return false, err
		}
	}
	var goneSeats, gonePeople []uuid.UUID
	for at := range before {
		if _, open := now.of[at.seat]; open && !kept[at] {
			goneSeats, gonePeople = append(goneSeats, at.seat), append(gonePeople, at.principal)
		}
	}
	if len(goneSeats) > 0 {
		changed = true
		if _, err := dropRoutes.Run(ctx, tx, db.Args{"seats": goneSeats, "principals": gonePeople}); err != nil {
			return false, err
		}
		r.routes = slices.DeleteFunc(r.routes, func(e routeRow) bool {
			return !e.Escalated && slices.ContainsFunc(goneSeats, func(id uuid.UUID) bool { return id == e.SeatID }) && !kept[place{e.SeatID, e.Principal}]
		})
	}
	return changed, s.tellAsked(ctx, tx, r, r.stages[i], told, now.people)
}

func (r *round) putRoute(row routeRow) {
	at := slices.IndexFunc(r.routes, func(e routeRow) bool {
		return e.SeatID == row.SeatID && e.Principal == row.Principal && e.Escalated == row.Escalated
	})
	if at < 0 {
		r.routes = append(r.routes, row)
		return
	}
	r.routes[at] = row
}

func writeRoute(ctx context.Context, tx *db.Tx, row routeRow) error {
	delegations := row.Delegations
	if delegations == nil {
		delegations = []uuid.UUID{}
	}
	_, err := putRoute.Run(ctx, tx, db.Args{
		"seat": row.SeatID, "principal": row.Principal, "escalated": row.Escalated, "assignee": row.Assignee, "path": row.Path,
		"delegations": delegations, "unrouted": row.Unrouted, "position": row.Position,
	})
	return err
}

// reroute brings an open request up to date after delegations, absences or membership
// changed: seats of people who left are voided, those of who joined are added where the
// policy says so, and everybody is routed again.
func (s *Service) reroute(ctx context.Context, tx *db.Tx, request uuid.UUID) error {
	at, err := requestPlace.One(ctx, tx, db.Args{"id": request})
	if err != nil {
		return err
	}
	r, err := s.lockRound(ctx, tx, at)
	if err != nil {
		return err
	}
	i := r.open()
	if r.req.State != StateOpen || i < 0 || r.subj.Revision != r.req.Revision {
		return nil
	}
	if err := s.followMembership(ctx, tx, r, i); err != nil {
		return err
	}
	before := r.open()
	if err := s.advance(ctx, tx, r, settler{}); err != nil {
		return err
	}
	if r.req.State != StateOpen || r.open() != before {
		return nil // it moved on, and was routed on the way
	}
	changed, err := s.reseat(ctx, tx, r, i)
	if err != nil || !changed {
		return err
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: eventRerouted, Subject: r.req.subject(), Parent: r.req.parent(), Payload: r.seatsPayload(r.stages[i], nil),
	})
}

// followMembership voids and adds seats of people who have a seat because they belong to a
// role or a group.
func (s *Service) followMembership(ctx context.Context, tx *db.Tx, r *round, i int) error {
	st := r.stages[i]
	pool, err := pools(ctx, tx, r.req.Facts, sourcesOf(st.Spec))
	if err != nil {
		return err
	}
	var gone []uuid.UUID
	seated := map[uuid.UUID]bool{}
	for _, n := range r.seatsIn(st.ID) {
		seat := r.seats[n]
		if seat.Kind != seats.Personal {
			continue
		}
		member := seat.Source.Kind == seats.Group || seat.Source.Kind == seats.Role
		if seat.Status == SeatOpen && member && !slices.Contains(pool[seat.Source], seat.Principal.UUID) {
			gone = append(gone, seat.ID)
			continue
		}
		if seat.Status != SeatVoided {
			seated[seat.Principal.UUID] = true
		}
	}
	if len(gone) > 0 {
		if err := r.closeSeats(ctx, tx, SeatVoided, gone); err != nil {
			return err
		}
		if err := s.record(ctx, tx, ledger.Entry{
			Action: eventVoided, Subject: r.req.subject(), Parent: r.req.parent(), Payload: r.seatsPayload(st, gone),
		}); err != nil {
			return err
		}
	}
	excluded := r.excluded(st)
	var list []planned
	for b, block := range st.Spec.Blocks {
		for _, src := range block.Sources {
			if !src.Dynamic {
				continue
			}
			for _, id := range pool[src] {
				if !seated[id] && excluded[id] == "" {
					seated[id] = true
					list = append(list, planned{b, seats.Seat{Kind: seats.Personal, Source: src, Principals: []uuid.UUID{id}}})
				}
			}
		}
	}
	if len(list) == 0 {
		return nil
	}
	l, err := readLabels(ctx, tx, sourcesOf(st.Spec), everybody(pool)...)
	if err != nil {
		return err
	}
	return s.addSeats(ctx, tx, r, i, list, l)
}

// seatsPayload names seats of a stage and who is asked for them; nil means all open ones.
func (r *round) seatsPayload(st stageRow, only []uuid.UUID) SeatsPayload {
	p := SeatsPayload{RequestID: r.req.ID, SubjectKey: r.req.SubjectKey, Stage: st.Name, SeatIDs: []uuid.UUID{}, UserIDs: []uuid.UUID{}}
	for _, n := range r.seatsIn(st.ID) {
		seat := r.seats[n]
		if only != nil && !slices.Contains(only, seat.ID) || only == nil && seat.Status != SeatOpen {
			continue
		}
		p.SeatIDs = append(p.SeatIDs, seat.ID)
		for _, e := range r.routes {
			if e.SeatID == seat.ID && e.Assignee.Valid && !slices.Contains(p.UserIDs, e.Assignee.UUID) {
				p.UserIDs = append(p.UserIDs, e.Assignee.UUID)
			}
		}
	}
	return p
}

// escalate also asks whoever the stage escalates to, for some of its open seats. It reports
// whether it asked anybody.
func (s *Service) escalate(ctx context.Context, tx *db.Tx, r *round, i int, which func(seatRow) bool) (bool, error) {
	st := r.stages[i]
	now, err := s.routing(ctx, tx, r, i)
	if err != nil || len(now.helpers) == 0 {
		return false, err
	}
	// Who holds a seat of the stage in person has no voice left for another one.
	spoke := r.decidedIn(st.ID)
	for _, n := range r.seatsIn(st.ID) {
		for _, a := range now.of[r.seats[n].ID] {
			if r.seats[n].Kind == seats.Personal && a.Routed() {
				spoke[a.Assignee] = true
			}
		}
	}
	var told []asked
	var seatIDs, people []uuid.UUID
	var positions []int
	for _, n := range r.seatsIn(st.ID) {
		seat := r.seats[n]
		if seat.Status != SeatOpen || seat.Kind == seats.BoardSeat || !which(seat) {
			continue
		}
		for pos, id := range now.helpers {
			known := slices.ContainsFunc(r.routes, func(e routeRow) bool {
				return e.SeatID == seat.ID && e.Open && (e.Principal == id || e.Assignee.UUID == id)
			})
			if known || spoke[id] || !now.world.Able(id) {
				continue
			}
			row := routeRow{
				SeatID: seat.ID, Principal: id, Escalated: true, Assignee: uuid.NullUUID{UUID: id, Valid: true}, Path: []uuid.UUID{id},
				Open: true, Position: pos,
			}
			r.putRoute(row)
			seatIDs, people, positions = append(seatIDs, seat.ID), append(people, id), append(positions, pos)
			told = append(told, asked{seat: seat.ID, who: id, principal: id, escalated: true})
		}
	}
	if len(told) == 0 {
		return false, nil
	}
	if _, err := putPlainRoutes.Run(ctx, tx, db.Args{"seats": seatIDs, "principals": people, "positions": positions, "escalated": true}); err != nil {
		return false, err
	}
	if err := s.record(ctx, tx, ledger.Entry{
		Action: eventEscalated, Subject: r.req.subject(), Parent: r.req.parent(), Payload: r.seatsPayload(st, seatIDs),
		Reason: fmt.Sprintf("Nobody has decided stage “%s” in time.", st.Name),
	}); err != nil {
		return false, err
	}
	return true, s.tellAsked(ctx, tx, r, st, told, now.people)
}
