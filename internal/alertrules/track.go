package alertrules

import (
	"time"

	"github.com/google/uuid"
)

// Track is what one rule remembers about one host.
type Track struct {
	HostID uuid.UUID `db:"host_id"`
	RuleID uuid.UUID `db:"rule_id"`
	// AlertID is the alert that fires now.
	AlertID uuid.NullUUID `db:"alert_id"`
	// Told says that people heard of the alert that fires now.
	Told bool `db:"told"`
	// LastToldAt is when the last notice that something fires was sent.
	LastToldAt *time.Time `db:"last_told_at"`
	// ToldFiring says that the last notice was about firing, so that its end is told too.
	ToldFiring bool `db:"told_firing"`
	// Suppressed counts what the cooldown kept from being told since the last notice.
	Suppressed  int        `db:"suppressed"`
	NoDataSince *time.Time `db:"no_data_since"`
}

// noDataLimit is how long an alert outlives the data it was judged by.
const noDataLimit = time.Hour

// Reasons why an alert ended.
const (
	reasonCleared  = "cleared"
	reasonNoData   = "no_data"
	reasonRemoved  = "host_removed"
	reasonTarget   = "not_watched"
	reasonDisabled = "rule_disabled"
	reasonDeleted  = "rule_deleted"
	reasonOneTime  = "one_time"
)

// Step is what follows from one look at a host.
type Step struct {
	// Fire begins an alert, with the id that Track holds then. Resolve ends one.
	Fire    bool
	Resolve uuid.NullUUID
	Reason  string
	// TellFiring and TellResolved ask for a notice. Suppressed is how many re-fires the
	// cooldown kept back before it.
	TellFiring   bool
	TellResolved bool
	Suppressed   int
	// Again is when to look again although nothing happens, zero for never.
	Again time.Time
}

// Step moves the track on (reliability.md 4.5). fresh is the id of an alert that may
// begin. A notice is never sent sooner than cooldown after the last one that something
// fires; when it still fires then, one notice is sent with the number of those left out.
func (t *Track) Step(c Condition, muted bool, cooldown time.Duration, now time.Time, fresh uuid.UUID) Step {
	var s Step
	switch c {
	case Hidden:
		t.NoDataSince = nil
	case NoData:
		if !t.AlertID.Valid {
			return s
		}
		if t.NoDataSince == nil {
			t.NoDataSince = &now
		}
		if limit := t.NoDataSince.Add(noDataLimit); now.Before(limit) {
			s.Again = limit
			return s
		}
		t.end(&s, reasonNoData)
	case False:
		t.NoDataSince = nil
		if t.AlertID.Valid {
			t.end(&s, reasonCleared)
		}
	case True:
		t.NoDataSince = nil
		if !t.AlertID.Valid {
			s.Fire = true
			t.AlertID, t.Told = uuid.NullUUID{UUID: fresh, Valid: true}, false
		}
		t.tell(&s, muted, cooldown, now)
	}
	return s
}

func (t *Track) tell(s *Step, muted bool, cooldown time.Duration, now time.Time) {
	if t.Told || muted {
		return
	}
	if t.LastToldAt != nil && now.Before(t.LastToldAt.Add(cooldown)) {
		if s.Fire {
			t.Suppressed++
		}
		s.Again = t.LastToldAt.Add(cooldown)
		return
	}
	s.TellFiring, s.Suppressed = true, t.Suppressed
	t.Told, t.ToldFiring, t.LastToldAt, t.Suppressed = true, true, &now, 0
}

// end resolves the alert that fires. Its end is told only when its beginning was the last
// thing that was told.
func (t *Track) end(s *Step, reason string) {
	s.Resolve, s.Reason, s.TellResolved = t.AlertID, reason, t.ToldFiring
	t.AlertID, t.Told, t.ToldFiring, t.NoDataSince = uuid.NullUUID{}, false, false, nil
}

// Happen is Step for a change: it is over at once, and only the cooldown decides whether
// it is told.
func (t *Track) Happen(cooldown time.Duration, now time.Time) Step {
	s := Step{Fire: true}
	t.tell(&s, false, cooldown, now)
	t.Told, t.ToldFiring = false, false
	s.Again = time.Time{}
	return s
}

// blank reports whether the track holds nothing worth keeping.
func (t *Track) blank() bool { return !t.AlertID.Valid && t.LastToldAt == nil }
