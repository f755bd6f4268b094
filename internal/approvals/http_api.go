package approvals

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

type out[T any] struct{ Body T }

type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// ByID names one record by the path. It is exported because the API reads embedded structs
// only when they are.
type ByID struct {
	ID string `path:"id"`
}

// parse reads an id; anything else answers like a missing record.
func (b ByID) parse(what string) (uuid.UUID, error) {
	id, err := uuid.Parse(b.ID)
	if err != nil || len(b.ID) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

func orNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

func filled[T any](in []T) []T {
	if in == nil {
		return []T{}
	}
	return in
}

type queueBody struct {
	SeatID      uuid.UUID  `json:"seat_id" format:"uuid"`
	RequestID   uuid.UUID  `json:"request_id" format:"uuid"`
	SubjectType string     `json:"subject_type"`
	SubjectID   uuid.UUID  `json:"subject_id" format:"uuid"`
	SubjectKey  string     `json:"subject_key"`
	Title       string     `json:"title"`
	Kind        Kind       `json:"kind" enum:"normal,retro,template"`
	Risk        string     `json:"risk"`
	Emergency   bool       `json:"emergency"`
	Revision    int64      `json:"revision"`
	Stage       string     `json:"stage"`
	Seat        string     `json:"seat" doc:"Whom the seat asks, in words."`
	Reauth      bool       `json:"reauth" doc:"Deciding asks for a sign-in of the last minutes, so a token cannot."`
	PrincipalID uuid.UUID  `json:"principal_id" format:"uuid"`
	AssigneeID  *uuid.UUID `json:"assignee_id" doc:"Null when nobody can fill the seat now."`
	Unrouted    string     `json:"unrouted,omitempty"`
	Escalated   bool       `json:"escalated"`
	OpenedAt    time.Time  `json:"opened_at"`
	DueAt       time.Time  `json:"due_at"`
	Overdue     bool       `json:"overdue"`
}

func newQueueBody(i QueueItem) queueBody {
	b := queueBody{
		SeatID: i.SeatID, RequestID: i.RequestID, SubjectType: i.Type, SubjectID: i.SubjectID, SubjectKey: i.Key, Title: i.Title, Kind: i.Kind,
		Risk: i.Risk, Emergency: i.Emergency, Revision: i.Revision, Stage: i.Stage, Seat: i.Label, Reauth: i.Reauth, PrincipalID: i.Principal,
		Unrouted: string(i.Unrouted), Escalated: i.Escalated, OpenedAt: i.OpenedAt.UTC(), DueAt: i.DueAt.UTC(), Overdue: i.Overdue,
	}
	if i.Assignee.Valid {
		b.AssigneeID = &i.Assignee.UUID
	}
	return b
}

type decidedBody struct {
	DecisionID   uuid.UUID  `json:"decision_id" format:"uuid"`
	SeatID       uuid.UUID  `json:"seat_id" format:"uuid"`
	RequestID    uuid.UUID  `json:"request_id" format:"uuid"`
	Decision     Verdict    `json:"decision" enum:"approve,reject,return"`
	StageState   StageState `json:"stage_state" enum:"waiting,open,satisfied,rejected,closed"`
	RequestState State      `json:"request_state" enum:"open,approved,rejected,returned,timed_out,withdrawn"`
	DecidedAt    time.Time  `json:"decided_at"`
}

func (s *Service) operations(m *api.Module) {
	s.queueOperations(m)
	s.policyOperations(m)
	s.policyChanges(m)
	s.delegationOperations(m)
	s.absenceOperations(m)
}

func (s *Service) queueOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Mine string `query:"mine" enum:"true,false" doc:"true: what you are asked to decide; false, or left out: every open seat of the workspace."`
		Type string `query:"subject_type" maxLength:"40"`
		Kind string `query:"kind" enum:"normal,retro,template"`
		Risk string `query:"risk" enum:"low,medium,high,critical"`
		Text string `query:"q" maxLength:"200" doc:"How the key begins, or a part of the title."`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/approvals", Permission: ReadApprovals, ID: "list-approvals", Summary: "List open seats of approvals", Tag: "Approvals"},
		func(ctx context.Context, in *listIn) (*out[api.List[queueBody]], error) {
			a := api.Actor(ctx)
			f := queueFilter{View: "all", Risk: in.Risk, Kind: Kind(in.Kind), Text: strings.ReplaceAll(in.Text, "\x00", ""), Type: strings.ReplaceAll(in.Type, "\x00", "")}
			if in.Mine == "true" {
				f.View = "waiting"
			}
			page, err := readPage(ctx, s.db, in.ListIn, queueList, f.query(a.UserID, s.clock.Now()))
			if err != nil {
				return nil, err
			}
			return &out[api.List[queueBody]]{Body: api.NewList(page, newQueueBody)}, nil
		})
	type decideIn struct {
		Seat string `path:"seat"`
		Key  string `header:"Idempotency-Key"`
		Body struct {
			Decision Verdict `json:"decision" enum:"approve,reject,return"`
			Revision int64   `json:"revision" minimum:"1" doc:"The revision that you have read."`
			Comment  string  `json:"comment,omitempty" maxLength:"4000" doc:"Needed to reject or return."`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/approvals/{seat}/decision", Permission: DecideApprovals, ID: "decide-approval", Summary: "Decide a seat", Tag: "Approvals"},
		func(ctx context.Context, in *decideIn) (*out[decidedBody], error) {
			id, err := ByID{in.Seat}.parse("approval")
			if err != nil {
				return nil, err
			}
			d, err := s.Decide(ctx, api.Actor(ctx), id, Decision{Verdict: in.Body.Decision, Revision: in.Body.Revision, Comment: in.Body.Comment, IdempotencyKey: in.Key})
			return &out[decidedBody]{Body: decidedBody{
				DecisionID: d.DecisionID, SeatID: d.SeatID, RequestID: d.RequestID, Decision: d.Verdict, StageState: d.StageState,
				RequestState: d.RequestState, DecidedAt: d.DecidedAt,
			}}, err
		})
}

