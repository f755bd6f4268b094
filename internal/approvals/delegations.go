package approvals

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

const (
	maxDelegation = 90 * 24 * time.Hour
	maxAbsence    = 366 * 24 * time.Hour
	maxReason     = 500
	// grace forgives the hour that a clock change adds to ninety days.
	grace = time.Hour
)

// NewDelegation is what somebody says about a delegation. A zero principal means themselves.
type NewDelegation struct {
	Principal  uuid.UUID
	Delegate   uuid.UUID
	Kind       string // out, assist
	Scope      string // all, change_type, asset_group, policy
	ScopeValue string
	Start      time.Time
	End        time.Time
	Reason     string
}

func (d Delegation) subject() event.Subject {
	return event.Subject{Type: "delegation", ID: d.ID, Key: d.Key, Title: strings.TrimSpace(nameOr(d.DelegateName) + " for " + nameOr(d.PrincipalName))}
}

// RunsAt reports whether the delegation is in force at a moment.
func (d Delegation) RunsAt(t time.Time) bool {
	return d.RevokedAt == nil && !t.Before(d.Start) && t.Before(d.End)
}

func (d Delegation) engine() seats.Delegation {
	return seats.Delegation{
		ID: d.ID, Principal: d.Principal, Delegate: d.Delegate, Kind: seats.DelegationKind(d.Kind),
		Scope: seats.Scope{Kind: seats.ScopeKind(d.Scope), Value: d.ScopeValue}, Start: d.Start, End: d.End, CreatedAt: d.CreatedAt,
	}
}

func (d *Delegation) check(now time.Time) *form.Check {
	var c form.Check
	d.Reason, d.ScopeValue = strings.TrimSpace(d.Reason), strings.TrimSpace(d.ScopeValue)
	d.Start, d.End = d.Start.UTC().Truncate(time.Microsecond), d.End.UTC().Truncate(time.Microsecond)
	if d.Scope == string(seats.ScopeAll) {
		d.ScopeValue = ""
	}
	if d.Delegate == uuid.Nil {
		c.Add("delegate", "required", "Say who decides in your place.")
	} else if d.Delegate == d.Principal {
		c.Add("delegate", "self", "Nobody can delegate to themselves.")
	}
	c.OneOf("kind", d.Kind, "The kind", string(seats.Out), string(seats.Assist))
	scopes := make([]string, 0, 4)
	for _, k := range seats.ScopeKinds() {
		scopes = append(scopes, string(k))
	}
	c.OneOf("scope", d.Scope, "The scope", scopes...)
	switch seats.ScopeKind(d.Scope) {
	case seats.ScopeChangeType:
		c.OneOf("scope_value", d.ScopeValue, "The change type", ChangeTypes()...)
	case seats.ScopeAssetGroup:
		c.Text("scope_value", d.ScopeValue, "The tag of the assets", maxValue)
	case seats.ScopePolicy:
		if _, err := uuid.Parse(d.ScopeValue); err != nil {
			c.Add("scope_value", "not_found", "Choose a policy of this workspace.")
		}
	default:
	}
	c.Longest("reason", d.Reason, "The reason", maxReason)
	checkSpan(&c, d.Start, d.End, now, maxDelegation, "A delegation lasts at most 90 days. Make another one later if it is still needed.")
	return &c
}

// checkSpan checks a time from start to end that is not over yet.
func checkSpan(c *form.Check, start, end, now time.Time, longest time.Duration, tooLong string) {
	if start.IsZero() {
		c.Add("start", "required", "Say when it starts.")
	}
	switch {
	case end.IsZero():
		c.Add("end", "required", "Say when it ends; it never runs without an end.")
	case !start.Before(end):
		c.Add("end", "before_start", "It must end after it starts.")
	case !end.After(now):
		c.Add("end", "over", "This has ended already. Choose an end that is still to come.")
	case end.Sub(start) > longest+grace:
		c.Add("end", "too_long", tooLong)
	}
}

// mayDelegate checks that the actor may act on delegations of a person.
func (s *Service) mayDelegate(tx *db.Tx, principal uuid.UUID) error {
	if principal == tx.Actor.UserID && principal != uuid.Nil {
		return s.policy.Check(tx.Actor, ManageDelegations)
	}
	return s.policy.Check(tx.Actor, AdminDelegations)
}

