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
	Name    string       `json:"name"`
	Body    TemplateBody `json:"body"`
	Version *int64       `json:"version,omitempty"`
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
		t, err := s.ProposeTemplate(ctx, api.Actor(ctx), NewTemplate{Name: in.Body.Name, Body: in.Body.Body})
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
		if _, err := s.ChangeTemplate(ctx, api.Actor(ctx), id, NewTemplate{Name: in.Body.Name, Body: in.Body.Body, IfMatch: in.IfMatch, Version: in.Body.Version}); err != nil {
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