// sourceBody is a source as the API writes it.
type sourceBody struct {
	Kind        seats.SourceKind `json:"kind" enum:"user,role,group,asset_owner,service_owner,blast_owner,manager"`
	UserID      string           `json:"user_id,omitempty" doc:"Of a user."`
	GroupID     string           `json:"group_id,omitempty" doc:"Of a group."`
	Role        string           `json:"role,omitempty" enum:"approver,admin,owner" doc:"Of a role: everybody with it or a higher one."`
	Criticality string           `json:"criticality,omitempty" enum:"low,medium,high,critical" doc:"Of a blast_owner: from which criticality up."`
	Each        bool             `json:"each,omitempty" doc:"Of a role or group: one seat for each person instead of a shared one."`
	Dynamic     bool             `json:"dynamic,omitempty" doc:"With each: people who join while the stage is open get a seat too."`
}

func newSourceBody(src Source) sourceBody {
	b := sourceBody{Kind: src.Kind, Role: src.Role, Criticality: src.Criticality, Each: src.Each, Dynamic: src.Dynamic}
	switch src.Kind {
	case seats.User:
		b.UserID = src.ID.String()
	case seats.Group:
		b.GroupID = src.ID.String()
	default:
	}
	return b
}

// source reads what the API was given; an id that is none names nobody, which the rules refuse.
func (b sourceBody) source() Source {
	src := Source{Kind: b.Kind, Role: b.Role, Criticality: b.Criticality, Each: b.Each, Dynamic: b.Dynamic}
	for _, text := range []string{b.UserID, b.GroupID} {
		if id, err := uuid.Parse(text); err == nil {
			src.ID = id
		}
	}
	return src
}

