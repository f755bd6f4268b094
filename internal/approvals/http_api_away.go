package approvals

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

type delegationBody struct {
	ID         uuid.UUID  `json:"id" format:"uuid"`
	Key        string     `json:"key"`
	Principal  WhoBody    `json:"principal"`
	Delegate   WhoBody    `json:"delegate"`
	Kind       string     `json:"kind" enum:"out,assist"`
	Scope      string     `json:"scope" enum:"all,change_type,asset_group,policy"`
	ScopeValue string     `json:"scope_value"`
	Start      time.Time  `json:"start"`
	End        time.Time  `json:"end"`
	Reason     string     `json:"reason"`
	Active     bool       `json:"active" doc:"Whether it runs now."`
	RevokedAt  *time.Time `json:"revoked_at"`
	CreatedBy  *uuid.UUID `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	Version    int64      `json:"version"`
}

func (s *Service) delegationBody(d Delegation) delegationBody {
	return delegationBody{
		ID: d.ID, Key: d.Key, Principal: WhoBody{d.Principal, d.PrincipalName}, Delegate: WhoBody{d.Delegate, d.DelegateName}, Kind: d.Kind,
		Scope: d.Scope, ScopeValue: d.ScopeValue, Start: d.Start.UTC(), End: d.End.UTC(), Reason: d.Reason, Active: d.RunsAt(s.clock.Now()),
		RevokedAt: utc(d.RevokedAt), CreatedBy: orNil(d.CreatedBy.UUID), CreatedAt: d.CreatedAt.UTC(), Version: d.Version,
	}
}

// personID reads the id of a person from a body.
func personID(c *form.Check, field, text string) uuid.UUID {
	if text == "" {
		return uuid.Nil
	}
	id, err := uuid.Parse(text)
	if err != nil {
		c.Add(field, "invalid_id", "Use the id of a user.")
	}
	return id
}

// delegationID reads a delegation by its id or its key.
func (s *Service) delegationID(ctx context.Context, text string) (uuid.UUID, error) {
	if id, err := uuid.Parse(text); err == nil && len(text) == 36 {
		return id, nil
	}
	var id uuid.UUID
	err := s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		var err error
		id, err = delegationByKey.One(ctx, tx, db.Args{"key": text})
		return err
	})
	return id, err
}

func (s *Service) delegationOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Current string `query:"current" enum:"true,false" doc:"true: those that run or are to come; false: those that are over."`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/delegations", Permission: ManageDelegations, ID: "list-delegations", Summary: "List delegations: your own, and for admins all", Tag: "Delegations"},
		func(ctx context.Context, in *listIn) (*out[api.List[delegationBody]], error) {
			q := delegationList.Query()
			if a := api.Actor(ctx); !s.policy.Can(a, AdminDelegations) {
				q.Filter("person", db.Args{"person": a.UserID})
			}
			switch in.Current {
			case "true":
				q.Filter("current", nil)
			case "false":
				q.Filter("over", nil)
			}
			page, err := readPage(ctx, s.db, in.ListIn, delegationList, q)
			if err != nil {
				return nil, err
			}
			return &out[api.List[delegationBody]]{Body: api.NewList(page, s.delegationBody)}, nil
		})
	type createIn struct {
		Body struct {
			Principal  string    `json:"principal_id,omitempty" doc:"You when left out; somebody else needs an admin."`
			Delegate   string    `json:"delegate_id"`
			Kind       string    `json:"kind,omitempty" enum:"out,assist" doc:"out when left out."`
			Scope      string    `json:"scope,omitempty" enum:"all,change_type,asset_group,policy" doc:"all when left out."`
			ScopeValue string    `json:"scope_value,omitempty" doc:"The change type, the tag of assets, or the id of the policy."`
			Start      time.Time `json:"start"`
			End        time.Time `json:"end"`
			Reason     string    `json:"reason,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/delegations", Permission: ManageDelegations, ID: "create-delegation", Summary: "Delegate approvals", Tag: "Delegations", Status: http.StatusCreated},
		func(ctx context.Context, in *createIn) (*created[delegationBody], error) {
			var c form.Check
			b := in.Body
			n := NewDelegation{
				Principal: personID(&c, "principal", b.Principal), Delegate: personID(&c, "delegate", b.Delegate), Kind: b.Kind, Scope: b.Scope,
				ScopeValue: b.ScopeValue, Start: b.Start, End: b.End, Reason: b.Reason,
			}
			if err := c.Err(); err != nil {
				return nil, bodyFields(err)
			}
			if n.Kind == "" {
				n.Kind = "out"
			}
			if n.Scope == "" {
				n.Scope = "all"
			}
			d, err := s.CreateDelegation(ctx, api.Actor(ctx), n)
			if err != nil {
				return nil, bodyFields(err)
			}
			return &created[delegationBody]{Location: api.Request(ctx).Path("/api/v1/delegations/" + d.ID.String()), Body: s.delegationBody(d)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/delegations/{id}", Permission: ManageDelegations, ID: "get-delegation", Summary: "Read a delegation", Tag: "Delegations"},
		func(ctx context.Context, in *ByID) (*out[delegationBody], error) {
			id, err := s.delegationID(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			d, err := s.Delegation(ctx, api.Actor(ctx), id)
			return &out[delegationBody]{Body: s.delegationBody(d)}, err
		})
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			Delegate   *string    `json:"delegate_id,omitempty"`
			Kind       *string    `json:"kind,omitempty" enum:"out,assist"`
			Scope      *string    `json:"scope,omitempty" enum:"all,change_type,asset_group,policy"`
			ScopeValue *string    `json:"scope_value,omitempty"`
			Start      *time.Time `json:"start,omitempty"`
			End        *time.Time `json:"end,omitempty"`
			Reason     *string    `json:"reason,omitempty"`
			Version    *int64     `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/delegations/{id}", Permission: ManageDelegations, ID: "change-delegation", Summary: "Change a delegation", Tag: "Delegations"},
		func(ctx context.Context, in *patchIn) (*out[delegationBody], error) {
			id, err := s.delegationID(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			var c form.Check
			var delegate *uuid.UUID
			if in.Body.Delegate != nil {
				delegate = ptr(personID(&c, "delegate", *in.Body.Delegate))
			}
			if err := c.Err(); err != nil {
				return nil, bodyFields(err)
			}
			d, err := s.ChangeDelegation(ctx, api.Actor(ctx), id, DelegationChange{Version: in.Body.Version, IfMatch: in.IfMatch, Edit: func(d *Delegation) {
				put(&d.Delegate, delegate)
				put(&d.Kind, in.Body.Kind)
				put(&d.Scope, in.Body.Scope)
				put(&d.ScopeValue, in.Body.ScopeValue)
				put(&d.Start, in.Body.Start)
				put(&d.End, in.Body.End)
				put(&d.Reason, in.Body.Reason)
			}})
			return &out[delegationBody]{Body: s.delegationBody(d)}, bodyFields(err)
		})
	api.Register(m, api.Op{Method: http.MethodDelete, Path: "/delegations/{id}", Permission: ManageDelegations, ID: "revoke-delegation", Summary: "Revoke a delegation at once", Tag: "Delegations", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			id, err := s.delegationID(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			_, err = s.RevokeDelegation(ctx, api.Actor(ctx), id)
			return nil, err
		})
}

// bodyFields gives the problems of people to the fields of a body.
func bodyFields(err error) error {
	if err == nil {
		return nil
	}
	return renamed(err, map[string]string{"principal": "principal_id", "delegate": "delegate_id", "user": "user_id"})
}

type absenceBody struct {
	ID        uuid.UUID  `json:"id" format:"uuid"`
	User      WhoBody    `json:"user"`
	Start     time.Time  `json:"start"`
	End       time.Time  `json:"end"`
	Reason    string     `json:"reason"`
	CreatedBy *uuid.UUID `json:"created_by"`
	CreatedAt time.Time  `json:"created_at"`
}

func newAbsenceBody(a Absence) absenceBody {
	return absenceBody{
		ID: a.ID, User: WhoBody{a.UserID, a.Name}, Start: a.Start.UTC(), End: a.End.UTC(), Reason: a.Reason, CreatedBy: orNil(a.CreatedBy.UUID),
		CreatedAt: a.CreatedAt.UTC(),
	}
}

func (s *Service) absenceOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Current string `query:"current" enum:"true" doc:"true leaves out those that are over."`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/absences", Permission: ManageAbsences, ID: "list-absences", Summary: "List absences: your own, and for admins all", Tag: "Delegations"},
		func(ctx context.Context, in *listIn) (*out[api.List[absenceBody]], error) {
			q := absenceList.Query()
			if a := api.Actor(ctx); !s.policy.Can(a, AdminDelegations) {
				q.Filter("person", db.Args{"person": a.UserID})
			}
			if in.Current == "true" {
				q.Filter("current", nil)
			}
			page, err := readPage(ctx, s.db, in.ListIn, absenceList, q)
			if err != nil {
				return nil, err
			}
			return &out[api.List[absenceBody]]{Body: api.NewList(page, newAbsenceBody)}, nil
		})
	type createIn struct {
		Body struct {
			User   string    `json:"user_id,omitempty" doc:"You when left out; somebody else needs an admin."`
			Start  time.Time `json:"start"`
			End    time.Time `json:"end"`
			Reason string    `json:"reason,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/absences", Permission: ManageAbsences, ID: "create-absence", Summary: "Enter an absence", Tag: "Delegations", Status: http.StatusCreated},
		func(ctx context.Context, in *createIn) (*created[absenceBody], error) {
			var c form.Check
			n := NewAbsence{UserID: personID(&c, "user", in.Body.User), Start: in.Body.Start, End: in.Body.End, Reason: in.Body.Reason}
			if err := c.Err(); err != nil {
				return nil, bodyFields(err)
			}
			a, err := s.CreateAbsence(ctx, api.Actor(ctx), n)
			if err != nil {
				return nil, bodyFields(err)
			}
			return &created[absenceBody]{Location: api.Request(ctx).Path("/api/v1/absences/" + a.ID.String()), Body: newAbsenceBody(a)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/absences/{id}", Permission: ManageAbsences, ID: "get-absence", Summary: "Read an absence", Tag: "Delegations"},
		func(ctx context.Context, in *ByID) (*out[absenceBody], error) {
			id, err := in.parse("absence")
			if err != nil {
				return nil, err
			}
			var a Absence
			err = s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
				if a, err = loadAbsence.One(ctx, tx, db.Args{"id": id}); err != nil {
					return err
				}
				if a.UserID != tx.Actor.UserID && !s.policy.Can(tx.Actor, AdminDelegations) {
					return fault.NewNotFound("absence")
				}
				return nil
			})
			return &out[absenceBody]{Body: newAbsenceBody(a)}, err
		})
	api.Register(m, api.Op{Method: http.MethodDelete, Path: "/absences/{id}", Permission: ManageAbsences, ID: "delete-absence", Summary: "Remove an absence", Tag: "Delegations", Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			id, err := in.parse("absence")
			if err != nil {
				return nil, err
			}
			return nil, s.DeleteAbsence(ctx, api.Actor(ctx), id)
		})
}
