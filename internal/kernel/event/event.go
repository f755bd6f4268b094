// Package event holds the catalogue of everything that can happen, and carries each
// event from the transaction that made it to whoever subscribed. Delivery is at least
// once; subscribers are idempotent by event id.
package event

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Severity grades how much an event matters to people.
type Severity string

// Severities, least first.
const (
	Info     Severity = "info"
	Low      Severity = "low"
	Medium   Severity = "medium"
	High     Severity = "high"
	Critical Severity = "critical"
)

// Severities lists the severities, least first.
func Severities() []Severity { return []Severity{Info, Low, Medium, High, Critical} }

// Rank orders severities: 1 for info to 5 for critical, 0 for anything else.
func (s Severity) Rank() int { return slices.Index(Severities(), s) + 1 }

// Category groups audit entries for retention. The numbers are stored.
type Category int16

// The categories of the audit log.
const (
	CategoryActivity Category = 1 // ordinary state changes
	CategoryAccess   Category = 2 // sign-in, sign-out, tokens, denied attempts
	CategoryAdmin    Category = 3 // members, roles, settings, policies
	CategoryExport   Category = 4 // exports and reads of sensitive things
	CategoryApproval Category = 5 // decisions and evidence
)

// Type declares an event: {noun}.{past verb}. The audit log uses the same name.
type Type struct {
	Name     string
	Label    string
	Group    string // heading in the catalogue, such as "Certificates"
	Severity Severity
	Category Category
	// Notify says whether members are notified by default, through which channels.
	Notify Channels
	// Example is the payload as receivers see it; its type is the published schema.
	Example any
	// AuditOnly events are recorded but never sent: sign-ins, exports.
	AuditOnly bool
	// NeedsReason marks actions that are refused without a reason.
	NeedsReason bool
}

// Channels are ways to reach a member.
type Channels struct {
	InApp bool
	Mail  bool
}

// Subject is the thing an event or audit entry is about.
type Subject struct {
	Type  string    `json:"type"`
	ID    uuid.UUID `json:"id"`
	Key   string    `json:"key,omitempty"`
	Title string    `json:"title,omitempty"`
}

// Actor is who caused an event, as receivers see it.
type Actor struct {
	Kind   string    `json:"kind"`
	ID     uuid.UUID `json:"id"`
	Name   string    `json:"name"`
	Reason string    `json:"reason,omitempty"`
}

// Event is the envelope, and the body of a webhook.
type Event struct {
	ID          uuid.UUID       `json:"id"`
	WorkspaceID uuid.UUID       `json:"workspace_id"`
	Name        string          `json:"name"`
	OccurredAt  time.Time       `json:"occurred_at"`
	Severity    Severity        `json:"severity"`
	Actor       Actor           `json:"actor"`
	Subject     Subject         `json:"subject"`
	SchemaV     int             `json:"schema_version"`
	Payload     json.RawMessage `json:"payload"`
	RequestID   uuid.NullUUID   `json:"request_id"`
}

// Catalogue is every declared event.
type Catalogue struct{ types map[string]Type }

// NewCatalogue collects types. It fails on a duplicate or malformed name.
func NewCatalogue(types ...Type) (*Catalogue, error) {
	c := &Catalogue{types: make(map[string]Type, len(types))}
	return c, c.Add(types...)
}

// Add collects more types while the program is put together, before it serves.
func (c *Catalogue) Add(types ...Type) error {
	for _, t := range types {
		noun, verb, ok := strings.Cut(t.Name, ".")
		if !ok || noun == "" || verb == "" || strings.ToLower(t.Name) != t.Name {
			return fmt.Errorf("event: name %q is not {noun}.{past verb}", t.Name)
		}
		if _, ok := c.types[t.Name]; ok {
			return fmt.Errorf("event: %s is declared twice", t.Name)
		}
		if t.Severity.Rank() == 0 || t.Label == "" || t.Category == 0 {
			return fmt.Errorf("event: %s lacks a label, severity or category", t.Name)
		}
		c.types[t.Name] = t
	}
	return nil
}

// Type returns the declaration of an event.
func (c *Catalogue) Type(name string) (Type, bool) {
	t, ok := c.types[name]
	return t, ok
}

// Types returns all declarations, by group and name.
func (c *Catalogue) Types() []Type {
	out := make([]Type, 0, len(c.types))
	for _, t := range c.types {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Type) int {
		if d := strings.Compare(a.Group, b.Group); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

// Match reports whether an event name matches a pattern: the name itself, a prefix such
// as "change.*", or "*" for all.
func Match(pattern, name string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return pattern == name
}

// ValidPattern reports whether a pattern is well formed and matches at least one event
// of the catalogue that is sent at all.
func (c *Catalogue) ValidPattern(pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok && prefix != "" && !strings.HasSuffix(prefix, ".") {
		return false
	}
	for _, t := range c.types {
		if !t.AuditOnly && Match(pattern, t.Name) {
			return true
		}
	}
	return false
}
