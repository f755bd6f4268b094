package approvals

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// round is one request with everything that hangs on it, locked and loaded. The subject's
// row is locked before the request's, always.
type round struct {
	req       requestRow
	stages    []stageRow
	seats     []seatRow
	routes    []routeRow
	decisions []decisionRow
	subj      Subject
	takes     bool // whether the subject is in a state that takes decisions
}

// lockRound locks subject and request and reads the rest.
func (s *Service) lockRound(ctx context.Context, tx *db.Tx, at placeRow) (*round, error) {
	p, err := s.provider(at.SubjectType)
	if err != nil {
		return nil, err
	}
	r := &round{}
	if r.subj, r.takes, err = p.LockForDecision(ctx, tx, at.SubjectID); err != nil {
		return nil, fmt.Errorf("lock %s %s: %w", at.SubjectType, at.SubjectID, err)
	}
	if r.req, err = lockRequest.One(ctx, tx, db.Args{"id": at.RequestID}); err != nil {
		return nil, err
	}
	return r, r.read(ctx, tx)
}

func (r *round) read(ctx context.Context, q db.Session) error {
	args := db.Args{"request": r.req.ID}
	var err error
	if r.stages, err = stagesOf.All(ctx, q, args); err != nil {
		return err
	}
	if r.seats, err = seatsOf.All(ctx, q, args); err != nil {
		return err
	}
	if r.routes, err = routesOf.All(ctx, q, args); err != nil {
		return err
	}
	r.decisions, err = decisionsOfRequest.All(ctx, q, args)
	return err
}

// open returns the index of the stage that takes decisions, -1 for none.
func (r *round) open() int {
	return slices.IndexFunc(r.stages, func(st stageRow) bool { return st.State == StageOpen })
}

// seatsIn returns the indexes of the seats of a stage, in their order.
func (r *round) seatsIn(stage uuid.UUID) []int {
	var out []int
	for i, s := range r.seats {
		if s.StageID == stage {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b int) int { return r.seats[a].Position - r.seats[b].Position })
	return out
}

// counts tallies the blocks of a stage.
func (r *round) counts(st stageRow) []seats.Count {
	marks := make([][]seats.Mark, len(st.Spec.Blocks))
	for _, i := range r.seatsIn(st.ID) {
		marks[r.seats[i].Block] = append(marks[r.seats[i].Block], mark(r.seats[i].Status))
	}
	out := make([]seats.Count, len(st.Spec.Blocks))
	for b, block := range st.Spec.Blocks {
		out[b] = seats.Tally(block, marks[b])
	}
	return out
}

// mark says how a seat counts. A seat that became superfluous when its block was satisfied
// still counts as one of its seats.
func mark(s SeatState) seats.Mark {
	switch s {
	case SeatApproved:
		return seats.Approved
	case SeatRejected:
		return seats.Rejected
	case SeatVoided:
		return seats.Void
	default:
		return seats.Open
	}
}

// decidedIn returns who has decided in a stage.
func (r *round) decidedIn(stage uuid.UUID) map[uuid.UUID]bool {
	out := map[uuid.UUID]bool{}
	for _, d := range r.decisions {
		if d.StageID == stage {
			out[d.Actor] = true
		}
	}
	return out
}

// excluded returns who may not decide in a stage, and why: by separation of duties, and
// where the stage wants other people than the stages before it.
func (r *round) excluded(st stageRow) map[uuid.UUID]string {
	out := map[uuid.UUID]string{}
	for _, x := range r.subj.Excluded {
		if x.UserID != uuid.Nil && out[x.UserID] == "" {
			out[x.UserID] = x.Why
		}
	}
	if st.Spec.Distinct {
		for _, d := range r.decisions {
			if d.Stage < st.Position && out[d.Actor] == "" {
				out[d.Actor] = decidedEarlier
			}
		}
	}
	return out
}

// decidedEarlier is why a stage that wants other people refuses somebody.
const decidedEarlier = "decided in an earlier stage"

func (r *round) topic(block seats.Block) seats.Topic {
	return topicOf(r.req.Facts, block)
}

func topicOf(f Facts, block seats.Block) seats.Topic {
	return seats.Topic{ChangeType: f.ChangeType, Tags: f.AssetTags, Policies: block.Policies}
}

// subject names the request in events; the subject itself is its parent.
func (r requestRow) subject() event.Subject {
	return event.Subject{Type: "approval_request", ID: r.ID, Key: r.SubjectKey, Title: r.Title}
}

func (r requestRow) parent() *event.Subject {
	return &event.Subject{Type: r.SubjectType, ID: r.SubjectID, Key: r.SubjectKey, Title: r.Title}
}

func (r requestRow) named() string { return strings.TrimSpace(r.SubjectKey + " " + r.Title) }

