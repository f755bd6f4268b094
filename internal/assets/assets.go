// Package assets keeps what a workspace runs and owns, and what depends on what. Other
// modules ask it for short descriptions of assets, for the services they belong to, and
// for what a failure or a change of them would reach.
package assets

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/templates/ui"
)

// Permissions of this module.
const (
	CanRead   access.Permission = "asset.read"
	CanCreate access.Permission = "asset.create"
	CanUpdate access.Permission = "asset.update"
	CanImport access.Permission = "asset.import"
	CanRetire access.Permission = "asset.retire"
	CanDelete access.Permission = "asset.delete"
)

// Person is an active member, who may own an asset.
type Person struct {
	UserID   uuid.UUID
	MemberID uuid.UUID
	Name     string
	Email    string
}

// History reads what happened to a thing, for its activity tab: it queues the read with
// those of the page and returns what turns it into a timeline afterwards.
type History func(b *db.Batch, subjectType string, id uuid.UUID, limit int) func(zone *time.Location, now time.Time) ([]ui.Entry, error)

// Deps is what the module is built from.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Policy *access.Policy
	Clock  clock.Clock
	Log    *slog.Logger
	// People lists who may own an asset; nil means nobody can be named.
	People func(ctx context.Context, tx *db.Tx) ([]Person, error)
	// Activity fills the activity tab; nil leaves the tab out.
	Activity History
}

// Service holds the use cases of this module.
type Service struct {
	db        *db.DB
	ledger    *ledger.Ledger
	policy    *access.Policy
	clock     clock.Clock
	log       *slog.Logger
	people    func(ctx context.Context, tx *db.Tx) ([]Person, error)
	activity  History
	panels    []Panel
	referrers []Referrer
}

// New returns the service.
func New(d Deps) *Service {
	s := &Service{
		db: d.DB, ledger: d.Ledger, policy: d.Policy, clock: d.Clock, log: d.Log, people: d.People, activity: d.Activity,
	}
	if s.people == nil {
		s.people = func(context.Context, *db.Tx) ([]Person, error) { return nil, nil }
	}
	return s
}

// owner finds a person by user, membership or e-mail address. An empty text is nobody.
func (s *Service) owner(ctx context.Context, tx *db.Tx, text string) (uuid.NullUUID, error) {
	if text = strings.TrimSpace(text); text == "" {
		return uuid.NullUUID{}, nil
	}
	people, err := s.people(ctx, tx)
	if err != nil {
		return uuid.NullUUID{}, fmt.Errorf("read people: %w", err)
	}
	if p, ok := findPerson(people, text); ok {
		return db.NullID(p.UserID), nil
	}
	return uuid.NullUUID{}, errNotMember("owner")
}

func findPerson(people []Person, text string) (Person, bool) {
	for _, p := range people {
		if text == p.UserID.String() || text == p.MemberID.String() || strings.EqualFold(text, p.Email) {
			return p, true
		}
	}
	return Person{}, false
}

// withOwner adds what is wrong with the owner to what else is wrong.
func (s *Service) withOwner(ctx context.Context, tx *db.Tx, text string, known uuid.NullUUID, problems error) (uuid.NullUUID, error) {
	var c form.Check
	if err := c.Merge(problems); err != nil {
		return known, err
	}
	if text != "" {
		id, err := s.owner(ctx, tx, text)
		if err := c.Merge(err); err != nil {
			return known, err
		}
		known = id
	}
	return known, c.Err()
}

// Asset returns one asset.
func (s *Service) Asset(ctx context.Context, a db.Actor, id uuid.UUID) (Asset, error) {
	var out Asset
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = assetByID.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return out, err
}

// HasAsset reports whether the workspace has any asset.
func (s *Service) HasAsset(ctx context.Context, tx *db.Tx) (bool, error) {
	return anyAsset.One(ctx, tx, nil)
}

// AddAsset adds an asset.
func (s *Service) AddAsset(ctx context.Context, a db.Actor, in NewAsset) (Asset, error) {
	var out Asset
	if err := s.policy.Check(a, CanCreate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		id, err := newID()
		if err != nil {
			return err
		}
		out, err = in.asset(id, tx.Now)
		if out.OwnerID, err = s.withOwner(ctx, tx, in.Owner, out.OwnerID, err); err != nil {
			return err
		}
		if err := refuseTwin(ctx, tx, out); err != nil {
			return err
		}
		if err := addAssets(ctx, tx, []Asset{out}); err != nil {
			return named(err, out)
		}
		return s.record(ctx, tx, created(out))
	})
	return out, err
}

func created(a Asset) ledger.Entry {
	return ledger.Entry{Action: EventCreated, Subject: a.subject(), After: a, Payload: a.payload()}
}

