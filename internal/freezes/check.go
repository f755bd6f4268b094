package freezes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// Hit is a freeze that a window meets.
type Hit struct {
	FreezeID uuid.UUID
	Name     string
	Kind     Kind
	Version  int64
	// Start and End are the occurrence that the window meets first; of an allow-list, the
	// first part of the window that lies outside its hours.
	Start, End time.Time
	// Open says that the freeze lasts until it is lifted.
	Open bool
	// Blocks says that the change may not run; else people are warned.
	Blocks bool
	// Downstream says that only things which depend on the change's assets are concerned.
	Downstream bool
	Reason     string
	Path       string // below the workspace
}

// Check returns the freezes that a window from start to end meets: hard and soft ones that
// overlap it, and allow-lists whose hours it leaves. Allow-lists of one scope add up, and
// those of different scopes must hold each. What refuses comes first, then in order of time.
func (s *Service) Check(ctx context.Context, tx *db.Tx, t Target, start, end time.Time) ([]Hit, error) {
	rows, err := s.active(ctx, tx, FreezeKinds(), start, end)
	if err != nil {
		return nil, err
	}
	return hits(rows, t, Interval{Start: start, End: end}), nil
}

// active reads the active freezes of some kinds with their occurrences in a span. Where a
// span leaves what is stored, the rest is reckoned: a window far ahead is not let through
// because nobody has written it down yet.
func (s *Service) active(ctx context.Context, tx *db.Tx, kinds []Kind, from, to time.Time) ([]activeRow, error) {
	rows, err := activeIn.All(ctx, tx, db.Args{"kinds": texts(kinds), "from": from, "to": to})
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		if !r.Recurring || !to.After(r.BuiltUntil) {
			continue
		}
		found, err := s.between(r.Freeze, from, to, 0)
		if err != nil {
			return nil, err
		}
		rows[i].Starts, rows[i].Ends = nil, nil
		for _, o := range found {
			rows[i].Starts, rows[i].Ends = append(rows[i].Starts, o.Start), append(rows[i].Ends, o.End)
		}
	}
	return rows, nil
}

// spans are the occurrences of the row that a span meets.
func (r activeRow) spans(in Interval) []Interval {
	var out []Interval
	for i := range r.Starts {
		if o := (Interval{Start: r.Starts[i].UTC(), End: r.Ends[i].UTC()}); o.Overlaps(in) {
			out = append(out, o)
		}
	}
	return out
}

func (r activeRow) hit(reach Reach, at Interval) Hit {
	return Hit{
		FreezeID: r.ID, Name: r.Name, Kind: r.Kind, Version: r.Version, Start: at.Start, End: at.End, Open: isNever(at.End),
		Blocks: r.Blocks() && (reach == Direct || r.IncludeDownstream), Downstream: reach == Downstream, Reason: r.Reason, Path: r.Path(),
	}
}

// hits holds the window against each freeze that meets the target.
func hits(rows []activeRow, t Target, window Interval) []Hit {
	var out []Hit
	lists := allowLists(rows, t)
	for _, r := range rows {
		reach := r.Reach(t)
		if reach == Missed || r.Kind == MaintenanceOnly {
			continue
		}
		if spans := r.spans(window); len(spans) > 0 {
			out = append(out, r.hit(reach, spans[0]))
		}
	}
	for _, l := range lists {
		if outside := wallclock.Outside(window, l.allowed(window)); len(outside) > 0 {
			out = append(out, l.first.hit(l.first.Reach(t), outside[0]))
		}
	}
	slices.SortStableFunc(out, func(a, b Hit) int {
		if a.Blocks != b.Blocks {
			if a.Blocks {
				return -1
			}
			return 1
		}
		return a.Start.Compare(b.Start)
	})
	return out
}

// allowList is all allow-lists of one scope; first speaks for them, a strict one before
// the others.
type allowList struct {
	first activeRow
	rows  []activeRow
}

func allowLists(rows []activeRow, t Target) []*allowList {
	byKey := map[string]*allowList{}
	var out []*allowList
	for _, r := range rows {
		if r.Kind != MaintenanceOnly || r.Reach(t) == Missed {
			continue
		}
		l, ok := byKey[r.key()]
		if !ok {
			l = &allowList{first: r}
			byKey[r.key()], out = l, append(out, l)
		}
		if r.Strict && !l.first.Strict {
			l.first = r
		}
		l.rows = append(l.rows, r)
	}
	return out
}

