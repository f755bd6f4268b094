package assets

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// apiAsset is an asset as the API shows it.
type apiAsset struct {
	ID               uuid.UUID         `json:"id"`
	Name             string            `json:"name"`
	Hostname         string            `json:"hostname"`
	Type             string            `json:"ci_type"`
	Environment      string            `json:"environment"`
	Criticality      string            `json:"criticality"`
	Lifecycle        Lifecycle         `json:"lifecycle"`
	Owner            *uuid.UUID        `json:"owner" doc:"User who owns the asset."`
	OwnerName        string            `json:"owner_name,omitempty"`
	Team             string            `json:"team"`
	Tags             []string          `json:"tags" nullable:"false"`
	Provider         string            `json:"provider"`
	ExternalID       string            `json:"external_id"`
	Description      string            `json:"description"`
	CustomFields     map[string]string `json:"custom_fields"`
	LeadMinutes      int32             `json:"lead_minutes" doc:"Minutes that a change needs free before its window."`
	TrailMinutes     int32             `json:"trail_minutes" doc:"Minutes that a change needs free after its window."`
	OneChangeAtATime bool              `json:"one_change_at_a_time"`
	DependsOn        int64             `json:"depends_on" doc:"How many relationships lead from it."`
	NeededBy         int64             `json:"needed_by" doc:"How many relationships lead to it."`
	RetiredAt        *time.Time        `json:"retired_at"`
	Version          int64             `json:"version"`
	CreatedAt        time.Time         `json:"created_at"`
	UpdatedAt        time.Time         `json:"updated_at"`
}

func newAPIAsset(i Item) apiAsset {
	out := apiAsset{
		ID: i.ID, Name: i.Name, Hostname: i.Hostname, Type: i.Type, Environment: i.Environment, Criticality: i.Criticality,
		Lifecycle: i.Lifecycle, Owner: orNil(i.OwnerID), OwnerName: i.OwnerName, Team: i.Team, Tags: i.Tags, Provider: i.Provider,
		ExternalID: i.ExternalID, Description: i.Description, CustomFields: i.Custom, LeadMinutes: i.LeadMinutes,
		TrailMinutes: i.TrailMinutes, OneChangeAtATime: i.OneChangeAtATime, DependsOn: i.Below, NeededBy: i.Above,
		Version: i.Version, CreatedAt: i.CreatedAt.UTC(), UpdatedAt: i.UpdatedAt.UTC(),
	}
	if out.Tags == nil {
		out.Tags = []string{}
	}
	if i.RetiredAt != nil {
		at := i.RetiredAt.UTC()
		out.RetiredAt = &at
	}
	return out
}

type assetBody struct {
	Name             string            `json:"name" maxLength:"500"`
	Hostname         string            `json:"hostname,omitempty"`
	Type             string            `json:"ci_type,omitempty" doc:"server, vm, container, service, domain, database, application, network or other (default)."`
	Environment      string            `json:"environment,omitempty" doc:"prod (default), staging, dev, qa or other."`
	Criticality      string            `json:"criticality,omitempty" doc:"low, medium (default), high or critical."`
	Lifecycle        string            `json:"lifecycle,omitempty" doc:"planned, active (default) or retired."`
	Owner            string            `json:"owner,omitempty" doc:"A user, a membership or an e-mail address."`
	Team             string            `json:"team,omitempty"`
	Tags             []string          `json:"tags,omitempty"`
	Provider         string            `json:"provider,omitempty" doc:"manual (default), aws, gcp, azure, k8s or consul."`
	ExternalID       string            `json:"external_id,omitempty"`
	Description      string            `json:"description,omitempty"`
	CustomFields     map[string]string `json:"custom_fields,omitempty"`
	LeadMinutes      int               `json:"lead_minutes,omitempty"`
	TrailMinutes     int               `json:"trail_minutes,omitempty"`
	OneChangeAtATime bool              `json:"one_change_at_a_time,omitempty"`
}

func (b assetBody) asset() NewAsset {
	return NewAsset{
		Name: b.Name, Hostname: b.Hostname, Type: b.Type, Environment: b.Environment, Criticality: b.Criticality, Lifecycle: b.Lifecycle,
		Owner: b.Owner, Team: b.Team, Tags: b.Tags, Provider: b.Provider, ExternalID: b.ExternalID, Description: b.Description,
		Custom: b.CustomFields, LeadMinutes: b.LeadMinutes, TrailMinutes: b.TrailMinutes, OneChangeAtATime: b.OneChangeAtATime,
	}
}