// policyStageBody is a stage as the API writes it.
type policyStageBody struct {
	Order                int            `json:"order" minimum:"1" maximum:"100" doc:"Stages of all policies with the same order run together."`
	Name                 string         `json:"name" maxLength:"80"`
	Mode                 Mode           `json:"mode" enum:"any,all,n_of_m,percent,cab"`
	Need                 int            `json:"need,omitempty" doc:"n of n_of_m."`
	Percent              int            `json:"percent,omitempty" doc:"p of percent, rounded up."`
	OnReject             seats.OnReject `json:"on_reject,omitempty" enum:"fail_fast,until_impossible"`
	Sources              []sourceBody   `json:"sources,omitempty"`
	Escalation           *sourceBody    `json:"escalation,omitempty"`
	DeadlineDays         int            `json:"deadline_days,omitempty" minimum:"0" maximum:"30" doc:"Business days; 0 means 3, and 10 for a board."`
	Reauth               bool           `json:"reauth,omitempty"`
	DistinctAcrossStages bool           `json:"distinct_across_stages,omitempty"`
	ReuseAcrossStages    *bool          `json:"reuse_across_stages,omitempty" doc:"Left out: yes for any, no for the other modes."`
}

func newPolicyStageBody(st Stage) policyStageBody {
	b := policyStageBody{
		Order: st.Order, Name: st.Name, Mode: st.Mode, Need: st.Need, Percent: st.Percent, OnReject: st.OnReject, Sources: []sourceBody{},
		DeadlineDays: st.DeadlineDays, Reauth: st.Reauth, DistinctAcrossStages: st.DistinctAcrossStages, ReuseAcrossStages: st.ReuseAcrossStages,
	}
	for _, src := range st.Sources {
		b.Sources = append(b.Sources, newSourceBody(src))
	}
	if st.Escalation != nil {
		b.Escalation = ptr(newSourceBody(*st.Escalation))
	}
	return b
}

func (b policyStageBody) stage() Stage {
	st := Stage{
		Order: b.Order, Name: b.Name, Mode: b.Mode, Need: b.Need, Percent: b.Percent, OnReject: b.OnReject, DeadlineDays: b.DeadlineDays,
		Reauth: b.Reauth, DistinctAcrossStages: b.DistinctAcrossStages, ReuseAcrossStages: b.ReuseAcrossStages,
	}
	for _, src := range b.Sources {
		st.Sources = append(st.Sources, src.source())
	}
	if b.Escalation != nil {
		st.Escalation = ptr(b.Escalation.source())
	}
	return st
}

type policyBody struct {
	ID           uuid.UUID         `json:"id" format:"uuid"`
	Name         string            `json:"name"`
	Priority     int               `json:"priority"`
	Active       bool              `json:"active"`
	Match        Match             `json:"match"`
	Stages       []policyStageBody `json:"stages" nullable:"false"`
	ValidityDays int               `json:"validity_days" doc:"How long an approval counts; 0 means 14 days."`
	Version      int64             `json:"version"`
	CreatedAt    time.Time         `json:"created_at"`
	UpdatedAt    time.Time         `json:"updated_at"`
}

