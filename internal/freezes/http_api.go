package freezes

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

type out[T any] struct{ Body T }

// created is the answer to a creation.
type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// ByID names one record by the path. It is exported because the API reads embedded structs
// only when they are.
type ByID struct {
	ID string `path:"id"`
}

func (b ByID) parse() (uuid.UUID, error) { return parseID(b.ID, "freeze") }

// parseID reads an id; anything else answers like a missing record.
func parseID(text, what string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

// Seen is the version that a caller saw, for actions without other fields.
type Seen struct {
	IfMatch string `header:"If-Match"`
	Body    *struct {
		Version *int64 `json:"version,omitempty"`
	}
}

func (s Seen) version() *int64 {
	if s.Body == nil {
		return nil
	}
	return s.Body.Version
}

const tag = "Freezes"

func (s *Service) operations(m *api.Module) {
	s.readOperations(m)
	s.writeOperations(m)
	s.lifeOperations(m)
	s.overrideOperations(m)
}

// ListFilter narrows a list.
type ListFilter struct {
	api.ListIn
	State string `query:"state" enum:"draft,active,lifted"`
	Text  string `query:"q" maxLength:"200" doc:"Part of the name."`
}

func (s *Service) listOf(ctx context.Context, in ListFilter, kinds []Kind) (*out[api.List[freezeBody]], error) {
	q := freezeList.Query().Filter("kinds", db.Args{"kinds": texts(kinds)})
	if in.State != "" {
		q = q.Filter("states", db.Args{"states": []string{in.State}})
	}
	if text := strings.ReplaceAll(in.Text, "\x00", ""); text != "" {
		q = q.Filter("text", db.Args{"text": text})
	}
	q, err := api.Apply(in.ListIn, freezeList, q)
	if err != nil {
		return nil, err
	}
	page, err := s.list(ctx, api.Actor(ctx), q)
	if err != nil {
		return nil, err
	}
	return &out[api.List[freezeBody]]{Body: api.NewList(page, func(r listRow) freezeBody { return newFreezeBody(r.Freeze) })}, nil
}

func (s *Service) readOperations(m *api.Module) {
	type listIn struct {
		ListFilter
		Kind string `query:"kind" enum:"hard,soft,maintenance_only"`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/freezes", Permission: ReadFreezes, ID: "list-freezes", Summary: "List freezes", Tag: tag},
		func(ctx context.Context, in *listIn) (*out[api.List[freezeBody]], error) {
			kinds := FreezeKinds()
			if in.Kind != "" {
				kinds = []Kind{Kind(in.Kind)}
			}
			return s.listOf(ctx, in.ListFilter, kinds)
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/maintenance-windows", Permission: ReadFreezes, ID: "list-maintenance-windows", Summary: "List maintenance windows", Tag: tag},
		func(ctx context.Context, in *ListFilter) (*out[api.List[freezeBody]], error) {
			return s.listOf(ctx, *in, []Kind{Maintenance})
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/freezes/{id}", Permission: ReadFreezes, ID: "get-freeze", Summary: "Read a freeze or maintenance window", Tag: tag},
		func(ctx context.Context, in *ByID) (*out[freezeBody], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			f, err := s.Freeze(ctx, api.Actor(ctx), id)
			return &out[freezeBody]{Body: newFreezeBody(f)}, err
		})
	type spanIn struct {
		ByID
		From string `query:"from" format:"date-time" doc:"Now when left out."`
		To   string `query:"to" format:"date-time" doc:"18 months after the beginning when left out, ten years at most."`
	}
	type occurrenceList struct {
		Items []occurrenceBody `json:"items" nullable:"false" doc:"At most 1,000."`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/freezes/{id}/occurrences", Permission: ReadFreezes, ID: "list-freeze-occurrences", Summary: "List the occurrences of a freeze or maintenance window", Tag: tag},
		func(ctx context.Context, in *spanIn) (*out[occurrenceList], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			from, to, err := spanOf(in.From, in.To, s.clock.Now())
			if err != nil {
				return nil, err
			}
			_, found, err := s.Occurrences(ctx, api.Actor(ctx), id, from, to, maxOccurrences)
			return &out[occurrenceList]{Body: occurrenceList{Items: newOccurrenceBodies(found)}}, err
		})
}

const (
	maxOccurrences = 1000
	maxSpanYears   = 10
)

func spanOf(fromText, toText string, now time.Time) (from, to time.Time, err error) {
	var c form.Check
	read := func(field, text string, def time.Time) time.Time {
		if text == "" {
			return def
		}
		t, err := time.Parse(time.RFC3339, text)
		if err != nil || t.Year() < 1970 || t.Year() > 2200 {
			c.Add(field, "invalid_time", "Use a time such as 2027-03-28T01:00:00Z.")
			return def
		}
		return t
	}
	from = read("from", fromText, now)
	to = read("to", toText, from.AddDate(0, horizonMonths, 0))
	if c.Err() == nil && (!to.After(from) || to.After(from.AddDate(maxSpanYears, 0, 0))) {
		c.Add("to", "invalid_window", "It must lie after from, at most ten years later.")
	}
	return from, to, c.Err()
}

// CreateFields are the fields of a new freeze; State says whether it is put in force at once.
type CreateFields struct {
	FreezeFields
	State State `json:"state,omitempty" enum:"draft,active" default:"draft"`
}

func (s *Service) writeOperations(m *api.Module) {
	add := func(ctx context.Context, f Freeze, edit func(*Freeze), err error) (*created[freezeBody], error) {
		if err != nil {
			return nil, err
		}
		edit(&f)
		if f, err = s.CreateFreeze(ctx, api.Actor(ctx), f); err != nil {
			return nil, err
		}
		return &created[freezeBody]{Location: api.Request(ctx).Path("/api/v1/freezes/" + f.ID.String()), Body: newFreezeBody(f)}, nil
	}
	type createIn struct{ Body CreateFields }
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes", Permission: ManageFreezes, ID: "create-freeze", Summary: "Create a freeze", Tag: tag, Status: http.StatusCreated},
		func(ctx context.Context, in *createIn) (*created[freezeBody], error) {
			edit, err := in.Body.edit(workspaceZone(ctx))
			return add(ctx, Freeze{State: in.Body.State, Schedule: Schedule{Zone: workspaceZone(ctx)}}, edit, err)
		})
	type windowIn struct {
		Body struct {
			WindowFields
			State State `json:"state,omitempty" enum:"draft,active" default:"active"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/maintenance-windows", Permission: ManageFreezes, ID: "create-maintenance-window", Summary: "Create a maintenance window", Tag: tag, Status: http.StatusCreated},
		func(ctx context.Context, in *windowIn) (*created[freezeBody], error) {
			edit, err := in.Body.edit(workspaceZone(ctx))
			f := Freeze{Kind: Maintenance, State: in.Body.State, Schedule: Schedule{Zone: workspaceZone(ctx)}}
			return add(ctx, f, edit, err)
		})
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			FreezeFields
			Version *int64 `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/freezes/{id}", Permission: ManageFreezes, ID: "change-freeze", Summary: "Change a freeze or maintenance window", Tag: tag},
		func(ctx context.Context, in *patchIn) (*out[freezeBody], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			edit, err := in.Body.edit(workspaceZone(ctx))
			if err != nil {
				return nil, err
			}
			f, err := s.ChangeFreeze(ctx, api.Actor(ctx), id, Change{Edit: edit, Version: in.Body.Version, IfMatch: in.IfMatch})
			return &out[freezeBody]{Body: newFreezeBody(f)}, err
		})
	type previewIn struct {
		Body struct {
			FreezeFields
			FreezeID string `json:"freeze_id,omitempty" doc:"The freeze that would be changed; left out for a new one."`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes/preview", Permission: ManageFreezes, ID: "preview-freeze", Summary: "Say what a freeze would do", Tag: tag},
		func(ctx context.Context, in *previewIn) (*out[previewBody], error) {
			id := uuid.Nil
			if in.Body.FreezeID != "" {
				var err error
				if id, err = parseID(in.Body.FreezeID, "freeze"); err != nil {
					return nil, err
				}
			}
			edit, err := in.Body.edit(workspaceZone(ctx))
			if err != nil {
				return nil, err
			}
			_, p, err := s.PreviewFreeze(ctx, api.Actor(ctx), id, edit)
			return &out[previewBody]{Body: newPreviewBody(p)}, err
		})
}

// workspaceZone is the zone of the workspace, UTC until it has one.
func workspaceZone(ctx context.Context) string {
	if zone := api.Request(ctx).Workspace.TimeZone; zone != "" {
		return zone
	}
	return "UTC"
}

func (s *Service) lifeOperations(m *api.Module) {
	type actIn struct {
		ByID
		Seen
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes/{id}/activate", Permission: ManageFreezes, ID: "activate-freeze", Summary: "Put a draft in force", Tag: tag},
		func(ctx context.Context, in *actIn) (*out[freezeBody], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			f, err := s.ActivateFreeze(ctx, api.Actor(ctx), id, in.version(), in.IfMatch)
			return &out[freezeBody]{Body: newFreezeBody(f)}, err
		})
	type liftIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			Reason  string `json:"reason"`
			Version *int64 `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes/{id}/lift", Permission: ManageFreezes, ID: "lift-freeze", Summary: "End a freeze or maintenance window for good", Tag: tag},
		func(ctx context.Context, in *liftIn) (*out[freezeBody], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			f, err := s.LiftFreeze(ctx, api.Actor(ctx), id, in.Body.Reason, in.Body.Version, in.IfMatch)
			return &out[freezeBody]{Body: newFreezeBody(f)}, err
		})
	type deleteIn struct {
		ByID
		IfMatch string `header:"If-Match"`
	}
	api.Register(m, api.Op{Method: http.MethodDelete, Path: "/freezes/{id}", Permission: ManageFreezes, ID: "delete-freeze", Summary: "Delete a draft", Tag: tag, Status: http.StatusNoContent},
		func(ctx context.Context, in *deleteIn) (*struct{}, error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			return nil, s.DeleteDraft(ctx, api.Actor(ctx), id, nil, in.IfMatch)
		})
}

// ByOverride names an override of a freeze by the path.
type ByOverride struct {
	ByID
	OID string `path:"oid"`
}

func (s *Service) overrideOperations(m *api.Module) {
	type overrideList struct {
		Items []overrideBody `json:"items" nullable:"false" doc:"Newest first, at most 100."`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/freezes/{id}/overrides", Permission: ReadFreezes, ID: "list-freeze-overrides", Summary: "List the overrides of a freeze", Tag: tag},
		func(ctx context.Context, in *ByID) (*out[overrideList], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			body := overrideList{Items: []overrideBody{}}
			err = s.db.InWorkspace(ctx, api.Actor(ctx), func(tx *db.Tx) error {
				if _, err := loadFreeze.One(ctx, tx, db.Args{"id": id}); err != nil {
					return err
				}
				rows, err := overridesOf.All(ctx, tx, db.Args{"freeze": id})
				for o := range slices.Values(rows) {
					body.Items = append(body.Items, newOverrideBody(o))
				}
				return err
			})
			return &out[overrideList]{Body: body}, err
		})
	type requestIn struct {
		ByID
		Body struct {
			Change   string `json:"change" doc:"Id or key of the change."`
			Revision *int64 `json:"revision,omitempty" doc:"The revision that was looked at; the present one when left out."`
			Reason   string `json:"reason" doc:"At least 15 characters."`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes/{id}/overrides", Permission: RequestOverrides, ID: "request-freeze-override", Summary: "Ask that a change may pass a freeze", Tag: tag, Status: http.StatusCreated},
		func(ctx context.Context, in *requestIn) (*created[overrideBody], error) {
			id, err := in.parse()
			if err != nil {
				return nil, err
			}
			o, err := s.RequestOverride(ctx, api.Actor(ctx), id, NewOverride{Change: in.Body.Change, Revision: in.Body.Revision, Reason: in.Body.Reason})
			if err != nil {
				return nil, err
			}
			return &created[overrideBody]{Location: api.Request(ctx).Path("/api/v1/freezes/" + id.String() + "/overrides"), Body: newOverrideBody(o)}, nil
		})
	decide := func(ctx context.Context, in ByOverride, grant bool, note string) (*out[overrideBody], error) {
		id, err := in.parse()
		if err != nil {
			return nil, err
		}
		oid, err := parseID(in.OID, "override")
		if err != nil {
			return nil, err
		}
		o, err := s.DecideOverride(ctx, api.Actor(ctx), id, oid, grant, note)
		return &out[overrideBody]{Body: newOverrideBody(o)}, err
	}
	type grantIn struct {
		ByOverride
		Body *struct {
			Note string `json:"note,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes/{id}/overrides/{oid}/grant", Permission: GrantOverrides, ID: "grant-freeze-override", Summary: "Grant an override", Tag: tag},
		func(ctx context.Context, in *grantIn) (*out[overrideBody], error) {
			note := ""
			if in.Body != nil {
				note = in.Body.Note
			}
			return decide(ctx, in.ByOverride, true, note)
		})
	type refuseIn struct {
		ByOverride
		Body struct {
			Note string `json:"note" doc:"Why, in at least 15 characters."`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/freezes/{id}/overrides/{oid}/refuse", Permission: GrantOverrides, ID: "refuse-freeze-override", Summary: "Refuse an override", Tag: tag},
		func(ctx context.Context, in *refuseIn) (*out[overrideBody], error) {
			return decide(ctx, in.ByOverride, false, in.Body.Note)
		})
}
