package notifications

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Digest says how mail is gathered.
type Digest string

// The ways to gather mail.
const (
	DigestNone   Digest = "none"
	DigestHourly Digest = "hourly"
	DigestDaily  Digest = "daily"
)

// QuietHours is the part of the day in which no mail is sent, by the clock on the wall of
// the person. From and To are minutes after midnight; the hours may cross midnight.
type QuietHours struct {
	On   bool `json:"on"`
	From int  `json:"from_minute"`
	To   int  `json:"to_minute"`
}

// Preferences is how a member wants to be reached. The zero value is not valid; see
// DefaultPreferences.
type Preferences struct {
	// Floor is the least severity that is told at all.
	Floor event.Severity `audit:"severity_floor"`
	// MailEnabled is the master switch of mail.
	MailEnabled bool   `audit:"mail_enabled"`
	Digest      Digest `audit:"digest"`
	// DigestAt is when a daily digest is sent, in minutes after midnight.
	DigestAt int        `audit:"digest_at"`
	Quiet    QuietHours `audit:"quiet_hours"`
	// Bypass mails critical things at once, in quiet hours and past the digest.
	Bypass bool `audit:"bypass_critical"`
	// Version is 0 until the member changed something.
	Version int64
}

// DefaultPreferences are those of a member who changed nothing: everything, at once. The
// defaults of the columns in the database say the same.
func DefaultPreferences() Preferences {
	return Preferences{
		Floor: event.Info, MailEnabled: true, Digest: DigestNone, DigestAt: 8 * 60,
		Quiet: QuietHours{From: 22 * 60, To: 7 * 60}, Bypass: true,
	}
}

// Validate returns fault.Invalid that names every field which cannot be.
func (p Preferences) Validate() error {
	var c form.Check
	c.OneOf("severity_floor", string(p.Floor), "The least severity", "info", "low", "medium", "high", "critical")
	c.OneOf("digest", string(p.Digest), "The digest", string(DigestNone), string(DigestHourly), string(DigestDaily))
	minute := func(field string, m int) {
		if m < 0 || m >= 24*60 {
			c.Add(field, "invalid_time", "Use a time of the day, such as 22:00.")
		}
	}
	minute("digest_at", p.DigestAt)
	minute("quiet_from", p.Quiet.From)
	minute("quiet_to", p.Quiet.To)
	if p.Quiet.On && p.Quiet.From == p.Quiet.To && !c.Has("quiet_to") {
		c.Add("quiet_to", "empty_period", "Quiet hours need an end that differs from their start.")
	}
	return c.Err()
}

// Wants reports whether something of this severity is told at all.
func (p Preferences) Wants(s event.Severity) bool { return s.Rank() >= p.Floor.Rank() }

// MailAt returns when mail about something of this severity is sent: now, or later when
// it is gathered or held back.
func (p Preferences) MailAt(now time.Time, zone *time.Location, s event.Severity) (at time.Time, held bool) {
	if p.Bypass && s == event.Critical {
		return now, false
	}
	at = now
	switch p.Digest {
	case DigestHourly:
		at = now.Truncate(time.Hour).Add(time.Hour)
	case DigestDaily:
		at = nextWallClock(now, zone, p.DigestAt)
	case DigestNone:
	}
	if end, quiet := p.Quiet.until(at, zone); quiet {
		at = end
	}
	return at, at.After(now)
}

// until returns when the quiet hours around t end, or false when t lies outside them.
func (q QuietHours) until(t time.Time, zone *time.Location) (time.Time, bool) {
	if !q.On {
		return time.Time{}, false
	}
	local := t.In(zone)
	m := local.Hour()*60 + local.Minute()
	inside := q.From <= m && m < q.To
	if q.From > q.To {
		inside = m >= q.From || m < q.To
	}
	if !inside {
		return time.Time{}, false
	}
	return nextWallClock(t, zone, q.To), true
}

// nextWallClock returns the first instant after t at which clocks in the zone show the
// minute of the day. A minute that a clock skips when it is put forward counts as the
// instant of the jump; of one that it shows twice, whichever comes next counts.
func nextWallClock(t time.Time, zone *time.Location, minute int) time.Time {
	y, m, d := t.In(zone).Date()
	for day := 0; ; day++ {
		for _, at := range occurrences(time.Date(y, m, d+day, minute/60, minute%60, 0, 0, time.UTC), zone) {
			if at.After(t) {
				return at
			}
		}
	}
}

// occurrences returns the instants, in order, at which clocks in the zone show what wall
// shows in UTC.
func occurrences(wall time.Time, zone *time.Location) []time.Time {
	// Offsets a day before and after: no zone changes its clock twice in two days.
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	var out []time.Time
	for _, offset := range slices.Compact([]int{before, after}) {
		at := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		if at.Hour() == wall.Hour() && at.Minute() == wall.Minute() && at.Day() == wall.Day() {
			out = append(out, at.UTC())
		}
	}
	if len(out) == 0 {
		jump, _ := wall.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
		return []time.Time{jump.UTC()}
	}
	slices.SortFunc(out, time.Time.Compare)
	return out
}

// Choice is the channels of one event.
type Choice struct {
	Event string
	event.Channels
}

// Mute is a thing that a member does not want to hear about.
type Mute struct {
	SubjectType string    `db:"subject_type"`
	SubjectID   uuid.UUID `db:"subject_id"`
	Title       string    `db:"title"`
	Path        string    `db:"path"`
	CreatedAt   time.Time `db:"created_at"`
}

// audience returns the lowest role that may subscribe to an event. What happens to
// members, rights, settings and exports is for those who look after the workspace; others
// hear of it only when a module names them in a Notice.
func audience(t event.Type) access.Role {
	switch t.Category {
	case event.CategoryAccess, event.CategoryAdmin, event.CategoryExport:
		return access.Admin
	case event.CategoryActivity, event.CategoryApproval:
		return access.Viewer
	default:
		return access.Admin
	}
}

// offered returns the events that a member of the role may choose, by group and name.
func offered(c *event.Catalogue, role access.Role) []event.Type {
	return slices.DeleteFunc(c.Types(), func(t event.Type) bool {
		return t.AuditOnly || role.Rank() < audience(t).Rank()
	})
}
