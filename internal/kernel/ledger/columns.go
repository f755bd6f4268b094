package ledger

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// columns are entries turned on their side, as insertEntries takes them.
type columns struct {
	ids, targetIDs             []uuid.UUID
	parentIDs                  []uuid.NullUUID
	actions, targetTypes       []string
	targetKeys, titles         []string
	severities                 []string
	parentTypes, reasons       []*string
	categories, outcomes, ocsf []int16
	diffs, details, payloads   []json.RawMessage
	salts                      [][]byte
	emits                      []bool
}

func (c *columns) add(a db.Actor, t event.Type, e Entry) error {
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make event id: %w", err)
	}
	changes, err := Diff(e.Before, e.After)
	if err != nil {
		return err
	}
	diff, err := json.Marshal(limit(append(changes, e.Changes...)))
	if err != nil {
		return fmt.Errorf("encode changes: %w", err)
	}
	detail, err := json.Marshal(describe(a, e))
	if err != nil {
		return fmt.Errorf("encode detail: %w", err)
	}
	payload := json.RawMessage("{}")
	if e.Payload != nil {
		if payload, err = json.Marshal(e.Payload); err != nil {
			return fmt.Errorf("encode payload: %w", err)
		}
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return fmt.Errorf("draw salt: %w", err)
	}
	reason := e.Reason
	if reason == "" {
		reason = a.Reason
	}
	var parentType *string
	var parentID uuid.NullUUID
	if e.Parent != nil {
		parentType, parentID = &e.Parent.Type, db.NullID(e.Parent.ID)
	}
	c.ids, c.targetIDs, c.parentIDs = append(c.ids, id), append(c.targetIDs, e.Subject.ID), append(c.parentIDs, parentID)
	c.actions, c.targetTypes = append(c.actions, e.Action), append(c.targetTypes, e.Subject.Type)
	c.targetKeys, c.titles = append(c.targetKeys, e.Subject.Key), append(c.titles, e.Subject.Title)
	c.severities, c.ocsf = append(c.severities, string(e.Severity)), append(c.ocsf, ocsf(e.Severity))
	c.parentTypes, c.reasons = append(c.parentTypes, parentType), append(c.reasons, orNil(reason))
	c.categories, c.outcomes = append(c.categories, int16(t.Category)), append(c.outcomes, int16(e.Outcome))
	c.diffs, c.details, c.payloads = append(c.diffs, diff), append(c.details, detail), append(c.payloads, payload)
	c.salts, c.emits = append(c.salts, salt), append(c.emits, e.Outcome == Success && !t.AuditOnly)
	return nil
}

// describe returns the detail of an entry with what is kept beside it for every entry.
func describe(a db.Actor, e Entry) map[string]any {
	detail := map[string]any{}
	maps.Copy(detail, e.Detail)
	if e.Subject.Title != "" {
		detail["title"] = e.Subject.Title
	}
	if a.PlatformAdmin {
		detail["platform_admin"] = true
	}
	return detail
}

func (c *columns) args(a db.Actor, pii uuid.NullUUID) db.Args {
	dispatch := event.DispatchArgs{}
	o := dispatch.InsertOpts()
	return db.Args{
		"ids": c.ids, "actions": c.actions, "categories": c.categories, "outcomes": c.outcomes, "ocsf": c.ocsf,
		"target_types": c.targetTypes, "target_ids": c.targetIDs, "target_keys": c.targetKeys,
		"parent_types": c.parentTypes, "parent_ids": c.parentIDs, "reasons": c.reasons,
		"diffs": c.diffs, "details": c.details, "salts": c.salts, "emits": c.emits, "titles": c.titles,
		"severities": c.severities, "payloads": c.payloads,
		"actor_kind": int16(a.Kind), "actor_id": db.NullID(a.ID), "actor_name": a.Name, "auth_method": orNil(a.AuthMethod), "mfa": orNil(a.MFA),
		"session_id": db.NullID(a.SessionID), "request_id": db.NullID(a.RequestID), "ip": address(a.IP), "pii_ref": pii,
		"kind": dispatch.Kind(), "max_attempts": o.MaxAttempts, "priority": o.Priority, "queue": o.Queue,
	}
}