type assetPatch struct {
	Name             *string            `json:"name,omitempty"`
	Hostname         *string            `json:"hostname,omitempty"`
	Type             *string            `json:"ci_type,omitempty"`
	Environment      *string            `json:"environment,omitempty"`
	Criticality      *string            `json:"criticality,omitempty"`
	Lifecycle        *string            `json:"lifecycle,omitempty" doc:"retired retires the asset; active takes it back into use."`
	Owner            *string            `json:"owner,omitempty" doc:"An empty text takes the owner away."`
	Team             *string            `json:"team,omitempty"`
	Tags             *[]string          `json:"tags,omitempty"`
	Provider         *string            `json:"provider,omitempty"`
	ExternalID       *string            `json:"external_id,omitempty"`
	Description      *string            `json:"description,omitempty"`
	CustomFields     *map[string]string `json:"custom_fields,omitempty"`
	LeadMinutes      *int               `json:"lead_minutes,omitempty"`
	TrailMinutes     *int               `json:"trail_minutes,omitempty"`
	OneChangeAtATime *bool              `json:"one_change_at_a_time,omitempty"`
	Version          *int64             `json:"version,omitempty"`
}

func (b assetPatch) edit(ifMatch string) AssetEdit {
	return AssetEdit{
		Name: b.Name, Hostname: b.Hostname, Type: b.Type, Environment: b.Environment, Criticality: b.Criticality, Lifecycle: b.Lifecycle,
		Owner: b.Owner, Team: b.Team, Tags: b.Tags, Provider: b.Provider, ExternalID: b.ExternalID, Description: b.Description,
		Custom: b.CustomFields, LeadMinutes: b.LeadMinutes, TrailMinutes: b.TrailMinutes, OneChangeAtATime: b.OneChangeAtATime,
		IfMatch: ifMatch, Version: b.Version,
	}
}

type assetOut struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     apiAsset
}

// IDIn is the id in the path of an operation. It is exported because huma reads embedded
// fields of exported types only; so is FilterIn.
type IDIn struct {
	ID string `path:"id"`
}

func (in IDIn) uuid(what string) (uuid.UUID, error) {
	id, err := uuid.Parse(in.ID)
	if err != nil || len(in.ID) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

// FilterIn are the filters of the list of assets and of its export.
type FilterIn struct {
	Q           string `query:"q" doc:"Words that begin a part of the name, the host name, a tag, the team or the external id."`
	Name        string `query:"name" doc:"The whole name, whatever its case."`
	Hostname    string `query:"hostname"`
	Type        string `query:"ci_type"`
	Environment string `query:"environment"`
	Criticality string `query:"criticality"`
	Lifecycle   string `query:"lifecycle"`
	Owner       string `query:"owner" doc:"A user, or none."`
	Team        string `query:"team"`
	Tag         string `query:"tag"`
	Provider    string `query:"provider"`
	ExternalID  string `query:"external_id"`
	View        string `query:"view" doc:"A saved view: in_use, critical, unowned, planned, retired or all."`
}

func (f FilterIn) filter() filter {
	return filter{
		Text: f.Q, Name: f.Name, Hostname: f.Hostname, Type: f.Type, Environment: f.Environment, Criticality: f.Criticality,
		Lifecycle: f.Lifecycle, Owner: f.Owner, Team: f.Team, Tag: f.Tag, Provider: f.Provider, ExternalID: f.ExternalID, View: f.View,
	}
}

const apiTag = "Assets"

// operations adds the API of this module.
func (s *Service) operations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/assets", Permission: CanCreate, ID: "create-asset", Summary: "Add an asset",
		Tag: apiTag, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body assetBody }) (*assetOut, error) {
		a, err := s.AddAsset(ctx, api.Actor(ctx), in.Body.asset())
		if err != nil {
			return nil, err
		}
		out, err := s.assetAnswer(ctx, a.ID)
		if err == nil {
			out.Location = api.Request(ctx).Path("/api/v1/assets/" + a.ID.String())
		}
		return out, err
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/assets", Permission: CanRead, ID: "list-assets", Summary: "List assets", Tag: apiTag,
	}, s.apiList)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/assets/{id}", Permission: CanRead, ID: "get-asset", Summary: "Read an asset", Tag: apiTag,
	}, func(ctx context.Context, in *IDIn) (*assetOut, error) {
		id, err := in.uuid("asset")
		if err != nil {
			return nil, err
		}
		return s.assetAnswer(ctx, id)
	})
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/assets/{id}", Permission: CanUpdate, ID: "update-asset", Summary: "Change an asset, retire it or take it back into use", Tag: apiTag,
	}, func(ctx context.Context, in *struct {
		IDIn
		IfMatch string `header:"If-Match"`
		Body    assetPatch
	},
	) (*assetOut, error) {
		id, err := in.uuid("asset")
		if err != nil {
			return nil, err
		}
		if _, err := s.UpdateAsset(ctx, api.Actor(ctx), id, in.Body.edit(in.IfMatch)); err != nil {
			return nil, err
		}
		return s.assetAnswer(ctx, id)
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/assets/{id}", Permission: CanDelete, ID: "delete-asset", Summary: "Delete an asset that nothing refers to",
		Tag: apiTag, Status: http.StatusNoContent,
	}, func(ctx context.Context, in *IDIn) (*struct{}, error) {
		id, err := in.uuid("asset")
		if err != nil {
			return nil, err
		}
		return nil, s.DeleteAsset(ctx, api.Actor(ctx), id)
	})
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/assets/import", Permission: CanImport, ID: "import-assets",
		Summary: "Import assets from CSV, all or none", Tag: apiTag,
	}, s.apiImport)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/assets/export.csv", Permission: CanRead, ID: "export-assets", Summary: "Export assets as CSV", Tag: apiTag,
	}, s.apiExport)
	s.relationshipOperations(m)
}

