package changes

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/tasks"
)

type apiTemplate struct {
	ID              uuid.UUID     `json:"id"`
	Name            string        `json:"name"`
	State           TemplateState `json:"state"`
	StateReason     string        `json:"state_reason"`
	VersionInUse    *int32        `json:"version_in_use"`
	VersionProposed *int32        `json:"version_proposed"`
	ExpiresAt       time.Time     `json:"expires_at"`
	Version         int64         `json:"version"`
	CreatedAt       time.Time     `json:"created_at"`
	UpdatedAt       time.Time     `json:"updated_at"`
	Body            *TemplateBody `json:"body,omitempty" doc:"Of the version in use, else of the proposed one."`
}

func newAPITemplate(t Template, body *TemplateBody) apiTemplate {
	return apiTemplate{
		ID: t.ID, Name: t.Name, State: t.State, StateReason: t.StateReason, VersionInUse: t.VersionInUse, VersionProposed: t.VersionProposed,
		ExpiresAt: t.ExpiresAt.UTC(), Version: t.Version, CreatedAt: t.CreatedAt.UTC(), UpdatedAt: t.UpdatedAt.UTC(), Body: body,
	}
}

type templateOut struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     apiTemplate
}

// TemplateIn is a template in the path.
type TemplateIn struct {
	ID string `path:"id"`
}

func (in TemplateIn) uuid() (uuid.UUID, error) {
	id, err := uuid.Parse(in.ID)
	if err != nil || len(in.ID) != 36 {
		return uuid.Nil, fault.NewNotFound("template")
	}
	return id, nil
}

// TemplateVersions reads a template with the bodies of the version in use and of the
// proposed one, nil for none.
func (s *Service) TemplateVersions(ctx context.Context, a db.Actor, id uuid.UUID) (t Template, inUse, proposed *usable, err error) {
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if t, err = templateByID.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		read := func(version *int32) (*usable, error) {
			if version == nil {
				return nil, nil
			}
			u, err := templateVersion.One(ctx, tx, db.Args{"id": id, "version": *version})
			return &u, err
		}
		if inUse, err = read(t.VersionInUse); err != nil {
			return err
		}
		if proposed, err = read(t.VersionProposed); err != nil || inUse != nil || proposed != nil {
			return err
		}
		// One that was refused has neither; show what was proposed last.
		last, err := lastTemplateVersion.One(ctx, tx, db.Args{"id": id})
		if err == nil {
			proposed, err = read(&last)
		}
		return err
	})
	return t, inUse, proposed, err
}