// CreateDelegation adds a delegation. It is refused with delegation_loop, and the path, when
// for some moment and subject following delegations from the delegate reaches the principal.
func (s *Service) CreateDelegation(ctx context.Context, a db.Actor, in NewDelegation) (Delegation, error) {
	var d Delegation
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if in.Principal == uuid.Nil {
			in.Principal = tx.Actor.UserID
		}
		if err := s.mayDelegate(tx, in.Principal); err != nil {
			return err
		}
		id, err := newID()
		if err != nil {
			return err
		}
		d = Delegation{
			ID: id, Principal: in.Principal, Delegate: in.Delegate, Kind: in.Kind, Scope: in.Scope, ScopeValue: in.ScopeValue,
			Start: in.Start, End: in.End, Reason: in.Reason, CreatedBy: author(tx), CreatedAt: tx.Now, UpdatedAt: tx.Now, Version: 1,
		}
		if err := s.verifyDelegation(ctx, tx, &d, true); err != nil {
			return err
		}
		if d.Key, err = ledger.NextKey(ctx, tx, "DLG", 5); err != nil {
			return err
		}
		args := delegationArgs(d, tx.Now)
		args["key"], args["principal"], args["by"] = d.Key, d.Principal, d.CreatedBy
		delete(args, "revoked_at")
		delete(args, "version")
		if _, err := insertDelegation.Run(ctx, tx, args); err != nil {
			return err
		}
		if err := s.record(ctx, tx, ledger.Entry{
			Action: eventDelegationCreated, Subject: d.subject(), After: d, Payload: delegationPayload(d), Jobs: []river.JobArgs{rerouteFor(tx, d.Principal)},
		}); err != nil {
			return err
		}
		return s.tellDelegate(ctx, tx, d, eventDelegationCreated, "You decide for "+nameOr(d.PrincipalName))
	})
	return d, err
}

// delegationArgs are the columns that change. The next moment is the start, then the end.
func delegationArgs(d Delegation, now time.Time) db.Args {
	var next *time.Time
	switch {
	case d.RevokedAt != nil:
	case d.Start.After(now):
		next = &d.Start
	default:
		next = &d.End
	}
	return db.Args{
		"id": d.ID, "delegate": d.Delegate, "kind": d.Kind, "scope": d.Scope, "scope_value": d.ScopeValue, "starts_at": d.Start,
		"ends_at": d.End, "reason": d.Reason, "revoked_at": d.RevokedAt, "next_at": next, "version": d.Version,
	}
}

// verifyDelegation checks a delegation by itself and against the workspace: who it names,
// and that it closes no loop. Changes of delegations wait for each other.
func (s *Service) verifyDelegation(ctx context.Context, tx *db.Tx, d *Delegation, people bool) error {
	c := d.check(tx.Now)
	if _, err := ownDelegations.Run(ctx, tx, nil); err != nil {
		return err
	}
	rows, err := peopleByID.All(ctx, tx, db.Args{"ids": []uuid.UUID{d.Principal, d.Delegate}})
	if err != nil {
		return err
	}
	find := func(id uuid.UUID) (personRow, bool) {
		i := slices.IndexFunc(rows, func(p personRow) bool { return p.UserID == id })
		if i < 0 {
			return personRow{}, false
		}
		return rows[i], true
	}
	principal, ok := find(d.Principal)
	switch {
	case !ok && people:
		c.Add("principal", "not_found", "This person is not a member of the workspace.")
	case people && !slices.Contains(deciders(), string(principal.Role)):
		c.Add("principal", "no_seat", principal.Name+" cannot decide approvals, so there is nothing to delegate.")
	}
	d.PrincipalName = principal.Name
	if d.Delegate != uuid.Nil && !c.Has("delegate") {
		p, ok := find(d.Delegate)
		switch {
		case !ok:
			c.Add("delegate", "not_found", "This person is not a member of the workspace.")
		case !p.Active:
			c.Add("delegate", "inactive", p.Name+" is suspended. Choose somebody who is active.")
		case !slices.Contains(deciders(), string(p.Role)):
			c.Add("delegate", "role_too_low", fmt.Sprintf("%s has the role %s and cannot decide approvals. Choose somebody with the role Approver or higher, or ask an admin to change the role.", p.Name, p.Role.Label()))
		}
		d.DelegateName = p.Name
	}
	if d.Scope == string(seats.ScopePolicy) && !c.Has("scope_value") {
		names, err := policyNames.All(ctx, tx, db.Args{"ids": []uuid.UUID{uuid.MustParse(d.ScopeValue)}})
		if err != nil {
			return err
		}
		if len(names) == 0 {
			c.Add("scope_value", "not_found", "Choose a policy of this workspace.")
		} else {
			d.ScopeName, d.ScopeValue = names[0].Name, names[0].ID.String()
		}
	}
	if err := c.Err(); err != nil {
		return err
	}
	return s.refuseLoop(ctx, tx, *d)
}

func (s *Service) refuseLoop(ctx context.Context, tx *db.Tx, d Delegation) error {
	rows, err := overlappingDelegations.All(ctx, tx, db.Args{"from": d.Start, "to": d.End})
	if err != nil {
		return err
	}
	existing := make([]seats.Delegation, len(rows))
	for i, r := range rows {
		existing[i] = r.engine()
	}
	path := seats.FindLoop(existing, d.engine())
	if path == nil {
		return nil
	}
	names, err := readLabels(ctx, tx, nil, path...)
	if err != nil {
		return err
	}
	words := make([]string, len(path))
	ids := make([]string, len(path))
	for i, id := range path {
		words[i], ids[i] = names.name(id), id.String()
	}
	text := "This would lead in a circle: " + strings.Join(words, " → ") + ". Choose somebody else, another time or a narrower scope."
	return &fault.Error{
		Kind: fault.Invalid, Code: "delegation_loop", Message: text,
		Details: []fault.Detail{{Code: "delegation_loop", Field: "delegate", Message: text, Ref: strings.Join(ids, ",")}},
	}
}