func (s *Service) assetAnswer(ctx context.Context, id uuid.UUID) (*assetOut, error) {
	a, err := s.itemWith(ctx, api.Actor(ctx), id, func(*db.Batch) {})
	if err != nil {
		return nil, err
	}
	return &assetOut{ETag: strconv.Quote(strconv.FormatInt(a.Version, 10)), Body: newAPIAsset(a)}, nil
}

type listOut struct{ Body api.List[apiAsset] }

func (s *Service) apiList(ctx context.Context, in *struct {
	api.ListIn
	FilterIn
},
) (*listOut, error) {
	q, err := in.filter().query()
	if err != nil {
		return nil, err
	}
	if q, err = api.Apply(in.ListIn, assetList, q); err != nil {
		return nil, err
	}
	var page *db.PageResult[Item]
	if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) }); err != nil {
		return nil, err
	}
	return &listOut{Body: api.NewList(page.Page, newAPIAsset)}, nil
}

type importIn struct {
	Type        string `query:"ci_type" doc:"For rows that name none."`
	Environment string `query:"environment" doc:"For rows that name none."`
	Tags        string `query:"tags" doc:"Added to each row, separated by commas."`
	DryRun      bool   `query:"dry_run" doc:"Say what would happen and change nothing."`
	RawBody     []byte `contentType:"text/csv"`
}

type importOut struct {
	Body struct {
		Created int         `json:"created" doc:"Rows that were added, or would be."`
		Existed int         `json:"existed" doc:"Rows whose asset is there already; they were left as they are."`
		Wrong   int         `json:"wrong" doc:"Rows that cannot be imported; only a dry run has any."`
		Errors  []lineError `json:"errors" nullable:"false"`
	}
}

type lineError struct {
	Line    int    `json:"line"`
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (s *Service) apiImport(ctx context.Context, in *importIn) (*importOut, error) {
	do := s.ImportAssets
	if in.DryRun {
		do = s.PreviewImport
	}
	p, err := do(ctx, api.Actor(ctx), Import{
		Text: string(in.RawBody), Type: in.Type, Environment: in.Environment, Tags: SplitTags(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	out := &importOut{}
	out.Body.Created, out.Body.Existed, out.Body.Wrong, out.Body.Errors = p.New, p.Exists, p.Wrong, []lineError{}
	for _, row := range p.Rows {
		for _, d := range row.Problems {
			out.Body.Errors = append(out.Body.Errors, lineError{Line: row.Line, Field: d.Field, Code: d.Code, Message: d.Message})
		}
	}
	return out, nil
}

func (s *Service) apiExport(ctx context.Context, in *FilterIn) (*huma.StreamResponse, error) {
	q, err := in.filter().query()
	if err != nil {
		return nil, err
	}
	r := api.Request(ctx)
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		hctx.SetHeader("Content-Type", "text/csv; charset=utf-8")
		hctx.SetHeader("Content-Disposition", `attachment; filename="assets.csv"`)
		if err := s.writeCSV(ctx, r.Actor, q, hctx.BodyWriter()); err != nil {
			r.LogFailure(err)
		}
	}}, nil
}
