package changes

import (
	"context"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

const tagChanges = "Changes"

// apiChange is a change as the API shows it.
type apiChange struct {
	ID                 uuid.UUID         `json:"id"`
	Key                string            `json:"key"`
	Type               Type              `json:"type"`
	State              State             `json:"state"`
	StateReason        string            `json:"state_reason"`
	Title              string            `json:"title"`
	Description        string            `json:"description"`
	Priority           Level             `json:"priority"`
	Category           string            `json:"category"`
	Environment        string            `json:"environment" doc:"prod, staging, dev, qa or other; empty while nobody said."`
	PlannedStart       *time.Time        `json:"planned_start"`
	PlannedEnd         *time.Time        `json:"planned_end"`
	ActualStart        *time.Time        `json:"actual_start"`
	ActualEnd          *time.Time        `json:"actual_end"`
	FailedAt           *time.Time        `json:"failed_at"`
	RecoveredAt        *time.Time        `json:"recovered_at"`
	ImplementationPlan string            `json:"implementation_plan"`
	BackoutPlan        string            `json:"backout_plan"`
	TestPlan           string            `json:"test_plan"`
	Downtime           bool              `json:"downtime"`
	Vendor             string            `json:"vendor"`
	Custom             map[string]string `json:"custom"`
	Requester          *uuid.UUID        `json:"requester" doc:"A user."`
	Owner              *uuid.UUID        `json:"owner" doc:"A user."`
	Implementers       []uuid.UUID       `json:"implementers" nullable:"false" doc:"Users."`
	Assets             []uuid.UUID       `json:"assets" nullable:"false"`
	Tags               []string          `json:"tags" nullable:"false"`
	Parent             *uuid.UUID        `json:"parent"`
	LeadReason         string            `json:"lead_reason"`
	AutoSchedule       bool              `json:"auto_schedule"`
	EvidenceRequired   bool              `json:"evidence_required"`
	Outcome            string            `json:"outcome"`
	OutcomeNotes       string            `json:"outcome_notes"`

	RiskLevel   Level             `json:"risk_level"`
	RiskScore   int32             `json:"risk_score"`
	RiskLines   []RiskLine        `json:"risk_lines" nullable:"false"`
	RiskAnswers map[string]string `json:"risk_answers"`
	RiskManual  Level             `json:"risk_manual"`

	Revision           int64             `json:"revision"`
	ContentHash        string            `json:"content_hash" doc:"SHA-256 of the canonical material form, in hex."`
	SubmittedAt        *time.Time        `json:"submitted_at"`
	ApprovedAt         *time.Time        `json:"approved_at"`
	ApprovalValidUntil *time.Time        `json:"approval_valid_until"`
	ApprovedRisk       Level             `json:"approved_risk"`
	Preauthorisation   *Preauthorisation `json:"preauthorisation"`
	Holds              []apiHold         `json:"holds" nullable:"false" doc:"What holds the change now."`
	RetroApproval      string            `json:"retro_approval" doc:"none, pending, approved, rejected or overdue."`
	PIR                string            `json:"pir" doc:"none, required or done."`
	MissedWindow       bool              `json:"missed_window"`
	TemplateID         *uuid.UUID        `json:"template_id"`
	TemplateVersion    *int32            `json:"template_version"`
	TemplateValues     map[string]string `json:"template_values"`
	TemplateNote       string            `json:"template_note"`
	Version            int64             `json:"version"`
	CreatedAt          time.Time         `json:"created_at"`
	UpdatedAt          time.Time         `json:"updated_at"`
}

func newAPIChange(c Change, holds []Hold) apiChange {
	out := apiChange{
		ID: c.ID, Key: c.Key, Type: c.Type, State: c.State, StateReason: c.StateReason, Title: c.Title, Description: c.Description,
		Priority: c.Priority, Category: c.Category, Environment: c.Environment, PlannedStart: utc(c.Start), PlannedEnd: utc(c.End),
		ActualStart: utc(c.ActualStart), ActualEnd: utc(c.ActualEnd), FailedAt: utc(c.FailedAt), RecoveredAt: utc(c.RecoveredAt),
		ImplementationPlan: c.ImplementationPlan, BackoutPlan: c.BackoutPlan, TestPlan: c.TestPlan, Downtime: c.Downtime, Vendor: c.Vendor,
		Custom: filled(c.Custom), Requester: orNil(c.Requester), Owner: orNil(c.Owner), Implementers: idList(c.Implementers), Assets: idList(c.AssetIDs),
		Tags: textList(c.Tags), Parent: orNil(c.ParentID), LeadReason: c.LeadReason, AutoSchedule: c.AutoSchedule, EvidenceRequired: c.EvidenceRequired,
		Outcome: c.Outcome, OutcomeNotes: c.OutcomeNotes, RiskLevel: c.Risk, RiskScore: c.RiskScore, RiskLines: c.RiskLines,
		RiskAnswers: filled(c.RiskAnswers), RiskManual: c.RiskManual, Revision: c.Revision, ContentHash: hex.EncodeToString(c.ContentHash),
		SubmittedAt: utc(c.SubmittedAt), ApprovedAt: utc(c.ApprovedAt), ApprovalValidUntil: utc(c.ApprovalValidUntil), ApprovedRisk: c.ApprovedRisk,
		Preauthorisation: c.Preauthorisation, Holds: []apiHold{}, RetroApproval: c.Retro, PIR: c.PIR, MissedWindow: c.MissedWindow,
		TemplateID: orNil(c.TemplateID), TemplateVersion: c.TemplateVersion, TemplateValues: filled(c.TemplateValues), TemplateNote: c.TemplateNote,
		Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
	if out.RiskLines == nil {
		out.RiskLines = []RiskLine{}
	}
	for _, h := range newAPIHolds(holds) {
		if h.ReleasedAt == nil {
			out.Holds = append(out.Holds, h)
		}
	}
	return out
}

func orNil(id uuid.NullUUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	return &id.UUID
}

// apiItem is a change in a list.
type apiItem struct {
	ID           uuid.UUID  `json:"id"`
	Key          string     `json:"key"`
	Title        string     `json:"title"`
	Type         Type       `json:"type"`
	State        State      `json:"state"`
	RiskLevel    Level      `json:"risk_level"`
	Priority     Level      `json:"priority"`
	Category     string     `json:"category"`
	Environment  string     `json:"environment"`
	PlannedStart *time.Time `json:"planned_start"`
	PlannedEnd   *time.Time `json:"planned_end"`
	ActualStart  *time.Time `json:"actual_start"`
	ActualEnd    *time.Time `json:"actual_end"`
	Owner        *uuid.UUID `json:"owner"`
	OwnerName    string     `json:"owner_name"`
	Outcome      string     `json:"outcome"`
	OnHold       bool       `json:"on_hold"`
	Retro        string     `json:"retro_approval"`
	PIR          string     `json:"pir"`
	Revision     int64      `json:"revision"`
	Tags         []string   `json:"tags" nullable:"false"`
	Assets       int64      `json:"assets" doc:"How many assets it names."`
	Version      int64      `json:"version"`
	CreatedAt    time.Time  `json:"created_at"`
	UpdatedAt    time.Time  `json:"updated_at"`
}

func newAPIItem(c Item) apiItem {
	return apiItem{
		ID: c.ID, Key: c.Key, Title: c.Title, Type: c.Type, State: c.State, RiskLevel: c.Risk, Priority: c.Priority, Category: c.Category,
		Environment: c.Environment, PlannedStart: utc(c.Start), PlannedEnd: utc(c.End), ActualStart: utc(c.ActualStart), ActualEnd: utc(c.ActualEnd),
		Owner: orNil(c.Owner), OwnerName: c.OwnerName, Outcome: c.Outcome, OnHold: c.Held, Retro: c.Retro, PIR: c.PIR, Revision: c.Revision,
		Tags: textList(c.Tags), Assets: c.Assets, Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
	}
}

// ChangeFields are what a person sets of a change.
type ChangeFields struct {
	Type               *string            `json:"type,omitempty" doc:"normal (default), emergency, or standard with a template_id."`
	Title              *string            `json:"title,omitempty" doc:"Required, unless a template gives it."`
	Description        *string            `json:"description,omitempty" doc:"Markdown, as are the plans."`
	Priority           *string            `json:"priority,omitempty" doc:"low, medium (default), high or critical."`
	Category           *string            `json:"category,omitempty" doc:"deployment, maintenance, security, configuration, infrastructure, database, network, access or other (default)."`
	Environment        *string            `json:"environment,omitempty" doc:"prod (or production), staging, dev, qa or other."`
	PlannedStart       *time.Time         `json:"planned_start,omitempty"`
	PlannedEnd         *time.Time         `json:"planned_end,omitempty"`
	ImplementationPlan *string            `json:"implementation_plan,omitempty"`
	BackoutPlan        *string            `json:"backout_plan,omitempty"`
	TestPlan           *string            `json:"test_plan,omitempty"`
	Downtime           *bool              `json:"downtime,omitempty"`
	Vendor             *string            `json:"vendor,omitempty"`
	Custom             *map[string]string `json:"custom,omitempty"`
	Owner              *string            `json:"owner,omitempty" doc:"A user, a membership or an e-mail address; whoever files it when absent."`
	Implementers       *[]string          `json:"implementers,omitempty" doc:"Users, memberships or e-mail addresses."`
	Assets             *[]string          `json:"assets,omitempty" doc:"Ids of assets."`
	Tags               *[]string          `json:"tags,omitempty"`
	Parent             *string            `json:"parent,omitempty" doc:"Id or key of a change."`
	LeadReason         *string            `json:"lead_reason,omitempty" doc:"Why the lead time is short."`
	AutoSchedule       *bool              `json:"auto_schedule,omitempty" doc:"Schedule as soon as it is approved, if nothing stands in the way."`
	EvidenceRequired   *bool              `json:"evidence_required,omitempty"`
	RiskAnswers        *map[string]string `json:"risk_answers,omitempty"`
	Risk               *string            `json:"risk,omitempty" doc:"A level that a person sets; the final one is never below it."`
}

func (b ChangeFields) edit() Edit {
	return Edit{
		Type: b.Type, Title: b.Title, Description: b.Description, Priority: b.Priority, Category: b.Category, Environment: b.Environment,
		Start: b.PlannedStart, End: b.PlannedEnd, ImplementationPlan: b.ImplementationPlan, BackoutPlan: b.BackoutPlan, TestPlan: b.TestPlan,
		Downtime: b.Downtime, Vendor: b.Vendor, Custom: b.Custom, Owner: b.Owner, Implementers: b.Implementers, Assets: b.Assets, Tags: b.Tags,
		Parent: b.Parent, LeadReason: b.LeadReason, AutoSchedule: b.AutoSchedule, EvidenceRequired: b.EvidenceRequired, RiskAnswers: b.RiskAnswers, Risk: b.Risk,
	}
}

// NewChangeBody is the body of a creation. They are exported because huma reads
// embedded fields of exported types only.
type NewChangeBody struct {
	ChangeFields
	TemplateID     *string            `json:"template_id,omitempty" doc:"An active template; makes a standard change."`
	TemplateValues *map[string]string `json:"template_values,omitempty"`
	Watchers       *[]string          `json:"watchers,omitempty"`
	Certificates   *[]string          `json:"certificates,omitempty" doc:"Ids of certificates that it is about."`
	Links          *[]string          `json:"links,omitempty" doc:"Addresses."`
}

// ChangePatch is the body of an edit.
type ChangePatch struct {
	ChangeFields
	OutcomeNotes *string    `json:"outcome_notes,omitempty"`
	ActualStart  *time.Time `json:"actual_start,omitempty" doc:"While it runs only."`
	Reason       string     `json:"reason,omitempty" doc:"Needed for lowering the risk."`
	Version      *int64     `json:"version,omitempty"`
}

type changeOut struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     apiChange
}

// RefIn is a change in the path, by id or key.
type RefIn struct {
	ID string `path:"id" doc:"Id or key, such as CHG-00012."`
}

func (s *Service) answer(ctx context.Context, ref string) (*changeOut, error) {
	var c Change
	var holds []Hold
	err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		var err error
		if c, err = findChange(ctx, tx, ref); err != nil {
			return err
		}
		holds, err = holdsOf.All(ctx, tx, db.Args{"id": c.ID})
		return err
	})
	if err != nil {
		return nil, err
	}
	return &changeOut{ETag: strconv.Quote(strconv.FormatInt(c.Version, 10)), Body: newAPIChange(c, holds)}, nil
}

