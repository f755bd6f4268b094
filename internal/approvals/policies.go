package approvals

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Policies reads every policy: active ones first, then by priority.
func (s *Service) Policies(ctx context.Context, a db.Actor) ([]Policy, error) {
	var rows *db.Result[Policy]
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) { rows = allPolicies.Queue(b, nil) })
	if err != nil {
		return nil, err
	}
	return rows.Rows, nil
}

// Policy reads one policy.
func (s *Service) Policy(ctx context.Context, a db.Actor, id uuid.UUID) (Policy, error) {
	var p Policy
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		p, err = loadPolicy.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return p, err
}

// CreatePolicy adds a policy; its id, version and times are given. Requests that are
// already open keep what they were composed from.
func (s *Service) CreatePolicy(ctx context.Context, a db.Actor, p Policy) (Policy, error) {
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManagePolicies); err != nil {
			return err
		}
		if _, err := ownPolicies.Run(ctx, tx, nil); err != nil {
			return err
		}
		n, err := countPolicies.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n >= maxPolicies {
			return fault.NewInvalid("too_many_policies", fmt.Sprintf("A workspace has at most %d approval policies.", maxPolicies))
		}
		return s.addPolicy(ctx, tx, &p)
	})
	return p, err
}

func (s *Service) addPolicy(ctx context.Context, tx *db.Tx, p *Policy) error {
	p.tidy()
	if err := p.check().Err(); err != nil {
		return err
	}
	if err := namesExist(ctx, tx, *p, Policy{}); err != nil {
		return err
	}
	id, err := newID()
	if err != nil {
		return err
	}
	p.ID, p.Version, p.CreatedAt, p.UpdatedAt, p.UpdatedBy = id, 1, tx.Now, tx.Now, author(tx)
	if _, err := insertPolicy.Run(ctx, tx, policyArgs(*p)); err != nil {
		return policyNameTaken(err)
	}
	if err := keepVersion(ctx, tx, *p); err != nil {
		return err
	}
	return s.record(ctx, tx, ledger.Entry{Action: eventPolicyCreated, Subject: p.subject(), After: *p, Payload: policyPayload(*p)})
}

func author(tx *db.Tx) uuid.NullUUID {
	return uuid.NullUUID{UUID: tx.Actor.ID, Valid: tx.Actor.ID != uuid.Nil}
}

func keepVersion(ctx context.Context, tx *db.Tx, p Policy) error {
	_, err := insertPolicyVersion.Run(ctx, tx, db.Args{
		"id": p.ID, "version": p.Version, "name": p.Name, "active": p.Active, "definition": p.defined(), "by": p.UpdatedBy,
	})
	return err
}

func policyNameTaken(err error) error {
	if db.Violated(err, "approval_policies_name_key") {
		return fault.InvalidField("name", "name_taken", "Another policy has this name. Choose a different one.")
	}
	return err
}

// PolicyChange edits a policy. Version and IfMatch are what the caller saw, if they say so.
type PolicyChange struct {
	Edit    func(*Policy)
	Version *int64
	IfMatch string
}

// ChangePolicy makes a new version of a policy. Requests that are open keep the version
// that they were composed from until the next revision of their subject.
func (s *Service) ChangePolicy(ctx context.Context, a db.Actor, id uuid.UUID, c PolicyChange) (Policy, error) {
	var p Policy
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManagePolicies); err != nil {
			return err
		}
		before, err := lockPolicy.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(c.IfMatch, c.Version, before.Version); err != nil {
			return err
		}
		p = before
		// The edit must not reach into what it is compared with.
		p.Stages = slices.Clone(before.Stages)
		c.Edit(&p)
		p.ID, p.CreatedAt, p.Version = before.ID, before.CreatedAt, before.Version
		p.tidy()
		if err := p.check().Err(); err != nil {
			return err
		}
		if err := namesExist(ctx, tx, p, before); err != nil {
			return err
		}
		changes, err := ledger.Diff(before, p)
		if err != nil || len(changes) == 0 {
			return err
		}
		p.Version, p.UpdatedAt, p.UpdatedBy = before.Version+1, tx.Now, author(tx)
		if _, err := savePolicy.Run(ctx, tx, policyArgs(p)); err != nil {
			return policyNameTaken(err)
		}
		if err := keepVersion(ctx, tx, p); err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{Action: eventPolicyUpdated, Subject: p.subject(), Changes: changes, Payload: policyPayload(p)})
	})
	return p, err
}

