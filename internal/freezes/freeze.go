package freezes

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Kind is what a window does.
type Kind string

// The kinds. The first two stop or warn inside the window, the third outside of it; the
// last mutes alerts and stops nothing.
const (
	Hard            Kind = "hard"
	Soft            Kind = "soft"
	MaintenanceOnly Kind = "maintenance_only"
	Maintenance     Kind = "maintenance"
)

// Kinds lists the kinds in the order of the form.
func Kinds() []Kind { return []Kind{Hard, Soft, MaintenanceOnly, Maintenance} }

// FreezeKinds lists the kinds that concern whether a change may run.
func FreezeKinds() []Kind { return []Kind{Hard, Soft, MaintenanceOnly} }

// mode is how the hours of the kind are resolved: wide where they protect, narrow where
// they allow (work.md 2.4), and by RFC 5545 where they mute (reliability.md 4.6).
func (k Kind) mode() wallclock.Mode {
	switch k {
	case MaintenanceOnly:
		return wallclock.Narrowest
	case Maintenance:
		return wallclock.Elapsed
	case Hard, Soft:
	}
	return wallclock.Widest
}

// State is where a freeze stands in its life.
type State string

// The states. A draft does nothing; a lifted freeze is over for good and can be copied.
const (
	Draft  State = "draft"
	Active State = "active"
	Lifted State = "lifted"
)

// States lists the states in the order of a life.
func States() []State { return []State{Draft, Active, Lifted} }

// Schedule says when. One-off: two instants, the second nil for a lockdown that lasts until
// it is lifted. Recurring: local hours on the dates of a rule.
type Schedule struct {
	Recurring bool       `db:"recurring" audit:"recurring"`
	Zone      string     `db:"time_zone" audit:"time_zone"` // IANA; of a one-off, the zone that it is written in
	StartsAt  *time.Time `db:"starts_at" audit:"starts_at"`
	EndsAt    *time.Time `db:"ends_at" audit:"ends_at"`
	// FirstDate is as in 2027-03-28; LocalStart and LocalEnd are as in 22:00, and the end
	// lies EndDays days after the start.
	FirstDate  string `db:"first_date" audit:"first_date"`
	LocalStart string `db:"local_start" audit:"local_start"`
	LocalEnd   string `db:"local_end" audit:"local_end"`
	EndDays    int    `db:"end_days" audit:"end_days"`
	// RRule is in canonical form; ExDates and RDates are dates that are left out or added.
	RRule   string   `db:"rrule" audit:"rrule"`
	ExDates []string `db:"exdates" audit:"exdates"`
	RDates  []string `db:"rdates" audit:"rdates"`
}

// Freeze is one window with its scope and schedule.
type Freeze struct {
	ID      uuid.UUID     `db:"id"`
	Name    string        `db:"name" audit:"name"`
	Kind    Kind          `db:"kind" audit:"kind"`
	State   State         `db:"state" audit:"state"`
	Reason  string        `db:"reason" audit:"reason"`
	OwnerID uuid.NullUUID `db:"owner_user_id" audit:"owner"`
	Scope
	// Strict makes leaving the hours of maintenance_only a refusal instead of a warning.
	Strict bool `db:"strict" audit:"blocks_outside"`
	// PreapprovesStandard lets standard changes run inside a maintenance window without a
	// decision of their own.
	PreapprovesStandard bool `db:"preapproves_standard" audit:"preapproves_standard"`
	Schedule
	Version int64 `db:"version"`
	// WidenedVersion is the last version that stopped more than the one before: overrides of
	// earlier versions are void.
	WidenedVersion int64         `db:"widened_version"`
	BuiltUntil     time.Time     `db:"built_until"` // occurrences are stored up to here
	ZoneVersion    string        `db:"zone_version"`
	ActivatedAt    *time.Time    `db:"activated_at"`
	ActivatedBy    uuid.NullUUID `db:"activated_by" audit:"approver"` // the approver: a user
	LiftedAt       *time.Time    `db:"lifted_at"`
	LiftedBy       uuid.NullUUID `db:"lifted_by"`
	CreatedBy      uuid.NullUUID `db:"created_by"`
	CreatedAt      time.Time     `db:"created_at"`
	UpdatedAt      time.Time     `db:"updated_at"`
}

// Lockdown reports whether the freeze lasts until it is lifted.
func (f Freeze) Lockdown() bool { return !f.Recurring && f.EndsAt == nil }

