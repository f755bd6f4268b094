package assets

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Names of the events of this module.
const (
	EventCreated    = "asset.created"
	EventUpdated    = "asset.updated"
	EventRetired    = "asset.retired"
	EventReinstated = "asset.reinstated"
	EventDeleted    = "asset.deleted"
	EventImported   = "asset.imported"
	EventRelated    = "relationship.created"
	EventUnrelated  = "relationship.deleted"
)

// The types of subjects in events and the audit log.
const (
	SubjectAsset        = "asset"
	SubjectRelationship = "asset_relationship"
)

// AssetPayload is the body of the events of an asset.
type AssetPayload struct {
	AssetID     uuid.UUID     `json:"asset_id"`
	Name        string        `json:"name"`
	Type        string        `json:"ci_type"`
	Hostname    string        `json:"hostname,omitempty"`
	Environment string        `json:"environment"`
	Criticality string        `json:"criticality"`
	Lifecycle   Lifecycle     `json:"lifecycle"`
	Owner       uuid.NullUUID `json:"owner"`
	Team        string        `json:"team,omitempty"`
	Tags        []string      `json:"tags"`
}

// ImportPayload is the body of asset.imported.
type ImportPayload struct {
	Created int `json:"created"`
	Existed int `json:"existed"`
}

// RelationshipPayload is the body of relationship.created and deleted: From depends on To.
type RelationshipPayload struct {
	RelationshipID uuid.UUID `json:"relationship_id"`
	From           uuid.UUID `json:"from"`
	FromName       string    `json:"from_name"`
	To             uuid.UUID `json:"to"`
	ToName         string    `json:"to_name"`
	Type           string    `json:"type"`
	Exclusive      bool      `json:"exclusive"`
}

func (a Asset) subject() event.Subject {
	return event.Subject{Type: SubjectAsset, ID: a.ID, Title: a.Name}
}

func (a Asset) payload() AssetPayload {
	p := AssetPayload{
		AssetID: a.ID, Name: a.Name, Type: a.Type, Hostname: a.Hostname, Environment: a.Environment, Criticality: a.Criticality,
		Lifecycle: a.Lifecycle, Owner: a.OwnerID, Team: a.Team, Tags: a.Tags,
	}
	if p.Tags == nil {
		p.Tags = []string{}
	}
	return p
}

// recordRelationship records an edge under the asset that depends, whose activity shows it.
func (s *Service) recordRelationship(ctx context.Context, tx *db.Tx, action string, before, after *Relationship, from, to Asset) error {
	r := after
	if r == nil {
		r = before
	}
	forward, _ := verbs(r.Type)
	parent := from.subject()
	return s.record(ctx, tx, ledger.Entry{
		Action: action, Before: before, After: after, Parent: &parent,
		Subject: event.Subject{Type: SubjectRelationship, ID: r.ID, Title: from.Name + " " + forward + " " + to.Name},
		Payload: RelationshipPayload{
			RelationshipID: r.ID, From: from.ID, FromName: from.Name, To: to.ID, ToName: to.Name, Type: r.Type, Exclusive: r.Exclusive,
		},
	})
}

func eventTypes() []event.Type {
	asset := AssetPayload{
		Name: "db-orders-01", Type: "database", Hostname: "db-orders-01.example.com", Environment: "prod", Criticality: "critical",
		Lifecycle: Active, Team: "payments", Tags: []string{"postgres"},
	}
	retired := asset
	retired.Lifecycle = Retired
	edge := RelationshipPayload{FromName: "Orders API", ToName: "db-orders-01", Type: "depends_on", Exclusive: true}
	declare := func(name, label string, s event.Severity, example any) event.Type {
		return event.Type{Name: name, Label: label, Group: "Assets", Severity: s, Category: event.CategoryActivity, Example: example}
	}
	return []event.Type{
		declare(EventCreated, "Asset added", event.Info, asset),
		declare(EventUpdated, "Asset changed", event.Info, asset),
		declare(EventRetired, "Asset retired", event.Low, retired),
		declare(EventReinstated, "Asset taken back into use", event.Low, asset),
		declare(EventDeleted, "Asset deleted", event.Low, asset),
		declare(EventImported, "Assets imported", event.Info, ImportPayload{Created: 240, Existed: 12}),
		declare(EventRelated, "Relationship added", event.Info, edge),
		declare(EventUnrelated, "Relationship removed", event.Info, edge),
	}
}
