package auditlog

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// FilterIn is the filter of the audit log as parameters of the API.
type FilterIn struct {
	Actor      string `query:"actor" doc:"Id of a person or token, or one of: system, anonymous."`
	Action     string `query:"action" doc:"Name of an action, or its beginning up to a dot." example:"host."`
	TargetType string `query:"target_type" doc:"Type of the thing, such as host."`
	Target     string `query:"target" doc:"Key, id, or type:id of the thing. type:id is the fastest."`
	Outcome    string `query:"outcome" doc:"One of: success, denied, failed."`
	Category   string `query:"category" doc:"One of: activity, access, admin, export, approval."`
	From       string `query:"from" doc:"First moment, RFC 3339 or a date in UTC. Without it, 90 days before the end."`
	To         string `query:"to" doc:"End, excluded; a date includes that day. Without it, now."`
	Text       string `query:"q" doc:"Words in key, title, reason, action or changed values, each as the start of a word. At most the newest 10,000 entries that hold them are looked at."`
}

func (in FilterIn) criteria(now time.Time) (Criteria, error) {
	return Filter{
		Actor: in.Actor, Action: in.Action, TargetType: in.TargetType, Target: in.Target, Outcome: in.Outcome,
		Category: in.Category, From: in.From, To: in.To, Text: in.Text,
	}.Parse(now, time.UTC)
}

type listIn struct {
	api.ListIn
	FilterIn
}

type listOut struct{ Body api.List[item] }

type entryIn struct {
	ID string `path:"id" doc:"Id of the entry."`
}

type entryOut struct{ Body item }

type exportIn struct {
	FilterIn
	Format string `query:"format" required:"true" doc:"One of: csv, jsonl."`
}

type eventsIn struct {
	After  string `query:"after" doc:"Id of the last event that was received; without it, from the first. A transaction that ends late may add an event slightly before the last one: ask again from a little earlier when none may be missed."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before; stronger than after."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items."`
}

type eventsOut struct{ Body api.List[eventItem] }

// eventItem is an event as webhooks carry it.
type eventItem struct {
	ID            uuid.UUID       `json:"id" format:"uuid"`
	Name          string          `json:"name" example:"host.created"`
	OccurredAt    time.Time       `json:"occurred_at"`
	Severity      string          `json:"severity" enum:"info,low,medium,high,critical"`
	Actor         eventActor      `json:"actor"`
	Subject       ref             `json:"subject"`
	SchemaVersion int             `json:"schema_version"`
	Payload       json.RawMessage `json:"payload"`
	RequestID     *uuid.UUID      `json:"request_id,omitempty" format:"uuid"`
}

type eventActor struct {
	Kind   string     `json:"kind" enum:"user,api_key,service,system,anonymous"`
	ID     *uuid.UUID `json:"id,omitempty" format:"uuid"`
	Name   string     `json:"name"`
	Reason string     `json:"reason,omitempty"`
}

type typesOut struct{ Body api.List[typeItem] }

// typeItem is a declared event.
type typeItem struct {
	Name      string     `json:"name"`
	Label     string     `json:"label"`
	Group     string     `json:"group"`
	Severity  string     `json:"severity" enum:"info,low,medium,high,critical"`
	Category  string     `json:"category" enum:"activity,access,admin,export,approval"`
	AuditOnly bool       `json:"audit_only" doc:"Recorded in the audit log, and never sent as an event."`
	Notify    typeNotify `json:"notify"`
	Example   any        `json:"example,omitempty" doc:"Payload as receivers see it."`
}

type typeNotify struct {
	InApp bool `json:"in_app"`
	Mail  bool `json:"mail"`
}

func (s *Service) registerAPI(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/audit", Permission: canRead, ID: "list-audit-entries",
		Summary: "List entries of the audit log", Tag: "Audit",
	}, s.apiList)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/audit/export", Permission: canExport, ID: "export-audit-entries",
		Summary: "Export entries of the audit log", Tag: "Audit",
	}, s.apiExport)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/audit/{id}", Permission: canRead, ID: "get-audit-entry",
		Summary: "Get one entry of the audit log", Tag: "Audit",
	}, s.apiEntry)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/events", Permission: canReadEvents, ID: "list-events",
		Summary: "List events, oldest first", Tag: "Events",
	}, s.apiEvents)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/event-types", Permission: canReadEvents, ID: "list-event-types",
		Summary: "List the events that can happen", Tag: "Events",
	}, s.apiTypes)
}