// FilterIn are the filters of the list of changes.
type FilterIn struct {
	Q           string `query:"q" doc:"Words that begin a word of the title, the key, a tag or the vendor."`
	State       string `query:"state" doc:"One or more states, separated by commas."`
	Type        string `query:"type" doc:"One or more types, separated by commas."`
	Risk        string `query:"risk" doc:"One or more levels, separated by commas."`
	Priority    string `query:"priority"`
	Environment string `query:"environment"`
	Category    string `query:"category"`
	Owner       string `query:"owner" doc:"A user, me or none."`
	Asset       string `query:"asset"`
	Tag         string `query:"tag"`
	TemplateID  string `query:"template_id"`
	Parent      string `query:"parent"`
	Certificate string `query:"certificate"`
	Host        string `query:"host"`
	From        string `query:"from" doc:"Windows that start at this day or moment or later."`
	To          string `query:"to" doc:"Windows that start on this day or before this moment."`
	Retro       string `query:"retro_approval"`
	OnHold      string `query:"on_hold" enum:"true"`
	View        string `query:"view" doc:"A saved view: open, mine, waiting, review, soon, running, reviews or closed."`
}

func (f FilterIn) filter() Filter {
	return Filter{
		Text: f.Q, State: f.State, Type: f.Type, Risk: f.Risk, Priority: f.Priority, Environment: f.Environment, Category: f.Category, Owner: f.Owner,
		Asset: f.Asset, Tag: f.Tag, Template: f.TemplateID, Parent: f.Parent, Certificate: f.Certificate, Host: f.Host, From: f.From, To: f.To,
		Retro: f.Retro, Held: f.OnHold, View: f.View,
	}
}

