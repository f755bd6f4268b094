package approvals

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

const (
	maxComment = 4000
	// recentSignIn is how old a sign-in may be where a stage asks for a fresh one.
	recentSignIn = 5 * time.Minute
)

// The refusals of a decision.
const (
	codeDecided    = "already_decided"
	codeClosed     = "stage_closed"
	codeStale      = "stale_revision"
	codeSoD        = "sod_violation"
	codeOneVoice   = "one_voice"
	codeNotAsked   = "not_asked"
	codeReauth     = "reauth_required"
	codeNoReturn   = "return_not_possible"
	oneVoiceNotice = "You have decided in this approval already. Another person must take this seat."
)

func (d *Decision) check() error {
	var c form.Check
	d.Comment = strings.TrimSpace(d.Comment)
	c.OneOf("decision", string(d.Verdict), "The decision", string(Approve), string(Reject), string(Return))
	if (d.Verdict == Reject || d.Verdict == Return) && d.Comment == "" {
		c.Add("comment", "required", "Say why, so that the author knows what to change.")
	}
	c.Longest("comment", d.Comment, "The comment", maxComment)
	c.Longest("idempotency_key", d.IdempotencyKey, "The idempotency key", 255)
	if d.Revision <= 0 {
		c.Add("revision", "required", "Say which revision you have read.")
	}
	return c.Err()
}

// Decide fills a seat, as its principal, as whoever it was delegated or escalated to, or as
// one of those who share it. Everything is checked again here, under the locks of subject
// and request: state, revision, stage, seat, and whether the actor may. The errors are
// conflicts with the codes already_decided, stage_closed and stale_revision, refusals with
// sod_violation, one_voice, not_asked and reauth_required, and invalid input.
func (s *Service) Decide(ctx context.Context, a db.Actor, seat uuid.UUID, d Decision) (Decided, error) {
	if err := s.policy.Check(a, DecideApprovals); err != nil {
		return Decided{}, err
	}
	if a.UserID == uuid.Nil {
		return Decided{}, fault.NewDenied("forbidden", "Only a person can decide. A service token is nobody.")
	}
	if err := d.check(); err != nil {
		return Decided{}, err
	}
	var out Decided
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		at, err := seatPlace.One(ctx, tx, db.Args{"id": seat})
		if err != nil {
			return err
		}
		r, err := s.lockRound(ctx, tx, at)
		if err != nil {
			return err
		}
		out, err = s.decide(ctx, tx, r, seat, d)
		return err
	})
	return out, err
}

func (s *Service) decide(ctx context.Context, tx *db.Tx, r *round, id uuid.UUID, d Decision) (Decided, error) {
	at := slices.IndexFunc(r.seats, func(x seatRow) bool { return x.ID == id })
	seat := r.seats[at]
	i := slices.IndexFunc(r.stages, func(st stageRow) bool { return st.ID == seat.StageID })
	if done, ok := r.replay(tx.Actor.UserID, seat, i, d); ok {
		return done, nil
	}
	if err := r.accepts(seat, i, d.Revision); err != nil {
		return Decided{}, err
	}
	if seat.Kind == seats.BoardSeat {
		return Decided{}, fault.NewDenied(codeNotAsked, "A board decides this seat. Vote on its item.")
	}
	if d.Verdict == Return && r.req.Kind == Retro {
		return Decided{}, fault.InvalidField("decision", codeNoReturn, "What has happened cannot be returned. Approve it, or reject it and say why.")
	}
	route, others, err := s.mayDecide(ctx, tx, r, i, seat)
	if err != nil {
		return Decided{}, err
	}
	block := r.stages[i].Spec.Blocks[seat.Block]
	// Where each of several must reject, the seat stays open for the others.
	fills := d.Verdict != Reject || block.Mode != seats.Any || block.OnReject != seats.UntilImpossible || !others
	row, err := s.newDecision(ctx, tx, r, i, seat, route, d, fills)
	if err != nil {
		return Decided{}, err
	}
	return s.enter(ctx, tx, r, i, at, row)
}