// record writes an entry and drops its id.
func (s *Service) record(ctx context.Context, tx *db.Tx, e ledger.Entry) error {
	_, err := s.ledger.Record(ctx, tx, e)
	return err
}

// refuseTwin refuses a second asset of one name and type, and of one external id, and says
// where the first one is.
func refuseTwin(ctx context.Context, tx *db.Tx, a Asset) error {
	same, err := assetsByNames.All(ctx, tx, db.Args{"names": []string{nameKey(a.Name)}})
	if err != nil {
		return err
	}
	for _, row := range same {
		if row.Type == a.Type && row.ID != a.ID {
			return twin("name", "There is another "+typeLabel(a.Type)+" of this name.", row.ID)
		}
	}
	if a.ExternalID == "" {
		return nil
	}
	taken, err := externalIDs.All(ctx, tx, db.Args{"ids": []string{a.ExternalID}})
	if err != nil {
		return err
	}
	for _, row := range taken {
		if row.Provider == a.Provider && row.ID != a.ID {
			return twin("external_id", "Another asset of this provider has this external id.", row.ID)
		}
	}
	return nil
}

func twin(field, message string, other uuid.UUID) error {
	return &fault.Error{
		Kind: fault.Conflict, Code: "asset_exists", Message: message,
		Details: []fault.Detail{{Code: "asset_exists", Field: field, Message: message, Ref: other.String()}},
	}
}

// named turns what the database refuses into words.
func named(err error, a Asset) error {
	switch {
	case db.Violated(err, "assets_name_key"):
		return fault.NewConflict("asset_exists", "There is another "+typeLabel(a.Type)+" of this name.")
	case db.Violated(err, "assets_external_key"):
		return fault.NewConflict("asset_exists", "Another asset of this provider has this external id.")
	case db.Violated(err, "assets_owner_fkey"):
		return errNotMember("owner")
	}
	return err
}

// UpdateAsset changes an asset. Another lifecycle needs the right to retire, and is told
// as such. An edit that changes nothing leaves the version as it is.
func (s *Service) UpdateAsset(ctx context.Context, a db.Actor, id uuid.UUID, e AssetEdit) (Asset, error) {
	var out Asset
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockAsset.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(e.IfMatch, e.Version, before.Version); err != nil {
			return err
		}
		out, err = s.edit(ctx, tx, before, e)
		return err
	})
	return out, err
}

// edit applies an edit to a locked asset and records what it changed.
func (s *Service) edit(ctx context.Context, tx *db.Tx, before Asset, e AssetEdit) (Asset, error) {
	out, err := e.apply(before, tx.Now)
	if e.Owner != nil {
		out.OwnerID, err = s.withOwner(ctx, tx, *e.Owner, uuid.NullUUID{}, err)
	}
	if err != nil {
		return out, err
	}
	changes, err := ledger.Diff(before, out)
	if err != nil || len(changes) == 0 {
		return out, err
	}
	action := EventUpdated
	switch {
	case out.Lifecycle == before.Lifecycle:
	case out.Lifecycle == Retired:
		action = EventRetired
	case before.Lifecycle == Retired:
		action = EventReinstated
	}
	if action != EventUpdated {
		if err := s.policy.Check(tx.Actor, CanRetire); err != nil {
			return out, err
		}
	}
	if nameKey(out.Name) != nameKey(before.Name) || out.Type != before.Type || out.ExternalID != before.ExternalID || out.Provider != before.Provider {
		if err := refuseTwin(ctx, tx, out); err != nil {
			return out, err
		}
	}
	out.Version, out.UpdatedAt = before.Version+1, tx.Now
	if err := saveAsset(ctx, tx, out); err != nil {
		return out, named(err, out)
	}
	return out, s.record(ctx, tx, ledger.Entry{
		Action: action, Subject: out.subject(), Before: before, After: out, Payload: out.payload(),
	})
}

// DeleteAsset removes an asset that nothing refers to. Otherwise it answers with every
// reference, and the asset can only be retired.
func (s *Service) DeleteAsset(ctx context.Context, a db.Actor, id uuid.UUID) error {
	if err := s.policy.Check(a, CanDelete); err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		asset, err := lockAsset.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		refs, err := s.references(ctx, tx, id)
		if err != nil {
			return err
		}
		if len(refs) > 0 {
			return inUse(asset, refs)
		}
		if _, err := deleteAsset.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{Action: EventDeleted, Subject: asset.subject(), Before: asset, Payload: asset.payload()})
	})
}

// Referrer is a kind of record that may refer to assets, such as a change. Count returns
// how many refer to the asset.
type Referrer struct {
	// One and Many name the kind, such as "change" and "changes".
	One, Many string
	Count     func(ctx context.Context, tx *db.Tx, asset uuid.UUID) (int64, error)
}

// AddReferrer makes deletion of an asset depend on another module, before the program serves.
func (s *Service) AddReferrer(r Referrer) { s.referrers = append(s.referrers, r) }

