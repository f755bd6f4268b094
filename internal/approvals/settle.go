package approvals

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// settler is who moves a request on, and what they said; zero when nobody decided.
type settler struct {
	by      uuid.UUID
	comment string
}

// advance counts the open stage and moves the request on: to the next stage, or to its end.
// It does so at most once for each decision, since the request is locked.
func (s *Service) advance(ctx context.Context, tx *db.Tx, r *round, by settler) error {
	i := r.open()
	if r.req.State != StateOpen || i < 0 {
		return nil
	}
	st := &r.stages[i]
	counts := r.counts(*st)
	switch seats.Together(counts) {
	case seats.Refused:
		st.State = StageRejected
		return s.settle(ctx, tx, r, Rejected, "", by)
	case seats.Impossible:
		grew, err := s.backstop(ctx, tx, r, i, counts)
		if err != nil || grew {
			return err
		}
		if r.req.Kind == Retro {
			return nil // it stays open, and overdue once its time has passed
		}
		by.comment = fmt.Sprintf("Nobody is left who could approve stage “%s”.", st.Name)
		return s.settle(ctx, tx, r, Returned, CodeUnsatisfiable, by)
	case seats.Satisfied:
		if err := s.finishStage(ctx, tx, r, i); err != nil {
			return err
		}
		if i+1 < len(r.stages) {
			return s.openStage(ctx, tx, r, i+1)
		}
		return s.settle(ctx, tx, r, Approved, "", by)
	case seats.Pending:
	}
	// What a satisfied block still had open is not needed any more.
	var done []uuid.UUID
	for _, at := range r.seatsIn(st.ID) {
		if seat := r.seats[at]; seat.Status == SeatOpen && counts[seat.Block].Outcome == seats.Satisfied {
			done = append(done, seat.ID)
		}
	}
	return r.closeSeats(ctx, tx, SeatSuperseded, done)
}

// backstop gives a seat to whoever the stage escalates to for each block that has become
// impossible, once. It reports whether that made a difference.
func (s *Service) backstop(ctx context.Context, tx *db.Tx, r *round, i int, counts []seats.Count) (bool, error) {
	st := r.stages[i]
	pool, err := pools(ctx, tx, r.req.Facts, sourcesOf(st.Spec))
	if err != nil {
		return false, err
	}
	excluded := r.excluded(st)
	seat, ok := standIn(st.Spec, pool, func(id uuid.UUID) bool { return excluded[id] != "" || r.decidedIn(st.ID)[id] })
	if !ok {
		return false, nil
	}
	var list []planned
	for b, c := range counts {
		if c.Outcome != seats.Impossible {
			continue
		}
		for _, at := range r.seatsIn(st.ID) {
			if have := r.seats[at]; have.Block == b && have.Kind == seats.Shared && have.Source == seat.Source && have.Status == SeatOpen {
				return false, nil
			}
		}
		list = append(list, planned{b, seat})
	}
	l, err := readLabels(ctx, tx, sourcesOf(st.Spec), seat.Principals...)
	if err != nil {
		return false, err
	}
	if err := s.addSeats(ctx, tx, r, i, list, l); err != nil {
		return false, err
	}
	if seats.Together(r.counts(st)) == seats.Impossible {
		return false, nil
	}
	_, err = s.reseat(ctx, tx, r, i)
	return true, err
}

// finishStage closes a stage whose blocks are satisfied.
func (s *Service) finishStage(ctx context.Context, tx *db.Tx, r *round, i int) error {
	st := &r.stages[i]
	var left []uuid.UUID
	for _, at := range r.seatsIn(st.ID) {
		if r.seats[at].Status == SeatOpen {
			left = append(left, r.seats[at].ID)
		}
	}
	if err := r.closeSeats(ctx, tx, SeatSuperseded, left); err != nil {
		return err
	}
	st.State, st.ClosedAt, st.NextAt = StageSatisfied, &tx.Now, nil
	_, err := saveStage.Run(ctx, tx, stageArgs(*st))
	return err
}

// closeSeats ends open seats and stops asking people about them.
func (r *round) closeSeats(ctx context.Context, tx *db.Tx, as SeatState, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	closed := map[uuid.UUID]bool{}
	for _, id := range ids {
		closed[id] = true
	}
	for i := range r.seats {
		if closed[r.seats[i].ID] && r.seats[i].Status == SeatOpen {
			r.seats[i].Status, r.seats[i].ClosedAt = as, &tx.Now
		}
	}
	for i := range r.routes {
		if closed[r.routes[i].SeatID] {
			r.routes[i].Open = false
		}
	}
	if _, err := closeSeats.Run(ctx, tx, db.Args{"ids": ids, "status": as}); err != nil {
		return err
	}
	_, err := closeRoutes.Run(ctx, tx, db.Args{"ids": ids})
	return err
}

// settle ends a request and tells the owner of its subject, in the deciding transaction.
func (s *Service) settle(ctx context.Context, tx *db.Tx, r *round, o Outcome, code string, by settler) error {
	r.req.State, r.req.SettledAt, r.req.Code, r.req.Reason = State(o), &tx.Now, code, by.comment
	out := Settlement{
		RequestID: r.req.ID, Kind: r.req.Kind, Outcome: o, Revision: r.req.Revision, Code: code, Reason: by.comment, DecidedBy: by.by,
	}
	if o == Approved {
		out.ValidUntil = tx.Now.Add(time.Duration(r.req.ValidityHours) * time.Hour)
		r.req.ValidUntil = &out.ValidUntil
	}
	if err := s.closeRound(ctx, tx, r); err != nil {
		return err
	}
	actions := map[Outcome]string{Approved: eventApproved, Rejected: eventRejected, Returned: eventReturned, TimedOut: eventTimedOut}
	if err := s.record(ctx, tx, ledger.Entry{
		Action: actions[o], Subject: r.req.subject(), Parent: r.req.parent(), Payload: payloadOf(r.req), Reason: by.comment,
	}); err != nil {
		return err
	}
	return s.tellProvider(ctx, tx, r, out)
}

func (s *Service) tellProvider(ctx context.Context, tx *db.Tx, r *round, out Settlement) error {
	p, err := s.provider(r.req.SubjectType)
	if err != nil {
		return err
	}
	if err := p.Settled(ctx, tx, r.subj, out); err != nil {
		return fmt.Errorf("settle %s %s as %s: %w", r.req.SubjectType, r.req.SubjectID, out.Outcome, err)
	}
	return nil
}

// closeRound closes what is open of a request that has ended.
func (s *Service) closeRound(ctx context.Context, tx *db.Tx, r *round) error {
	var left []uuid.UUID
	for _, seat := range r.seats {
		if seat.Status == SeatOpen {
			left = append(left, seat.ID)
		}
	}
	if err := r.closeSeats(ctx, tx, SeatSuperseded, left); err != nil {
		return err
	}
	for i := range r.stages {
		st := &r.stages[i]
		if st.State == StageSatisfied {
			continue
		}
		if st.State != StageRejected {
			st.State = StageClosed
		}
		st.ClosedAt, st.NextAt = &tx.Now, nil
		if _, err := saveStage.Run(ctx, tx, stageArgs(*st)); err != nil {
			return err
		}
	}
	return r.save(ctx, tx)
}

func (r *round) save(ctx context.Context, tx *db.Tx) error {
	q := r.req
	_, err := saveRequest.Run(ctx, tx, db.Args{
		"id": q.ID, "state": q.State, "excluded": q.Excluded, "settled_at": q.SettledAt, "code": q.Code, "reason": q.Reason,
		"valid_until": q.ValidUntil, "overdue": q.Overdue,
	})
	return err
}
