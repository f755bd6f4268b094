package notifications

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func (s *Service) operations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/notifications", Permission: ReadNotifications, ID: "list-notifications",
		Summary: "List your notifications, newest first", Tag: "notifications",
	}, s.apiList)
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/notifications/read", Permission: ReadNotifications, ID: "mark-notifications-read",
		Summary: "Mark notifications as read: some by id, or all", Tag: "notifications",
	}, s.apiRead)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/me/preferences", Permission: ReadNotifications, ID: "get-preferences",
		Summary: "Read your notification preferences", Tag: "notifications",
	}, s.apiPreferences)
	api.Register(m, api.Op{
		Method: http.MethodPut, Path: "/me/preferences", Permission: ReadNotifications, ID: "put-preferences",
		Summary: "Replace your notification preferences; events that are not listed keep their channels", Tag: "notifications",
	}, s.apiSavePreferences)
}

// NotificationBody is a notification in the API.
type NotificationBody struct {
	ID        uuid.UUID    `json:"id"`
	Event     string       `json:"event"`
	Severity  string       `json:"severity"`
	Title     string       `json:"title"`
	Body      string       `json:"body"`
	Path      string       `json:"path" doc:"Page of the thing below the workspace; empty when there is none."`
	Subject   *SubjectBody `json:"subject"`
	Read      bool         `json:"read"`
	ReadAt    *time.Time   `json:"read_at"`
	CreatedAt time.Time    `json:"created_at"`
}

// SubjectBody names a thing in the API.
type SubjectBody struct {
	Type  string    `json:"type"`
	ID    uuid.UUID `json:"id"`
	Title string    `json:"title"`
}

func bodyOf(i Item) NotificationBody {
	b := NotificationBody{
		ID: i.ID, Event: i.EventName, Severity: string(i.Severity), Title: i.Title, Body: i.Body, Path: i.Path,
		Read: i.ReadAt != nil, ReadAt: i.ReadAt, CreatedAt: i.CreatedAt,
	}
	if i.SubjectID.Valid {
		b.Subject = &SubjectBody{Type: i.SubjectType, ID: i.SubjectID.UUID, Title: i.SubjectTitle}
	}
	return b
}

type listIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
	Unread bool   `query:"unread" doc:"Only what is unread."`
}

type listOut struct{ Body api.List[NotificationBody] }