// enter writes a decision and moves the request on.
func (s *Service) enter(ctx context.Context, tx *db.Tx, r *round, i, at int, row decisionRow) (Decided, error) {
	if err := s.writeDecision(ctx, tx, r, &row); err != nil {
		return Decided{}, err
	}
	r.decisions = append(r.decisions, row)
	if row.Fills {
		as := map[Verdict]SeatState{Approve: SeatApproved, Reject: SeatRejected, Return: SeatReturned}[row.Verdict]
		if err := r.closeSeats(ctx, tx, as, []uuid.UUID{row.SeatID}); err != nil {
			return Decided{}, err
		}
	}
	by := settler{by: row.Actor, comment: row.Comment}
	if row.Verdict == Return {
		r.stages[i].State = StageRejected
		if err := s.settle(ctx, tx, r, Returned, "", by); err != nil {
			return Decided{}, err
		}
		return r.decided(row, i), nil
	}
	if err := s.advance(ctx, tx, r, by); err != nil {
		return Decided{}, err
	}
	// One voice each: whoever decided is not asked for another seat of the stage.
	if r.stages[i].State == StageOpen {
		if _, err := s.reseat(ctx, tx, r, i); err != nil {
			return Decided{}, err
		}
	}
	return r.decided(row, i), nil
}

func (r *round) decided(row decisionRow, i int) Decided {
	return Decided{
		DecisionID: row.ID, SeatID: row.SeatID, RequestID: r.req.ID, Verdict: row.Verdict, StageState: r.stages[i].State,
		RequestState: r.req.State, DecidedAt: row.DecidedAt,
	}
}

// replay finds the decision that this one repeats.
func (r *round) replay(actor uuid.UUID, seat seatRow, i int, d Decision) (Decided, bool) {
	for _, have := range r.decisions {
		if have.SeatID == seat.ID && have.Actor == actor && d.IdempotencyKey != "" && have.IdempotencyKey == d.IdempotencyKey && have.Verdict == d.Verdict {
			return r.decided(have, i), true
		}
	}
	return Decided{}, false
}

// accepts reports whether a seat can still be decided at a revision. Of several reasons the
// nearest is named: the seat itself, the revision that was read, the stage.
func (r *round) accepts(seat seatRow, i int, revision int64) error {
	for _, d := range r.decisions {
		if d.SeatID == seat.ID && d.Fills {
			return fault.NewConflict(codeDecided, fmt.Sprintf("%s has decided this seat already.", d.ActorName))
		}
	}
	switch {
	case revision != r.req.Revision || r.subj.Revision != r.req.Revision || !slices.Equal(r.subj.ContentHash, r.req.ContentHash):
		return fault.NewConflict(codeStale, fmt.Sprintf("It was changed since: you read revision %d, the present one is %d. Read it again.", revision, r.subj.Revision))
	case r.req.State != StateOpen:
		return fault.NewConflict(codeClosed, "This approval has ended: "+lower(stateText(r.req.State))+".")
	case seat.Status != SeatOpen || r.stages[i].State != StageOpen:
		return fault.NewConflict(codeClosed, "This seat is not needed any more: the stage has what it asked for, or the person left.")
	case !r.takes:
		return fault.NewConflict(codeClosed, fmt.Sprintf("%s takes no decisions in its present state.", r.req.SubjectKey))
	default:
		return nil
	}
}

// mayDecide finds by which route the actor fills a seat. others reports whether somebody
// else could still decide it.
func (s *Service) mayDecide(ctx context.Context, tx *db.Tx, r *round, i int, seat seatRow) (route routeRow, others bool, err error) {
	me, st := tx.Actor.UserID, r.stages[i]
	switch why := r.excluded(st)[me]; why {
	case "":
	case decidedEarlier:
		return route, false, fault.NewDenied(codeOneVoice, "This stage wants people who have not decided before in this approval.")
	default:
		return route, false, fault.NewDenied(codeSoD, fmt.Sprintf("Nobody approves their own work, whatever their role: you are its %s.", why))
	}
	if r.decidedIn(st.ID)[me] {
		return route, false, fault.NewDenied(codeOneVoice, oneVoiceNotice)
	}
	routing, err := s.routing(ctx, tx, r, i)
	if err != nil {
		return route, false, err
	}
	found := false
	for n, a := range routing.of[seat.ID] {
		mine := routeRow{SeatID: seat.ID, Principal: a.Principal, Path: a.Path, Delegations: a.Delegations, Position: n}
		if a.Principal == me && routing.world.Able(me) {
			// The principal may always decide in person, whoever was asked in their place.
			mine.Path, mine.Delegations = []uuid.UUID{me}, []uuid.UUID{}
			route, found = mine, true
		} else if a.Assignee == me && !found {
			route, found = mine, true
		}
		others = others || a.Assignee != uuid.Nil && a.Assignee != me || a.Principal != me && routing.world.Able(a.Principal)
	}
	if !found && routing.world.Able(me) {
		for _, e := range r.routes {
			if e.SeatID == seat.ID && e.Escalated && e.Principal == me && slices.Contains(routing.helpers, me) {
				route, found = e, true
			}
		}
	}
	if !found {
		return route, false, fault.NewDenied(codeNotAsked, fmt.Sprintf("You are not asked for this seat (%s), and nobody who is has delegated it to you.", seat.Label))
	}
	if st.Spec.Reauth && (tx.Actor.SignedInAt.IsZero() || tx.Now.Sub(tx.Actor.SignedInAt) > recentSignIn) {
		return route, false, fault.NewDenied(codeReauth, "This stage asks you to sign in again before you decide. Open its page to do so.")
	}
	return route, others, nil
}