// Blocks reports whether meeting the freeze refuses a change; else it warns.
func (f Freeze) Blocks() bool { return f.Kind == Hard || (f.Kind == MaintenanceOnly && f.Strict) }

// Path is the page of the freeze below its workspace.
func (f Freeze) Path() string { return listPath + "/" + f.ID.String() }

const listPath = "/settings/maintenance"

func (f Freeze) subject() event.Subject {
	return event.Subject{Type: "freeze", ID: f.ID, Title: f.Name}
}

// Activate puts a draft in force.
func (f *Freeze) Activate(by uuid.UUID, now time.Time) error {
	if f.State != Draft {
		return fault.NewConflict("freeze_"+string(f.State), f.Name+" is "+string(f.State)+" already. Only a draft can be activated.")
	}
	if f.over(now) {
		return fault.NewInvalid("freeze_over", "All of this lies in the past. Change its dates before you activate it.")
	}
	f.State, f.ActivatedAt, f.ActivatedBy = Active, &now, db.NullID(by)
	return nil
}

// Lift ends an active freeze for good.
func (f *Freeze) Lift(by uuid.UUID, now time.Time) error {
	if f.State != Active {
		return fault.NewConflict("freeze_"+string(f.State), f.Name+" is "+string(f.State)+". Only an active one can be lifted.")
	}
	f.State, f.LiftedAt, f.LiftedBy = Lifted, &now, db.NullID(by)
	return nil
}

// over reports whether a one-off freeze has ended.
func (f Freeze) over(now time.Time) bool {
	return !f.Recurring && f.EndsAt != nil && !f.EndsAt.After(now)
}

// Limits of a freeze and of a workspace.
const (
	maxName    = 120
	maxReason  = 2000
	minReason  = 15 // of an override (work.md 2, rule 5)
	maxItems   = 200
	maxTag     = 40
	maxEndDays = 92
	// MaxFreezes is how many drafts and active freezes a workspace has.
	MaxFreezes = 500
	// MaxLength is the longest one-off freeze with an end.
	MaxLength = 2 * 366 * 24 * time.Hour
)

// tidy removes what does not belong to the kind and the schedule, and what is said twice.
func (f *Freeze) tidy() {
	f.Name = strings.Join(strings.Fields(f.Name), " ")
	f.Reason = strings.TrimSpace(strings.ReplaceAll(f.Reason, "\r\n", "\n"))
	f.Scope.tidy()
	if f.Kind != MaintenanceOnly {
		f.Strict = false
	}
	if f.Kind != Maintenance {
		f.PreapprovesStandard = false
	} else {
		// Alerts know assets; they know nothing of changes.
		f.ChangeTypes, f.MinRisk, f.IncludeDownstream = []string{}, "", false
	}
	if f.Recurring {
		f.StartsAt, f.EndsAt = nil, nil
	} else {
		f.FirstDate, f.LocalStart, f.LocalEnd, f.EndDays, f.RRule, f.ExDates, f.RDates = "", "", "", 0, "", nil, nil
		f.StartsAt, f.EndsAt = minute(f.StartsAt), minute(f.EndsAt)
	}
	f.ExDates, f.RDates = sortedDates(f.ExDates), sortedDates(f.RDates)
}

// minute drops seconds: windows begin and end on a minute.
func minute(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	m := t.UTC().Truncate(time.Minute)
	return &m
}