// DelegationChange edits a delegation. Version and IfMatch are what the caller saw.
type DelegationChange struct {
	Edit    func(*Delegation)
	Version *int64
	IfMatch string
}

// ChangeDelegation edits a delegation that has not ended. Its principal stays. It takes
// effect at once for seats that are not decided; decisions stay.
func (s *Service) ChangeDelegation(ctx context.Context, a db.Actor, id uuid.UUID, c DelegationChange) (Delegation, error) {
	var d Delegation
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := s.ownDelegation(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := api.CheckVersion(c.IfMatch, c.Version, before.Version); err != nil {
			return err
		}
		if before.RevokedAt != nil || !before.End.After(tx.Now) {
			return fault.NewConflict("delegation_ended", "This delegation has ended. Make a new one.")
		}
		d = before
		c.Edit(&d)
		d.ID, d.Key, d.Principal, d.Version, d.RevokedAt = before.ID, before.Key, before.Principal, before.Version, nil
		if err := s.verifyDelegation(ctx, tx, &d, false); err != nil {
			return err
		}
		changes, err := ledger.Diff(before, d)
		if err != nil || len(changes) == 0 {
			return err
		}
		d.Version, d.UpdatedAt = before.Version+1, tx.Now
		if _, err := saveDelegation.Run(ctx, tx, delegationArgs(d, tx.Now)); err != nil {
			return err
		}
		if err := s.record(ctx, tx, ledger.Entry{
			Action: eventDelegationUpdated, Subject: d.subject(), Changes: changes, Payload: delegationPayload(d),
			Jobs: []river.JobArgs{rerouteFor(tx, d.Principal)},
		}); err != nil {
			return err
		}
		if d.Delegate != before.Delegate {
			if err := s.tellDelegate(ctx, tx, before, eventDelegationEnded, "You no longer decide for "+nameOr(d.PrincipalName)); err != nil {
				return err
			}
		}
		return s.tellDelegate(ctx, tx, d, eventDelegationUpdated, "You decide for "+nameOr(d.PrincipalName))
	})
	return d, err
}

// ownDelegation locks a delegation that the actor may change. That of somebody else looks
// like a missing one to whoever is not an admin.
func (s *Service) ownDelegation(ctx context.Context, tx *db.Tx, id uuid.UUID) (Delegation, error) {
	d, err := lockDelegation.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return d, err
	}
	if d.Principal != tx.Actor.UserID && !s.policy.Can(tx.Actor, AdminDelegations) {
		return d, fault.NewNotFound("delegation")
	}
	return d, s.mayDelegate(tx, d.Principal)
}

// RevokeDelegation ends a delegation at once. Decisions that were made by it stay.
func (s *Service) RevokeDelegation(ctx context.Context, a db.Actor, id uuid.UUID) (Delegation, error) {
	var d Delegation
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := s.ownDelegation(ctx, tx, id)
		if err != nil {
			return err
		}
		if d = before; d.RevokedAt != nil {
			return nil
		}
		if !d.End.After(tx.Now) {
			return fault.NewConflict("delegation_ended", "This delegation has ended by itself.")
		}
		d.RevokedAt, d.Version, d.UpdatedAt = &tx.Now, d.Version+1, tx.Now
		if _, err := saveDelegation.Run(ctx, tx, delegationArgs(d, tx.Now)); err != nil {
			return err
		}
		if err := s.record(ctx, tx, ledger.Entry{
			Action: eventDelegationRevoked, Subject: d.subject(), Before: before, After: d, Payload: delegationPayload(d),
			Jobs: []river.JobArgs{rerouteFor(tx, d.Principal)},
		}); err != nil {
			return err
		}
		return s.tellDelegate(ctx, tx, d, eventDelegationEnded, "You no longer decide for "+nameOr(d.PrincipalName))
	})
	return d, err
}

// Delegation reads one delegation: one's own or one that names oneself, any for an admin.
func (s *Service) Delegation(ctx context.Context, a db.Actor, id uuid.UUID) (Delegation, error) {
	var d Delegation
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if d, err = loadDelegation.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		if d.Principal != a.UserID && d.Delegate != a.UserID && !s.policy.Can(a, AdminDelegations) {
			return fault.NewNotFound("delegation")
		}
		return nil
	})
	return d, err
}

// scopeText says what a delegation covers.
func scopeText(d Delegation) string {
	switch seats.ScopeKind(d.Scope) {
	case seats.ScopeChangeType:
		return strings.ToUpper(d.ScopeValue[:1]) + d.ScopeValue[1:] + " changes"
	case seats.ScopeAssetGroup:
		return "Assets tagged " + d.ScopeValue
	case seats.ScopePolicy:
		if d.ScopeName == "" {
			return "A policy that was deleted"
		}
		return "Policy " + d.ScopeName
	default:
		return "Everything"
	}
}