// references says in words what refers to an asset, such as "2 relationships".
func (s *Service) references(ctx context.Context, tx *db.Tx, id uuid.UUID) ([]string, error) {
	var out []string
	n, err := countRelationships.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return nil, err
	}
	if n > 0 {
		out = append(out, counted(n, "relationship", "relationships"))
	}
	for _, r := range s.referrers {
		n, err := r.Count(ctx, tx, id)
		if err != nil {
			return nil, fmt.Errorf("count %s of asset %s: %w", r.Many, id, err)
		}
		if n > 0 {
			out = append(out, counted(n, r.One, r.Many))
		}
	}
	return out, nil
}

func inUse(a Asset, refs []string) error {
	e := &fault.Error{
		Kind: fault.Conflict, Code: "asset_referenced",
		Message: fmt.Sprintf("%s cannot be deleted: %s refer to it. Retire it instead.", a.Name, strings.Join(refs, " and ")),
	}
	for _, r := range refs {
		e.Details = append(e.Details, fault.Detail{Code: "asset_referenced", Message: r})
	}
	return e
}

// Relate draws a relationship. Both ends must be in use.
func (s *Service) Relate(ctx context.Context, a db.Actor, in NewRelationship) (Relationship, error) {
	var out Relationship
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		id, err := newID()
		if err != nil {
			return err
		}
		if out, err = in.relationship(id, tx.Now); err != nil {
			return err
		}
		from, to, err := s.ends(ctx, tx, out)
		if err != nil {
			return err
		}
		other, twice, err := relationshipOfEdge.Maybe(ctx, tx, db.Args{"from": out.From, "to": out.To, "type": out.Type})
		if err != nil {
			return err
		}
		if twice {
			return relationshipTwice(from, to, out, other)
		}
		_, err = insertRelationship.Run(ctx, tx, db.Args{
			"id": out.ID, "from": out.From, "to": out.To, "type": out.Type, "protocol": out.Protocol, "port": out.Port,
			"exclusive": out.Exclusive, "note": out.Note, "by": db.NullID(a.UserID),
		})
		if db.Violated(err, "asset_relationships_edge_key") {
			return relationshipTwice(from, to, out, uuid.Nil)
		}
		if err != nil {
			return err
		}
		return s.recordRelationship(ctx, tx, EventRelated, nil, &out, from, to)
	})
	return out, err
}

// ends reads and holds the two assets of a relationship. One that does not exist, or is
// retired, is a problem of its field.
func (s *Service) ends(ctx context.Context, tx *db.Tx, r Relationship) (from, to Asset, err error) {
	rows, err := shareAssets.All(ctx, tx, db.Args{"ids": []uuid.UUID{r.From, r.To}})
	if err != nil {
		return from, to, err
	}
	for _, a := range rows {
		if a.ID == r.From {
			from = a
		} else {
			to = a
		}
	}
	var c form.Check
	for field, a := range map[string]Asset{"from": from, "to": to} {
		switch {
		case a.ID == uuid.Nil:
			c.Add(field, "unknown_asset", "There is no such asset.")
		case a.Lifecycle == Retired:
			c.Add(field, "asset_retired", a.Name+" is retired.")
		}
	}
	return from, to, c.Err()
}

func relationshipTwice(from, to Asset, r Relationship, other uuid.UUID) error {
	forward, _ := verbs(r.Type)
	message := fmt.Sprintf("It is known already that %s %s %s.", from.Name, forward, to.Name)
	e := &fault.Error{Kind: fault.Conflict, Code: "relationship_exists", Message: message}
	d := fault.Detail{Code: "relationship_exists", Field: "to", Message: message}
	if other != uuid.Nil {
		d.Ref = other.String()
	}
	e.Details = []fault.Detail{d}
	return e
}

// Unrelate removes a relationship.
func (s *Service) Unrelate(ctx context.Context, a db.Actor, id uuid.UUID) (Relationship, error) {
	var out Relationship
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if out, err = relationshipByID.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		rows, err := assetsByID.All(ctx, tx, db.Args{"ids": []uuid.UUID{out.From, out.To}})
		if err != nil {
			return err
		}
		if len(rows) != 2 {
			return fmt.Errorf("relationship %s has %d ends", id, len(rows))
		}
		from, to := rows[0], rows[1]
		if from.ID != out.From {
			from, to = to, from
		}
		n, err := deleteRelationship.Run(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if n == 0 { // somebody else removed it meanwhile
			return fault.NewNotFound("relationship")
		}
		return s.recordRelationship(ctx, tx, EventUnrelated, &out, nil, from, to)
	})
	return out, err
}

func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil, fmt.Errorf("make id: %w", err)
	}
	return id, nil
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return group(n) + " " + many
}
