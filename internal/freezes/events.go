package freezes

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Names of the events of this module.
const (
	eventCreated   = "freeze.created"
	eventUpdated   = "freeze.updated"
	eventActivated = "freeze.activated"
	eventLifted    = "freeze.lifted"
	eventDeleted   = "freeze.deleted"

	eventOverrideRequested   = "freeze_override.requested"
	eventOverrideGranted     = "freeze_override.granted"
	eventOverrideRefused     = "freeze_override.refused"
	eventOverrideVoided      = "freeze_override.voided"
	eventOverrideSelfGranted = "freeze_override.self_granted"
)

// FreezePayload is the body of the events of a freeze.
type FreezePayload struct {
	FreezeID uuid.UUID  `json:"freeze_id"`
	Name     string     `json:"name"`
	Kind     Kind       `json:"kind"`
	State    State      `json:"state"`
	Version  int64      `json:"version"`
	StartsAt *time.Time `json:"starts_at,omitempty"`
	EndsAt   *time.Time `json:"ends_at,omitempty"`
	RRule    string     `json:"rrule,omitempty"`
	TimeZone string     `json:"time_zone"`
	Reason   string     `json:"reason"`
	// Widened says that overrides of earlier versions are void.
	Widened bool `json:"widened,omitempty"`
	// Held is how many changes were put on hold.
	Held int `json:"held,omitempty"`
}

// OverridePayload is the body of the events of an override.
type OverridePayload struct {
	OverrideID  uuid.UUID     `json:"override_id"`
	FreezeID    uuid.UUID     `json:"freeze_id"`
	Freeze      string        `json:"freeze"`
	ChangeID    uuid.UUID     `json:"change_id"`
	Change      string        `json:"change"`
	Revision    int64         `json:"revision"`
	State       OverrideState `json:"state"`
	SelfGranted bool          `json:"self_granted"`
	RequestedBy uuid.UUID     `json:"requested_by"`
	DecidedBy   *uuid.UUID    `json:"decided_by,omitempty"`
	Reason      string        `json:"reason"`
	Note        string        `json:"note,omitempty"`
}

func freezePayload(f Freeze, widened bool, held int) FreezePayload {
	return FreezePayload{
		FreezeID: f.ID, Name: f.Name, Kind: f.Kind, State: f.State, Version: f.Version, StartsAt: f.StartsAt, EndsAt: f.EndsAt,
		RRule: f.RRule, TimeZone: f.Zone, Reason: f.Reason, Widened: widened, Held: held,
	}
}

func overridePayload(o Override) OverridePayload {
	p := OverridePayload{
		OverrideID: o.ID, FreezeID: o.FreezeID, Freeze: o.FreezeName, ChangeID: o.ChangeID, Change: o.ChangeKey, Revision: o.Revision,
		State: o.State, SelfGranted: o.SelfGranted, RequestedBy: o.RequestedBy, Reason: o.Reason, Note: o.DecisionNote,
	}
	if o.DecidedBy.Valid {
		p.DecidedBy = &o.DecidedBy.UUID
	}
	return p
}

// changes compares two freezes field by field; a nil one was not there or is gone. The
// ledger looks at one struct at a time, and a freeze is made of three.
func changes(before, after *Freeze) ([]ledger.Change, error) {
	own, err := ledger.Diff(before, after)
	if err != nil {
		return nil, err
	}
	var scopeBefore, scopeAfter *Scope
	var timeBefore, timeAfter *Schedule
	if before != nil {
		scopeBefore, timeBefore = &before.Scope, &before.Schedule
	}
	if after != nil {
		scopeAfter, timeAfter = &after.Scope, &after.Schedule
	}
	scope, err := ledger.Diff(scopeBefore, scopeAfter)
	if err != nil {
		return nil, err
	}
	schedule, err := ledger.Diff(timeBefore, timeAfter)
	return append(append(own, scope...), schedule...), err
}

func eventTypes() []event.Type {
	const group = "Freezes and maintenance"
	start := time.Date(2026, time.December, 18, 17, 0, 0, 0, time.UTC)
	end := time.Date(2027, time.January, 4, 7, 0, 0, 0, time.UTC)
	freeze := FreezePayload{
		Name: "Year-end freeze", Kind: Hard, State: Active, Version: 2, StartsAt: &start, EndsAt: &end, TimeZone: "Europe/Oslo",
		Reason: "The shop must not change while it earns most.", Held: 3,
	}
	override := OverridePayload{
		Freeze: "Year-end freeze", Change: "CHG-00012", Revision: 3, State: Granted, Reason: "The certificate of the shop ends inside the freeze.",
	}
	about := func(name, label string, s event.Severity, c event.Category) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: s, Category: c, Example: freeze}
	}
	pass := func(name, label string, s event.Severity) event.Type {
		return event.Type{Name: name, Label: label, Group: group, Severity: s, Category: event.CategoryApproval, Example: override}
	}
	types := []event.Type{
		about(eventCreated, "Freeze or maintenance window created", event.Info, event.CategoryAdmin),
		about(eventUpdated, "Freeze or maintenance window changed", event.Low, event.CategoryAdmin),
		about(eventActivated, "Freeze or maintenance window activated", event.Medium, event.CategoryAdmin),
		about(eventLifted, "Freeze or maintenance window lifted", event.Medium, event.CategoryAdmin),
		about(eventDeleted, "Draft of a freeze or maintenance window deleted", event.Info, event.CategoryAdmin),
		pass(eventOverrideRequested, "Override of a freeze requested", event.Medium),
		pass(eventOverrideGranted, "Override of a freeze granted", event.High),
		pass(eventOverrideRefused, "Override of a freeze refused", event.Medium),
		pass(eventOverrideVoided, "Override of a freeze became void", event.Medium),
		pass(eventOverrideSelfGranted, "Emergency passed a freeze by itself", event.Critical),
	}
	for i := range types {
		if types[i].Name == eventLifted || types[i].Name == eventOverrideSelfGranted {
			types[i].NeedsReason = true
		}
	}
	return types
}
