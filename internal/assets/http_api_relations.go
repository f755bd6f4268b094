package assets

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

type apiRelationship struct {
	ID        uuid.UUID `json:"id"`
	From      uuid.UUID `json:"from" doc:"The asset that depends."`
	To        uuid.UUID `json:"to" doc:"The asset that it depends on."`
	Type      string    `json:"type"`
	Protocol  string    `json:"protocol"`
	Port      *int32    `json:"port"`
	Exclusive bool      `json:"exclusive" doc:"Nothing else can stand in for what it depends on."`
	Note      string    `json:"note"`
	CreatedAt time.Time `json:"created_at"`
}

func newAPIRelationship(r Relationship) apiRelationship {
	return apiRelationship{
		ID: r.ID, From: r.From, To: r.To, Type: r.Type, Protocol: r.Protocol, Port: r.Port, Exclusive: r.Exclusive, Note: r.Note,
		CreatedAt: r.CreatedAt.UTC(),
	}
}

type relationshipBody struct {
	From      string `json:"from" doc:"The asset that depends."`
	To        string `json:"to" doc:"The asset that it depends on."`
	Type      string `json:"type,omitempty" doc:"depends_on (default), hosts, connects_to, managed_by or part_of."`
	Protocol  string `json:"protocol,omitempty"`
	Port      int    `json:"port,omitempty"`
	Exclusive bool   `json:"exclusive,omitempty"`
	Note      string `json:"note,omitempty"`
}

func (b relationshipBody) relationship() (NewRelationship, error) {
	n := NewRelationship{Type: b.Type, Protocol: b.Protocol, Port: b.Port, Exclusive: b.Exclusive, Note: b.Note}
	var c form.Check
	end := func(field, text string) uuid.UUID {
		id, err := uuid.Parse(text)
		if err != nil && text != "" {
			c.Add(field, "unknown_asset", "There is no such asset.")
		}
		return id
	}
	n.From, n.To = end("from", b.From), end("to", b.To)
	return n, c.Err()
}

type relationshipOut struct {
	Location string `header:"Location"`
	Body     apiRelationship
}

type relationshipsOut struct {
	Body struct {
		Items []apiRelationship `json:"items" nullable:"false"`
		More  bool              `json:"more" doc:"The asset has more relationships in a direction than are listed."`
	}
}

// apiReached is an asset that a walk came to.
type apiReached struct {
	ID          uuid.UUID  `json:"id"`
	Name        string     `json:"name"`
	Type        string     `json:"ci_type"`
	Environment string     `json:"environment"`
	Criticality string     `json:"criticality"`
	Team        string     `json:"team"`
	Owner       *uuid.UUID `json:"owner"`
	Depth       int        `json:"depth" doc:"The least number of steps from the asset."`
	Exclusive   bool       `json:"exclusive" doc:"Every step of the way is a dependency without a stand-in."`
}

func newAPIReached(list []Reached) []apiReached {
	out := make([]apiReached, len(list))
	for i, x := range list {
		out[i] = apiReached{
			ID: x.ID, Name: x.Name, Type: x.Type, Environment: x.Environment, Criticality: x.Criticality, Team: x.Team,
			Owner: orNil(x.OwnerUserID), Depth: x.Depth, Exclusive: x.Exclusive,
		}
	}
	return out
}

type impactOut struct {
	Body struct {
		Depth      int          `json:"depth"`
		Downstream []apiReached `json:"downstream" nullable:"false" doc:"What depends on the asset: the blast radius."`
		Upstream   []apiReached `json:"upstream" nullable:"false" doc:"What the asset depends on."`
		More       bool         `json:"more" doc:"More than 5,000 were within reach; the nearest are listed."`
	}
}

func (s *Service) relationshipOperations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/asset-relationships", Permission: CanUpdate, ID: "create-asset-relationship",
		Summary: "Say that an asset depends on another", Tag: apiTag, Status: http.StatusCreated,
	}, func(ctx context.Context, in *struct{ Body relationshipBody }) (*relationshipOut, error) {
		edge, err := in.Body.relationship()
		if err != nil {
			return nil, err
		}
		rel, err := s.Relate(ctx, api.Actor(ctx), edge)
		if err != nil {
			return nil, err
		}
		return &relationshipOut{
			Location: api.Request(ctx).Path("/api/v1/asset-relationships/" + rel.ID.String()), Body: newAPIRelationship(rel),
		}, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/asset-relationships/{id}", Permission: CanRead, ID: "get-asset-relationship",
		Summary: "Read a relationship", Tag: apiTag,
	}, func(ctx context.Context, in *IDIn) (*relationshipOut, error) {
		id, err := in.uuid("relationship")
		if err != nil {
			return nil, err
		}
		out := &relationshipOut{}
		err = s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
			rel, err := relationshipByID.One(ctx, tx, db.Args{"id": id})
			out.Body = newAPIRelationship(rel)
			return err
		})
		return out, err
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/asset-relationships/{id}", Permission: CanUpdate, ID: "delete-asset-relationship",
		Summary: "Remove a relationship", Tag: apiTag, Status: http.StatusNoContent,
	}, func(ctx context.Context, in *IDIn) (*struct{}, error) {
		id, err := in.uuid("relationship")
		if err != nil {
			return nil, err
		}
		_, err = s.Unrelate(ctx, api.Actor(ctx), id)
		return nil, err
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/assets/{id}/relationships", Permission: CanRead, ID: "list-asset-relationships",
		Summary: "List the relationships of an asset", Tag: apiTag,
	}, s.apiRelationships)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/assets/{id}/impact", Permission: CanRead, ID: "get-asset-impact",
		Summary: "Walk what depends on an asset and what it depends on", Tag: apiTag,
	}, func(ctx context.Context, in *struct {
		IDIn
		Depth int `query:"depth" minimum:"1" maximum:"6" default:"3" doc:"Steps to walk."`
	},
	) (*impactOut, error) {
		id, err := in.uuid("asset")
		if err != nil {
			return nil, err
		}
		_, impact, err := s.ImpactOf(ctx, api.Actor(ctx), id, in.Depth)
		if err != nil {
			return nil, err
		}
		out := &impactOut{}
		out.Body.Depth, out.Body.More = in.Depth, impact.More
		out.Body.Downstream, out.Body.Upstream = newAPIReached(impact.Downstream), newAPIReached(impact.Upstream)
		return out, nil
	})
}

func (s *Service) apiRelationships(ctx context.Context, in *IDIn) (*relationshipsOut, error) {
	id, err := in.uuid("asset")
	if err != nil {
		return nil, err
	}
	var near *db.Result[edgeRow]
	item, err := s.itemWith(ctx, api.Actor(ctx), id, func(b *db.Batch) { near = edgesOf.Queue(b, db.Args{"id": id}) })
	if err != nil {
		return nil, err
	}
	out := &relationshipsOut{}
	out.Body.Items = make([]apiRelationship, len(near.Rows))
	for i, row := range near.Rows {
		out.Body.Items[i] = newAPIRelationship(row.Relationship)
	}
	out.Body.More = item.Below+item.Above > int64(len(near.Rows))
	return out, nil
}
