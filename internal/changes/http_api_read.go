package changes

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// apiFailure is a guard that fails, in transitions and at the gate.
type apiFailure struct {
	Guard   string   `json:"guard,omitempty"`
	Code    string   `json:"code"`
	Message string   `json:"message"`
	Refs    []apiRef `json:"refs" nullable:"false"`
}

type apiRef struct {
	Kind string     `json:"kind"`
	ID   *uuid.UUID `json:"id,omitempty"`
	Key  string     `json:"key,omitempty"`
	Text string     `json:"text,omitempty"`
}

func newAPIFailures(list []lifecycle.Failure) []apiFailure {
	out := make([]apiFailure, len(list))
	for i, f := range list {
		out[i] = apiFailure{Guard: string(f.Guard), Code: f.Code, Message: f.Message, Refs: []apiRef{}}
		for _, r := range f.Refs {
			out[i].Refs = append(out[i].Refs, apiRef{Kind: r.Kind, ID: orNil(db.NullID(r.ID)), Key: r.Key, Text: r.Text})
		}
	}
	return out
}

type apiTransition struct {
	Action  lifecycle.Action `json:"action"`
	Label   string           `json:"label"`
	To      State            `json:"to,omitempty" doc:"Absent when the present state does not know the action."`
	Allowed bool             `json:"allowed"`
	Asks    []string         `json:"asks" nullable:"false" doc:"What the body must hold: reason, outcome."`
	Reasons []apiFailure     `json:"reasons" nullable:"false" doc:"Every guard that fails."`
}

type transitionsOut struct {
	Body struct {
		State       State           `json:"state"`
		Version     int64           `json:"version"`
		Revision    int64           `json:"revision"`
		Transitions []apiTransition `json:"transitions" nullable:"false"`
	}
}