func (s *Service) templateAnswer(ctx context.Context, id uuid.UUID) (*templateOut, error) {
	t, inUse, proposed, err := s.TemplateVersions(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	shown := inUse
	if shown == nil {
		shown = proposed
	}
	return &templateOut{ETag: strconv.Quote(strconv.FormatInt(t.Version, 10)), Body: newAPITemplate(t, &shown.Body)}, nil
}

// TemplateWrite is the body of a proposal.
type TemplateWrite struct {
	Name    string         `json:"name"`
	Body    TemplateBodyIn `json:"body"`
	Version *int64         `json:"version,omitempty"`
}

// TemplateBodyIn is what a template fixes, as a caller writes it.
type TemplateBodyIn struct {
	TitlePattern       string         `json:"title_pattern" doc:"Parameters stand in it as {{name}}, and in the plans."`
	Description        string         `json:"description,omitempty"`
	Category           string         `json:"category,omitempty" doc:"maintenance when absent."`
	Environment        string         `json:"environment,omitempty" doc:"Empty: each change says."`
	ImplementationPlan string         `json:"implementation_plan"`
	BackoutPlan        string         `json:"backout_plan"`
	TestPlan           string         `json:"test_plan,omitempty"`
	Downtime           bool           `json:"downtime,omitempty"`
	EvidenceRequired   bool           `json:"evidence_required,omitempty"`
	RiskCeiling        string         `json:"risk_ceiling,omitempty" doc:"low (default) or medium."`
	AssetTypes         []string       `json:"asset_types,omitempty" doc:"Empty: any."`
	AssetTags          []string       `json:"asset_tags,omitempty" doc:"Empty: any; one of them is enough."`
	MaxAssets          int            `json:"max_assets,omitempty" doc:"10 when absent."`
	MaxMinutes         int            `json:"max_minutes,omitempty" doc:"Longest window; no limit when absent."`
	ValidDays          int            `json:"valid_days,omitempty" doc:"From the approval on; 365 when absent."`
	Parameters         []ParameterIn  `json:"parameters,omitempty"`
	Steps              []StepBody     `json:"steps,omitempty"`
	Tasks              []TemplateTask `json:"tasks,omitempty"`
}

// ParameterIn is a value that each change gives.
type ParameterIn struct {
	Name     string   `json:"name"`
	Label    string   `json:"label,omitempty"`
	Kind     string   `json:"kind,omitempty" doc:"text (default), number or choice."`
	Options  []string `json:"options,omitempty"`
	Pattern  string   `json:"pattern,omitempty" doc:"RE2, of a text; matched as a whole."`
	Min      int      `json:"min,omitempty"`
	Max      int      `json:"max,omitempty"`
	Required bool     `json:"required,omitempty"`
}

// TemplateTask is a task that comes with each change.
type TemplateTask struct {
	Ref             string   `json:"ref,omitempty" doc:"Names the task within the list."`
	After           []string `json:"after,omitempty" doc:"Refs that it waits for."`
	Title           string   `json:"title"`
	Description     string   `json:"description,omitempty"`
	Gate            string   `json:"gate,omitempty" doc:"before_start, before_complete or before_close."`
	Verification    bool     `json:"verification,omitempty"`
	EstimateMinutes int      `json:"estimate_minutes,omitempty"`
}

func (w TemplateWrite) template(ifMatch string) NewTemplate {
	b := w.Body
	n := NewTemplate{Name: w.Name, IfMatch: ifMatch, Version: w.Version, Body: TemplateBody{
		TitlePattern: b.TitlePattern, Description: b.Description, Category: b.Category, Environment: b.Environment, ImplementationPlan: b.ImplementationPlan,
		BackoutPlan: b.BackoutPlan, TestPlan: b.TestPlan, Downtime: b.Downtime, EvidenceRequired: b.EvidenceRequired, RiskCeiling: Level(b.RiskCeiling),
		AssetTypes: b.AssetTypes, AssetTags: b.AssetTags, MaxAssets: b.MaxAssets, MaxMinutes: b.MaxMinutes, ValidDays: b.ValidDays,
	}}
	for _, p := range b.Parameters {
		n.Body.Parameters = append(n.Body.Parameters, Parameter(p))
	}
	for _, st := range b.Steps {
		n.Body.Steps = append(n.Body.Steps, st.step())
	}
	for _, t := range b.Tasks {
		n.Body.Tasks = append(n.Body.Tasks, tasks.Draft{
			Ref: t.Ref, After: t.After, Title: t.Title, Description: t.Description, Gate: t.Gate, Verification: t.Verification, EstimateMinutes: t.EstimateMinutes,
		})
	}
	return n
}

// templateOperations adds templates of standard changes.
func (s *Service) templateOperations(m *api.Module) {
	const tag = "Change templates"
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/change-templates", Permission: CanRead, ID: "list-change-templates", Summary: "List templates of standard changes", Tag: tag,
	}, func(ctx context.Context, in *struct {
		State string `query:"state" enum:"proposed,active,suspended,retired"`
	},
	) (*partOut[apiTemplate], error) {
		out := &partOut[apiTemplate]{Body: api.List[apiTemplate]{Items: []apiTemplate{}}}
		var rows *db.Result[Template]
		err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { rows = allTemplates.Queue(b, nil) })
		if err != nil {
			return nil, err
		}
		for _, t := range rows.Rows {
			if in.State == "" || in.State == string(t.State) {
				out.Body.Items = append(out.Body.Items, newAPITemplate(t, nil))
			}
		}
		return out, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/change-templates", Permission: CanManage, ID: "propose-change-template", Summary: "Propose a template", Tag: tag, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body TemplateWrite }) (*templateOut, error) {
		t, err := s.ProposeTemplate(ctx, api.Actor(ctx), in.Body.template(""))
		if err != nil {
			return nil, err
		}
		out, err := s.templateAnswer(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		out.Location = api.Request(ctx).Path("/api/v1/change-templates/" + t.ID.String())
		return out, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/change-templates/{id}", Permission: CanRead, ID: "get-change-template", Summary: "Read a template", Tag: tag,
	}, func(ctx context.Context, in *TemplateIn) (*templateOut, error) {
		id, err := in.uuid()
		if err != nil {
			return nil, err
		}
		return s.templateAnswer(ctx, id)
	})
	api.Register(m, api.Op{
		Method: http.MethodPut, Path: "/change-templates/{id}", Permission: CanManage, ID: "change-change-template", Summary: "Propose another version", Tag: tag,
	}, func(ctx context.Context, in *struct {
		TemplateIn
		IfMatch string `header:"If-Match"`
		Body    TemplateWrite
	},
	) (*templateOut, error) {
		id, err := in.uuid()
		if err != nil {
			return nil, err
		}
		if _, err := s.ChangeTemplate(ctx, api.Actor(ctx), id, in.Body.template(in.IfMatch)); err != nil {
			return nil, err
		}
		return s.templateAnswer(ctx, id)
	})
	for _, end := range []struct {
		path, summary string
		do            func(ctx context.Context, a db.Actor, id uuid.UUID, reason string) (Template, error)
	}{
		{"suspend", "Suspend a template; open drafts go the normal way", s.SuspendTemplate},
		{"retire", "Retire a template for good", s.RetireTemplate},
		{"reinstate", "Ask for the approval of a suspended template again", func(ctx context.Context, a db.Actor, id uuid.UUID, _ string) (Template, error) {
			return s.ReinstateTemplate(ctx, a, id)
		}},
	} {
		api.Register(m, api.Op{
			Method: http.MethodPost, Path: "/change-templates/{id}/" + end.path, Permission: CanManage, ID: end.path + "-change-template", Summary: end.summary, Tag: tag,
		}, func(ctx context.Context, in *struct {
			TemplateIn
			Body *struct {
				Reason string `json:"reason,omitempty"`
			} `required:"false"`
		},
		) (*templateOut, error) {
			id, err := in.uuid()
			if err != nil {
				return nil, err
			}
			reason := ""
			if in.Body != nil {
				reason = in.Body.Reason
			}
			if _, err := end.do(ctx, api.Actor(ctx), id, reason); err != nil {
				return nil, err
			}
			return s.templateAnswer(ctx, id)
		})
	}
}