func (s *Service) apiList(ctx context.Context, in *listIn) (*listOut, error) {
	box, err := s.Inbox(ctx, api.Actor(ctx), InboxFilter{Unread: in.Unread, Cursor: in.Cursor, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return &listOut{Body: api.NewList(box.Page, bodyOf)}, nil
}

type readIn struct {
	Body struct {
		IDs []uuid.UUID `json:"ids,omitempty" maxItems:"200" doc:"At most 200 notifications."`
		All bool        `json:"all,omitempty" doc:"Everything in your inbox."`
	}
}

type readOut struct {
	Body struct {
		Marked int64 `json:"marked" doc:"How many were unread before."`
	}
}

func (s *Service) apiRead(ctx context.Context, in *readIn) (*readOut, error) {
	if in.Body.All == (len(in.Body.IDs) > 0) {
		return nil, fault.InvalidField("ids", "required", "Send either ids or all.")
	}
	out := &readOut{}
	var err error
	if in.Body.All {
		out.Body.Marked, err = s.MarkAllRead(ctx, api.Actor(ctx))
	} else {
		out.Body.Marked, err = s.MarkRead(ctx, api.Actor(ctx), in.Body.IDs)
	}
	return out, err
}

// PreferencesBody is a member's preferences in the API. What GET answers, PUT accepts.
type PreferencesBody struct {
	SeverityFloor  string         `json:"severity_floor" enum:"info,low,medium,high,critical"`
	MailEnabled    bool           `json:"mail_enabled"`
	Digest         string         `json:"digest" enum:"none,hourly,daily"`
	DigestAt       string         `json:"digest_at" example:"08:00" doc:"When a daily digest is sent, in your time zone."`
	QuietHours     QuietHoursBody `json:"quiet_hours"`
	BypassCritical bool           `json:"bypass_critical" doc:"Critical things are mailed at once."`
	Events         []EventBody    `json:"events" required:"false" nullable:"false"`
	Muted          []MutedBody    `json:"muted" required:"false" nullable:"false" readOnly:"true"`
	MailAvailable  bool           `json:"mail_available" required:"false" readOnly:"true" doc:"Whether a mail server is set up."`
	Version        *int64         `json:"version,omitempty" doc:"The version that was read; a stale one is refused with 409."`
}

// QuietHoursBody is the part of the day without mail.
type QuietHoursBody struct {
	Enabled bool   `json:"enabled"`
	From    string `json:"from" example:"22:00"`
	To      string `json:"to" example:"07:00"`
}

// EventBody is the channels of one event.
type EventBody struct {
	Name     string `json:"name"`
	Label    string `json:"label,omitempty" readOnly:"true"`
	Group    string `json:"group,omitempty" readOnly:"true"`
	Severity string `json:"severity,omitempty" readOnly:"true"`
	InApp    bool   `json:"in_app"`
	Mail     bool   `json:"mail"`
}

// MutedBody is a muted thing.
type MutedBody struct {
	SubjectType string    `json:"subject_type"`
	SubjectID   uuid.UUID `json:"subject_id"`
	Title       string    `json:"title"`
	CreatedAt   time.Time `json:"created_at"`
}

type preferencesOut struct{ Body PreferencesBody }

func (s *Service) apiPreferences(ctx context.Context, _ *struct{}) (*preferencesOut, error) {
	p, err := s.Profile(ctx, api.Actor(ctx))
	if err != nil {
		return nil, err
	}
	out := &preferencesOut{Body: PreferencesBody{
		SeverityFloor: string(p.Floor), MailEnabled: p.MailEnabled, Digest: string(p.Digest), DigestAt: clockText(p.DigestAt),
		QuietHours:     QuietHoursBody{Enabled: p.Quiet.On, From: clockText(p.Quiet.From), To: clockText(p.Quiet.To)},
		BypassCritical: p.Bypass, MailAvailable: p.HasServer, Version: &p.Version,
		Events: []EventBody{}, Muted: []MutedBody{},
	}}
	for _, e := range p.Events {
		out.Body.Events = append(out.Body.Events, EventBody{
			Name: e.Type.Name, Label: e.Type.Label, Group: e.Type.Group, Severity: string(e.Type.Severity), InApp: e.InApp, Mail: e.Mail,
		})
	}
	for _, m := range p.Mutes {
		out.Body.Muted = append(out.Body.Muted, MutedBody{
			SubjectType: m.SubjectType, SubjectID: m.SubjectID, Title: m.Title, CreatedAt: m.CreatedAt,
		})
	}
	return out, nil
}

type preferencesIn struct {
	IfMatch string `header:"If-Match"`
	Body    PreferencesBody
}

func (s *Service) apiSavePreferences(ctx context.Context, in *preferencesIn) (*preferencesOut, error) {
	a, b := api.Actor(ctx), in.Body
	now, err := s.Profile(ctx, a)
	if err != nil {
		return nil, err
	}
	if err := api.CheckVersion(in.IfMatch, b.Version, now.Version); err != nil {
		return nil, err
	}
	p := Preferences{
		Floor: event.Severity(b.SeverityFloor), MailEnabled: b.MailEnabled, Digest: Digest(b.Digest), DigestAt: clockMinute(b.DigestAt),
		Quiet:  QuietHours{On: b.QuietHours.Enabled, From: clockMinute(b.QuietHours.From), To: clockMinute(b.QuietHours.To)},
		Bypass: b.BypassCritical, Version: now.Version,
	}
	choices := make([]Choice, len(b.Events))
	for i, e := range b.Events {
		choices[i] = Choice{Event: e.Name, Channels: event.Channels{InApp: e.InApp, Mail: e.Mail}}
	}
	if err := s.SavePreferences(ctx, a, p, choices); err != nil {
		return nil, err
	}
	return s.apiPreferences(ctx, nil)
}