func (l allowList) allowed(span Interval) []Interval {
	var all []Interval
	for _, r := range l.rows {
		all = append(all, r.spans(span)...)
	}
	return wallclock.Merge(all)
}

// Busy returns when a change on the target may not run between two moments, as spans that
// neither touch nor overlap.
func (s *Service) Busy(ctx context.Context, tx *db.Tx, t Target, from, to time.Time) ([]Interval, error) {
	rows, err := s.active(ctx, tx, FreezeKinds(), from, to)
	if err != nil {
		return nil, err
	}
	return busy(rows, t, Interval{Start: from, End: to}), nil
}

func busy(rows []activeRow, t Target, span Interval) []Interval {
	var out []Interval
	for _, r := range rows {
		if r.Kind == Hard && r.Stops(t) {
			out = append(out, r.spans(span)...)
		}
	}
	for _, l := range allowLists(rows, t) {
		if l.first.Strict && l.first.Stops(t) {
			out = append(out, wallclock.Outside(span, l.allowed(span))...)
		}
	}
	for i := range out {
		out[i] = out[i].Clip(span)
	}
	return wallclock.Merge(out)
}

// LastSafe returns the last span of at least the given length in which a change on the
// target may run, between two moments; false when there is none. A certificate that ends
// must be renewed in it (work.md 1, U3).
func (s *Service) LastSafe(ctx context.Context, tx *db.Tx, t Target, from, to time.Time, need time.Duration) (Interval, bool, error) {
	spans, err := s.Busy(ctx, tx, t, from, to)
	if err != nil {
		return Interval{}, false, err
	}
	slot, ok := lastGap(Interval{Start: from, End: to}, spans, need)
	return slot, ok, nil
}

func lastGap(span Interval, taken []Interval, need time.Duration) (Interval, bool) {
	free := wallclock.Outside(span, taken)
	for _, gap := range slices.Backward(free) {
		if gap.End.Sub(gap.Start) >= need {
			return gap, true
		}
	}
	return Interval{}, false
}

// Window is a maintenance window that runs.
type Window struct {
	FreezeID   uuid.UUID
	Name       string
	Start, End time.Time
}

// InMaintenance returns the assets for which a maintenance window runs at a moment, each
// with the one that ends last. Their alerts are to stay silent.
func (s *Service) InMaintenance(ctx context.Context, tx *db.Tx, assetIDs []uuid.UUID, at time.Time) (map[uuid.UUID]Window, error) {
	out := map[uuid.UUID]Window{}
	moment := Interval{Start: at, End: at.Add(time.Microsecond)}
	rows, err := s.active(ctx, tx, []Kind{Maintenance}, moment.Start, moment.End)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r activeRow) bool { return len(r.spans(moment)) == 0 })
	if len(rows) == 0 || len(assetIDs) == 0 {
		return out, nil
	}
	briefs, err := s.assets.Briefs(ctx, tx, assetIDs)
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	services, err := s.assets.Services(ctx, tx, assetIDs)
	if err != nil {
		return nil, fmt.Errorf("read services of assets: %w", err)
	}
	for _, b := range briefs {
		var f Footprint
		f.add(b)
		for _, svc := range services[b.ID] {
			f.ServiceIDs = append(f.ServiceIDs, svc.ID)
		}
		for _, r := range rows {
			if !r.touches(f) {
				continue
			}
			for _, span := range r.spans(moment) {
				if w, ok := out[b.ID]; !ok || span.End.After(w.End) {
					out[b.ID] = Window{FreezeID: r.ID, Name: r.Name, Start: span.Start, End: span.End}
				}
			}
		}
	}
	return out, nil
}

// Preapproved returns the maintenance window that lets a standard change run on the target
// without a decision of its own: one that is meant for that and holds the whole window.
func (s *Service) Preapproved(ctx context.Context, tx *db.Tx, t Target, start, end time.Time) (Window, bool, error) {
	window := Interval{Start: start, End: end}
	if t.ChangeType != "standard" || window.Empty() {
		return Window{}, false, nil
	}
	rows, err := s.active(ctx, tx, []Kind{Maintenance}, start, end)
	if err != nil {
		return Window{}, false, err
	}
	for _, r := range rows {
		if !r.PreapprovesStandard || r.Reach(t) != Direct {
			continue
		}
		for _, span := range wallclock.Merge(r.spans(window)) {
			if span.Covers(window) {
				return Window{FreezeID: r.ID, Name: r.Name, Start: span.Start, End: span.End}, true, nil
			}
		}
	}
	return Window{}, false, nil
}
