package alertrules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Rules reads every rule of the workspace by name, with how many alerts each has firing.
func (s *Service) Rules(ctx context.Context, a db.Actor) ([]Rule, map[uuid.UUID]int64, error) {
	var rules *db.Result[Rule]
	var firing *db.Result[firingRow]
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		rules, firing = allRules.Queue(b, nil), firingByRule.Queue(b, nil)
	})
	if err != nil {
		return nil, nil, err
	}
	counts := make(map[uuid.UUID]int64, len(firing.Rows))
	for _, f := range firing.Rows {
		counts[f.RuleID] = f.N
	}
	return rules.Rows, counts, nil
}

// Rule reads one rule.
func (s *Service) Rule(ctx context.Context, a db.Actor, id uuid.UUID) (Rule, error) {
	var r Rule
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		r, err = loadRule.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return r, err
}

// CreateRule adds a rule; its id, scope, version and times are given. Hosts that meet its
// condition already fire soon after.
func (s *Service) CreateRule(ctx context.Context, a db.Actor, r Rule) (Rule, error) {
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManageRules); err != nil {
			return err
		}
		if _, err := ownRules.Run(ctx, tx, nil); err != nil {
			return err
		}
		n, err := countRules.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n >= maxRules {
			return fault.NewInvalid("too_many_rules", fmt.Sprintf("A workspace has at most %d alert rules. Delete one that is no longer needed.", maxRules))
		}
		if err := s.addRule(ctx, tx, &r); err != nil {
			return err
		}
		return s.jobs.Insert(ctx, tx, recheck(tx, r))
	})
	return r, err
}

func (s *Service) addRule(ctx context.Context, tx *db.Tx, r *Rule) error {
	r.tidy()
	if err := s.verify(ctx, tx, r, Rule{}); err != nil {
		return err
	}
	id, err := newID()
	if err != nil {
		return err
	}
	r.ID, r.Version, r.CreatedAt, r.UpdatedAt = id, 1, tx.Now, tx.Now
	if _, err := insertRule.Run(ctx, tx, ruleArgs(*r)); err != nil {
		return nameTaken(err)
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: eventRuleCreated, Subject: r.subject(), After: *r, Payload: rulePayload(*r),
	})
}

// RuleChange edits a rule. Version and IfMatch are what the caller saw, if they say so.
type RuleChange struct {
	Edit    func(*Rule)
	Version *int64
	IfMatch string
}

// ChangeRule edits a rule. Alerts that no longer belong to it end soon after, without a
// notice; hosts that meet its new condition fire.
func (s *Service) ChangeRule(ctx context.Context, a db.Actor, id uuid.UUID, c RuleChange) (Rule, error) {
	var r Rule
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManageRules); err != nil {
			return err
		}
		if _, err := ownRules.Run(ctx, tx, nil); err != nil {
			return err
		}
		before, err := lockRule.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(c.IfMatch, c.Version, before.Version); err != nil {
			return err
		}
		r = before
		c.Edit(&r)
		r.ID, r.CreatedAt, r.Version = before.ID, before.CreatedAt, before.Version
		r.tidy()
		if err := s.verify(ctx, tx, &r, before); err != nil {
			return err
		}
		changes, err := ledger.Diff(before, r)
		if err != nil || len(changes) == 0 {
			return err
		}
		r.Version, r.UpdatedAt = before.Version+1, tx.Now
		if _, err := saveRule.Run(ctx, tx, ruleArgs(r)); err != nil {
			return nameTaken(err)
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: eventRuleUpdated, Subject: r.subject(), Changes: changes, Payload: rulePayload(r),
			Jobs: []river.JobArgs{recheck(tx, r)},
		})
	})
	return r, err
}

// DeleteRule removes a rule. What fires for it ends; the alerts stay in the list.
func (s *Service) DeleteRule(ctx context.Context, a db.Actor, id uuid.UUID, version *int64, ifMatch string) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManageRules); err != nil {
			return err
		}
		if _, err := ownRules.Run(ctx, tx, nil); err != nil {
			return err
		}
		r, err := lockRule.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(ifMatch, version, r.Version); err != nil {
			return err
		}
		if _, err := deleteRule.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		r.Version++
		return s.record(ctx, tx, ledger.Entry{
			Action: eventRuleDeleted, Subject: r.subject(), Before: r, Payload: rulePayload(r),
			Jobs: []river.JobArgs{recheck(tx, r)},
		})
	})
}

