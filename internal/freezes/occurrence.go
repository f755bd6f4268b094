package freezes

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Occurrence is one span of a freeze. Open says that it lasts until the freeze is lifted.
type Occurrence struct {
	// Date is the local day that it begins on, as in 2027-03-28.
	Date string
	Interval
	Open bool
}

// never is the end of what is open.
func never() time.Time { return time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC) }

func isNever(t time.Time) bool { return t.Year() >= 9999 }

// horizonMonths is how far ahead occurrences are stored (work.md 2.4), widenYears how far
// two schedules are compared.
const (
	horizonMonths = 18
	widenYears    = 5
	// maxMaintenance is how many occurrences of a maintenance window are stored
	// (reliability.md 4.6); those after them are reckoned when somebody asks.
	maxMaintenance = 366
)

// between returns the occurrences of the freeze that share a moment with the span, and
// empty ones inside it, in order; at most limit, 0 for all. It reads no database.
func (s *Service) between(f Freeze, from, to time.Time, limit int) ([]Occurrence, error) {
	z, err := s.zone(f.Zone)
	if err != nil {
		return nil, err
	}
	if !f.Recurring {
		if f.StartsAt == nil {
			return nil, nil
		}
		o := Occurrence{
			Date: wallclock.DateIn(*f.StartsAt, z.zone).String(), Interval: Interval{Start: f.StartsAt.UTC(), End: never()}, Open: f.Lockdown(),
		}
		if f.EndsAt != nil {
			o.End = f.EndsAt.UTC()
		}
		if !o.Overlaps(Interval{Start: from, End: to}) {
			return nil, nil
		}
		return []Occurrence{o}, nil
	}
	w, err := f.window(z.zone)
	if err != nil {
		return nil, fmt.Errorf("read schedule of freeze %s: %w", f.ID, err)
	}
	var out []Occurrence
	for _, o := range w.Between(from, to, f.Kind.mode(), limit) {
		out = append(out, Occurrence{Date: o.Date.String(), Interval: o.Interval})
	}
	return out, nil
}

// build reckons what is stored of a freeze from now on, and notes in it how far that goes
// and from which zone data. It returns the length of the longest occurrence in seconds.
func (s *Service) build(f *Freeze, now time.Time) ([]Occurrence, int64, error) {
	z, err := s.zone(f.Zone)
	if err != nil {
		return nil, 0, err
	}
	f.ZoneVersion, f.BuiltUntil = z.version, now.AddDate(0, horizonMonths, 0)
	limit := 0
	if f.Kind == Maintenance {
		limit = maxMaintenance
	}
	until := f.BuiltUntil
	if !f.Recurring {
		f.BuiltUntil, until = never(), never()
	}
	out, err := s.between(*f, now, until, limit)
	if err != nil {
		return nil, 0, err
	}
	if limit > 0 && len(out) == limit {
		f.BuiltUntil = out[limit-1].Start
	}
	var longest int64
	for _, o := range out {
		// A Duration would end after 292 years, and what is open does not.
		longest = max(longest, o.End.Unix()-o.Start.Unix())
	}
	return out, longest, nil
}

// store writes the occurrences of a freeze that run or are to come.
func (s *Service) store(ctx context.Context, tx *db.Tx, f Freeze, found []Occurrence) error {
	if _, err := dropOccurrences.Run(ctx, tx, db.Args{"id": f.ID, "all": !f.Recurring || f.State == Draft}); err != nil {
		return err
	}
	days, starts, ends := make([]string, len(found)), make([]time.Time, len(found)), make([]time.Time, len(found))
	for i, o := range found {
		days[i], starts[i], ends[i] = o.Date, o.Start, o.End
	}
	_, err := insertOccurrences.Run(ctx, tx, db.Args{"id": f.ID, "days": days, "starts": starts, "ends": ends})
	return err
}

// forbidden returns when a freeze stops what it concerns, from one moment to another: in
// its occurrences, or outside of them for an allow-list. Allowed are the hours that other
// allow-lists of the same scope add.
func (s *Service) forbidden(f Freeze, from, to time.Time, allowed []Interval) ([]Interval, error) {
	found, err := s.between(f, from, to, 0)
	if err != nil {
		return nil, err
	}
	span := Interval{Start: from, End: to}
	spans := make([]Interval, len(found))
	for i, o := range found {
		spans[i] = o.Clip(span)
	}
	if f.Kind != MaintenanceOnly {
		return wallclock.Merge(spans), nil
	}
	return wallclock.Outside(span, wallclock.Merge(append(spans, allowed...))), nil
}

// widens reports whether the freeze stops something that it did not stop before, so that
// people who let a change pass must look again.
func (s *Service) widens(before, after Freeze, now time.Time) (bool, error) {
	if !after.Blocks() {
		return false, nil
	}
	if !before.Blocks() || before.Kind != after.Kind || after.widerThan(before.Scope) {
		return true, nil
	}
	until := never()
	if before.Recurring || after.Recurring {
		until = now.AddDate(widenYears, 0, 0)
	}
	old, err := s.forbidden(before, now, until, nil)
	if err != nil {
		return false, err
	}
	fresh, err := s.forbidden(after, now, until, nil)
	if err != nil {
		return false, err
	}
	for _, span := range fresh {
		if len(wallclock.Outside(span, old)) > 0 {
			return true, nil
		}
	}
	return false, nil
}

// Next returns the next occurrences of a freeze that are not over, for people: empty ones
// are among them. It looks twelve years ahead.
func (s *Service) Next(f Freeze, now time.Time, limit int) ([]Occurrence, error) {
	return s.between(f, now, now.AddDate(12, 0, 0), limit)
}

// Occurrences returns the occurrences of a freeze in a span of at most ten years, at most
// limit of them.
func (s *Service) Occurrences(ctx context.Context, a db.Actor, id uuid.UUID, from, to time.Time, limit int) (Freeze, []Occurrence, error) {
	f, err := s.Freeze(ctx, a, id)
	if err != nil {
		return f, nil, err
	}
	if f.State == Lifted && f.LiftedAt != nil && f.LiftedAt.Before(to) {
		to = *f.LiftedAt
	}
	out, err := s.between(f, from, to, limit)
	return f, out, err
}

// Slot is an occurrence with its freeze, for calendars. Its identity is the freeze and the
// local date.
type Slot struct {
	Freeze Freeze
	Occurrence
}

// Slots returns what runs in a span, soonest first, at most limit. Of lifted freezes it
// returns what ran before they were lifted.
func (s *Service) Slots(ctx context.Context, tx *db.Tx, from, to time.Time, limit int) ([]Slot, error) {
	rows, err := slotsBetween.All(ctx, tx, db.Args{"from": from, "to": to, "limit": limit})
	if err != nil {
		return nil, err
	}
	out := make([]Slot, len(rows))
	for i, r := range rows {
		out[i] = Slot{Freeze: r.Freeze, Occurrence: Occurrence{Date: r.Date, Interval: Interval{Start: r.Start, End: r.End}, Open: isNever(r.End)}}
		if r.State == Lifted && r.LiftedAt != nil && r.LiftedAt.Before(r.End) {
			out[i].End, out[i].Open = *r.LiftedAt, false
		}
	}
	return out, nil
}
