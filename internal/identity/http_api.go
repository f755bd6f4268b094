package identity

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// meBody says who calls and what they may do here.
type meBody struct {
	// User is absent for service tokens.
	User          *userBody     `json:"user,omitempty"`
	Actor         actorBody     `json:"actor"`
	Workspace     workspaceBody `json:"workspace"`
	Role          string        `json:"role" enum:"viewer,member,approver,admin,owner"`
	PlatformAdmin bool          `json:"platform_admin"`
	Permissions   []string      `json:"permissions" nullable:"false"`
}

type userBody struct {
	ID       uuid.UUID `json:"id" format:"uuid"`
	Name     string    `json:"name"`
	Email    string    `json:"email"`
	TimeZone string    `json:"time_zone" doc:"IANA name; empty until chosen."`
}

type actorBody struct {
	Kind string    `json:"kind" enum:"user,api_key,service"`
	ID   uuid.UUID `json:"id" format:"uuid" doc:"The user, or the token."`
	Name string    `json:"name"`
}

type workspaceBody struct {
	ID       uuid.UUID `json:"id" format:"uuid"`
	Slug     string    `json:"slug"`
	Name     string    `json:"name"`
	TimeZone string    `json:"time_zone"`
}

// tokenBody is a token without its secret.
type tokenBody struct {
	ID         uuid.UUID  `json:"id" format:"uuid"`
	Kind       string     `json:"kind" enum:"personal,service"`
	Name       string     `json:"name"`
	Prefix     string     `json:"prefix" doc:"The beginning of the token, to tell tokens apart."`
	OwnerID    *uuid.UUID `json:"owner_id" nullable:"true" format:"uuid" doc:"Of a personal token."`
	Role       *string    `json:"role" nullable:"true" doc:"Of a service token."`
	Scopes     []string   `json:"scopes" nullable:"true" doc:"Null means everything that the role may."`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at" nullable:"true"`
	LastUsedAt *time.Time `json:"last_used_at" nullable:"true" doc:"Exact to a minute."`
	RevokedAt  *time.Time `json:"revoked_at" nullable:"true"`
}

func newTokenBody(t Token) tokenBody {
	b := tokenBody{
		ID: t.ID, Kind: t.Kind, Name: t.Name, Prefix: t.Prefix, Scopes: t.Scopes, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt,
		LastUsedAt: t.LastUsedAt, RevokedAt: t.RevokedAt,
	}
	if t.OwnerID.Valid {
		b.OwnerID = &t.OwnerID.UUID
	}
	if t.Role != "" {
		role := string(t.Role)
		b.Role = &role
	}
	return b
}

type createTokenIn struct {
	Body struct {
		Kind      string     `json:"kind,omitempty" enum:"personal,service" default:"personal"`
		Name      string     `json:"name"`
		Role      string     `json:"role,omitempty" doc:"Of a service token: viewer, member, approver or admin."`
		Scopes    []string   `json:"scopes,omitempty" doc:"Permissions that it may use. Leave out for everything that the role may."`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Leave out for never."`
	}
}

type createdTokenBody struct {
	tokenBody
	Token string `json:"token" doc:"The secret. It is shown only here."`
}

type tokenIDIn struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type tokenOut struct{ Body tokenBody }

func (s *Service) api(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/me", Permission: web.LivePermission, ID: "get-me", Summary: "Who calls, and what they may do", Tag: "Me",
	}, s.apiMe)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/tokens", Permission: CanUseTokens, ID: "list-tokens",
		Summary: "Your own tokens; all tokens of the workspace with token.manage", Tag: "Tokens",
	}, s.apiListTokens)
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/tokens", Permission: CanUseTokens, ID: "create-token", Status: http.StatusCreated,
		Summary: "Create a token; a service token needs token.manage", Tag: "Tokens",
	}, s.apiCreateToken)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/tokens/{id}", Permission: CanUseTokens, ID: "get-token", Summary: "One token", Tag: "Tokens",
	}, s.apiGetToken)
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/tokens/{id}", Permission: CanUseTokens, ID: "revoke-token", Status: http.StatusNoContent,
		Summary: "Revoke a token", Tag: "Tokens",
	}, s.apiRevokeToken)
}

func (s *Service) apiMe(ctx context.Context, _ *struct{}) (*struct{ Body meBody }, error) {
	r := api.Request(ctx)
	a := r.Actor
	out := &struct{ Body meBody }{}
	out.Body = meBody{
		Actor:     actorBody{Kind: a.Kind.String(), ID: a.ID, Name: r.Principal.User.Name},
		Workspace: workspaceBody{ID: r.Workspace.ID, Slug: r.Workspace.Slug, Name: r.Workspace.Name, TimeZone: r.Workspace.TimeZone},
		Role:      a.Role, PlatformAdmin: a.PlatformAdmin, Permissions: []string{},
	}
	if r.Principal.TokenName != "" {
		out.Body.Actor.Name = r.Principal.TokenName
	}
	if u := r.User(); u.ID != uuid.Nil {
		out.Body.User = &userBody{ID: u.ID, Name: u.Name, Email: u.Email, TimeZone: u.TimeZone}
	}
	for _, g := range s.Policy.Grants() {
		if s.Policy.Can(a, g.Permission) {
			out.Body.Permissions = append(out.Body.Permissions, string(g.Permission))
		}
	}
	slices.Sort(out.Body.Permissions)
	return out, nil
}

type listTokensIn struct {
	api.ListIn
	Kind string `query:"kind" enum:"personal,service" doc:"Only this kind."`
}

func (s *Service) apiListTokens(ctx context.Context, in *listTokensIn) (*struct{ Body api.List[tokenBody] }, error) {
	a := api.Actor(ctx)
	q, err := api.Apply(in.ListIn, tokenList, s.tokenQuery(a))
	if err != nil {
		return nil, err
	}
	if in.Kind != "" {
		q.Filter("kind", db.Args{"kind": in.Kind})
	}
	var page *db.PageResult[Token]
	if err := s.DB.ReadBatch(ctx, a, func(b *db.Batch) { page = q.Queue(b) }); err != nil {
		return nil, err
	}
	return &struct{ Body api.List[tokenBody] }{Body: api.NewList(page.Page, newTokenBody)}, nil
}

type createdTokenOut struct {
	Location string `header:"Location"`
	Body     createdTokenBody
}

func (s *Service) apiCreateToken(ctx context.Context, in *createTokenIn) (*createdTokenOut, error) {
	r := api.Request(ctx)
	if err := s.attempt("token", r.Principal.ID.String()); err != nil {
		return nil, err
	}
	b := in.Body
	t, token, err := s.CreateToken(ctx, r.Actor, NewToken{
		Kind: b.Kind, Name: b.Name, Role: access.Role(b.Role), Scopes: b.Scopes, ExpiresAt: b.ExpiresAt,
	})
	if err != nil {
		return nil, err
	}
	return &createdTokenOut{
		Location: r.Path("/api/v1/tokens/" + t.ID.String()), Body: createdTokenBody{tokenBody: newTokenBody(t), Token: token},
	}, nil
}

func (s *Service) apiGetToken(ctx context.Context, in *tokenIDIn) (*tokenOut, error) {
	t, err := s.FindToken(ctx, api.Actor(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &tokenOut{Body: newTokenBody(t)}, nil
}

func (s *Service) apiRevokeToken(ctx context.Context, in *tokenIDIn) (*struct{}, error) {
	if _, err := s.RevokeToken(ctx, api.Actor(ctx), in.ID); err != nil {
		return nil, err
	}
	return &struct{}{}, nil
}
