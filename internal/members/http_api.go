package members

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

type memberBody struct {
	ID         string     `json:"id" format:"uuid"`
	UserID     string     `json:"user_id" format:"uuid"`
	Name       string     `json:"name"`
	Email      string     `json:"email"`
	Role       string     `json:"role"`
	State      string     `json:"state"`
	JoinedVia  string     `json:"joined_via"`
	JoinedAt   time.Time  `json:"joined_at"`
	LastSeenAt *time.Time `json:"last_seen_at"`
	Version    int64      `json:"version"`
}

func newMemberBody(m Member) memberBody {
	return memberBody{
		ID: m.ID.String(), UserID: m.UserID.String(), Name: m.Name, Email: m.Email, Role: string(m.Role), State: string(m.State),
		JoinedVia: string(m.JoinedVia), JoinedAt: m.JoinedAt.UTC(), LastSeenAt: utc(m.LastSeenAt), Version: m.Version,
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

type invitationBody struct {
	ID        string    `json:"id" format:"uuid"`
	Email     string    `json:"email"`
	Role      string    `json:"role"`
	State     string    `json:"state"`
	CreatedAt time.Time `json:"created_at"`
	SentAt    time.Time `json:"sent_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Link      string    `json:"link,omitempty" doc:"Only in the answer that made it; Vigilo keeps a hash."`
}

func newInvitationBody(i Invitation, now time.Time) invitationBody {
	return invitationBody{
		ID: i.ID.String(), Email: i.Email, Role: string(i.Role), State: string(i.State(now)),
		CreatedAt: i.CreatedAt.UTC(), SentAt: i.SentAt.UTC(), ExpiresAt: i.ExpiresAt.UTC(),
	}
}

type groupBody struct {
	ID        string    `json:"id" format:"uuid"`
	Name      string    `json:"name"`
	Members   []string  `json:"members,omitempty" doc:"Ids of members; left out in lists."`
	Size      int64     `json:"size"`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
}

func newGroupBody(g PeopleGroup) groupBody {
	return groupBody{ID: g.ID.String(), Name: g.Name, Size: g.Size, CreatedAt: g.CreatedAt.UTC(), Version: g.Version}
}

type mappingBody struct {
	ID         string    `json:"id" format:"uuid"`
	ClaimValue string    `json:"claim_value"`
	Role       string    `json:"role"`
	CreatedAt  time.Time `json:"created_at"`
}

func newMappingBody(m Mapping) mappingBody {
	return mappingBody{ID: m.ID.String(), ClaimValue: m.ClaimValue, Role: string(m.Role), CreatedAt: m.CreatedAt.UTC()}
}

type workspaceBody struct {
	ID       string `json:"id" format:"uuid"`
	Slug     string `json:"slug"`
	Name     string `json:"name"`
	TimeZone string `json:"time_zone"`

	SessionIdleMinutes     int `json:"session_idle_minutes" doc:"Sessions end after a pause of this many minutes; 0 as the installation says."`
	SessionAbsoluteMinutes int `json:"session_absolute_minutes" doc:"Sessions end this many minutes after sign-in; 0 as the installation says."`

	Plan      string    `json:"plan" enum:"free,starter,pro,enterprise" doc:"Bounds what the workspace holds where limits are on."`
	CreatedAt time.Time `json:"created_at"`
	Version   int64     `json:"version"`
}

func newWorkspaceBody(w Workspace) workspaceBody {
	return workspaceBody{
		ID: w.ID.String(), Slug: w.Slug, Name: w.Name, TimeZone: w.TimeZone, SessionIdleMinutes: w.SessionIdleMinutes,
		SessionAbsoluteMinutes: w.SessionAbsoluteMinutes, Plan: string(w.Plan), CreatedAt: w.CreatedAt.UTC(), Version: w.Version,
	}
}

type out[T any] struct{ Body T }

type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// ByID is what operations on one record take. It is exported because the API reads
// parameters of embedded structs only then.
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

// location is the address of a new record.
func location(ctx context.Context, path string) string {
	return api.Request(ctx).Path("/api/v1" + path)
}

func (s *Service) operations(m *api.Module) {
	s.memberOperations(m)
	s.invitationOperations(m)
	s.groupOperations(m)
	s.mappingOperations(m)
	s.workspaceOperations(m)
}

func (s *Service) memberOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Text  string `query:"q" maxLength:"200" doc:"Part of a name or e-mail address."`
		Role  string `query:"role" enum:"viewer,member,approver,admin,owner"`
		State string `query:"state" enum:"active,suspended"`
	}
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/members", Permission: ReadMembers, ID: "list-members",
		Summary: "List members", Tag: "Members",
	}, func(ctx context.Context, in *listIn) (*out[api.List[memberBody]], error) {
		q, err := Filter{Text: in.Text, Role: access.Role(in.Role), State: State(in.State)}.query()
		if err != nil {
			return nil, err
		}
		page, err := readPage(ctx, s.db, in.ListIn, memberList, q)
		if err != nil {
			return nil, err
		}
		return &out[api.List[memberBody]]{Body: api.NewList(page, newMemberBody)}, nil
	})
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			Role    *access.Role `json:"role,omitempty" enum:"viewer,member,approver,admin,owner"`
			State   *State       `json:"state,omitempty" enum:"active,suspended"`
			Version *int64       `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/members/{id}", Permission: ManageMembers, ID: "change-member",
		Summary: "Change the role or state of a member", Tag: "Members",
	}, func(ctx context.Context, in *patchIn) (*out[memberBody], error) {
		id, err := in.parse("member")
		if err != nil {
			return nil, err
		}
		after, err := s.ChangeMember(ctx, api.Actor(ctx), id, Change{Role: in.Body.Role, State: in.Body.State, Version: in.Body.Version, IfMatch: in.IfMatch})
		if err != nil {
			return nil, err
		}
		return &out[memberBody]{Body: newMemberBody(after)}, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/members/{id}", Permission: ManageMembers, ID: "remove-member",
		Summary: "Remove a member", Tag: "Members", Status: http.StatusNoContent,
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		id, err := in.parse("member")
		if err != nil {
			return nil, err
		}
		return nil, s.RemoveMember(ctx, api.Actor(ctx), id)
	})
}