// pools finds the people of sources. Only active people who may decide are in those of
// roles and groups; people who are named may be anybody.
func pools(ctx context.Context, tx *db.Tx, f Facts, sources []Source) (seats.Pool, error) {
	pool := seats.Pool{}
	var roles []string
	var ranks []int32
	groups := []uuid.UUID{}
	for _, src := range sources {
		switch src.Kind {
		case seats.User:
			pool[src] = []uuid.UUID{src.ID}
		case seats.AssetOwner:
			pool[src] = f.AssetOwners
		case seats.ServiceOwner:
			pool[src] = f.ServiceOwners
		case seats.BlastOwner:
			for _, o := range f.BlastOwners {
				if slices.Index(Levels(), o.Criticality) >= slices.Index(Levels(), src.Criticality) {
					pool[src] = append(pool[src], o.Owner)
				}
			}
		case seats.Manager:
			if f.Manager.Valid {
				pool[src] = []uuid.UUID{f.Manager.UUID}
			}
		case seats.Role:
			if !slices.Contains(roles, src.Role) {
				roles, ranks = append(roles, src.Role), append(ranks, int32(access.Role(src.Role).Rank())) //nolint:gosec // 1 to 5
			}
		case seats.Group:
			groups = append(groups, src.ID)
		case seats.Board:
		}
	}
	if len(roles)+len(groups) == 0 {
		return pool, nil
	}
	if roles == nil {
		roles, ranks = []string{}, []int32{}
	}
	rows, err := poolPeople.All(ctx, tx, db.Args{"roles": roles, "ranks": ranks, "groups": groups})
	if err != nil {
		return nil, err
	}
	for _, src := range sources {
		want := src.Role
		if src.Kind == seats.Group {
			want = src.ID.String()
		}
		if (src.Kind != seats.Role && src.Kind != seats.Group) || pool[src] != nil {
			continue
		}
		for _, row := range rows {
			if row.Of == want {
				pool[src] = append(pool[src], row.UserID)
			}
		}
	}
	return pool, nil
}

// sourcesOf lists every source of composed stages once, those of escalations too.
func sourcesOf(stages ...seats.Composed) []Source {
	var out []Source
	add := func(list []Source) {
		for _, src := range list {
			if !slices.Contains(out, src) {
				out = append(out, src)
			}
		}
	}
	for _, st := range stages {
		for _, b := range st.Blocks {
			add(b.Sources)
		}
		add(st.Escalation)
	}
	return out
}

// world reads who is there at a moment: absences, delegations, and the people given and
// whoever they delegate to.
func world(ctx context.Context, tx *db.Tx, at time.Time, ids []uuid.UUID, excluded map[uuid.UUID]string) (seats.World, map[uuid.UUID]personRow, error) {
	w := seats.World{At: at, People: map[uuid.UUID]seats.Person{}, Excluded: map[uuid.UUID]bool{}}
	for id := range excluded {
		w.Excluded[id] = true
	}
	given, err := activeDelegations.All(ctx, tx, db.Args{"at": at})
	if err != nil {
		return w, nil, err
	}
	away, err := activeAbsences.All(ctx, tx, db.Args{"at": at})
	if err != nil {
		return w, nil, err
	}
	all := map[uuid.UUID]bool{}
	for _, id := range ids {
		all[id] = true
	}
	for _, d := range given {
		w.Delegations = append(w.Delegations, d.engine())
		all[d.Principal], all[d.Delegate] = true, true
	}
	for _, a := range away {
		w.Absences = append(w.Absences, seats.Absence{User: a.UserID, Start: a.StartsAt, End: a.EndsAt})
	}
	rows, err := peopleByID.All(ctx, tx, db.Args{"ids": slices.Collect(maps.Keys(all))})
	if err != nil {
		return w, nil, err
	}
	people := make(map[uuid.UUID]personRow, len(rows))
	for _, p := range rows {
		people[p.UserID] = p
		w.People[p.UserID] = seats.Person{Active: p.Active, Permitted: slices.Contains(deciders(), string(p.Role))}
	}
	return w, people, nil
}

func (d delegationRow) engine() seats.Delegation {
	return seats.Delegation{
		ID: d.ID, Principal: d.Principal, Delegate: d.Delegate, Kind: seats.DelegationKind(d.Kind),
		Scope: seats.Scope{Kind: seats.ScopeKind(d.Scope), Value: d.ScopeValue}, Start: d.StartsAt, End: d.EndsAt, CreatedAt: d.CreatedAt,
	}
}

// planned is a seat before it is written.
type planned struct {
	block int
	seats.Seat
}

// planStage makes the seats of a stage from its people. A block for which nobody is left
// gets a seat of whoever the stage escalates to.
func planStage(spec seats.Composed, pool seats.Pool, excluded map[uuid.UUID]string) ([]planned, []seats.Built) {
	out := []planned{}
	built := make([]seats.Built, len(spec.Blocks))
	isExcluded := func(id uuid.UUID) bool { return excluded[id] != "" }
	for b, block := range spec.Blocks {
		built[b] = seats.Build(block, pool, isExcluded)
		if len(built[b].Seats) == 0 {
			if seat, ok := standIn(spec, pool, isExcluded); ok {
				built[b].Seats = []seats.Seat{seat}
				built[b].Need = seats.Need(block, 1)
			}
		}
		for _, seat := range built[b].Seats {
			out = append(out, planned{b, seat})
		}
	}
	return out, built
}

// standIn is the seat of whoever a stage escalates to; false when nobody is.
func standIn(spec seats.Composed, pool seats.Pool, excluded func(uuid.UUID) bool) (seats.Seat, bool) {
	people := escalationPeople(spec, pool, excluded)
	if len(people) == 0 {
		return seats.Seat{}, false
	}
	return seats.Seat{Kind: seats.Shared, Source: spec.Escalation[0], Principals: people}, true
}

func escalationPeople(spec seats.Composed, pool seats.Pool, excluded func(uuid.UUID) bool) []uuid.UUID {
	var people []uuid.UUID
	for _, src := range spec.Escalation {
		for _, id := range pool[src] {
			if !excluded(id) && !slices.Contains(people, id) {
				people = append(people, id)
			}
		}
	}
	return people
}

// everybody lists the people of pools.
func everybody(pool seats.Pool) []uuid.UUID {
	var out []uuid.UUID
	for _, people := range pool {
		out = append(out, people...)
	}
	return out
}
