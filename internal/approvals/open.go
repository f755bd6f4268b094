package approvals

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// plan is what policies make of a subject: stages, their people, and what cannot work.
type plan struct {
	policies []Policy
	stages   []seats.Composed
	pool     seats.Pool
	world    seats.World
	seats    [][]planned
	built    [][]seats.Built
	labels   labels
	problems []Problem
	hours    int // validity
}

// planFor composes the policies that match a subject and looks whether enough people could
// ever decide.
func (s *Service) planFor(ctx context.Context, tx *db.Tx, subj Subject, k Kind, policies []Policy) (*plan, error) {
	p := &plan{hours: validHours}
	var matching []seats.Policy
	for _, pol := range policies {
		if !pol.Match.Matches(subj.Type, k, subj.Facts) {
			continue
		}
		p.policies = append(p.policies, pol)
		matching = append(matching, seats.Policy{ID: pol.ID, Name: pol.Name, Priority: pol.Priority, Stages: pol.Stages})
		if pol.ValidityDays > 0 {
			p.hours = min(p.hours, pol.ValidityDays*24)
		}
	}
	if longer := longest(p.policies); longer > 0 {
		p.hours = longer
	}
	if subj.Emergency {
		p.hours = min(p.hours, emergencyHours)
	}
	if len(matching) == 0 && k == Retro {
		matching = []seats.Policy{{Name: "Look back", Stages: []Stage{retroStage()}}}
	}
	p.stages = seats.Compose(matching)
	if len(p.stages) == 0 {
		p.problems = []Problem{{
			Text: "No approval policy covers this, so nobody is asked.", Fix: "An admin adds a policy, or widens the condition of one.",
		}}
		return p, nil
	}
	sources := sourcesOf(p.stages...)
	var err error
	if p.pool, err = pools(ctx, tx, subj.Facts, sources); err != nil {
		return nil, err
	}
	excluded := map[uuid.UUID]string{}
	for _, x := range subj.Excluded {
		if x.UserID != uuid.Nil {
			excluded[x.UserID] = x.Why
		}
	}
	if p.world, _, err = world(ctx, tx, tx.Now, everybody(p.pool), excluded); err != nil {
		return nil, err
	}
	var dropped []uuid.UUID
	needs := make([]seats.StageNeeds, len(p.stages))
	for i, st := range p.stages {
		list, built := planStage(st, p.pool, excluded)
		p.seats, p.built = append(p.seats, list), append(p.built, built)
		needs[i] = p.needs(i, subj.Facts)
		for _, b := range built {
			dropped = append(dropped, b.Dropped...)
		}
	}
	if p.labels, err = readLabels(ctx, tx, sources, append(dropped, everybody(p.pool)...)...); err != nil {
		return nil, err
	}
	for _, i := range seats.Fillable(needs) {
		p.problems = append(p.problems, p.problem(i))
	}
	return p, nil
}

// longest returns the validity in hours when every policy that says one says more than the
// default: the shortest of them. It is 0 when none does, or one says less.
func longest(policies []Policy) int {
	least := 0
	for _, p := range policies {
		if p.ValidityDays > 0 && (least == 0 || p.ValidityDays < least) {
			least = p.ValidityDays
		}
	}
	if least*24 > validHours {
		return least * 24
	}
	return 0
}

// needs lists, for each seat of a stage, everybody who could ever fill it.
func (p *plan) needs(i int, f Facts) seats.StageNeeds {
	st := p.stages[i]
	out := seats.StageNeeds{Distinct: st.Distinct}
	able := func(ids []uuid.UUID) []uuid.UUID {
		return slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return !p.world.Able(id) })
	}
	helpers := able(escalationPeople(st, p.pool, func(id uuid.UUID) bool { return p.world.Excluded[id] }))
	free := func(uuid.UUID) bool { return false }
	for b, block := range st.Blocks {
		r := seats.Requirement{Need: p.built[i][b].Need, Board: block.Mode == seats.CAB}
		for _, seat := range p.built[i][b].Seats {
			humans := able(seat.Principals)
			for _, id := range seat.Principals {
				if a := p.world.Resolve(id, topicOf(f, block), free); a.Routed() {
					humans = append(humans, a.Assignee)
				}
			}
			r.Humans = append(r.Humans, append(humans, helpers...))
		}
		out.Blocks = append(out.Blocks, r)
	}
	return out
}

