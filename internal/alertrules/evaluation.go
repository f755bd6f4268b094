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
	// silences are those that lie over the workspace now or later.
	silences []Silence

	outcomes  []outcome
	muted     []mutedAlert
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

// mutedAlert is an alert that fires on and is muted by something else than before, or is
// heard again.
type mutedAlert struct {
	id uuid.UUID
	Muting
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
	var there []HostState
	for _, c := range checks {
		if h, ok := states[c.HostID]; ok {
			// A status that shows a certificate is newer than an event about failing scans.
			there = append(there, HostState{Host: h, Failing: c.Failing && unscanned(h.Status)})
		} else {
			r.removed(c.HostID, tracks[c.HostID])
		}
	}
	if r.mayTell(there, tracks) {
		if r.silences, err = liveSilences.All(ctx, tx, nil); err != nil {
			return nil, err
		}
	}
	for _, h := range there {
		if err := r.judge(h, tracks[h.ID]); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// mayTell reports whether silences matter at all: for a host about which nothing fires,
// which is nearly every host, they need not be read.
func (r *round) mayTell(hosts []HostState, tracks map[uuid.UUID][]Track) bool {
	return r.change != "" || slices.ContainsFunc(hosts, func(h HostState) bool {
		return slices.ContainsFunc(tracks[h.ID], func(t Track) bool { return t.AlertID.Valid || t.OwedID.Valid }) ||
			slices.ContainsFunc(r.rules, func(rule Rule) bool { return Evaluate(rule, h, r.now) == True })
	})
}

// muting says what keeps an alert of a rule from being told now. A silence comes before
// another rule, since people made it on purpose.
func (r *round) muting(rule Rule, h HostState) Muting {
	if id, ok := silenced(r.silences, rule.ID, h.Host, r.now); ok {
		return mutedBy(MutedBySilence, id)
	}
	if id, ok := inhibited(rule, h, r.rules, r.now); ok {
		return mutedBy(MutedByRule, id)
	}
	return Muting{}
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
			m := r.muting(rule, h)
			step = t.Happen(m, rule.Cooldown(), r.now)
			r.note(step, m, rule, h.Host, id, t.AlertID)
		} else {
			condition := Evaluate(rule, h, r.now)
			var m Muting
			if condition == True || t.AlertID.Valid || t.OwedID.Valid {
				m = r.muting(rule, h)
			}
			step = t.Step(condition, m, rule.Cooldown(), r.now, id)
			sooner(nextEdge(rule, h.Host, r.now))
			sooner(step.Again)
			if t.AlertID.Valid || t.OwedID.Valid {
				sooner(nextTurn(r.silences, rule.ID, h.Host, r.now))
			}
			r.note(step, t.Muting, rule, h.Host, id, t.AlertID)
			if t.AlertID.Valid && t.AlertID == before.AlertID && t.Muting != before.Muting {
				r.muted = append(r.muted, mutedAlert{t.AlertID.UUID, t.Muting})
			}
		}
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

// note keeps what a step asks for. m is what mutes an alert that begins, fresh its id;
// present is the alert that fires already.
func (r *round) note(step Step, m Muting, rule Rule, h Host, fresh uuid.UUID, present uuid.NullUUID) {
	if step.Late.Valid {
		late := Step{Late: step.Late, TellResolved: true}
		r.outcomes = append(r.outcomes, outcome{Step: late, rule: rule, host: h, alert: Alert{ID: step.Late.UUID}})
		step.Late = uuid.NullUUID{}
	}
	o := outcome{Step: step, rule: rule, host: h}
	switch {
	case step.Fire:
		o.alert = Alert{
			ID: fresh, RuleID: rule.ID, RuleName: rule.Name, Trigger: rule.Trigger, Severity: rule.Severity, HostID: h.ID,
			HostTitle: h.Title, HostPath: h.Path, Message: message(rule.Trigger, h), State: Firing, FiredAt: r.now,
			Muting: m,
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

// end resolves the alert of a track, if one fires, without a look at the condition, and
// tells at once of an end that a silence held back: the track is forgotten.
func (r *round) end(t Track, rule Rule, h Host, reason string) {
	step := Step{Late: t.OwedID}
	if t.AlertID.Valid {
		t.end(&step, reason, false)
	}
	r.note(step, Muting{}, rule, h, uuid.Nil, uuid.NullUUID{})
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
	case o.Late.Valid:
		e.Action, e.Severity = eventResolved, event.Info
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
		p.MutedBy = o.alert.MutedBy
		if o.alert.MutedID.Valid {
			p.MutedByID = &o.alert.MutedID.UUID
		}
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
		if o.Late.Valid {
			r.outcomes[i].Reason = known[o.alert.ID].ResolvedReason
		}
	}
	if n := len(r.muted); n > 0 {
		ids, by, byID := make([]uuid.UUID, n), make([]string, n), make([]uuid.NullUUID, n)
		for i, m := range r.muted {
			ids[i], by[i], byID[i] = m.id, string(m.MutedBy), m.MutedID
		}
		if _, err := muteAlerts.Run(ctx, tx, db.Args{"ids": ids, "muted_by": by, "muted_ids": byID}); err != nil {
			return err
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
	mutedBy, mutedIDs := make([]string, n), make([]uuid.NullUUID, n)
	for i, o := range fresh {
		a := o.alert
		ids[i], rules[i], hosts[i], names[i] = a.ID, a.RuleID, a.HostID, a.RuleName
		triggers[i], severities[i] = string(a.Trigger), string(a.Severity)
		titles[i], paths[i], messages[i] = a.HostTitle, a.HostPath, a.Message
		states[i], reasons[i] = string(a.State), a.ResolvedReason
		mutedBy[i], mutedIDs[i] = string(a.MutedBy), a.MutedID
		if a.Trigger.OneTime() {
			events[i] = ev
		}
	}
	return db.Args{
		"ids": ids, "rules": rules, "rule_names": names, "triggers": triggers, "severities": severities, "hosts": hosts,
		"host_titles": titles, "host_paths": paths, "messages": messages, "states": states, "reasons": reasons, "events": events,
		"muted_by": mutedBy, "muted_ids": mutedIDs,
	}
}

// writeTracks keeps what the rules remember, and when to look again.
func writeTracks(ctx context.Context, tx *db.Tx, r *round) error {
	if n := len(r.save); n > 0 {
		hosts, rules, alerts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.NullUUID, n)
		told, firing, suppressed := make([]bool, n), make([]bool, n), make([]int32, n)
		by, byID, owed := make([]string, n), make([]uuid.NullUUID, n), make([]uuid.NullUUID, n)
		last, noData := make([]*time.Time, n), make([]*time.Time, n)
		for i, t := range r.save {
			hosts[i], rules[i], alerts[i], told[i], firing[i] = t.HostID, t.RuleID, t.AlertID, t.Told, t.ToldFiring
			by[i], byID[i], owed[i] = string(t.MutedBy), t.MutedID, t.OwedID
			suppressed[i], last[i], noData[i] = int32(min(t.Suppressed, 1<<30)), t.LastToldAt, t.NoDataSince //nolint:gosec // bounded
		}
		if _, err := saveTracks.Run(ctx, tx, db.Args{
			"hosts": hosts, "rules": rules, "alerts": alerts, "told": told, "last_told": last, "told_firing": firing,
			"suppressed": suppressed, "no_data": noData, "muted_by": by, "muted_ids": byID, "owed": owed,
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
