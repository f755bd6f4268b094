package alertrules

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// evaluationBatch is how many hosts one transaction judges.
const evaluationBatch = 200

// Evaluate judges every enabled rule at some hosts and does what follows: alerts begin
// and end, people are told, and the next look is planned. ev is what happened to them, nil
// when only time passed. Whoever evaluates the same host at once waits, and then finds
// nothing left to do.
func (s *Service) Evaluate(ctx context.Context, workspace uuid.UUID, hosts []uuid.UUID, ev *event.Event) error {
	ids := slices.Clone(hosts)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	for batch := range slices.Chunk(slices.Compact(ids), evaluationBatch) {
		err := s.db.InWorkspace(ctx, db.System(workspace, "alert rules"), func(tx *db.Tx) error {
			r, err := s.look(ctx, tx, batch, ev)
			if err != nil {
				return err
			}
			return s.carryOut(ctx, tx, r)
		})
		if err != nil {
			return fmt.Errorf("evaluate %d hosts: %w", len(batch), err)
		}
	}
	return nil
}

// round is one evaluation: what was read, and what follows from it.
type round struct {
	now   time.Time
	rules []Rule
	// change is the one-time trigger that happened, empty for none; seen are the rules that
	// have its alert already.
	change Trigger
	event  uuid.NullUUID
	seen   []uuid.UUID

	outcomes  []outcome
	save      []Track
	drop      []Track
	gone      []uuid.UUID
	scheduled []uuid.UUID
	times     []*time.Time
}

// outcome is what happened to one alert. Before it is carried out, only fresh alerts have
// all their fields; others have their id.
type outcome struct {
	Step
	rule  Rule
	host  Host
	alert Alert
}