// readPage reads one page of a list for the API.
func readPage[T any](ctx context.Context, d *db.DB, in api.ListIn, list db.List[T], q *db.ListQuery[T]) (db.Page[T], error) {
	q, err := api.Apply(in, list, q)
	if err != nil {
		return db.Page[T]{}, err
	}
	var page db.Page[T]
	err = d.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		page, err = q.Page(ctx, tx)
		return err
	})
	return page, err
}

func (s *Service) invitationOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Text  string `query:"q" maxLength:"200" doc:"Part of an e-mail address."`
		State string `query:"state" enum:"pending,expired,accepted,revoked"`
	}
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/invitations", Permission: ManageMembers, ID: "list-invitations",
		Summary: "List invitations", Tag: "Members",
	}, func(ctx context.Context, in *listIn) (*out[api.List[invitationBody]], error) {
		q := invitationList.Query()
		if in.State != "" {
			q.Filter(in.State, nil)
		}
		if err := searchable(in.Text); err != nil {
			return nil, err
		}
		if in.Text != "" {
			q.Filter("text", db.Args{"text": in.Text})
		}
		page, err := readPage(ctx, s.db, in.ListIn, invitationList, q)
		if err != nil {
			return nil, err
		}
		now := s.clock.Now()
		return &out[api.List[invitationBody]]{Body: api.NewList(page, func(r InvitationRow) invitationBody { return newInvitationBody(r.Invitation, now) })}, nil
	})
	type postIn struct {
		Body struct {
			Email string      `json:"email"`
			Role  access.Role `json:"role" enum:"viewer,member,approver,admin,owner"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/invitations", Permission: ManageMembers, ID: "create-invitation",
		Summary: "Invite a person", Tag: "Members", Status: http.StatusCreated,
	}, func(ctx context.Context, in *postIn) (*created[invitationBody], error) {
		if err := s.mayInvite(api.Request(ctx)); err != nil {
			return nil, err
		}
		issued, err := s.Invite(ctx, api.Actor(ctx), NewInvitation{Email: in.Body.Email, Role: in.Body.Role})
		if err != nil {
			return nil, err
		}
		return &created[invitationBody]{Location: location(ctx, "/invitations/"+issued.ID.String()), Body: s.issuedBody(issued)}, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/invitations/{id}/resend", Permission: ManageMembers, ID: "resend-invitation",
		Summary: "Make a new link for an invitation", Tag: "Members",
	}, func(ctx context.Context, in *ByID) (*out[invitationBody], error) {
		id, err := in.parse("invitation")
		if err != nil {
			return nil, err
		}
		if err := s.mayInvite(api.Request(ctx)); err != nil {
			return nil, err
		}
		issued, err := s.ResendInvitation(ctx, api.Actor(ctx), id)
		if err != nil {
			return nil, err
		}
		return &out[invitationBody]{Body: s.issuedBody(issued)}, nil
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/invitations/{id}", Permission: ManageMembers, ID: "revoke-invitation",
		Summary: "Revoke an invitation", Tag: "Members", Status: http.StatusNoContent,
	}, func(ctx context.Context, in *ByID) (*struct{}, error) {
		id, err := in.parse("invitation")
		if err != nil {
			return nil, err
		}
		return nil, s.RevokeInvitation(ctx, api.Actor(ctx), id)
	})
}

func (s *Service) issuedBody(i Issued) invitationBody {
	body := newInvitationBody(i.Invitation, s.clock.Now())
	body.Link = i.Link
	return body
}

func (s *Service) workspaceOperations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/workspace", Permission: ReadWorkspace, ID: "read-workspace",
		Summary: "Read the workspace", Tag: "Workspace",
	}, func(ctx context.Context, _ *struct{}) (*out[workspaceBody], error) {
		ws, err := s.Workspace(ctx, api.Actor(ctx))
		if err != nil {
			return nil, err
		}
		return &out[workspaceBody]{Body: newWorkspaceBody(ws)}, nil
	})
	type patchIn struct {
		IfMatch string `header:"If-Match"`
		Body    struct {
			Name     *string `json:"name,omitempty"`
			TimeZone *string `json:"time_zone,omitempty"`
			Version  *int64  `json:"version,omitempty"`

			SessionIdleMinutes     *int `json:"session_idle_minutes,omitempty" minimum:"0" maximum:"525600"`
			SessionAbsoluteMinutes *int `json:"session_absolute_minutes,omitempty" minimum:"0" maximum:"525600"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/workspace", Permission: ManageWorkspace, ID: "change-workspace",
		Summary: "Change the settings of the workspace", Tag: "Workspace",
	}, func(ctx context.Context, in *patchIn) (*out[workspaceBody], error) {
		ws, err := s.ChangeWorkspace(ctx, api.Actor(ctx), WorkspaceChange{
			Name: in.Body.Name, TimeZone: in.Body.TimeZone, SessionIdleMinutes: in.Body.SessionIdleMinutes,
			SessionAbsoluteMinutes: in.Body.SessionAbsoluteMinutes, Version: in.Body.Version, IfMatch: in.IfMatch,
		})
		if err != nil {
			return nil, err
		}
		return &out[workspaceBody]{Body: newWorkspaceBody(ws)}, nil
	})
	type planIn struct {
		Body struct {
			Plan plan.Name `json:"plan" enum:"free,starter,pro,enterprise"`
		}
	}
	api.Register(m, api.Op{
		Method: http.MethodPut, Path: "/workspace/plan", Permission: SetPlan, ID: "set-workspace-plan",
		Summary: "Choose the plan of the workspace", Tag: "Workspace",
	}, func(ctx context.Context, in *planIn) (*out[workspaceBody], error) {
		ws, err := s.ChangePlan(ctx, api.Actor(ctx), in.Body.Plan)
		if err != nil {
			return nil, err
		}
		return &out[workspaceBody]{Body: newWorkspaceBody(ws)}, nil
	})
}
