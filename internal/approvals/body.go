package approvals

import (
	"encoding/hex"
	"time"

	"github.com/google/uuid"
)

// The bodies below are how the API shows a status; modules that own subjects answer with
// them too, so that an approval looks the same everywhere.

// StatusBody is where the approval of a subject stands.
type StatusBody struct {
	RequestID   *uuid.UUID     `json:"request_id" doc:"Null when approval was never asked for."`
	Kind        Kind           `json:"kind"`
	State       State          `json:"state"`
	Revision    int64          `json:"revision"`
	ContentHash string         `json:"content_hash"`
	Policies    []PinnedPolicy `json:"policies" nullable:"false"`
	OpenedAt    *time.Time     `json:"opened_at"`
	SettledAt   *time.Time     `json:"settled_at"`
	Code        string         `json:"code"`
	Reason      string         `json:"reason"`
	ValidUntil  *time.Time     `json:"valid_until"`
	Overdue     bool           `json:"overdue"`
	Stages      []StageBody    `json:"stages" nullable:"false"`
}

// StageBody is one stage.
type StageBody struct {
	Position   int         `json:"position"`
	Name       string      `json:"name"`
	State      StageState  `json:"state"`
	OpenedAt   *time.Time  `json:"opened_at"`
	DueAt      *time.Time  `json:"due_at"`
	Reauth     bool        `json:"reauth"`
	Escalated  bool        `json:"escalated"`
	Escalation []string    `json:"escalation" nullable:"false"`
	Blocks     []BlockBody `json:"blocks" nullable:"false"`
	// Seats lists the seats of all blocks.
	Seats []SeatBody `json:"seats" nullable:"false"`
}

// BlockBody is one requirement of a stage.
type BlockBody struct {
	Mode         Mode     `json:"mode"`
	Need         int      `json:"need"`
	Of           int      `json:"of"`
	Approvals    int      `json:"approvals"`
	Rejections   int      `json:"rejections"`
	Sources      []string `json:"sources" nullable:"false"`
	Policies     []string `json:"policies" nullable:"false"`
	ReducedBySoD bool     `json:"reduced_by_sod"`
}

// SeatBody is one seat. Principal, assignee and path are those of a personal seat; a shared
// one has several routes.
type SeatBody struct {
	ID        *uuid.UUID     `json:"id" doc:"Null in a preview."`
	Block     int            `json:"block"`
	Kind      SeatKind       `json:"kind"`
	Label     string         `json:"label"`
	Status    SeatState      `json:"status"`
	Principal *WhoBody       `json:"principal"`
	Assignee  *WhoBody       `json:"assignee"`
	Path      []WhoBody      `json:"path" nullable:"false"`
	Unrouted  string         `json:"unrouted"`
	Routes    []RouteBody    `json:"routes" nullable:"false"`
	Decisions []DecisionBody `json:"decisions" nullable:"false"`
}

// WhoBody is a person.
type WhoBody struct {
	UserID uuid.UUID `json:"user_id"`
	Name   string    `json:"name"`
}

// RouteBody says who is asked in place of whom.
type RouteBody struct {
	Principal   WhoBody   `json:"principal"`
	Assignee    *WhoBody  `json:"assignee"`
	Path        []WhoBody `json:"path" nullable:"false"`
	Delegations []string  `json:"delegations" nullable:"false"`
	Unrouted    string    `json:"unrouted"`
	Escalated   bool      `json:"escalated"`
}

// DecisionBody is one decision.
type DecisionBody struct {
	ID          uuid.UUID `json:"id"`
	Decision    Verdict   `json:"decision"`
	Actor       WhoBody   `json:"actor"`
	Principal   WhoBody   `json:"principal"`
	Delegations []string  `json:"delegations" nullable:"false"`
	Comment     string    `json:"comment"`
	DecidedAt   time.Time `json:"decided_at"`
}

// NewStatusBody shows a status.
func NewStatusBody(s Status) StatusBody {
	b := StatusBody{Policies: []PinnedPolicy{}, Stages: []StageBody{}}
	if !s.Exists {
		return b
	}
	r := s.Request
	opened := r.OpenedAt.UTC()
	b = StatusBody{
		RequestID: &r.ID, Kind: r.Kind, State: r.State, Revision: r.Revision, ContentHash: hex.EncodeToString(r.ContentHash),
		Policies: filled(r.Pinned), OpenedAt: &opened, SettledAt: utc(r.SettledAt), Code: r.Code, Reason: r.Reason, ValidUntil: utc(r.ValidUntil),
		Overdue: r.Overdue, Stages: []StageBody{},
	}
	for _, st := range s.Stages {
		b.Stages = append(b.Stages, NewStageBody(st))
	}
	return b
}

// NewStageBody shows a stage.
func NewStageBody(st StageStatus) StageBody {
	b := StageBody{
		Position: st.Position, Name: st.Name, State: st.State, OpenedAt: utc(st.OpenedAt), DueAt: utc(st.DueAt), Reauth: st.Reauth,
		Escalated: st.Escalated, Escalation: filled(st.Escalation), Blocks: []BlockBody{}, Seats: []SeatBody{},
	}
	for i, block := range st.Blocks {
		b.Blocks = append(b.Blocks, BlockBody{
			Mode: block.Mode, Need: block.Need, Of: block.Of, Approvals: block.Approvals, Rejections: block.Rejections,
			Sources: filled(block.Sources), Policies: filled(block.Policies), ReducedBySoD: block.Reduced,
		})
		for _, seat := range block.Seats {
			b.Seats = append(b.Seats, newSeatBody(i, seat))
		}
	}
	return b
}

func newSeatBody(block int, s SeatStatus) SeatBody {
	b := SeatBody{ID: orNil(s.ID), Block: block, Kind: s.Kind, Label: s.Label, Status: s.Status, Path: []WhoBody{}, Routes: []RouteBody{}, Decisions: []DecisionBody{}}
	for _, r := range s.Routes {
		rb := RouteBody{
			Principal: WhoBody(r.Principal), Path: []WhoBody{}, Delegations: filled(r.Delegations), Unrouted: string(r.Unrouted), Escalated: r.Escalated,
		}
		if r.Unrouted == "" {
			rb.Assignee = ptr(WhoBody(r.Assignee))
		}
		for _, w := range r.Path {
			rb.Path = append(rb.Path, WhoBody(w))
		}
		b.Routes = append(b.Routes, rb)
		if s.Kind == PersonalSeat && !r.Escalated {
			b.Principal, b.Assignee, b.Path, b.Unrouted = ptr(rb.Principal), rb.Assignee, rb.Path, rb.Unrouted
		}
	}
	for _, d := range s.Decisions {
		b.Decisions = append(b.Decisions, DecisionBody{
			ID: d.ID, Decision: d.Verdict, Actor: WhoBody(d.Actor), Principal: WhoBody(d.Principal), Delegations: filled(d.Delegations),
			Comment: d.Comment, DecidedAt: d.DecidedAt.UTC(),
		})
	}
	return b
}
