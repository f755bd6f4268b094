package alertrules

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

// Names of the events of this module.
const (
	eventRuleCreated    = "alert_rule.created"
	eventRuleUpdated    = "alert_rule.updated"
	eventRuleDeleted    = "alert_rule.deleted"
	eventFired          = "alert.fired"
	eventResolved       = "alert.resolved"
	eventAcknowledged   = "alert.acknowledged"
	eventTestSent       = "alert.test_sent"
	eventSilenceCreated = "alert_silence.created"
	eventSilenceUpdated = "alert_silence.updated"
	eventSilenceEnded   = "alert_silence.ended"
	// The two below keep the record complete where the cooldown, a silence or a worse alert
	// keeps people from being told: they are audited and sent to nobody.
	eventHeldBack = "alert.held_back"
	eventCleared  = "alert.cleared"
)

// RulePayload is the body of alert_rule.created, updated and deleted.
type RulePayload struct {
	RuleID        uuid.UUID `json:"rule_id"`
	Name          string    `json:"name"`
	Scope         string    `json:"scope"`
	Trigger       Trigger   `json:"trigger"`
	ThresholdDays int       `json:"threshold_days,omitempty"`
	Severity      string    `json:"severity"`
	Enabled       bool      `json:"enabled"`
	Target        Target    `json:"target"`
}

// AlertPayload is the body of the events of an alert. State is that after the event: a
// change, such as another certificate, is resolved as soon as it fires.
type AlertPayload struct {
	AlertID  uuid.UUID  `json:"alert_id"`
	State    State      `json:"state"`
	RuleID   uuid.UUID  `json:"rule_id"`
	RuleName string     `json:"rule_name"`
	Trigger  Trigger    `json:"trigger"`
	Severity string     `json:"severity"`
	HostID   uuid.UUID  `json:"host_id"`
	Host     string     `json:"host"`
	Message  string     `json:"message"`
	NotAfter *time.Time `json:"not_after,omitempty"`
	DaysLeft *int       `json:"days_left,omitempty"`
	FiredAt  time.Time  `json:"fired_at"`
	Resolved *time.Time `json:"resolved_at,omitempty"`
	Reason   string     `json:"resolved_reason,omitempty"`
	// SuppressedRefires is how often it fired within the cooldown before this event.
	SuppressedRefires int `json:"suppressed_refires,omitempty"`
	// MutedBy is silence or rule when that kept the alert from being told, with its id.
	MutedBy   MutedBy    `json:"muted_by,omitempty"`
	MutedByID *uuid.UUID `json:"muted_by_id,omitempty"`
}

func rulePayload(r Rule) RulePayload {
	return RulePayload{
		RuleID: r.ID, Name: r.Name, Scope: r.Scope, Trigger: r.Trigger, ThresholdDays: r.ThresholdDays,
		Severity: string(r.Severity), Enabled: r.Enabled, Target: r.Target,
	}
}

func alertPayload(a Alert) AlertPayload {
	p := AlertPayload{
		AlertID: a.ID, State: a.State, RuleID: a.RuleID, RuleName: a.RuleName, Trigger: a.Trigger, Severity: string(a.Severity),
		HostID: a.HostID, Host: a.HostTitle, Message: a.Message, FiredAt: a.FiredAt.UTC(), Reason: a.ResolvedReason,
	}
	if a.ResolvedAt != nil {
		at := a.ResolvedAt.UTC()
		p.Resolved = &at
	}
	return p
}

func eventTypes() []event.Type {
	const group = "Alerts"
	end, days := time.Date(2026, time.November, 17, 12, 0, 0, 0, time.UTC), 6
	fired := AlertPayload{
		State: Firing, RuleName: "Certificate expires within 7 days", Trigger: ExpiringSoon, Severity: "high", Host: "shop.example.com:443",
		Message: "The certificate is valid until 17 November 2026, 12:00 UTC.", NotAfter: &end, DaysLeft: &days,
		FiredAt: time.Date(2026, time.November, 10, 12, 0, 1, 0, time.UTC),
	}
	resolvedAt := time.Date(2026, time.November, 11, 8, 30, 0, 0, time.UTC)
	resolved := fired
	resolved.State, resolved.Resolved, resolved.Reason, resolved.NotAfter, resolved.DaysLeft = Resolved, &resolvedAt, reasonCleared, nil, nil
	rule := RulePayload{
		Name: "Certificate expires within 7 days", Scope: ScopeCertificate, Trigger: ExpiringSoon, ThresholdDays: 7, Severity: "high",
		Enabled: true, Target: WholeWorkspace,
	}
	silence := SilencePayload{
		Comment: "Move of the shop to the new load balancers", HostIDs: []uuid.UUID{}, Tags: []string{"shop"}, RuleIDs: []uuid.UUID{},
		StartsAt: resolvedAt, EndsAt: resolvedAt.Add(4 * time.Hour),
	}
	// Nobody is notified by default: the rule itself says who hears of its alerts.
	admin := func(name, label string) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: event.Low, Category: event.CategoryAdmin, Example: rule}
	}
	silenceEvent := func(name, label string) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: event.Low, Category: event.CategoryAdmin, Example: silence}
	}
	activity := func(name, label string, s event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: s, Category: event.CategoryActivity, Example: example}
	}
	quiet := func(name, label string, example any) event.Type {
		t := activity(name, label, event.Info, example)
		t.AuditOnly = true
		return t
	}
	return []event.Type{
		admin(eventRuleCreated, "Alert rule created"),
		admin(eventRuleUpdated, "Alert rule changed"),
		admin(eventRuleDeleted, "Alert rule deleted"),
		activity(eventFired, "An alert fired", event.High, fired),
		activity(eventResolved, "An alert was resolved", event.Info, resolved),
		activity(eventAcknowledged, "An alert was acknowledged", event.Info, fired),
		activity(eventTestSent, "A test alert was sent", event.Info, fired),
		quiet(eventHeldBack, "An alert fired and was not told", fired),
		quiet(eventCleared, "An alert ended and nobody was told", resolved),
		silenceEvent(eventSilenceCreated, "Silence created"),
		silenceEvent(eventSilenceUpdated, "Silence changed"),
		silenceEvent(eventSilenceEnded, "Silence ended early"),
	}
}

// Events of module certificates, by name.
const (
	hostScanFailed    = "host.scan_failed"
	hostScanRecovered = "host.scan_recovered"
	certChanged       = "cert.changed"
	certIssuerChanged = "cert.issuer_changed"
)

func (s *Service) subscriptions() []event.Subscription {
	return []event.Subscription{{
		Name: "alertrules.evaluate",
		Patterns: []string{
			"host.added", "host.updated", "host.removed", "host.status_changed", hostScanFailed, hostScanRecovered,
			"cert.observed", certChanged, certIssuerChanged,
		},
		Handle: s.handleHost,
	}}
}

// handleHost judges the host that an event is about. A second delivery finds everything
// done: states lead to the same alerts, and a change is kept once by its event id.
func (s *Service) handleHost(ctx context.Context, ev event.Event) error {
	var p struct {
		HostID uuid.UUID `json:"host_id"`
	}
	if err := json.Unmarshal(ev.Payload, &p); err != nil {
		return fmt.Errorf("read payload of %s: %w", ev.Name, err)
	}
	if p.HostID == uuid.Nil && ev.Subject.Type == "host" {
		p.HostID = ev.Subject.ID
	}
	if p.HostID == uuid.Nil {
		return fmt.Errorf("%s %s names no host", ev.Name, ev.ID)
	}
	return s.Evaluate(ctx, ev.WorkspaceID, []uuid.UUID{p.HostID}, &ev)
}
