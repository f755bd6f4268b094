package integrations

import (
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

// The events that this module records.
const (
	EventCreated       = "webhook.created"
	EventUpdated       = "webhook.updated"
	EventDeleted       = "webhook.deleted"
	EventEnabled       = "webhook.enabled"
	EventDisabled      = "webhook.disabled"
	EventSecretRotated = "webhook.secret_rotated"
	EventNetworks      = "webhook.networks_changed"
	EventTested        = "webhook.tested"
	EventReplayed      = "webhook.replayed"
)

// TestEvent is the name of a test event. It is sent to one endpoint when somebody asks, and
// never recorded, so it is not in the catalogue.
const TestEvent = "webhook.test"

// EndpointPayload is the body of events about an endpoint. It names the host only: the
// address may hold a token of its receiver, and other receivers read this.
type EndpointPayload struct {
	Host        string   `json:"host"`
	Description string   `json:"description"`
	Patterns    []string `json:"patterns"`
	Enabled     bool     `json:"enabled"`
}

// DisabledPayload is the body of webhook.disabled.
type DisabledPayload struct {
	Host         string         `json:"host"`
	Description  string         `json:"description"`
	Reason       DisabledReason `json:"reason"`
	FailingSince *time.Time     `json:"failing_since"`
}

// RotatedPayload is the body of webhook.secret_rotated.
type RotatedPayload struct {
	Host               string    `json:"host"`
	PreviousValidUntil time.Time `json:"previous_valid_until"`
}

// NetworksPayload is the body of webhook.networks_changed.
type NetworksPayload struct {
	Networks []string `json:"networks"`
}

// TestPayload is the body of a test event.
type TestPayload struct {
	Message string `json:"message"`
}

func subject(e Endpoint) event.Subject {
	return event.Subject{Type: SubjectType, ID: e.ID, Title: e.Name()}
}

func payloadOf(e Endpoint) EndpointPayload {
	return EndpointPayload{Host: e.Host(), Description: e.Description, Patterns: e.Patterns, Enabled: e.Enabled}
}

func disabledPayload(e Endpoint) DisabledPayload {
	p := DisabledPayload{Host: e.Host(), Description: e.Description, FailingSince: e.FailingSince}
	if e.DisabledReason != nil {
		p.Reason = *e.DisabledReason
	}
	return p
}

func lines(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, "\n")
}

func eventTypes() []event.Type {
	example := EndpointPayload{Host: "hooks.example.com", Description: "Deploy bot", Patterns: []string{"change.*"}, Enabled: true}
	since := time.Date(2026, 11, 6, 9, 30, 0, 0, time.UTC)
	const group = "Integrations"
	admin := func(name, label string, severity event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: severity, Category: event.CategoryAdmin, Example: example}
	}
	disabled := admin(EventDisabled, "Webhook disabled", event.High,
		DisabledPayload{Host: example.Host, Description: example.Description, Reason: DisabledFailing, FailingSince: &since})
	disabled.Notify = event.Channels{InApp: true, Mail: true}
	tested := admin(EventTested, "Test event sent to a webhook", event.Info, nil)
	replayed := admin(EventReplayed, "Deliveries of a webhook replayed", event.Info, nil)
	tested.AuditOnly, replayed.AuditOnly = true, true
	return []event.Type{
		admin(EventCreated, "Webhook added", event.Info, example),
		admin(EventUpdated, "Webhook changed", event.Info, example),
		admin(EventDeleted, "Webhook deleted", event.Info, example),
		admin(EventEnabled, "Webhook enabled", event.Info, example),
		disabled,
		admin(EventSecretRotated, "Webhook secret rotated", event.Low, RotatedPayload{Host: example.Host, PreviousValidUntil: since.Add(24 * time.Hour)}),
		admin(EventNetworks, "Networks that webhooks may reach changed", event.Medium, NetworksPayload{Networks: []string{"10.20.0.0/16"}}),
		tested, replayed,
	}
}