type listIn struct {
	api.ListIn
	FilterIn
}

type listOut struct{ Body api.List[apiItem] }

func (s *Service) apiList(ctx context.Context, in *listIn) (*listOut, error) {
	q, err := in.filter().query(api.Actor(ctx).UserID, time.UTC)
	if err != nil {
		return nil, err
	}
	if q, err = api.Apply(in.ListIn, changeList, q); err != nil {
		return nil, err
	}
	var page *db.PageResult[Item]
	if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) }); err != nil {
		return nil, err
	}
	return &listOut{Body: api.NewList(page.Page, newAPIItem)}, nil
}

// operations adds the API of this module.
func (s *Service) operations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/changes", Permission: CanCreate, ID: "create-change", Summary: "File a change", Tag: tagChanges, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body NewChangeBody }) (*changeOut, error) {
		e := in.Body.edit()
		e.Template, e.TemplateValues, e.Watchers = in.Body.TemplateID, in.Body.TemplateValues, in.Body.Watchers
		e.Certificates, e.Links = in.Body.Certificates, in.Body.Links
		c, err := s.Create(ctx, api.Actor(ctx), e)
		if err != nil {
			return nil, err
		}
		out, err := s.answer(ctx, c.Key)
		if err != nil {
			return nil, err
		}
		out.Location = api.Request(ctx).Path("/api/v1/changes/" + c.ID.String())
		return out, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/changes", Permission: CanRead, ID: "list-changes", Summary: "List changes", Tag: tagChanges,
	}, s.apiList)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/changes/{id}", Permission: CanRead, ID: "get-change", Summary: "Read a change", Tag: tagChanges,
	}, func(ctx context.Context, in *RefIn) (*changeOut, error) { return s.answer(ctx, in.ID) })
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/changes/{id}", Permission: CanUpdate, ID: "update-change", Summary: "Edit a change", Tag: tagChanges,
	}, func(ctx context.Context, in *struct {
		RefIn
		IfMatch string `header:"If-Match"`
		Body    ChangePatch
	},
	) (*changeOut, error) {
		e := in.Body.edit()
		e.OutcomeNotes, e.ActualStart, e.Reason = in.Body.OutcomeNotes, in.Body.ActualStart, in.Body.Reason
		e.IfMatch, e.Version = in.IfMatch, in.Body.Version
		if _, err := s.Update(ctx, api.Actor(ctx), in.ID, e); err != nil {
			return nil, err
		}
		return s.answer(ctx, in.ID)
	})
	s.moveOperations(m)
	s.readOperations(m)
	s.partOperations(m)
	s.templateOperations(m)
}

