package members

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// parseIDs reads the ids of members in a body.
func parseIDs(texts []string) ([]uuid.UUID, error) {
	out := make([]uuid.UUID, 0, len(texts))
	for _, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fault.InvalidField("members", "invalid_id", "Send the ids of members, as GET /members shows them.")
		}
		out = append(out, id)
	}
	return out, nil
}

// groupWithMembers reads a group as one record shows it.
func (s *Service) groupWithMembers(ctx context.Context, id uuid.UUID) (groupBody, error) {
	g, in, err := s.GroupOf(ctx, api.Actor(ctx), id)
	body := newGroupBody(g)
	body.Members = make([]string, len(in))
	for i, m := range in {
		body.Members[i] = m.ID.String()
	}
	return body, err
}

func (s *Service) groupOperations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/groups", Permission: ReadMembers, ID: "list-groups",
		Summary: "List groups of people", Tag: "Members",
	}, func(ctx context.Context, _ *struct{}) (*out[api.List[groupBody]], error) {
		list := api.List[groupBody]{Items: []groupBody{}}
		err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
			groups, err := s.Groups(ctx, tx)
			for _, g := range groups {
				list.Items = append(list.Items, newGroupBody(g))
			}
			return err
		})
		return &out[api.List[groupBody]]{Body: list}, err
	})
	type postIn struct {
		Body struct {
			Name    string   `json:"name"`
			Members []string `json:"members,omitempty" doc:"Ids of members."`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/groups", Permission: ManageMembers, ID: "create-group",
		Summary: "Create a group of people", Tag: "Members", Status: http.StatusCreated,
	}, func(ctx context.Context, in *postIn) (*created[groupBody], error) {
		members, err := parseIDs(in.Body.Members)
		if err != nil {
			return nil, err
		}
		g, err := s.CreateGroup(ctx, api.Actor(ctx), in.Body.Name, members)
		if err != nil {
			return nil, err
		}
		body, err := s.groupWithMembers(ctx, g.ID)
		return &created[groupBody]{Location: location(ctx, "/groups/"+g.ID.String()), Body: body}, err
	})
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/groups/{id}", Permission: ReadMembers, ID: "read-group",
		Summary: "Read a group of people", Tag: "Members",
	}, func(ctx context.Context, in *ByID) (*out[groupBody], error) {
		id, err := in.parse("group")
		if err != nil {
			return nil, err
		}
		body, err := s.groupWithMembers(ctx, id)
		return &out[groupBody]{Body: body}, err
	})
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			Name    string `json:"name"`
			Version *int64 `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/groups/{id}", Permission: ManageMembers, ID: "rename-group",
		Summary: "Rename a group of people", Tag: "Members",
	}, func(ctx context.Context, in *patchIn) (*out[groupBody], error) {
		return s.changeGroupBody(ctx, in.ByID, GroupChange{Name: &in.Body.Name, Version: in.Body.Version, IfMatch: in.IfMatch})
	})
	type putIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			Members []string `json:"members" doc:"Ids of everybody who shall be in the group."`
			Version *int64   `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPut, Path: "/groups/{id}/members", Permission: ManageMembers, ID: "set-group-members",
		Summary: "Replace the members of a group", Tag: "Members",
	}, func(ctx context.Context, in *putIn) (*out[groupBody], error) {
		members, err := parseIDs(in.Body.Members)
		if err != nil {
			return nil, err
		}
		return s.changeGroupBody(ctx, in.ByID, GroupChange{Members: members, Version: in.Body.Version, IfMatch: in.IfMatch})
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/groups/{id}", Permission: ManageMembers, ID: "delete-group",
		Summary: "Delete a group of people", Tag: "Members", Status: http.StatusNoContent,
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		id, err := in.parse("group")
		if err != nil {
			return nil, err
		}
		return nil, s.DeleteGroup(ctx, api.Actor(ctx), id)
	})
}

func (s *Service) changeGroupBody(ctx context.Context, in ByID, c GroupChange) (*out[groupBody], error) {
	id, err := in.parse("group")
	if err != nil {
		return nil, err
	}
	if _, err := s.ChangeGroup(ctx, api.Actor(ctx), id, c); err != nil {
		return nil, err
	}
	body, err := s.groupWithMembers(ctx, id)
	return &out[groupBody]{Body: body}, err
}

func (s *Service) mappingOperations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/group-mappings", Permission: ManageMembers, ID: "list-group-mappings",
		Summary: "List rules for groups of the identity provider", Tag: "Members",
	}, func(ctx context.Context, _ *struct{}) (*out[api.List[mappingBody]], error) {
		rules, err := s.Mappings(ctx, api.Actor(ctx))
		list := api.List[mappingBody]{Items: make([]mappingBody, len(rules))}
		for i, r := range rules {
			list.Items[i] = newMappingBody(r)
		}
		return &out[api.List[mappingBody]]{Body: list}, err
	})
	type postIn struct {
		Body struct {
			ClaimValue string      `json:"claim_value"`
			Role       access.Role `json:"role" enum:"viewer,member,approver,admin,owner"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/group-mappings", Permission: ManageMembers, ID: "create-group-mapping",
		Summary: "Give a role to a group of the identity provider", Tag: "Members", Status: http.StatusCreated,
	}, func(ctx context.Context, in *postIn) (*created[mappingBody], error) {
		rule, err := s.AddMapping(ctx, api.Actor(ctx), NewMapping{ClaimValue: in.Body.ClaimValue, Role: in.Body.Role})
		if err != nil {
			return nil, err
		}
		return &created[mappingBody]{Location: location(ctx, "/group-mappings/"+rule.ID.String()), Body: newMappingBody(rule)}, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/group-mappings/{id}", Permission: ManageMembers, ID: "delete-group-mapping",
		Summary: "Delete a rule", Tag: "Members", Status: http.StatusNoContent,
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		id, err := in.parse("rule")
		if err != nil {
			return nil, err
		}
		return nil, s.DeleteMapping(ctx, api.Actor(ctx), id)
	})
}