// sortedDates never returns nil, since columns are not null.
func sortedDates(in []string) []string {
	out := make([]string, 0, len(in))
	for _, d := range in {
		if d = strings.TrimSpace(d); d != "" {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// check returns every field that cannot be. It puts the rule in canonical form.
func (f *Freeze) check() *form.Check {
	c := &form.Check{}
	c.Text("name", f.Name, "The name", maxName)
	c.OneOf("kind", string(f.Kind), "The kind", texts(Kinds())...)
	c.Longest("reason", f.Reason, "The reason", maxReason)
	if f.Reason == "" && f.Kind != Maintenance {
		c.Add("reason", "required", "Say why; whoever is stopped reads it.")
	}
	f.Scope.check(c)
	c.Zone("time_zone", f.Zone)
	if c.Has("time_zone") {
		return c
	}
	if f.Recurring {
		f.checkRecurring(c)
		return c
	}
	switch {
	case f.StartsAt == nil:
		c.Add("starts_at", "required", "Say when it begins.")
	case f.StartsAt.Year() < 2000 || f.StartsAt.Year() > 2100:
		c.Add("starts_at", "out_of_range", "The year must lie between 2000 and 2100.")
	case f.EndsAt == nil && f.Kind != Hard && f.Kind != Soft:
		c.Add("ends_at", "required", "Say when it ends; only a freeze can stay open until it is lifted.")
	case f.EndsAt != nil && !f.EndsAt.After(*f.StartsAt):
		c.Add("ends_at", "invalid_window", "The end must lie after the beginning.")
	case f.EndsAt != nil && f.EndsAt.Sub(*f.StartsAt) > MaxLength:
		c.Add("ends_at", "too_long", "That is longer than two years. Leave the end open, or choose an earlier one.")
	}
	return c
}

func (f *Freeze) checkRecurring(c *form.Check) {
	if d, err := wallclock.ParseDate(f.FirstDate); err != nil || d.Year < 2000 || d.Year > 2100 {
		c.Add("first_date", "invalid_date", "Use a date such as 2027-03-28, between 2000 and 2100.")
	} else {
		f.FirstDate = d.String()
	}
	for _, h := range []struct {
		field string
		text  *string
	}{{"local_start", &f.LocalStart}, {"local_end", &f.LocalEnd}} {
		hour, err := wallclock.ParseHour(*h.text)
		if err != nil {
			c.Add(h.field, "invalid_time", "Use a time of day such as 22:00.")
			continue
		}
		*h.text = hour.String()
	}
	c.Range("end_days", f.EndDays, 0, maxEndDays, "The days until the end")
	if !c.Has("local_start") && !c.Has("local_end") && f.EndDays == 0 && f.LocalEnd <= f.LocalStart {
		c.Add("local_end", "invalid_window", "The end must lie after the beginning. If it is on the next day, say so.")
	}
	rule, err := wallclock.ParseRule(f.RRule)
	if err != nil {
		c.Add("rrule", "unsupported_rule", "This rule is not supported: "+err.Error()+".")
	} else {
		f.RRule = rule.String()
		// Dates may be written into the rule as lines of their own.
		for _, d := range rule.ExDates {
			f.ExDates = append(f.ExDates, d.String())
		}
		for _, d := range rule.RDates {
			f.RDates = append(f.RDates, d.String())
		}
	}
	f.ExDates, f.RDates = checkDates(c, "exdates", f.ExDates), checkDates(c, "rdates", f.RDates)
	if c.Err() != nil {
		return
	}
	if w, err := f.window(time.UTC); err != nil || w.Never() {
		c.Add("rrule", "no_occurrence", "No day fits this rule, so it would never come.")
	}
}

func checkDates(c *form.Check, field string, in []string) []string {
	out := make([]string, 0, len(in))
	for _, text := range in {
		d, err := wallclock.ParseDate(text)
		if err != nil {
			c.Add(field, "invalid_date", "Use dates such as 2027-12-24; "+fmt.Sprintf("%q is none.", text))
			return in
		}
		out = append(out, d.String())
	}
	if len(out) > wallclock.MaxDates {
		c.Add(field, "too_many", fmt.Sprintf("At most %d dates can be listed.", wallclock.MaxDates))
	}
	return sortedDates(out)
}

// window returns the local hours of a recurring freeze in a zone.
func (s Schedule) window(zone *time.Location) (wallclock.Window, error) {
	w := wallclock.Window{EndDays: s.EndDays, Zone: zone}
	var err error
	if w.First, err = wallclock.ParseDate(s.FirstDate); err != nil {
		return w, err
	}
	if w.Start, err = wallclock.ParseHour(s.LocalStart); err != nil {
		return w, err
	}
	if w.End, err = wallclock.ParseHour(s.LocalEnd); err != nil {
		return w, err
	}
	if w.Rule, err = wallclock.ParseRule(s.RRule); err != nil {
		return w, err
	}
	for _, list := range []struct {
		texts []string
		to    *[]wallclock.Date
	}{{s.ExDates, &w.Rule.ExDates}, {s.RDates, &w.Rule.RDates}} {
		for _, text := range list.texts {
			d, err := wallclock.ParseDate(text)
			if err != nil {
				return w, err
			}
			*list.to = append(*list.to, d)
		}
	}
	return w, nil
}

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}