// namesExist checks that people and groups which a policy newly names belong to the
// workspace. Those it named before may be gone; they ask nobody and keep no edit from being
// saved.
func namesExist(ctx context.Context, tx *db.Tx, p, before Policy) error {
	type at struct {
		field string
		src   Source
	}
	named := func(p Policy) []at {
		var out []at
		for i, st := range p.Stages {
			for _, src := range st.Sources {
				out = append(out, at{fmt.Sprintf("stages.%d.sources", i), src})
			}
			if st.Escalation != nil {
				out = append(out, at{fmt.Sprintf("stages.%d.escalation", i), *st.Escalation})
			}
		}
		return out
	}
	old := named(before)
	var fresh []at
	var sources []Source
	for _, n := range named(p) {
		if n.src.ID != uuid.Nil && !slices.ContainsFunc(old, func(o at) bool { return o.src.ID == n.src.ID }) {
			fresh, sources = append(fresh, n), append(sources, n.src)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	known, err := readLabels(ctx, tx, sources)
	if err != nil {
		return err
	}
	var problems []fault.Detail
	for _, n := range fresh {
		if known[n.src.ID] == "" {
			what := map[seats.SourceKind]string{seats.User: "person", seats.Group: "group"}[n.src.Kind]
			problems = append(problems, fault.Detail{Code: "not_found", Field: n.field, Message: "A " + what + " named here cannot be found in this workspace."})
		}
	}
	return fault.InvalidDetails(problems)
}

// SeedDefaults adds the default policies to a new workspace, as whoever made it.
func (s *Service) SeedDefaults(ctx context.Context, tx *db.Tx) error {
	for _, p := range Defaults() {
		if err := s.addPolicy(ctx, tx, &p); err != nil {
			return fmt.Errorf("add policy %q: %w", p.Name, err)
		}
	}
	return nil
}

// Preview returns the stages, seats and people that Open would make of a subject now. The
// subject need not exist.
func (s *Service) Preview(ctx context.Context, tx *db.Tx, subj Subject) (Preview, error) {
	return s.PreviewWith(ctx, tx, subj, Normal, nil)
}

// PreviewWith is Preview for a kind of request and, when draft is not nil, with that policy
// in place of the stored one of its id.
func (s *Service) PreviewWith(ctx context.Context, tx *db.Tx, subj Subject, k Kind, draft *Policy) (Preview, error) {
	policies, err := activePolicies.All(ctx, tx, nil)
	if err != nil {
		return Preview{}, err
	}
	if draft != nil {
		d := *draft
		d.tidy()
		if err := d.check().Err(); err != nil {
			return Preview{}, err
		}
		policies = slices.DeleteFunc(policies, func(p Policy) bool { return p.ID == d.ID })
		if d.Active {
			policies = append(policies, d)
		}
	}
	p, err := s.planFor(ctx, tx, subj, k, policies)
	if err != nil {
		return Preview{}, err
	}
	out := Preview{Policies: []PinnedPolicy{}, Problems: p.problems}
	for _, pol := range p.policies {
		out.Policies = append(out.Policies, PinnedPolicy{ID: pol.ID, Name: pol.Name, Version: int(pol.Version)})
	}
	var keys map[uuid.UUID]string
	if keys, err = p.delegationKeys(ctx, tx); err != nil {
		return Preview{}, err
	}
	for i, st := range p.stages {
		out.Stages = append(out.Stages, p.preview(i, st, subj, keys))
	}
	return out, nil
}

// preview shows a stage that does not exist yet.
func (p *plan) preview(i int, st seats.Composed, subj Subject, keys map[uuid.UUID]string) StageStatus {
	out := StageStatus{Position: i + 1, Name: st.Name, State: StageWaiting, Reauth: st.Reauth, Escalation: p.labels.sources(st.Escalation)}
	chairs := make([]seats.Chair, len(p.seats[i]))
	for n, x := range p.seats[i] {
		chairs[n] = seats.Chair{Kind: x.Kind, Principals: x.Principals, Topic: topicOf(subj.Facts, st.Blocks[x.block])}
	}
	routes := p.world.Route(chairs)
	for b, block := range st.Blocks {
		built := p.built[i][b]
		bs := BlockStatus{
			Mode: block.Mode, Need: built.Need, Of: len(built.Seats), Sources: p.labels.sources(block.Sources), Reduced: built.Reduced(),
			Policies: p.policyNames(block.Policies),
		}
		for n, x := range p.seats[i] {
			if x.block != b {
				continue
			}
			seat := SeatStatus{Kind: x.Kind, Label: p.labels.seat(block, x.Seat), Status: SeatOpen}
			for _, a := range routes[n] {
				seat.Routes = append(seat.Routes, p.labels.route(a, keys))
			}
			bs.Seats = append(bs.Seats, seat)
		}
		out.Blocks = append(out.Blocks, bs)
	}
	return out
}

func (p *plan) policyNames(ids []uuid.UUID) []string {
	var out []string
	for _, id := range ids {
		for _, pol := range p.policies {
			if pol.ID == id {
				out = append(out, pol.Name)
			}
		}
	}
	return out
}

// delegationKeys reads the keys of delegations that run now, if there are any, and the names
// of the people on them.
func (p *plan) delegationKeys(ctx context.Context, tx *db.Tx) (map[uuid.UUID]string, error) {
	out := map[uuid.UUID]string{}
	var ids, people []uuid.UUID
	for _, d := range p.world.Delegations {
		ids, people = append(ids, d.ID), append(people, d.Principal, d.Delegate)
	}
	if len(ids) == 0 {
		return out, nil
	}
	rows, err := delegationKeys.All(ctx, tx, db.Args{"ids": ids})
	if err != nil {
		return nil, err
	}
	for _, k := range rows {
		out[k.ID] = k.Key
	}
	names, err := readLabels(ctx, tx, nil, people...)
	if err != nil {
		return nil, err
	}
	for id, name := range names {
		p.labels[id] = name
	}
	return out, nil
}

func (l labels) route(a seats.Assignment, keys map[uuid.UUID]string) Route {
	out := Route{Principal: l.who(a.Principal), Unrouted: a.Unrouted}
	if a.Routed() {
		out.Assignee = l.who(a.Assignee)
	}
	for _, id := range a.Path {
		out.Path = append(out.Path, l.who(id))
	}
	for _, id := range a.Delegations {
		out.Delegations = append(out.Delegations, keys[id])
	}
	return out
}
