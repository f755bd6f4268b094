package alertrules

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// State is whether an alert's condition still holds.
type State string

// The states of an alert.
const (
	Firing   State = "firing"
	Resolved State = "resolved"
)

// Label is the state in words.
func (s State) Label() string {
	if s == Resolved {
		return "Resolved"
	}
	return "Firing"
}

// Alert is one period in which a rule's condition held for a host, or one change.
type Alert struct {
	ID             uuid.UUID      `db:"id"`
	RuleID         uuid.UUID      `db:"rule_id"`
	RuleName       string         `db:"rule_name"`
	Trigger        Trigger        `db:"trigger"`
	Severity       event.Severity `db:"severity"`
	HostID         uuid.UUID      `db:"host_id"`
	HostTitle      string         `db:"host_title"`
	HostPath       string         `db:"host_path"`
	Message        string         `db:"message"`
	State          State          `db:"state"`
	FiredAt        time.Time      `db:"fired_at"`
	ResolvedAt     *time.Time     `db:"resolved_at"`
	ResolvedReason string         `db:"resolved_reason"`
	AcknowledgedAt *time.Time     `db:"acknowledged_at"`
	AcknowledgedBy uuid.NullUUID  `db:"acknowledged_by"` // user or token
	// Acknowledger is their name where it is read and known.
	Acknowledger   string     `db:"acknowledger"`
	LastNotifiedAt *time.Time `db:"last_notified_at"`
	// Muting is why nobody is told, or, of an alert that ended, why nobody was at last.
	Muting
}

func (a Alert) subject() event.Subject {
	return event.Subject{Type: "alert", ID: a.ID, Title: a.HostTitle + ": " + a.RuleName}
}

func (a Alert) host() *event.Subject {
	return &event.Subject{Type: "host", ID: a.HostID, Title: a.HostTitle}
}

// reasonText says why an alert ended.
func reasonText(reason string) string {
	switch reason {
	case reasonCleared:
		return "The condition no longer holds"
	case reasonNoData:
		return "No data for an hour"
	case reasonRemoved:
		return "The host was removed"
	case reasonTarget:
		return "The rule no longer watches the host"
	case reasonDisabled:
		return "The rule was switched off"
	case reasonDeleted:
		return "The rule was deleted"
	case reasonOneTime:
		return "A change, over at once"
	default:
		return ""
	}
}

// Filter chooses alerts. Zero values choose all.
type Filter struct {
	State    State
	Rule     uuid.UUID
	Severity event.Severity
	Host     uuid.UUID
	// Text is how the host begins.
	Text         string
	Acknowledged *bool
	// Waiting chooses alerts that nobody acknowledged and that nothing mutes.
	Waiting bool
	// MutedID is the silence or the rule that mutes them.
	MutedID uuid.UUID
}

func (f Filter) query() *db.ListQuery[Alert] {
	q := alertList.Query()
	if f.State != "" {
		q = q.Filter("state", db.Args{"state": f.State})
	}
	if f.Rule != uuid.Nil {
		q = q.Filter("rule", db.Args{"rule": f.Rule})
	}
	if f.Severity != "" {
		q = q.Filter("severity", db.Args{"severity": f.Severity})
	}
	if f.Host != uuid.Nil {
		q = q.Filter("host", db.Args{"host": f.Host})
	}
	if f.Text != "" {
		q = q.Filter("text", db.Args{"text": strings.ToLower(f.Text)})
	}
	if f.Acknowledged != nil {
		q = q.Filter("acknowledged", db.Args{"acknowledged": *f.Acknowledged})
	}
	if f.Waiting {
		q = q.Filter("waiting", nil)
	}
	if f.MutedID != uuid.Nil {
		q = q.Filter("muted_id", db.Args{"muted_id": f.MutedID})
	}
	return q
}