// problem says why a stage cannot be approved, and what would help.
func (p *plan) problem(i int) Problem {
	st := p.stages[i]
	var asks, policies []string
	people := map[uuid.UUID]bool{}
	var left []string
	for b, block := range st.Blocks {
		asks = append(asks, lower(modeText(block.Mode, p.built[i][b].Need, 0, block.Percent))+" ("+listWords(p.labels.sources(block.Sources))+")")
		for _, seat := range p.built[i][b].Seats {
			for _, id := range seat.Principals {
				if p.world.Able(id) {
					people[id] = true
				}
			}
		}
		for _, id := range p.built[i][b].Dropped {
			if name := p.labels.name(id); !slices.Contains(left, name) {
				left = append(left, name)
			}
		}
		for _, id := range block.Policies {
			for _, pol := range p.policies {
				if pol.ID == id && !slices.Contains(policies, "“"+pol.Name+"”") {
					policies = append(policies, "“"+pol.Name+"”")
				}
			}
		}
	}
	have := "nobody may give an approval"
	switch n := len(people); {
	case n == 1:
		have = "only one person may decide"
	case n > 1:
		have = fmt.Sprintf("only %d people may decide", n)
	}
	fix := "Give an active approver a place in it, set the owners it asks, or add an escalation"
	if i > 0 && st.Distinct {
		have += ", and whoever decides an earlier stage may not decide this one"
		fix = "Give more approvers a place in it, or let people of earlier stages decide again"
	}
	text := fmt.Sprintf("Stage “%s” asks %s, but %s.", st.Name, listWords(asks), have)
	if len(left) > 0 {
		text += " Left out, because nobody approves their own work: " + listWords(left) + "."
	}
	if len(policies) > 0 {
		fix += " in the policy " + listWords(policies)
	}
	return Problem{Stage: st.Name, Text: text, Fix: fix + "."}
}

// unsatisfiable is the refusal of a subject that nobody could ever approve.
func unsatisfiable(problems []Problem) error {
	e := &fault.Error{Kind: fault.Invalid, Code: CodeUnsatisfiable, Message: problems[0].Text + " " + problems[0].Fix}
	for _, p := range problems {
		e.Details = append(e.Details, fault.Detail{Code: CodeUnsatisfiable, Message: p.Text + " " + p.Fix, Ref: p.Stage})
	}
	return e
}

func (subj Subject) check() error {
	switch {
	case subj.ID == uuid.Nil || subj.Type == "":
		return fmt.Errorf("approvals: subject without an id")
	case len(subj.ContentHash) != 32:
		return fmt.Errorf("approvals: content hash of %s %s has %d bytes, want 32", subj.Type, subj.ID, len(subj.ContentHash))
	default:
		return nil
	}
}

// Open asks for approval of a subject as it is now: it composes the policies that match,
// keeps their versions, and opens the first stage. A request that is still open for the
// subject is withdrawn. The caller holds the lock of the subject's row. When nobody could
// ever approve it, the error is fault.Invalid with the code approval_unsatisfiable and names
// each stage with what would help; a request that looks back is opened all the same.
func (s *Service) Open(ctx context.Context, tx *db.Tx, subj Subject, k Kind) (Request, error) {
	if err := subj.check(); err != nil {
		return Request{}, err
	}
	if _, err := s.provider(subj.Type); err != nil {
		return Request{}, err
	}
	policies, err := activePolicies.All(ctx, tx, nil)
	if err != nil {
		return Request{}, err
	}
	p, err := s.planFor(ctx, tx, subj, k, policies)
	if err != nil {
		return Request{}, err
	}
	if len(p.problems) > 0 && k != Retro {
		return Request{}, unsatisfiable(p.problems)
	}
	if err := s.Withdraw(ctx, tx, subj.Type, subj.ID, fmt.Sprintf("Revision %d replaces it.", subj.Revision)); err != nil {
		return Request{}, err
	}
	r, err := s.insertRound(ctx, tx, subj, k, p)
	if err != nil {
		return Request{}, err
	}
	if err := s.record(ctx, tx, ledger.Entry{
		Action: eventRequested, Subject: r.req.subject(), Parent: r.req.parent(), Payload: payloadOf(r.req),
		Detail: map[string]any{"revision": subj.Revision, "stages": len(p.stages)},
	}); err != nil {
		return Request{}, err
	}
	if err := s.openStage(ctx, tx, r, 0); err != nil {
		return Request{}, err
	}
	return r.req.request(), nil
}

