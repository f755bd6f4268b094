package identity

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

const (
	eventStarted      = "session.started"
	eventEnded        = "session.ended"
	eventRefused      = "session.refused"
	eventTokenCreated = "token.created"
	eventTokenRevoked = "token.revoked"
)

// TokenEvent is the payload of events about API tokens. It never holds the token.
type TokenEvent struct {
	TokenID uuid.UUID     `json:"token_id"`
	Kind    string        `json:"kind"`
	Name    string        `json:"name"`
	Prefix  string        `json:"prefix"`
	Owner   uuid.NullUUID `json:"owner_id"`
	Role    string        `json:"role,omitempty"`
	Scopes  []string      `json:"scopes"`
}

func events() []event.Type {
	example := TokenEvent{
		Kind: KindService, Name: "Deploy pipeline", Prefix: "vgl_3kTqLm9x", Role: "member", Scopes: []string{"cert.read"},
	}
	return []event.Type{
		{Name: eventStarted, Label: "Signed in", Group: "Access", Severity: event.Info, Category: event.CategoryAccess, AuditOnly: true},
		{Name: eventEnded, Label: "Signed out", Group: "Access", Severity: event.Info, Category: event.CategoryAccess, AuditOnly: true},
		{Name: eventRefused, Label: "Sign-in refused", Group: "Access", Severity: event.Medium, Category: event.CategoryAccess, AuditOnly: true},
		{Name: eventTokenCreated, Label: "API token created", Group: "Access", Severity: event.Low, Category: event.CategoryAccess, Example: example},
		{Name: eventTokenRevoked, Label: "API token revoked", Group: "Access", Severity: event.Low, Category: event.CategoryAccess, Example: example},
	}
}