func newPolicyBody(p Policy) policyBody {
	b := policyBody{
		ID: p.ID, Name: p.Name, Priority: p.Priority, Active: p.Active, Match: p.Match, Stages: []policyStageBody{}, ValidityDays: p.ValidityDays,
		Version: p.Version, CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
	for _, st := range p.Stages {
		b.Stages = append(b.Stages, newPolicyStageBody(st))
	}
	return b
}

// PolicyFields are what a caller of the API may say about a policy; what is left out keeps
// its value. It is exported for the same reason as ByID.
type PolicyFields struct {
	Name         *string            `json:"name,omitempty"`
	Priority     *int               `json:"priority,omitempty"`
	Active       *bool              `json:"active,omitempty"`
	Match        *Match             `json:"match,omitempty"`
	Stages       *[]policyStageBody `json:"stages,omitempty"`
	ValidityDays *int               `json:"validity_days,omitempty"`
}

func (f PolicyFields) edit(p *Policy) {
	put(&p.Name, f.Name)
	put(&p.Priority, f.Priority)
	put(&p.Active, f.Active)
	put(&p.Match, f.Match)
	put(&p.ValidityDays, f.ValidityDays)
	if f.Stages != nil {
		p.Stages = nil
		for _, st := range *f.Stages {
			p.Stages = append(p.Stages, st.stage())
		}
	}
}

func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (s *Service) policyOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Active string `query:"active" enum:"true,false"`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/approval-policies", Permission: ReadPolicies, ID: "list-approval-policies", Summary: "List approval policies", Tag: "Approval policies"},
		func(ctx context.Context, in *listIn) (*out[api.List[policyBody]], error) {
			q := policyList.Query()
			if in.Active != "" {
				q.Filter("active", db.Args{"active": in.Active == "true"})
			}
			page, err := readPage(ctx, s.db, in.ListIn, policyList, q)
			if err != nil {
				return nil, err
			}
			return &out[api.List[policyBody]]{Body: api.NewList(page, newPolicyBody)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/approval-policies/{id}", Permission: ReadPolicies, ID: "get-approval-policy", Summary: "Read an approval policy", Tag: "Approval policies"},
		func(ctx context.Context, in *ByID) (*out[policyBody], error) {
			id, err := in.parse("approval policy")
			if err != nil {
				return nil, err
			}
			p, err := s.Policy(ctx, api.Actor(ctx), id)
			return &out[policyBody]{Body: newPolicyBody(p)}, err
		})
	type createIn struct{ Body PolicyFields }
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/approval-policies", Permission: ManagePolicies, ID: "create-approval-policy", Summary: "Create an approval policy", Tag: "Approval policies", Status: http.StatusCreated},
		func(ctx context.Context, in *createIn) (*created[policyBody], error) {
			p := NewPolicy()
			p.Stages = nil // the form of the page proposes one; here the caller says
			in.Body.edit(&p)
			p, err := s.CreatePolicy(ctx, api.Actor(ctx), p)
			if err != nil {
				return nil, err
			}
			return &created[policyBody]{Location: api.Request(ctx).Path("/api/v1/approval-policies/" + p.ID.String()), Body: newPolicyBody(p)}, nil
		})
}