// look reads hosts, rules and tracks, and decides.
func (s *Service) look(ctx context.Context, tx *db.Tx, ids []uuid.UUID, ev *event.Event) (*round, error) {
	if _, err := shareRules.Run(ctx, tx, nil); err != nil {
		return nil, err
	}
	r := &round{now: tx.Now}
	var err error
	if r.rules, err = enabledRules.All(ctx, tx, nil); err != nil {
		return nil, err
	}
	args := db.Args{"ids": ids, "failing": nil, "event": nil}
	if ev != nil {
		switch ev.Name {
		case hostScanFailed, hostScanRecovered:
			args["failing"], args["event"] = ev.Name == hostScanFailed, ev.ID
		case certChanged, certIssuerChanged:
			r.change, r.event = CertChanged, uuid.NullUUID{UUID: ev.ID, Valid: true}
			if ev.Name == certIssuerChanged {
				r.change = IssuerChanged
			}
		}
	}
	checks, err := lockChecks.All(ctx, tx, args)
	if err != nil {
		return nil, err
	}
	// The lock is held: from here on nobody else decides about these hosts.
	hosts, err := s.hosts.Hosts(ctx, tx, ids)
	if err != nil {
		return nil, fmt.Errorf("read hosts: %w", err)
	}
	rows, err := loadTracks.All(ctx, tx, db.Args{"ids": ids})
	if err != nil {
		return nil, err
	}
	if r.change != "" {
		if r.seen, err = rulesOfEvent.All(ctx, tx, db.Args{"event": r.event}); err != nil {
			return nil, err
		}
	}
	tracks := map[uuid.UUID][]Track{}
	for _, t := range rows {
		tracks[t.HostID] = append(tracks[t.HostID], t)
	}
	states := make(map[uuid.UUID]Host, len(hosts))
	for _, h := range hosts {
		states[h.ID] = h
	}
	for _, c := range checks {
		h, ok := states[c.HostID]
		if !ok {
			r.removed(c.HostID, tracks[c.HostID])
			continue
		}
		// A status that shows a certificate is newer than an event about failing scans.
		if err := r.judge(HostState{Host: h, Failing: c.Failing && unscanned(h.Status)}, tracks[h.ID]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// judge lets each rule look at one host.
func (r *round) judge(h HostState, tracks []Track) error {
	var next time.Time
	sooner := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, rule := range r.rules {
		i := slices.IndexFunc(tracks, func(t Track) bool { return t.RuleID == rule.ID })
		t := Track{HostID: h.ID, RuleID: rule.ID}
		if i >= 0 {
			t = tracks[i]
		}
		if !rule.Watches(h.Host) {
			if i >= 0 {
				r.end(t, rule, h.Host, reasonTarget)
				r.drop = append(r.drop, t)
			}
			continue
		}
		before := t
		id, err := newID()
		if err != nil {
			return err
		}
		var step Step
		if rule.Trigger.OneTime() {
			if rule.Trigger != r.change || slices.Contains(r.seen, rule.ID) {
				continue
			}
			step = t.Happen(rule.Cooldown(), r.now)
		} else {
			step = t.Step(Evaluate(rule, h, r.now), muted(rule, h, r.rules, r.now), rule.Cooldown(), r.now, id)
			sooner(nextEdge(rule, h.Host, r.now))
			sooner(step.Again)
		}
		r.note(step, rule, h.Host, id, t.AlertID)
		switch {
		case t == before:
		case !t.blank():
			r.save = append(r.save, t)
		case i >= 0:
			r.drop = append(r.drop, t)
		}
	}
	var at *time.Time
	if !next.IsZero() {
		at = &next
	}
	r.scheduled, r.times = append(r.scheduled, h.ID), append(r.times, at)
	return nil
}

// note keeps what a step asks for. fresh is the id of an alert that begins, present the
// one that fires already.
func (r *round) note(step Step, rule Rule, h Host, fresh uuid.UUID, present uuid.NullUUID) {
	o := outcome{Step: step, rule: rule, host: h}
	switch {
	case step.Fire:
		o.alert = Alert{
			ID: fresh, RuleID: rule.ID, RuleName: rule.Name, Trigger: rule.Trigger, Severity: rule.Severity, HostID: h.ID,
			HostTitle: h.Title, HostPath: h.Path, Message: message(rule.Trigger, h), State: Firing, FiredAt: r.now,
		}
		if rule.Trigger.OneTime() {
			o.alert.State, o.alert.ResolvedAt, o.alert.ResolvedReason = Resolved, &r.now, reasonOneTime
		}
	case step.Resolve.Valid:
		o.alert.ID = step.Resolve.UUID
	case step.TellFiring:
		o.alert.ID = present.UUID
	default:
		return
	}
	r.outcomes = append(r.outcomes, o)
}

// end resolves the alert of a track, if one fires, without a look at the condition.
func (r *round) end(t Track, rule Rule, h Host, reason string) {
	if !t.AlertID.Valid {
		return
	}
	var step Step
	t.end(&step, reason)
	r.note(step, rule, h, uuid.Nil, uuid.NullUUID{})
}

// removed forgets a host that no longer exists.
func (r *round) removed(id uuid.UUID, tracks []Track) {
	for _, t := range tracks {
		rule := Rule{ID: t.RuleID}
		if i := slices.IndexFunc(r.rules, func(x Rule) bool { return x.ID == t.RuleID }); i >= 0 {
			rule = r.rules[i]
		}
		r.end(t, rule, Host{ID: id}, reasonRemoved)
		r.drop = append(r.drop, t)
	}
	r.gone = append(r.gone, id)
}

// carryOut writes what a round decided, and tells people.
func (s *Service) carryOut(ctx context.Context, tx *db.Tx, r *round) error {
	if err := writeAlerts(ctx, tx, r); err != nil {
		return err
	}
	var told []telling
	var notified []uuid.UUID
	for _, o := range r.outcomes {
		id, err := s.announce(ctx, tx, o)
		if err != nil {
			return err
		}
		if o.TellFiring || o.TellResolved {
			told = append(told, telling{outcome: o, event: id})
		}
		if o.TellFiring {
			notified = append(notified, o.alert.ID)
		}
	}
	if len(notified) > 0 {
		if _, err := noteNotified.Run(ctx, tx, db.Args{"ids": notified}); err != nil {
			return err
		}
	}
	if err := writeTracks(ctx, tx, r); err != nil {
		return err
	}
	return s.tell(ctx, tx, told)
}

// announce records what happened to an alert and returns the id of the event.
func (s *Service) announce(ctx context.Context, tx *db.Tx, o outcome) (uuid.UUID, error) {
	e := ledger.Entry{Subject: o.alert.subject(), Parent: o.alert.host(), Severity: o.alert.Severity}
	p := alertPayload(o.alert)
	p.SuppressedRefires = o.Suppressed
	switch {
	case o.Resolve.Valid && o.TellResolved:
		e.Action, e.Severity = eventResolved, event.Info
	case o.Resolve.Valid:
		e.Action, e.Severity = eventCleared, event.Info
	case o.TellFiring:
		e.Action = eventFired
		if o.host.hasCertificate() {
			end, days := o.host.NotAfter.UTC(), o.host.DaysLeft(tx.Now)
			p.NotAfter, p.DaysLeft = &end, &days
		}
	default:
		e.Action = eventHeldBack
	}
	if o.Resolve.Valid {
		e.Changes = []ledger.Change{{Field: "state", From: Firing, To: Resolved}}
		e.Detail = map[string]any{"reason": o.Reason}
	}
	e.Payload = p
	return s.ledger.Record(ctx, tx, e)
}

// writeAlerts adds fresh alerts, ends others, and fills in those that are told later.
func writeAlerts(ctx context.Context, tx *db.Tx, r *round) error {
	var fresh []outcome
	var ended, present []uuid.UUID
	var reasons []string
	for _, o := range r.outcomes {
		switch {
		case o.Fire:
			fresh = append(fresh, o)
		case o.Resolve.Valid:
			ended, reasons = append(ended, o.alert.ID), append(reasons, o.Reason)
		default:
			present = append(present, o.alert.ID)
		}
	}
	if len(fresh) > 0 {
		if _, err := insertAlerts.Run(ctx, tx, insertArgs(fresh, r.event)); err != nil {
			return err
		}
	}
	known := map[uuid.UUID]Alert{}
	keep := func(rows []Alert, err error) error {
		for _, a := range rows {
			known[a.ID] = a
		}
		return err
	}
	if len(ended) > 0 {
		if err := keep(resolveAlerts.All(ctx, tx, db.Args{"ids": ended, "reasons": reasons})); err != nil {
			return err
		}
	}
	if len(present) > 0 {
		if err := keep(loadAlerts.All(ctx, tx, db.Args{"ids": present})); err != nil {
			return err
		}
	}
	// An alert that ended elsewhere, because its rule was switched off, was announced there.
	r.outcomes = slices.DeleteFunc(r.outcomes, func(o outcome) bool {
		_, ok := known[o.alert.ID]
		return !o.Fire && !ok
	})
	for i, o := range r.outcomes {
		if !o.Fire {
			r.outcomes[i].alert = known[o.alert.ID]
		}
	}
	return nil
}

func insertArgs(fresh []outcome, ev uuid.NullUUID) db.Args {
	n := len(fresh)
	ids, rules, hosts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	names, triggers, severities := make([]string, n), make([]string, n), make([]string, n)
	titles, paths, messages := make([]string, n), make([]string, n), make([]string, n)
	states, reasons, events := make([]string, n), make([]string, n), make([]uuid.NullUUID, n)
	for i, o := range fresh {
		a := o.alert
		ids[i], rules[i], hosts[i], names[i] = a.ID, a.RuleID, a.HostID, a.RuleName
		triggers[i], severities[i] = string(a.Trigger), string(a.Severity)
		titles[i], paths[i], messages[i] = a.HostTitle, a.HostPath, a.Message
		states[i], reasons[i] = string(a.State), a.ResolvedReason
		if a.Trigger.OneTime() {
			events[i] = ev
		}
	}
	return db.Args{
		"ids": ids, "rules": rules, "rule_names": names, "triggers": triggers, "severities": severities, "hosts": hosts,
		"host_titles": titles, "host_paths": paths, "messages": messages, "states": states, "reasons": reasons, "events": events,
	}
}

// writeTracks keeps what the rules remember, and when to look again.
func writeTracks(ctx context.Context, tx *db.Tx, r *round) error {
	if n := len(r.save); n > 0 {
		hosts, rules, alerts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.NullUUID, n)
		told, firing, suppressed := make([]bool, n), make([]bool, n), make([]int32, n)
		last, noData := make([]*time.Time, n), make([]*time.Time, n)
		for i, t := range r.save {
			hosts[i], rules[i], alerts[i], told[i], firing[i] = t.HostID, t.RuleID, t.AlertID, t.Told, t.ToldFiring
			suppressed[i], last[i], noData[i] = int32(min(t.Suppressed, 1<<30)), t.LastToldAt, t.NoDataSince //nolint:gosec // bounded
		}
		if _, err := saveTracks.Run(ctx, tx, db.Args{
			"hosts": hosts, "rules": rules, "alerts": alerts, "told": told, "last_told": last, "told_firing": firing,
			"suppressed": suppressed, "no_data": noData,
		}); err != nil {
			return err
		}
	}
	if n := len(r.drop); n > 0 {
		hosts, rules := make([]uuid.UUID, n), make([]uuid.UUID, n)
		for i, t := range r.drop {
			hosts[i], rules[i] = t.HostID, t.RuleID
		}
		if _, err := dropTracks.Run(ctx, tx, db.Args{"hosts": hosts, "rules": rules}); err != nil {
			return err
		}
	}
	if len(r.gone) > 0 {
		if _, err := dropChecks.Run(ctx, tx, db.Args{"ids": r.gone}); err != nil {
			return err
		}
	}
	if len(r.scheduled) > 0 {
		if _, err := scheduleChecks.Run(ctx, tx, db.Args{"ids": r.scheduled, "times": r.times}); err != nil {
			return err
		}
	}
	return nil
}

// closeOrphans ends alerts whose rule was deleted or switched off, a batch at a time.
func (s *Service) closeOrphans(ctx context.Context, workspace uuid.UUID) error {
	for {
		n := 0
		err := s.db.InWorkspace(ctx, db.System(workspace, "alert rule changed"), func(tx *db.Tx) error {
			if _, err := dropTracksOfRules.Run(ctx, tx, nil); err != nil {
				return err
			}
			rows, err := orphans.All(ctx, tx, db.Args{"limit": evaluationBatch})
			if err != nil {
				return err
			}
			n = len(rows)
			r := &round{now: tx.Now}
			for _, o := range rows {
				reason := reasonDisabled
				if o.Deleted {
					reason = reasonDeleted
				}
				// Whether people heard of it is known once it is read; see below.
				r.outcomes = append(r.outcomes, outcome{
					Step:  Step{Resolve: uuid.NullUUID{UUID: o.ID, Valid: true}, Reason: reason},
					alert: Alert{ID: o.ID},
				})
			}
			if err := writeAlerts(ctx, tx, r); err != nil {
				return err
			}
			for _, o := range r.outcomes {
				o.TellResolved = o.alert.LastNotifiedAt != nil
				if _, err := s.announce(ctx, tx, o); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("close alerts of rules that do not watch: %w", err)
		}
		if n < evaluationBatch {
			return nil
		}
	}
}