// SeedDefaults adds the default rules to a new workspace, which has no hosts yet, as
// whoever made it.
func (s *Service) SeedDefaults(ctx context.Context, tx *db.Tx) error {
	for _, r := range Defaults() {
		if err := s.addRule(ctx, tx, &r); err != nil {
			return fmt.Errorf("add rule %q: %w", r.Name, err)
		}
	}
	return nil
}

// recheck judges every host again after a rule changed.
func recheck(tx *db.Tx, r Rule) RecheckArgs {
	return RecheckArgs{InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, RuleID: r.ID, Version: r.Version}
}

func nameTaken(err error) error {
	if db.Violated(err, "alert_rules_name_key") {
		return fault.InvalidField("name", "name_taken", "Another rule has this name. Choose a different one.")
	}
	return err
}

// verify checks the fields of a rule, and that what it newly names exists here. What the
// rule named before may be gone; it reaches nobody and keeps no edit from being saved.
func (s *Service) verify(ctx context.Context, tx *db.Tx, r *Rule, before Rule) error {
	c := r.check()
	if err := c.Err(); err != nil {
		return err
	}
	if fresh := added(r.TargetHosts, before.TargetHosts); len(fresh) > 0 {
		found, err := s.hosts.Hosts(ctx, tx, fresh)
		if err != nil {
			return fmt.Errorf("read hosts of rule: %w", err)
		}
		missing(c, "target_host_ids", "host", len(fresh)-len(found))
	}
	if fresh := added(r.MemberIDs, before.MemberIDs); len(fresh) > 0 {
		n, err := countMembers.One(ctx, tx, db.Args{"ids": fresh})
		if err != nil {
			return err
		}
		missing(c, "member_ids", "member", len(fresh)-int(n))
	}
	if fresh := added(r.GroupIDs, before.GroupIDs); len(fresh) > 0 {
		n, err := countGroups.One(ctx, tx, db.Args{"ids": fresh})
		if err != nil {
			return err
		}
		missing(c, "group_ids", "group", len(fresh)-int(n))
	}
	if fresh := added(r.WebhookIDs, before.WebhookIDs); len(fresh) > 0 {
		endpoints, err := s.webhooks.Endpoints(ctx, tx)
		if err != nil {
			return fmt.Errorf("read webhooks of rule: %w", err)
		}
		gone := 0
		for _, id := range fresh {
			if !slices.ContainsFunc(endpoints, func(e Endpoint) bool { return e.ID == id }) {
				gone++
			}
		}
		missing(c, "webhook_ids", "webhook", gone)
	}
	return c.Err()
}

func added(now, before []uuid.UUID) []uuid.UUID {
	return slices.DeleteFunc(slices.Clone(now), func(id uuid.UUID) bool { return slices.Contains(before, id) })
}

func missing(c *form.Check, field, what string, n int) {
	if n > 0 {
		c.Add(field, "not_found", plural(n, what)+" named here cannot be found in this workspace.")
	}
}

// farAway is after every certificate, those of hosts without one included.
func farAway() time.Time { return time.Date(10000, time.January, 1, 0, 0, 0, 0, time.UTC) }

// hostsNamed finds hosts by their titles (host and port; without a port 443 is meant) and
// returns those titles that no host has.
func (s *Service) hostsNamed(ctx context.Context, tx *db.Tx, titles []string) (ids []uuid.UUID, unknown []string, err error) {
	wanted := map[string]string{}
	for _, t := range titles {
		name := strings.ToLower(strings.TrimSpace(t))
		if name == "" {
			continue
		}
		if !strings.Contains(strings.TrimPrefix(name, "["), ":") {
			name += ":443"
		}
		wanted[name] = t
	}
	after := uuid.Nil
	for len(wanted) > 0 {
		hosts, err := s.hosts.HostsByExpiry(ctx, tx, farAway(), after, walkBatch)
		if err != nil {
			return nil, nil, fmt.Errorf("look for hosts: %w", err)
		}
		for _, h := range hosts {
			if _, ok := wanted[strings.ToLower(h.Title)]; ok {
				ids = append(ids, h.ID)
				delete(wanted, strings.ToLower(h.Title))
			}
		}
		if len(hosts) < walkBatch {
			break
		}
		after = hosts[len(hosts)-1].ID
	}
	for _, t := range wanted {
		unknown = append(unknown, strings.TrimSpace(t))
	}
	slices.Sort(unknown)
	return ids, unknown, nil
}