func (s *Service) apiTransitions(ctx context.Context, in *RefIn) (*transitionsOut, error) {
	c, list, err := s.Options(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	out := &transitionsOut{}
	out.Body.State, out.Body.Version, out.Body.Revision, out.Body.Transitions = c.State, c.Version, c.Revision, []apiTransition{}
	for _, o := range list {
		out.Body.Transitions = append(out.Body.Transitions, apiTransition{
			Action: o.Action, Label: o.Action.Label(), To: o.To, Allowed: o.Allowed, Asks: textList(o.Asks), Reasons: newAPIFailures(o.Failures),
		})
	}
	return out, nil
}

type apiWho struct {
	UserID *uuid.UUID `json:"user_id"`
	Name   string     `json:"name"`
}

func newAPIWho(w approvals.Who) apiWho {
	return apiWho{UserID: orNil(db.NullID(w.UserID)), Name: w.Name}
}

type apiSeat struct {
	ID        uuid.UUID     `json:"id"`
	Kind      string        `json:"kind" doc:"personal, shared or board."`
	Label     string        `json:"label"`
	Status    string        `json:"status"`
	Principal apiWho        `json:"principal"`
	Assignee  apiWho        `json:"assignee" doc:"Who is asked now; empty when the seat is unrouted."`
	Path      []apiWho      `json:"path" nullable:"false" doc:"From the principal to the assignee."`
	Routes    []apiRoute    `json:"routes" nullable:"false" doc:"Every candidate of a shared seat."`
	Decisions []apiDecision `json:"decisions" nullable:"false"`
}

type apiRoute struct {
	Principal   apiWho   `json:"principal"`
	Assignee    apiWho   `json:"assignee"`
	Path        []apiWho `json:"path" nullable:"false"`
	Delegations []string `json:"delegations" nullable:"false"`
	Unrouted    string   `json:"unrouted,omitempty" doc:"Why nobody is asked."`
	Escalated   bool     `json:"escalated"`
}

type apiDecision struct {
	ID          uuid.UUID `json:"id"`
	Decision    string    `json:"decision"`
	Actor       apiWho    `json:"actor"`
	Principal   apiWho    `json:"principal"`
	Delegations []string  `json:"delegations" nullable:"false"`
	Comment     string    `json:"comment"`
	DecidedAt   time.Time `json:"decided_at"`
}

type apiStage struct {
	ID       uuid.UUID  `json:"id"`
	Position int        `json:"position"`
	Name     string     `json:"name"`
	State    string     `json:"state"`
	OpenedAt *time.Time `json:"opened_at"`
	DueAt    *time.Time `json:"due_at"`
	Blocks   []apiBlock `json:"blocks" nullable:"false"`
	Seats    []apiSeat  `json:"seats" nullable:"false" doc:"The seats of all blocks."`
}

type apiBlock struct {
	Mode         string   `json:"mode"`
	Need         int      `json:"need"`
	Of           int      `json:"of"`
	Approvals    int      `json:"approvals"`
	Rejections   int      `json:"rejections"`
	Sources      []string `json:"sources" nullable:"false"`
	Policies     []string `json:"policies" nullable:"false"`
	ReducedBySOD bool     `json:"reduced_by_sod"`
}

type approvalsOut struct {
	Body struct {
		Exists     bool                     `json:"exists"`
		RequestID  *uuid.UUID               `json:"request_id"`
		Kind       string                   `json:"kind"`
		State      string                   `json:"state" doc:"open, approved, rejected, returned, timed_out or withdrawn."`
		Revision   int64                    `json:"revision"`
		ValidUntil *time.Time               `json:"valid_until"`
		Policies   []approvals.PinnedPolicy `json:"policies" nullable:"false"`
		Stages     []apiStage               `json:"stages" nullable:"false"`
		Problems   []string                 `json:"problems" nullable:"false" doc:"Of a draft: why nobody could approve it."`
	}
}

func newAPIStages(list []approvals.StageStatus) []apiStage {
	out := []apiStage{}
	for _, st := range list {
		a := apiStage{ID: st.ID, Position: st.Position, Name: st.Name, State: string(st.State), OpenedAt: utc(st.OpenedAt), DueAt: utc(st.DueAt), Blocks: []apiBlock{}, Seats: []apiSeat{}}
		for _, b := range st.Blocks {
			a.Blocks = append(a.Blocks, apiBlock{
				Mode: string(b.Mode), Need: b.Need, Of: b.Of, Approvals: b.Approvals, Rejections: b.Rejections, Sources: textList(b.Sources),
				Policies: textList(b.Policies), ReducedBySOD: b.Reduced,
			})
			for _, seat := range b.Seats {
				a.Seats = append(a.Seats, newAPISeat(seat))
			}
		}
		out = append(out, a)
	}
	return out
}

func newAPISeat(seat approvals.SeatStatus) apiSeat {
	out := apiSeat{
		ID: seat.ID, Kind: string(seat.Kind), Label: seat.Label, Status: string(seat.Status), Path: []apiWho{}, Routes: []apiRoute{}, Decisions: []apiDecision{},
	}
	whos := func(list []approvals.Who) []apiWho {
		ws := []apiWho{}
		for _, w := range list {
			ws = append(ws, newAPIWho(w))
		}
		return ws
	}
	for i, r := range seat.Routes {
		route := apiRoute{
			Principal: newAPIWho(r.Principal), Assignee: newAPIWho(r.Assignee), Path: whos(r.Path), Delegations: textList(r.Delegations),
			Unrouted: string(r.Unrouted), Escalated: r.Escalated,
		}
		if i == 0 {
			out.Principal, out.Assignee, out.Path = route.Principal, route.Assignee, route.Path
		}
		out.Routes = append(out.Routes, route)
	}
	for _, d := range seat.Decisions {
		out.Decisions = append(out.Decisions, apiDecision{
			ID: d.ID, Decision: string(d.Verdict), Actor: newAPIWho(d.Actor), Principal: newAPIWho(d.Principal), Delegations: textList(d.Delegations),
			Comment: d.Comment, DecidedAt: d.DecidedAt.UTC(),
		})
	}
	return out
}

// apiApprovals shows the latest request, or for a draft what a submission would ask for.
func (s *Service) apiApprovals(ctx context.Context, in *RefIn) (*approvalsOut, error) {
	out := &approvalsOut{}
	out.Body.Policies, out.Body.Stages, out.Body.Problems = []approvals.PinnedPolicy{}, []apiStage{}, []string{}
	err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		var f facts
		if err := s.collectApproval(ctx, tx, c, &f); err != nil {
			return err
		}
		st := f.status
		if st.Exists {
			out.Body.Exists, out.Body.RequestID, out.Body.Kind, out.Body.State = true, &st.Request.ID, string(st.Request.Kind), string(st.Request.State)
			out.Body.Revision, out.Body.ValidUntil = st.Request.Revision, utc(st.Request.ValidUntil)
			out.Body.Policies = append(out.Body.Policies, st.Request.Pinned...)
			out.Body.Stages = newAPIStages(st.Stages)
		} else {
			out.Body.Policies = append(out.Body.Policies, f.preview.Policies...)
			out.Body.Stages = newAPIStages(f.preview.Stages)
		}
		for _, p := range f.preview.Problems {
			out.Body.Problems = append(out.Body.Problems, strings.TrimSpace(p.Text+" "+p.Fix))
		}
		return nil
	})
	return out, err
}