func (s *Service) apiList(ctx context.Context, in *listIn) (*listOut, error) {
	c, err := in.criteria(s.db.Clock().Now())
	if err != nil {
		return nil, err
	}
	p, err := s.List(ctx, api.Actor(ctx), c, func(q *db.ListQuery[activity.Row]) (*db.ListQuery[activity.Row], error) {
		return api.Apply(in.ListIn, entries, q)
	}, false, nil)
	if err != nil {
		return nil, err
	}
	if in.Cursor == "" {
		if err := s.RecordSearch(ctx, api.Actor(ctx), c); err != nil {
			return nil, err
		}
	}
	out := &listOut{Body: api.List[item]{Items: make([]item, len(p.Entries))}}
	for i, e := range p.Entries {
		out.Body.Items[i] = newItem(e)
	}
	if p.Next != "" {
		out.Body.NextCursor = &p.Next
	}
	return out, nil
}

func (s *Service) apiEntry(ctx context.Context, in *entryIn) (*entryOut, error) {
	id, err := uuid.Parse(in.ID)
	if err != nil || len(in.ID) != 36 {
		return nil, fault.NewNotFound("audit entry")
	}
	d, err := s.Entry(ctx, api.Actor(ctx), id)
	if err != nil {
		return nil, err
	}
	return &entryOut{Body: newItem(d.Entry)}, nil
}

func (s *Service) apiExport(ctx context.Context, in *exportIn) (*huma.StreamResponse, error) {
	c, err := in.criteria(s.db.Clock().Now())
	if err != nil {
		return nil, err
	}
	x, err := s.Export(ctx, api.Actor(ctx), c, Format(in.Format))
	if err != nil {
		return nil, err
	}
	r := api.Request(ctx)
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", x.Format.ContentType())
		h.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": x.Name()}))
		s.stream(r, x, r.W)
	}}, nil
}

func (s *Service) apiEvents(ctx context.Context, in *eventsIn) (*eventsOut, error) {
	place, field := in.After, "after"
	if in.Cursor != "" {
		place, field = in.Cursor, "cursor"
	}
	var after uuid.UUID
	if place != "" {
		var err error
		if after, err = uuid.Parse(place); err != nil {
			return nil, fault.InvalidField(field, "invalid_id", "Use the id of an event.")
		}
	}
	all, err := s.Events(ctx, api.Actor(ctx), after, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventsOut{Body: api.List[eventItem]{Items: make([]eventItem, len(all))}}
	for i, e := range all {
		out.Body.Items[i] = newEventItem(e)
	}
	if len(all) == in.Limit {
		last := all[len(all)-1].ID.String()
		out.Body.NextCursor = &last
	}
	return out, nil
}

func newEventItem(e event.Event) eventItem {
	return eventItem{
		ID: e.ID, Name: e.Name, OccurredAt: e.OccurredAt, Severity: string(e.Severity),
		Actor:         eventActor{Kind: e.Actor.Kind, ID: unlessNil(e.Actor.ID), Name: e.Actor.Name, Reason: e.Actor.Reason},
		Subject:       ref{Type: e.Subject.Type, ID: e.Subject.ID, Key: e.Subject.Key, Title: e.Subject.Title},
		SchemaVersion: e.SchemaV, Payload: orNull(e.Payload), RequestID: known(e.RequestID),
	}
}

func (s *Service) apiTypes(context.Context, *struct{}) (*typesOut, error) {
	types := s.ledger.Catalogue().Types()
	out := &typesOut{Body: api.List[typeItem]{Items: make([]typeItem, len(types))}}
	for i, t := range types {
		out.Body.Items[i] = typeItem{
			Name: t.Name, Label: t.Label, Group: t.Group, Severity: string(t.Severity), Category: categoryWord(t.Category).name,
			AuditOnly: t.AuditOnly, Notify: typeNotify{InApp: t.Notify.InApp, Mail: t.Notify.Mail}, Example: t.Example,
		}
	}
	return out, nil
}
