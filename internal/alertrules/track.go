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
	// Muting is why the alert that fires now stays silent.
	Muting
	// OwedID is an alert that people heard of and that ended inside a silence: its end is
	// told when the silence is over, so that whatever it opened elsewhere is closed.
	OwedID uuid.NullUUID `db:"owed_id"`
}

// MutedBy is what keeps an alert from being told.
type MutedBy string

// What mutes an alert; nothing is the empty one.
const (
	MutedBySilence MutedBy = "silence"
	// MutedByRule is another rule whose alert about the host says the same or more.
	MutedByRule MutedBy = "rule"
)

// Muting is why an alert stays silent, with the id of the silence or of the rule. The zero
// one says that it does not.
type Muting struct {
	MutedBy MutedBy       `db:"muted_by"`
	MutedID uuid.NullUUID `db:"muted_id"`
}

func mutedBy(by MutedBy, id uuid.UUID) Muting {
	return Muting{MutedBy: by, MutedID: uuid.NullUUID{UUID: id, Valid: true}}
}

func (m Muting) silenced() bool { return m.MutedBy == MutedBySilence }

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
	// Late is an alert that ended earlier, inside a silence, and whose end is told now.
	Late uuid.NullUUID
	// Again is when to look again although nothing happens, zero for never.
	Again time.Time
}

// Step moves the track on (reliability.md 4.5). fresh is the id of an alert that may
// begin. A notice is never sent sooner than cooldown after the last one that something
// fires; when it still fires then, one notice is sent with the number of those left out.
// What is muted keeps its state and is told when it is heard again.
func (t *Track) Step(c Condition, m Muting, cooldown time.Duration, now time.Time, fresh uuid.UUID) Step {
	var s Step
	if t.OwedID.Valid && !m.silenced() {
		s.Late, t.OwedID = t.OwedID, uuid.NullUUID{}
	}
	t.move(&s, c, m, cooldown, now, fresh)
	t.Muting = Muting{}
	if t.AlertID.Valid {
		t.Muting = m
	}
	return s
}

func (t *Track) move(s *Step, c Condition, m Muting, cooldown time.Duration, now time.Time, fresh uuid.UUID) {
	switch c {
	case Hidden:
		t.NoDataSince = nil
	case NoData:
		if !t.AlertID.Valid {
			return
		}
		if t.NoDataSince == nil {
			t.NoDataSince = &now
		}
		if limit := t.NoDataSince.Add(noDataLimit); now.Before(limit) {
			s.Again = limit
			return
		}
		t.end(s, reasonNoData, m.silenced())
	case False:
		t.NoDataSince = nil
		if t.AlertID.Valid {
			t.end(s, reasonCleared, m.silenced())
		}
	case True:
		t.NoDataSince = nil
		if !t.AlertID.Valid {
			s.Fire = true
			t.AlertID, t.Told = uuid.NullUUID{UUID: fresh, Valid: true}, false
		}
		t.tell(s, m, cooldown, now)
	}
}

func (t *Track) tell(s *Step, m Muting, cooldown time.Duration, now time.Time) {
	if t.Told || m != (Muting{}) {
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
// thing that was told, and inside a silence not yet.
func (t *Track) end(s *Step, reason string, silenced bool) {
	s.Resolve, s.Reason, s.TellResolved = t.AlertID, reason, t.ToldFiring && !silenced
	if t.ToldFiring && silenced {
		t.OwedID = t.AlertID
	}
	t.AlertID, t.Told, t.ToldFiring, t.NoDataSince = uuid.NullUUID{}, false, false, nil
}

// Happen is Step for a change: it is over at once, and only a silence and the cooldown
// decide whether it is told.
func (t *Track) Happen(m Muting, cooldown time.Duration, now time.Time) Step {
	s := Step{Fire: true}
	t.tell(&s, m, cooldown, now)
	t.Told, t.ToldFiring = false, false
	s.Again = time.Time{}
	return s
}

// blank reports whether the track holds nothing worth keeping.
func (t *Track) blank() bool { return !t.AlertID.Valid && t.LastToldAt == nil }