type decisionIn struct {
	RefIn
	Seat string `path:"seat"`
	Key  string `header:"Idempotency-Key"`
	Body struct {
		Decision string `json:"decision" enum:"approve,reject,return"`
		Revision int64  `json:"revision" doc:"The revision that was read."`
		Comment  string `json:"comment,omitempty" doc:"Needed for reject and return."`
	}
}

type decisionOut struct {
	Body struct {
		DecisionID   uuid.UUID `json:"decision_id"`
		Seat         uuid.UUID `json:"seat"`
		Decision     string    `json:"decision"`
		StageState   string    `json:"stage_state"`
		RequestState string    `json:"request_state"`
		DecidedAt    time.Time `json:"decided_at"`
		Change       apiChange `json:"change"`
	}
}

// apiDecide passes a decision on to approvals, once the seat is one of the change's.
func (s *Service) apiDecide(ctx context.Context, in *decisionIn) (*decisionOut, error) {
	seat, err := uuid.Parse(in.Seat)
	if err != nil {
		return nil, fault.NewNotFound("seat")
	}
	a := api.Actor(ctx)
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, in.ID)
		if err != nil {
			return err
		}
		status, err := s.approvals.Status(ctx, tx, SubjectChange, c.ID)
		if err != nil {
			return err
		}
		if !hasSeat(status, seat) {
			return fault.NewNotFound("seat")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	d, err := s.approvals.Decide(ctx, a, seat, approvals.Decision{
		Verdict: approvals.Verdict(in.Body.Decision), Revision: in.Body.Revision, Comment: in.Body.Comment, IdempotencyKey: in.Key,
	})
	if err != nil {
		return nil, err
	}
	change, err := s.answer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &decisionOut{}
	out.Body.DecisionID, out.Body.Seat, out.Body.Decision, out.Body.StageState = d.DecisionID, d.SeatID, string(d.Verdict), string(d.StageState)
	out.Body.RequestState, out.Body.DecidedAt, out.Body.Change = string(d.RequestState), d.DecidedAt.UTC(), change.Body
	return out, nil
}

func hasSeat(st approvals.Status, id uuid.UUID) bool {
	for _, stage := range st.Stages {
		for _, b := range stage.Blocks {
			for _, seat := range b.Seats {
				if seat.ID == id {
					return true
				}
			}
		}
	}
	return false
}

type auditOut struct {
	Body api.List[TrailEntry]
}