func (s *Service) insertRound(ctx context.Context, tx *db.Tx, subj Subject, k Kind, p *plan) (*round, error) {
	id, err := newID()
	if err != nil {
		return nil, err
	}
	r := &round{subj: subj, takes: true, req: requestRow{
		ID: id, SubjectType: subj.Type, SubjectID: subj.ID, SubjectKey: subj.Key, Title: subj.Title, Path: subj.Path, Kind: k, State: StateOpen,
		Revision: subj.Revision, ContentHash: subj.ContentHash, Shown: subj.Shown, Facts: subj.Facts, Excluded: subj.Excluded,
		Emergency: subj.Emergency, Risk: subj.Facts.Risk, ValidityHours: p.hours, OpenedAt: tx.Now, Version: 1,
		OpenedBy: uuid.NullUUID{UUID: tx.Actor.UserID, Valid: tx.Actor.UserID != uuid.Nil}, Pinned: []PinnedPolicy{},
	}}
	if !subj.PlannedEnd.IsZero() {
		r.req.PlannedEnd = &subj.PlannedEnd
	}
	if r.req.Excluded == nil {
		r.req.Excluded = []Excluded{}
	}
	for _, pol := range p.policies {
		r.req.Pinned = append(r.req.Pinned, PinnedPolicy{ID: pol.ID, Name: pol.Name, Version: int(pol.Version)})
	}
	q := r.req
	if _, err := insertRequest.Run(ctx, tx, db.Args{
		"id": q.ID, "subject_type": q.SubjectType, "subject_id": q.SubjectID, "subject_key": q.SubjectKey, "title": q.Title, "path": q.Path,
		"kind": q.Kind, "revision": q.Revision, "content_hash": q.ContentHash, "shown": q.Shown, "facts": q.Facts, "excluded": q.Excluded,
		"emergency": q.Emergency, "risk": q.Risk, "pinned": q.Pinned, "validity_hours": q.ValidityHours, "planned_end": q.PlannedEnd,
		"opened_by": q.OpenedBy,
	}); err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	var positions []int
	var names []string
	var specs []json.RawMessage
	for i, st := range p.stages {
		stage, err := newID()
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(st)
		if err != nil {
			return nil, fmt.Errorf("encode stage: %w", err)
		}
		ids, positions, names, specs = append(ids, stage), append(positions, i+1), append(names, st.Name), append(specs, raw)
		r.stages = append(r.stages, stageRow{ID: stage, RequestID: id, Position: i + 1, Name: st.Name, State: StageWaiting, Spec: st})
	}
	_, err = insertStages.Run(ctx, tx, db.Args{"request": id, "ids": ids, "positions": positions, "names": names, "specs": specs})
	return r, err
}

// openStage opens the stage at an index: seats are made for the people who are there now,
// and whoever is asked is told.
func (s *Service) openStage(ctx context.Context, tx *db.Tx, r *round, i int) error {
	st := &r.stages[i]
	pool, err := pools(ctx, tx, r.req.Facts, sourcesOf(st.Spec))
	if err != nil {
		return err
	}
	excluded := r.excluded(*st)
	list, _ := planStage(st.Spec, pool, excluded)
	l, err := readLabels(ctx, tx, sourcesOf(st.Spec), everybody(pool)...)
	if err != nil {
		return err
	}
	if err := s.addSeats(ctx, tx, r, i, list, l); err != nil {
		return err
	}
	zone, err := zoneOf(ctx, tx)
	if err != nil {
		return err
	}
	d := seats.DeadlinesOf(tx.Now, deadlineDays(r.req.Kind, st.Spec), zone)
	st.State, st.OpenedAt, st.RemindAt, st.EscalateAt, st.DueAt, st.NextAt = StageOpen, &tx.Now, &d.Remind, &d.Escalate, &d.Due, &d.Remind
	if _, err := saveStage.Run(ctx, tx, stageArgs(*st)); err != nil {
		return err
	}
	if _, err := s.reseat(ctx, tx, r, i); err != nil {
		return err
	}
	return s.advance(ctx, tx, r, settler{})
}