// newDecision fills in everything about a decision but what the chain and the audit log add.
func (s *Service) newDecision(ctx context.Context, tx *db.Tx, r *round, i int, seat seatRow, route routeRow, d Decision, fills bool) (decisionRow, error) {
	id, err := newID()
	if err != nil {
		return decisionRow{}, err
	}
	a, st := tx.Actor, r.stages[i]
	names, err := readLabels(ctx, tx, nil, route.Principal)
	if err != nil {
		return decisionRow{}, err
	}
	keys := []string{}
	if len(route.Delegations) > 0 {
		rows, err := delegationKeys.All(ctx, tx, db.Args{"ids": route.Delegations})
		if err != nil {
			return decisionRow{}, err
		}
		for _, want := range route.Delegations {
			for _, k := range rows {
				if k.ID == want {
					keys = append(keys, k.Key)
				}
			}
		}
	}
	row := decisionRow{
		ID: id, SubjectType: r.req.SubjectType, SubjectID: r.req.SubjectID, SubjectKey: r.req.SubjectKey, Revision: r.req.Revision,
		ContentHash: r.req.ContentHash, ShownHash: shownHash(r.req.Shown), RequestID: r.req.ID, RequestKind: r.req.Kind,
		Policies: r.req.Pinned, StageID: st.ID, Stage: st.Position, StageName: st.Name, SeatID: seat.ID, SeatSource: seat.Label, Fills: fills,
		Principal: route.Principal, PrincipalName: names.name(route.Principal), Actor: a.UserID, ActorName: a.Name, ActorRole: a.Role,
		Path: route.Path, Delegations: keys, Verdict: d.Verdict, Comment: d.Comment, DecidedAt: tx.Now.UTC(), SessionID: a.SessionID,
		AuthMethod: a.AuthMethod, MFA: a.MFA, IdempotencyKey: d.IdempotencyKey,
	}
	if route.Escalated {
		row.SeatSource += ", escalated"
	}
	if !a.SignedInAt.IsZero() {
		at := a.SignedInAt.UTC().Truncate(time.Microsecond)
		row.SignedInAt = &at
	}
	if a.IP.IsValid() {
		row.Address = a.IP.Unmap().WithZone("").String()
	}
	return row, nil
}