func (s *Service) policyChanges(m *api.Module) {
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			PolicyFields
			Version *int64 `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/approval-policies/{id}", Permission: ManagePolicies, ID: "change-approval-policy", Summary: "Change an approval policy: a new version", Tag: "Approval policies"},
		func(ctx context.Context, in *patchIn) (*out[policyBody], error) {
			id, err := in.parse("approval policy")
			if err != nil {
				return nil, err
			}
			p, err := s.ChangePolicy(ctx, api.Actor(ctx), id, PolicyChange{Edit: in.Body.edit, Version: in.Body.Version, IfMatch: in.IfMatch})
			return &out[policyBody]{Body: newPolicyBody(p)}, err
		})
	type previewIn struct {
		Body struct {
			Kind   Kind          `json:"kind,omitempty" enum:"normal,retro,template"`
			Facts  sampleBody    `json:"facts,omitempty"`
			Policy *PolicyFields `json:"policy,omitempty" doc:"A policy that is not saved, tried beside the others."`
			// PolicyID makes the draft stand in for a stored policy.
			PolicyID string `json:"policy_id,omitempty" format:"uuid" doc:"The stored policy that the draft stands in for."`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/approval-policies/preview", Permission: ReadPolicies, ID: "preview-approval", Summary: "Show the seats and people of a sample", Tag: "Approval policies"},
		func(ctx context.Context, in *previewIn) (*out[previewBody], error) {
			subj, kind, err := in.Body.Facts.subject(api.Actor(ctx)), in.Body.Kind, error(nil)
			if kind == "" {
				kind = Normal
			}
			var draft *Policy
			if in.Body.Policy != nil {
				d := NewPolicy()
				d.Name = "Draft"
				if in.Body.PolicyID != "" {
					id, err := ByID{in.Body.PolicyID}.parse("approval policy")
					if err != nil {
						return nil, err
					}
					if d, err = s.Policy(ctx, api.Actor(ctx), id); err != nil {
						return nil, err
					}
				}
				in.Body.Policy.edit(&d)
				draft = &d
			}
			var p Preview
			err = s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
				p, err = s.PreviewWith(ctx, tx, subj, kind, draft)
				return err
			})
			if err != nil {
				return nil, err
			}
			return &out[previewBody]{Body: newPreviewBody(p)}, nil
		})
}

// sampleBody are the facts of a sample.
type sampleBody struct {
	ChangeType    string      `json:"change_type,omitempty" enum:"standard,normal,emergency"`
	Category      string      `json:"category,omitempty" maxLength:"80"`
	Environment   string      `json:"environment,omitempty" maxLength:"80"`
	Priority      string      `json:"priority,omitempty" enum:"low,medium,high,critical"`
	Risk          string      `json:"risk,omitempty" enum:"low,medium,high,critical"`
	AssetTags     []string    `json:"asset_tags,omitempty"`
	AssetTypes    []string    `json:"asset_types,omitempty"`
	AssetOwners   []uuid.UUID `json:"asset_owner_ids,omitempty"`
	ServiceOwners []uuid.UUID `json:"service_owner_ids,omitempty"`
	Manager       *uuid.UUID  `json:"manager_id,omitempty"`
	Requester     *uuid.UUID  `json:"requester_id,omitempty" doc:"Who asks, and so may not decide; you when left out."`
	Excluded      []uuid.UUID `json:"excluded_ids,omitempty" doc:"Others who may not decide, such as implementers."`
	Downtime      bool        `json:"downtime,omitempty"`
}

func (b sampleBody) subject(a db.Actor) Subject {
	requester := a.UserID
	if b.Requester != nil {
		requester = *b.Requester
	}
	s := Subject{
		Type: "change", ID: uuid.Max, ContentHash: make([]byte, 32), Revision: 1, Emergency: b.ChangeType == "emergency",
		Facts: Facts{
			ChangeType: b.ChangeType, Category: b.Category, Environment: b.Environment, Priority: b.Priority, Risk: b.Risk, AssetTags: b.AssetTags,
			AssetTypes: b.AssetTypes, AssetOwners: b.AssetOwners, ServiceOwners: b.ServiceOwners, Requester: requester, Downtime: b.Downtime,
		},
		Excluded: []Excluded{{requester, "requester"}},
	}
	if b.Manager != nil {
		s.Facts.Manager = uuid.NullUUID{UUID: *b.Manager, Valid: true}
	}
	for _, id := range b.Excluded {
		s.Excluded = append(s.Excluded, Excluded{id, "implementer"})
	}
	return s
}

type previewBody struct {
	Satisfiable bool           `json:"satisfiable"`
	Policies    []PinnedPolicy `json:"policies" nullable:"false"`
	Stages      []StageBody    `json:"stages" nullable:"false"`
	Problems    []problemBody  `json:"problems" nullable:"false"`
}

type problemBody struct {
	Code    string `json:"code"`
	Stage   string `json:"stage"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
}

func newPreviewBody(p Preview) previewBody {
	b := previewBody{Satisfiable: len(p.Problems) == 0, Policies: filled(p.Policies), Stages: []StageBody{}, Problems: []problemBody{}}
	for _, st := range p.Stages {
		b.Stages = append(b.Stages, NewStageBody(st))
	}
	for _, pr := range p.Problems {
		b.Problems = append(b.Problems, problemBody{Code: CodeUnsatisfiable, Stage: pr.Stage, Message: pr.Text, Fix: pr.Fix})
	}
	return b
}

// readPage reads one page of a list.
func readPage[T any](ctx context.Context, d *db.DB, in api.ListIn, list db.List[T], q *db.ListQuery[T]) (db.Page[T], error) {
	q, err := api.Apply(in, list, q)
	if err != nil {
		return db.Page[T]{}, err
	}
	page := &db.PageResult[T]{}
	err = d.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) })
	return page.Page, err
}