// deadlineDays are the business days of a stage.
func deadlineDays(k Kind, spec seats.Composed) int {
	switch {
	case spec.DeadlineDays > 0:
		return spec.DeadlineDays
	case k == Retro:
		return retroDays
	case slices.ContainsFunc(spec.Blocks, func(b seats.Block) bool { return b.Mode == seats.CAB }):
		return boardDays
	default:
		return defaultDays
	}
}

func zoneOf(ctx context.Context, tx *db.Tx) (*time.Location, error) {
	name, err := workspaceZone.One(ctx, tx, nil)
	if err != nil {
		return nil, err
	}
	if zone, err := time.LoadLocation(name); err == nil {
		return zone, nil
	}
	return time.UTC, nil
}

// addSeats writes seats of a stage behind those that it has.
func (s *Service) addSeats(ctx context.Context, tx *db.Tx, r *round, i int, list []planned, l labels) error {
	if len(list) == 0 {
		return nil
	}
	st := r.stages[i]
	position := 0
	for _, at := range r.seatsIn(st.ID) {
		position = max(position, r.seats[at].Position)
	}
	var ids []uuid.UUID
	var blocks, positions []int
	var kinds, names []string
	var sources []json.RawMessage
	var principals []uuid.NullUUID
	for _, p := range list {
		id, err := newID()
		if err != nil {
			return err
		}
		raw, err := json.Marshal(p.Source)
		if err != nil {
			return fmt.Errorf("encode source of seat: %w", err)
		}
		position++
		row := seatRow{
			ID: id, RequestID: r.req.ID, StageID: st.ID, Block: p.block, Position: position, Kind: p.Kind, Source: p.Source,
			Label: l.seat(st.Spec.Blocks[p.block], p.Seat), Status: SeatOpen, OpenedAt: tx.Now,
		}
		if p.Kind == seats.Personal {
			row.Principal = uuid.NullUUID{UUID: p.Principals[0], Valid: true}
		}
		r.seats = append(r.seats, row)
		ids, blocks, positions = append(ids, id), append(blocks, p.block), append(positions, position)
		kinds, names, sources = append(kinds, string(p.Kind)), append(names, row.Label), append(sources, raw)
		principals = append(principals, row.Principal)
	}
	_, err := insertSeats.Run(ctx, tx, db.Args{
		"request": r.req.ID, "stage": st.ID, "ids": ids, "blocks": blocks, "positions": positions, "kinds": kinds, "sources": sources,
		"principals": principals, "labels": names,
	})
	return err
}

// Withdraw ends the open request of a subject, if there is one: its open seats are closed
// as superseded, decisions stay. The caller holds the lock of the subject's row.
func (s *Service) Withdraw(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID, reason string) error {
	open, ok, err := openRequest.Maybe(ctx, tx, db.Args{"type": subjectType, "id": id})
	if err != nil || !ok {
		return err
	}
	r := &round{}
	if r.req, err = lockRequest.One(ctx, tx, db.Args{"id": open}); err != nil {
		return err
	}
	if r.req.State != StateOpen {
		return nil
	}
	if err := r.read(ctx, tx); err != nil {
		return err
	}
	r.req.State, r.req.SettledAt, r.req.Reason = StateWithdrawn, &tx.Now, reason
	if err := s.closeRound(ctx, tx, r); err != nil {
		return err
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: eventWithdrawn, Subject: r.req.subject(), Parent: r.req.parent(), Payload: payloadOf(r.req), Reason: reason,
	})
}

func (r requestRow) request() Request {
	return Request{
		ID: r.ID, SubjectType: r.SubjectType, SubjectID: r.SubjectID, Key: r.SubjectKey, Title: r.Title, Path: r.Path, Kind: r.Kind,
		State: r.State, Revision: r.Revision, ContentHash: r.ContentHash, Emergency: r.Emergency, Risk: r.Risk, Pinned: r.Pinned,
		OpenedBy: r.OpenedBy.UUID, OpenedAt: r.OpenedAt, SettledAt: r.SettledAt, Code: r.Code, Reason: r.Reason, ValidUntil: r.ValidUntil,
		PlannedEnd: r.PlannedEnd, Overdue: r.Overdue, Version: r.Version,
	}
}
