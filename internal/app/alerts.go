package app

import (
	"cmp"
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/alertrules"
	"github.com/vigilo/vigilo/internal/certificates"
	"github.com/vigilo/vigilo/internal/integrations"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/members"
	"github.com/vigilo/vigilo/internal/notifications"
)

// watchedHosts gives alert rules the hosts of module certificates, which they do not know.
type watchedHosts struct{ certificates *certificates.Service }

func (w watchedHosts) Hosts(ctx context.Context, tx *db.Tx, ids []uuid.UUID) ([]alertrules.Host, error) {
	hosts, err := w.certificates.Hosts(ctx, tx, ids)
	return ruleHosts(hosts), err
}

func (w watchedHosts) HostsByExpiry(ctx context.Context, tx *db.Tx, before time.Time, after uuid.UUID, limit int) ([]alertrules.Host, error) {
	hosts, err := w.certificates.HostsByExpiry(ctx, tx, before, after, limit)
	return ruleHosts(hosts), err
}

func ruleHosts(hosts []certificates.HostExpiry) []alertrules.Host {
	out := make([]alertrules.Host, len(hosts))
	for i, h := range hosts {
		out[i] = alertrules.Host{
			ID: h.HostID, Title: h.Title, Path: h.Path, NotBefore: h.NotBefore, NotAfter: h.NotAfter, Status: h.Status,
			StatusDetail: h.StatusDetail, Tags: h.Tags, SnapshotID: h.SnapshotID, WarnDays: h.WarnDays,
			CriticalDays: h.CriticalDays, OwnerMemberID: h.OwnerMemberID,
		}
	}
	return out
}

// alertPeople tells people about alerts through module notifications.
type alertPeople struct{ notifications *notifications.Service }

func (p alertPeople) Notify(ctx context.Context, tx *db.Tx, n alertrules.Notice) error {
	return p.notifications.Notify(ctx, tx, notifications.Notice(n))
}

func (p alertPeople) QueueMailTo(ctx context.Context, tx *db.Tx, m alertrules.Mail) (bool, error) {
	return p.notifications.QueueMailTo(ctx, tx, notifications.ExternalMail(m))
}

// alertWebhooks delivers alerts to the endpoints that rules name.
type alertWebhooks struct{ integrations *integrations.Service }

func (w alertWebhooks) Endpoints(ctx context.Context, tx *db.Tx) ([]alertrules.Endpoint, error) {
	endpoints, err := w.integrations.Endpoints(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := make([]alertrules.Endpoint, len(endpoints))
	for i, e := range endpoints {
		out[i] = alertrules.Endpoint{ID: e.ID, Name: cmp.Or(e.Description, e.URL), Enabled: e.Enabled}
	}
	return out, nil
}

func (w alertWebhooks) Deliver(ctx context.Context, tx *db.Tx, endpointIDs []uuid.UUID, ev event.Event) error {
	return w.integrations.Deliver(ctx, tx, endpointIDs, ev)
}

func (w alertWebhooks) SendNow(ctx context.Context, a db.Actor, endpointID uuid.UUID, ev event.Event) (alertrules.WebhookAnswer, error) {
	attempt, err := w.integrations.SendNow(ctx, a, endpointID, ev)
	if err != nil {
		return alertrules.WebhookAnswer{}, err
	}
	return alertrules.WebhookAnswer{Status: attempt.Status, Latency: attempt.Latency, Problem: string(attempt.ErrorClass)}, nil
}

// alertsNow lists firing alerts for the home page.
func (s *Services) alertsNow(b *db.Batch, a db.Actor) func() members.HomeSection {
	items := s.AlertRules.QueueHome(b, a, homeLimit)
	return func() members.HomeSection {
		out := members.HomeSection{Title: "Alerts", Href: "/alerts", Empty: "No alert is firing."}
		for _, i := range items() {
			out.Items = append(out.Items, members.HomeItem{Title: i.Title, Href: i.Href, Meta: i.Meta, Tone: i.Tone, Icon: "siren"})
		}
		return out
	}
}