// Alert reads one alert.
func (s *Service) Alert(ctx context.Context, a db.Actor, id uuid.UUID) (Alert, error) {
	var page *db.PageResult[Alert]
	if err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		page = alertList.Query().Filter("id", db.Args{"id": id}).Queue(b)
	}); err != nil {
		return Alert{}, err
	}
	if len(page.Page.Items) == 0 {
		return Alert{}, fault.NewNotFound("alert")
	}
	return page.Page.Items[0], nil
}

func oneAlert(ctx context.Context, tx *db.Tx, id uuid.UUID) (Alert, error) {
	page, err := alertList.Query().Filter("id", db.Args{"id": id}).Page(ctx, tx)
	if err != nil {
		return Alert{}, err
	}
	if len(page.Items) == 0 {
		return Alert{}, fault.NewNotFound("alert")
	}
	return page.Items[0], nil
}

// Acknowledge says that the actor looks after an alert. Doing it twice changes nothing;
// an alert that has ended needs nobody any more.
func (s *Service) Acknowledge(ctx context.Context, a db.Actor, id uuid.UUID) (Alert, error) {
	var out Alert
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if _, err := s.acknowledge(ctx, tx, []uuid.UUID{id}); err != nil {
			return err
		}
		var err error
		if out, err = oneAlert(ctx, tx, id); err != nil {
			return err
		}
		if out.State == Resolved && out.AcknowledgedAt == nil {
			return fault.NewConflict("alert_resolved", "This alert has ended meanwhile. There is nothing left to acknowledge.")
		}
		return nil
	})
	return out, err
}

// maxBulk is how many alerts one call acknowledges (security.md, limits).
const maxBulk = 200

// AcknowledgeMany acknowledges those of the alerts that still wait for it, and returns
// how many there were.
func (s *Service) AcknowledgeMany(ctx context.Context, a db.Actor, ids []uuid.UUID) (int, error) {
	if len(ids) > maxBulk {
		return 0, fault.NewInvalid("too_many", "Acknowledge at most 200 alerts at once.")
	}
	n := 0
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		n, err = s.acknowledge(ctx, tx, ids)
		return err
	})
	return n, err
}

func (s *Service) acknowledge(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (int, error) {
	if err := s.policy.Check(tx.Actor, AcknowledgeAlerts); err != nil {
		return 0, err
	}
	changed, err := acknowledgeAlerts.All(ctx, tx, db.Args{"ids": ids, "by": tx.Actor.ID})
	if err != nil {
		return 0, err
	}
	for _, alert := range changed {
		if err := s.record(ctx, tx, ledger.Entry{
			Action: eventAcknowledged, Subject: alert.subject(), Parent: alert.host(), Payload: alertPayload(alert),
			Changes: []ledger.Change{{Field: "acknowledged", From: false, To: true}},
		}); err != nil {
			return 0, err
		}
	}
	return len(changed), nil
}

// HomeItem is an alert that waits for somebody.
type HomeItem struct {
	Title, Href, Meta, Tone string
}

// QueueHome reads alerts that fire and are told and that nobody acknowledged, newest first,
// at most limit; Href is below the workspace.
func (s *Service) QueueHome(b *db.Batch, a db.Actor, limit int) func() []HomeItem {
	if !s.policy.Can(a, ReadAlerts) {
		return func() []HomeItem { return nil }
	}
	alerts := urgent.Queue(b, db.Args{"limit": limit})
	return func() []HomeItem {
		out := make([]HomeItem, len(alerts.Rows))
		for i, a := range alerts.Rows {
			out[i] = HomeItem{Title: a.HostTitle, Href: "/alerts/" + a.ID.String(), Meta: a.RuleName, Tone: toneName(a.Severity)}
		}
		return out
	}
}

// toneName is the tone of a severity as the home page names tones.
func toneName(s event.Severity) string {
	switch s {
	case event.Critical, event.High:
		return "crit"
	case event.Medium:
		return "warn"
	default:
		return "info"
	}
}