// writeDecision adds a decision to the chain of its subject, with its audit entry.
func (s *Service) writeDecision(ctx context.Context, tx *db.Tx, r *round, row *decisionRow) error {
	last, _, err := lastDecision.Maybe(ctx, tx, db.Args{"type": row.SubjectType, "id": row.SubjectID})
	if err != nil {
		return err
	}
	row.Sequence, row.Previous = last.Sequence+1, last.Hash
	if row.Previous == nil {
		row.Previous = []byte{}
	}
	subject := r.req.subject()
	subject.Type, subject.ID = "approval_decision", row.ID
	detail := map[string]any{
		"verdict": string(row.Verdict), "revision": row.Revision, "stage": row.StageName, "seat": row.SeatID.String(),
		"sequence": row.Sequence, "principal": row.Principal.String(), "content_hash": row.statement().ContentHash,
	}
	if len(row.Delegations) > 0 {
		detail["delegations"] = row.Delegations
	}
	row.AuditID, err = s.ledger.Record(ctx, tx, ledger.Entry{
		Action: eventDecided, Subject: subject, Parent: r.req.parent(), Reason: row.Comment, Detail: detail,
		Payload: DecisionPayload{
			DecisionID: row.ID, RequestID: row.RequestID, SeatID: row.SeatID, SubjectType: row.SubjectType, SubjectID: row.SubjectID,
			SubjectKey: row.SubjectKey, Revision: row.Revision, Stage: row.StageName, Verdict: row.Verdict, PrincipalID: row.Principal,
			ActorID: row.Actor, Delegations: row.Delegations, Comment: row.Comment,
		},
	})
	if err != nil {
		return err
	}
	if row.Hash, err = row.statement().sum(); err != nil {
		return err
	}
	if _, err := insertDecision.Run(ctx, tx, decisionArgs(*row)); err != nil {
		if db.Violated(err, "approval_decisions_seat_key") || db.Violated(err, "approval_decisions_actor_key") {
			return fault.NewConflict(codeDecided, "This seat was decided a moment ago.")
		}
		return err
	}
	return nil
}

// DecideCAB fills the seat of the board in the open request of a subject with the outcome
// of an item, in the transaction that closes the item. A revision that moved since is
// stale_revision.
func (s *Service) DecideCAB(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID, revision int64, d CABDecision) (Decided, error) {
	in := Decision{Verdict: d.Verdict, Revision: revision, Comment: d.Comment}
	if err := in.check(); err != nil {
		return Decided{}, err
	}
	if d.Verdict == Return {
		return Decided{}, fault.InvalidField("decision", "not_allowed", "A board approves or rejects.")
	}
	open, ok, err := openRequest.Maybe(ctx, tx, db.Args{"type": subjectType, "id": id})
	if err != nil {
		return Decided{}, err
	}
	if !ok {
		return Decided{}, fault.NewConflict(codeClosed, "No approval is open for it.")
	}
	r, err := s.lockRound(ctx, tx, placeRow{RequestID: open, SubjectType: subjectType, SubjectID: id})
	if err != nil {
		return Decided{}, err
	}
	i := r.open()
	at := slices.IndexFunc(r.seats, func(x seatRow) bool {
		return i >= 0 && x.Kind == seats.BoardSeat && x.StageID == r.stages[i].ID
	})
	if at < 0 {
		return Decided{}, fault.NewConflict(codeClosed, "No board is asked at this stage.")
	}
	if err := r.accepts(r.seats[at], i, revision); err != nil {
		return Decided{}, err
	}
	row, err := s.newDecision(ctx, tx, r, i, r.seats[at], routeRow{Principal: d.BoardID, Path: []uuid.UUID{}}, in, true)
	if err != nil {
		return Decided{}, err
	}
	row.PrincipalName, row.BoardItem = r.seats[at].Label, d.ItemID
	return s.enter(ctx, tx, r, i, at, row)
}

// OpenCABSeats lists the open seats of boards that were opened before a moment, oldest first.
func (s *Service) OpenCABSeats(ctx context.Context, tx *db.Tx, before time.Time) ([]CABItem, error) {
	rows, err := openBoardSeats.All(ctx, tx, db.Args{"before": before})
	if err != nil {
		return nil, err
	}
	out := make([]CABItem, len(rows))
	for i, r := range rows {
		out[i] = CABItem{
			SeatID: r.SeatID, RequestID: r.RequestID, SubjectType: r.SubjectType, SubjectID: r.SubjectID, Key: r.Key, Title: r.Title,
			Path: r.Path, Revision: r.Revision, OpenedAt: r.OpenedAt, Facts: r.Facts, Excluded: r.Excluded,
		}
		if r.DueAt != nil {
			out[i].DueAt = *r.DueAt
		}
	}
	return out, nil
}

func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// stateText is a state of a request in words.
func stateText(st State) string {
	switch st {
	case StateOpen:
		return "Waiting for decisions"
	case StateApproved:
		return "Approved"
	case StateRejected:
		return "Rejected"
	case StateReturned:
		return "Returned to its author"
	case StateTimedOut:
		return "Ran out of time"
	case StateWithdrawn:
		return "Withdrawn"
	default:
		return string(st)
	}
}
