package approvals

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Status returns where the approval of a subject stands: its latest request with stages,
// seats, who is asked, and decisions. Without a request, Exists is false.
func (s *Service) Status(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID) (Status, error) {
	req, ok, err := latestRequest.Maybe(ctx, tx, db.Args{"type": subjectType, "id": id})
	if err != nil || !ok {
		return Status{}, err
	}
	r := &round{req: req}
	if err := r.read(ctx, tx); err != nil {
		return Status{}, err
	}
	return r.status(ctx, tx)
}

func (r *round) status(ctx context.Context, tx *db.Tx) (Status, error) {
	var sources []Source
	var people, given []uuid.UUID
	for _, st := range r.stages {
		sources = append(sources, sourcesOf(st.Spec)...)
	}
	for _, e := range r.routes {
		people, given = append(people, e.Path...), append(given, e.Delegations...)
	}
	l, err := readLabels(ctx, tx, sources, people...)
	if err != nil {
		return Status{}, err
	}
	keys := map[uuid.UUID]string{}
	if len(given) > 0 {
		rows, err := delegationKeys.All(ctx, tx, db.Args{"ids": given})
		if err != nil {
			return Status{}, err
		}
		for _, k := range rows {
			keys[k.ID] = k.Key
		}
	}
	out := Status{Exists: true, Request: r.req.request()}
	for _, st := range r.stages {
		out.Stages = append(out.Stages, r.stageStatus(st, l, keys))
	}
	return out, nil
}

func (r *round) stageStatus(st stageRow, l labels, keys map[uuid.UUID]string) StageStatus {
	out := StageStatus{
		ID: st.ID, Position: st.Position, Name: st.Name, State: st.State, OpenedAt: st.OpenedAt, DueAt: st.DueAt, Reauth: st.Spec.Reauth,
		Escalated: st.Escalated, Escalation: l.sources(st.Spec.Escalation),
	}
	counts := r.counts(st)
	for b, block := range st.Spec.Blocks {
		bs := BlockStatus{
			Mode: block.Mode, Need: counts[b].Need, Of: counts[b].Of, Approvals: counts[b].Approvals, Rejections: counts[b].Rejections,
			Sources: l.sources(block.Sources),
		}
		for _, id := range block.Policies {
			if i := slices.IndexFunc(r.req.Pinned, func(p PinnedPolicy) bool { return p.ID == id }); i >= 0 {
				bs.Policies = append(bs.Policies, r.req.Pinned[i].Name)
			}
		}
		for _, x := range r.req.Excluded {
			bs.Reduced = bs.Reduced || block.Mode != seats.CAB && st.State != StageWaiting && r.dropped(block, x.UserID)
		}
		for _, at := range r.seatsIn(st.ID) {
			if r.seats[at].Block == b {
				bs.Seats = append(bs.Seats, r.seatStatus(r.seats[at], l, keys))
			}
		}
		out.Blocks = append(out.Blocks, bs)
	}
	return out
}

// dropped reports whether a block names somebody who may not decide. Roles and groups are
// left aside: they name nobody in particular.
func (r *round) dropped(block seats.Block, id uuid.UUID) bool {
	f := r.req.Facts
	for _, src := range block.Sources {
		switch src.Kind {
		case seats.User:
			if src.ID == id {
				return true
			}
		case seats.AssetOwner:
			if slices.Contains(f.AssetOwners, id) {
				return true
			}
		case seats.ServiceOwner:
			if slices.Contains(f.ServiceOwners, id) {
				return true
			}
		case seats.Manager:
			if f.Manager.Valid && f.Manager.UUID == id {
				return true
			}
		default:
		}
	}
	return false
}

func (r *round) seatStatus(seat seatRow, l labels, keys map[uuid.UUID]string) SeatStatus {
	out := SeatStatus{ID: seat.ID, Kind: seat.Kind, Label: seat.Label, Status: seat.Status}
	for _, e := range r.routes {
		if e.SeatID != seat.ID {
			continue
		}
		a := seats.Assignment{Principal: e.Principal, Assignee: e.Assignee.UUID, Path: e.Path, Delegations: e.Delegations, Unrouted: e.Unrouted}
		route := l.route(a, keys)
		route.Escalated = e.Escalated
		out.Routes = append(out.Routes, route)
	}
	for _, d := range r.decisions {
		if d.SeatID == seat.ID {
			out.Decisions = append(out.Decisions, DecisionStatus{
				ID: d.ID, Verdict: d.Verdict, Actor: Who{d.Actor, d.ActorName}, Principal: Who{d.Principal, d.PrincipalName},
				Delegations: d.Delegations, Comment: d.Comment, DecidedAt: d.DecidedAt,
			})
		}
	}
	return out
}