func (s *Service) apiAudit(ctx context.Context, in *struct {
	RefIn
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"200"`
},
) (*auditOut, error) {
	out := &auditOut{Body: api.List[TrailEntry]{Items: []TrailEntry{}}}
	err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, in.ID)
		if err != nil || s.trail == nil {
			return err
		}
		entries, err := s.trail(ctx, tx, SubjectChange, c.ID, in.Limit)
		out.Body.Items = append(out.Body.Items, entries...)
		return err
	})
	return out, err
}

type gateOut struct {
	Body struct {
		Allowed     bool         `json:"allowed" doc:"True only when the deployment may run now. Treat everything else as no."`
		Change      string       `json:"change"`
		State       State        `json:"state,omitempty"`
		Revision    int64        `json:"revision"`
		ContentHash string       `json:"content_hash,omitempty"`
		WindowEnd   *time.Time   `json:"window_end"`
		Reasons     []apiFailure `json:"reasons" nullable:"false"`
		CheckedAt   time.Time    `json:"checked_at"`
	}
}

func (s *Service) apiGate(ctx context.Context, in *struct {
	Change string `query:"change" doc:"Id or key of the change that the deployment belongs to."`
},
) (*gateOut, error) {
	v, err := s.Ask(ctx, api.Actor(ctx), in.Change)
	if err != nil {
		return nil, err
	}
	out := &gateOut{}
	out.Body.Allowed, out.Body.Change, out.Body.Reasons, out.Body.CheckedAt = v.Allowed, in.Change, newAPIFailures(v.Failures), v.CheckedAt.UTC()
	if v.Change.ID != uuid.Nil {
		out.Body.Change, out.Body.State, out.Body.Revision = v.Change.Key, v.Change.State, v.Change.Revision
		out.Body.ContentHash, out.Body.WindowEnd = hex.EncodeToString(v.Change.ContentHash), utc(v.Change.End)
	}
	return out, nil
}

type proofOut struct{ Body Proof }

// readOperations adds what is read of a change beside itself.
func (s *Service) readOperations(m *api.Module) {
	get := func(path, id, summary string) api.Op {
		return api.Op{Method: http.MethodGet, Path: path, Permission: CanRead, ID: id, Summary: summary, Tag: tagChanges}
	}
	api.Register(m, get("/changes/{id}/transitions", "list-change-transitions", "Every action, allowed or with the guards that it fails"), s.apiTransitions)
	api.Register(m, get("/changes/{id}/approvals", "get-change-approvals", "Stages and seats: who decides, for whom, on which way"), s.apiApprovals)
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/changes/{id}/approvals/{seat}/decision", Permission: approvals.DecideApprovals, ID: "decide-change",
		Summary: "Decide a seat", Tag: tagChanges,
	}, s.apiDecide)
	api.Register(m, get("/changes/{id}/audit", "list-change-audit", "What happened to a change, newest first"), s.apiAudit)
	api.Register(m, get("/changes/{id}/proof", "get-change-proof", "Who agreed to what, with the chain of decisions"), func(ctx context.Context, in *RefIn) (*proofOut, error) {
		p, err := s.Proof(ctx, api.Actor(ctx), in.ID)
		return &proofOut{Body: p}, err
	})
	api.Register(m, get("/changes/{id}/evidence-pack", "get-change-evidence-pack", "Everything about a change as a zip archive with a manifest"), s.apiPack)
	api.Register(m, get("/gate", "ask-gate", "Whether a deployment may run under a change now; fails closed"), s.apiGate)
}

func (s *Service) apiPack(ctx context.Context, in *RefIn) (*huma.StreamResponse, error) {
	r := api.Request(ctx)
	p, err := s.ReadPack(ctx, r.Actor, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "application/zip")
		hctx.SetHeader("Content-Disposition", `attachment; filename="`+p.Change.Key+`-evidence.zip"`)
		if err := s.WritePack(ctx, p, hctx.BodyWriter()); err != nil {
			r.LogFailure(err)
		}
	}}, nil
}