// ActBody is what an action takes.
type ActBody struct {
	Reason  string `json:"reason,omitempty"`
	Outcome string `json:"outcome,omitempty" doc:"Of a completion: successful or successful_with_issues."`
	Notes   string `json:"notes,omitempty" doc:"How it went."`
	Version *int64 `json:"version,omitempty"`
}

type actIn struct {
	RefIn
	IfMatch string   `header:"If-Match"`
	Body    *ActBody `required:"false"`
}

// moveOperations adds one operation for each action.
func (s *Service) moveOperations(m *api.Module) {
	for _, a := range lifecycle.Actions() {
		_, perm := permission(a)
		api.Register(m, api.Op{
			Method: http.MethodPost, Path: "/changes/{id}/" + string(a), Permission: access.Permission(perm), ID: string(a) + "-change",
			Summary: a.Label() + actionNote(a), Tag: tagChanges,
		}, func(ctx context.Context, in *actIn) (*changeOut, error) {
			act := Act{Action: a, IfMatch: in.IfMatch}
			if in.Body != nil {
				act.Reason, act.Outcome, act.Notes, act.Version = in.Body.Reason, in.Body.Outcome, in.Body.Notes, in.Body.Version
			}
			if _, err := s.Move(ctx, api.Actor(ctx), in.ID, act); err != nil {
				return nil, err
			}
			return s.answer(ctx, in.ID)
		})
	}
}

func actionNote(a lifecycle.Action) string {
	if asks := lifecycle.Asks(a); len(asks) > 0 {
		return " (needs " + strings.Join(asks, ", ") + ")"
	}
	return ""
}
