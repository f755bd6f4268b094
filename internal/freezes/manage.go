package freezes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Freeze reads one freeze.
func (s *Service) Freeze(ctx context.Context, a db.Actor, id uuid.UUID) (Freeze, error) {
	var f Freeze
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		f, err = loadFreeze.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return f, err
}

// CreateFreeze adds a freeze or maintenance window as a draft, or puts it in force at once
// when its state says active. Id, version and times are given.
func (s *Service) CreateFreeze(ctx context.Context, a db.Actor, f Freeze) (Freeze, error) {
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, ManageFreezes); err != nil {
			return err
		}
		n, err := countFreezes.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n >= MaxFreezes {
			return fault.NewInvalid("too_many_freezes", fmt.Sprintf("A workspace has at most %d freezes and maintenance windows. Lift or delete one that is no longer needed.", MaxFreezes))
		}
		activate := f.State == Active
		if f.State != Draft && f.State != Active && f.State != "" {
			return fault.InvalidField("state", "not_allowed", "A new one is a draft or active.")
		}
		if f.ID, err = newID(); err != nil {
			return err
		}
		f.State, f.Version, f.WidenedVersion, f.CreatedBy = Draft, 1, 1, db.NullID(tx.Actor.UserID)
		f.ActivatedAt, f.ActivatedBy, f.LiftedAt, f.LiftedBy = nil, uuid.NullUUID{}, nil, uuid.NullUUID{}
		f.CreatedAt, f.UpdatedAt = tx.Now, tx.Now
		f.tidy()
		if err := s.verify(ctx, tx, &f, Freeze{}); err != nil {
			return err
		}
		found, longest, err := s.build(&f, tx.Now)
		if err != nil {
			return err
		}
		args := freezeArgs(f, longest)
		args["created_by"] = f.CreatedBy
		if _, err := insertFreeze.Run(ctx, tx, args); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, f, found, false); err != nil {
			return err
		}
		diff, err := changes(nil, &f)
		if err != nil {
			return err
		}
		err = s.record(ctx, tx, ledger.Entry{Action: eventCreated, Subject: f.subject(), Changes: diff, Payload: freezePayload(f, false, 0)})
		if err != nil || !activate {
			return err
		}
		return s.activate(ctx, tx, &f)
	})
	return f, err
}

// keep stores the occurrences and the version of a freeze that was just written.
func (s *Service) keep(ctx context.Context, tx *db.Tx, f Freeze, found []Occurrence, widened bool) error {
	if err := s.store(ctx, tx, f, found); err != nil {
		return err
	}
	return s.keepVersion(ctx, tx, f, widened)
}

// snapshot is a version of a freeze, as the API shows it and in words.
type snapshot struct {
	freezeBody
	ScheduleText string `json:"schedule_text"`
	ScopeText    string `json:"scope_text"`
}

func snapshotOf(f Freeze) snapshot {
	return snapshot{freezeBody: newFreezeBody(f), ScheduleText: f.ScheduleText(), ScopeText: f.ScopeText()}
}

func (s *Service) keepVersion(ctx context.Context, tx *db.Tx, f Freeze, widened bool) error {
	snapshot, err := json.Marshal(snapshotOf(f))
	if err != nil {
		return fmt.Errorf("encode version of freeze: %w", err)
	}
	_, err = insertVersion.Run(ctx, tx, db.Args{
		"id": f.ID, "version": f.Version, "snapshot": snapshot, "widened": widened, "by": db.NullID(tx.Actor.UserID),
	})
	return err
}

// Change edits a freeze. Version and IfMatch are what the caller saw, if they say so.
type Change struct {
	Edit    func(*Freeze)
	Version *int64
	IfMatch string
}

// ChangeFreeze edits a draft or an active freeze. When an active one stops more than it
// did, overrides of it become void; holds follow its new scope and schedule.
func (s *Service) ChangeFreeze(ctx context.Context, a db.Actor, id uuid.UUID, c Change) (Freeze, error) {
	var f Freeze
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := s.lock(ctx, tx, id, c.Version, c.IfMatch)
		if err != nil {
			return err
		}
		if before.State == Lifted {
			return fault.NewConflict("freeze_lifted", before.Name+" is lifted and cannot be changed any more. Copy it to use it again.")
		}
		f = edited(before, c.Edit)
		if err := s.verify(ctx, tx, &f, before); err != nil {
			return err
		}
		diff, err := changes(&before, &f)
		if err != nil || len(diff) == 0 {
			return err
		}
		f.Version, f.UpdatedAt = before.Version+1, tx.Now
		widened := false
		if f.State == Active {
			if widened, err = s.widens(before, f, tx.Now); err != nil {
				return err
			}
		}
		if widened {
			f.WidenedVersion = f.Version
		}
		found, longest, err := s.build(&f, tx.Now)
		if err != nil {
			return err
		}
		if _, err := saveFreeze.Run(ctx, tx, freezeArgs(f, longest)); err != nil {
			return err
		}
		if err := s.keep(ctx, tx, f, found, widened); err != nil {
			return err
		}
		held := 0
		if f.State == Active {
			// Changes are locked before overrides, as everywhere.
			if held, err = s.hold(ctx, tx, f, true); err != nil {
				return err
			}
		}
		if widened {
			if err := s.voidAll(ctx, tx, f); err != nil {
				return err
			}
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: eventUpdated, Subject: f.subject(), Changes: diff, Payload: freezePayload(f, widened, held), Jobs: reconcile(tx, f),
		})
	})
	return f, err
}

// edited applies an edit and keeps what no edit may touch.
func edited(before Freeze, edit func(*Freeze)) Freeze {
	f := before
	f.Scope.tidy() // its lists are copies from here on
	f.ExDates, f.RDates = slices.Clone(f.ExDates), slices.Clone(f.RDates)
	edit(&f)
	f.ID, f.State, f.Version, f.WidenedVersion = before.ID, before.State, before.Version, before.WidenedVersion
	f.ActivatedAt, f.ActivatedBy, f.LiftedAt, f.LiftedBy = before.ActivatedAt, before.ActivatedBy, before.LiftedAt, before.LiftedBy
	f.CreatedBy, f.CreatedAt, f.UpdatedAt = before.CreatedBy, before.CreatedAt, before.UpdatedAt
	f.tidy()
	return f
}

// lock locks a freeze for somebody who may manage it, at the version that they saw.
func (s *Service) lock(ctx context.Context, tx *db.Tx, id uuid.UUID, version *int64, ifMatch string) (Freeze, error) {
	if err := s.policy.Check(tx.Actor, ManageFreezes); err != nil {
		return Freeze{}, err
	}
	f, err := lockFreeze.One(ctx, tx, db.Args{"id": id})
	if err != nil {
		return f, err
	}
	return f, api.CheckVersion(ifMatch, version, f.Version)
}

// verify checks the fields of a freeze, and that what it newly names exists here. What it
// named before may be gone; it matches nothing and keeps no edit from being saved.
func (s *Service) verify(ctx context.Context, tx *db.Tx, f *Freeze, before Freeze) error {
	c := f.check()
	if err := c.Err(); err != nil {
		return err
	}
	for _, list := range []struct {
		field      string
		now, then  []uuid.UUID
		what       string
		mustBeUsed bool
	}{{"asset_ids", f.AssetIDs, before.AssetIDs, "asset", false}, {"service_ids", f.ServiceIDs, before.ServiceIDs, "service", true}} {
		fresh := slices.DeleteFunc(slices.Clone(list.now), func(id uuid.UUID) bool { return slices.Contains(list.then, id) })
		if len(fresh) == 0 {
			continue
		}
		briefs, err := s.assets.Briefs(ctx, tx, fresh)
		if err != nil {
			return fmt.Errorf("read assets of freeze: %w", err)
		}
		found := 0
		for _, b := range briefs {
			if !list.mustBeUsed || b.IsService() {
				found++
			}
		}
		if n := len(fresh) - found; n > 0 {
			c.Add(list.field, "not_found", plural(n, list.what)+" named here cannot be found in this workspace.")
		}
	}
	if f.OwnerID.Valid && f.OwnerID != before.OwnerID {
		if _, ok, err := s.person(ctx, tx, f.OwnerID.UUID); err != nil {
			return err
		} else if !ok {
			c.Add("owner", "not_found", "The owner must be an active member of this workspace.")
		}
	}
	return c.Err()
}

func (s *Service) person(ctx context.Context, tx *db.Tx, id uuid.UUID) (Person, bool, error) {
	people, err := s.people(ctx, tx)
	if err != nil {
		return Person{}, false, fmt.Errorf("read people: %w", err)
	}
	i := slices.IndexFunc(people, func(p Person) bool { return p.UserID == id })
	if i < 0 {
		return Person{}, false, nil
	}
	return people[i], true, nil
}

// ActivateFreeze puts a draft in force and holds the scheduled changes inside.
func (s *Service) ActivateFreeze(ctx context.Context, a db.Actor, id uuid.UUID, version *int64, ifMatch string) (Freeze, error) {
	var f Freeze
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if f, err = s.lock(ctx, tx, id, version, ifMatch); err != nil {
			return err
		}
		return s.activate(ctx, tx, &f)
	})
	return f, err
}

func (s *Service) activate(ctx context.Context, tx *db.Tx, f *Freeze) error {
	before := *f
	if err := f.Activate(tx.Actor.UserID, tx.Now); err != nil {
		return err
	}
	f.Version++
	f.WidenedVersion, f.UpdatedAt = f.Version, tx.Now
	found, longest, err := s.build(f, tx.Now)
	if err != nil {
		return err
	}
	if _, err := saveFreeze.Run(ctx, tx, freezeArgs(*f, longest)); err != nil {
		return err
	}
	if err := s.keep(ctx, tx, *f, found, false); err != nil {
		return err
	}
	held, err := s.hold(ctx, tx, *f, false)
	if err != nil {
		return err
	}
	diff, err := changes(&before, f)
	if err != nil {
		return err
	}
	return s.record(ctx, tx, ledger.Entry{
		Action: eventActivated, Subject: f.subject(), Changes: diff, Payload: freezePayload(*f, false, held), Jobs: reconcile(tx, *f),
	})
}

// reconcile looks again, shortly after, for changes that were scheduled by a transaction
// which ran at the same time and did not see the freeze yet.
func reconcile(tx *db.Tx, f Freeze) []river.JobArgs {
	if !f.Blocks() {
		return nil
	}
	return []river.JobArgs{ReconcileArgs{InWorkspace: job.InWorkspace{WorkspaceID: tx.Actor.WorkspaceID}, FreezeID: f.ID, Version: f.Version}}
}

// LiftFreeze ends an active freeze for good and releases what it holds. The reason is kept.
func (s *Service) LiftFreeze(ctx context.Context, a db.Actor, id uuid.UUID, reason string, version *int64, ifMatch string) (Freeze, error) {
	var f Freeze
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var c form.Check
		c.Text("reason", reason, "The reason", maxReason)
		var err error
		if f, err = s.lock(ctx, tx, id, version, ifMatch); err != nil {
			return err
		}
		before := f
		if err := f.Lift(tx.Actor.UserID, tx.Now); err != nil {
			return err
		}
		if err := c.Err(); err != nil {
			return err
		}
		f.Version, f.UpdatedAt = before.Version+1, tx.Now
		if _, err := saveFreeze.Run(ctx, tx, freezeArgs(f, 0)); err != nil {
			return err
		}
		if err := s.keepVersion(ctx, tx, f, false); err != nil {
			return err
		}
		if s.listener != nil {
			if err := s.listener.Released(ctx, tx, f.ID); err != nil {
				return fmt.Errorf("release changes: %w", err)
			}
		}
		diff, err := changes(&before, &f)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{
			Action: eventLifted, Subject: f.subject(), Changes: diff, Reason: reason, Payload: freezePayload(f, false, 0),
		})
	})
	return f, err
}

// DeleteDraft removes a draft. What was ever in force stays on record and is lifted instead.
func (s *Service) DeleteDraft(ctx context.Context, a db.Actor, id uuid.UUID, version *int64, ifMatch string) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		f, err := s.lock(ctx, tx, id, version, ifMatch)
		if err != nil {
			return err
		}
		if f.State != Draft {
			return fault.NewConflict("freeze_"+string(f.State), "Only a draft can be deleted. Lift "+f.Name+" instead; it stays on record.")
		}
		if _, err := deleteFreeze.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		diff, err := changes(&f, nil)
		if err != nil {
			return err
		}
		return s.record(ctx, tx, ledger.Entry{Action: eventDeleted, Subject: f.subject(), Changes: diff, Payload: freezePayload(f, false, 0)})
	})
}

// hold tells the listener which scheduled changes the freeze stops; anew also takes back
// what it held before. It returns how many are held.
func (s *Service) hold(ctx context.Context, tx *db.Tx, f Freeze, anew bool) (int, error) {
	if s.listener == nil {
		return 0, nil
	}
	if anew {
		if err := s.listener.Released(ctx, tx, f.ID); err != nil {
			return 0, fmt.Errorf("release changes: %w", err)
		}
	}
	if !f.Blocks() {
		return 0, nil
	}
	all, err := s.affected(ctx, tx, f)
	if err != nil {
		return 0, err
	}
	scheduled := slices.DeleteFunc(all, func(c Affected) bool { return !c.Hold })
	if len(scheduled) == 0 {
		return 0, nil
	}
	if err := s.listener.Held(ctx, tx, f, scheduled); err != nil {
		return 0, fmt.Errorf("hold changes: %w", err)
	}
	return len(scheduled), nil
}

// affected returns the changes that meet the freeze from now on, whether it is active or
// not: those inside it, and for an allow-list those that leave its hours.
func (s *Service) affected(ctx context.Context, tx *db.Tx, f Freeze) ([]Affected, error) {
	if s.listener == nil || f.Kind == Maintenance {
		return nil, nil
	}
	until := tx.Now.AddDate(0, horizonMonths, 0)
	if !f.Recurring && f.Kind != MaintenanceOnly {
		until = never()
	}
	var allowed []Interval
	if f.Kind == MaintenanceOnly {
		rows, err := s.active(ctx, tx, []Kind{MaintenanceOnly}, tx.Now, until)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r.ID != f.ID && r.key() == f.key() {
				allowed = append(allowed, r.spans(Interval{Start: tx.Now, End: until})...)
			}
		}
	}
	spans, err := s.forbidden(f, tx.Now, until, allowed)
	if err != nil || len(spans) == 0 {
		return nil, err
	}
	out, err := s.listener.Inside(ctx, tx, f.Stops, spans)
	if err != nil {
		return nil, fmt.Errorf("find changes inside: %w", err)
	}
	return out, nil
}

// List reads a page of freezes and maintenance windows.
func (s *Service) list(ctx context.Context, a db.Actor, q *db.ListQuery[listRow]) (db.Page[listRow], error) {
	page := &db.PageResult[listRow]{}
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) { page = q.Queue(b) })
	return page.Page, err
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// Preview is what a freeze will do, before anybody decides.
type Preview struct {
	// Occurrences are the next five; empty ones are among them.
	Occurrences  []Occurrence
	Affected     []Affected
	Certificates []Ending
	// Widens says that overrides of the active freeze would become void.
	Widens bool
}

// Ending is a certificate that ends inside the freeze. Safe is the last hour or more in
// which a renewal may still run; HasSafe is false when there is none left.
type Ending struct {
	PreviewItem
	Safe    Interval
	HasSafe bool
}

const (
	previewOccurrences = 5
	previewDays        = 400
	previewEndings     = 50
	renewalTakes       = time.Hour
)

// PreviewFreeze says what a freeze would do. id is the one that is being changed, uuid.Nil
// for a new one. Nothing is stored.
func (s *Service) PreviewFreeze(ctx context.Context, a db.Actor, id uuid.UUID, edit func(*Freeze)) (Freeze, Preview, error) {
	var f Freeze
	var p Preview
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before := Freeze{State: Draft}
		if id != uuid.Nil {
			var err error
			if before, err = loadFreeze.One(ctx, tx, db.Args{"id": id}); err != nil {
				return err
			}
		}
		f = edited(before, edit)
		if err := s.verify(ctx, tx, &f, before); err != nil {
			return err
		}
		var err error
		if p, err = s.preview(ctx, tx, f); err != nil {
			return err
		}
		if before.State == Active {
			p.Widens, err = s.widens(before, f, tx.Now)
		}
		return err
	})
	return f, p, err
}

func (s *Service) preview(ctx context.Context, tx *db.Tx, f Freeze) (Preview, error) {
	var p Preview
	var err error
	if p.Occurrences, err = s.Next(f, tx.Now, previewOccurrences); err != nil {
		return p, err
	}
	if p.Affected, err = s.affected(ctx, tx, f); err != nil {
		return p, err
	}
	p.Certificates, err = s.endings(ctx, tx, f)
	return p, err
}

// endings lists the certificates that end while a freeze refuses changes, with the last
// slot for their renewal that this freeze and those about everything leave.
func (s *Service) endings(ctx context.Context, tx *db.Tx, f Freeze) ([]Ending, error) {
	if s.certificates == nil || !f.Blocks() {
		return nil, nil
	}
	span := Interval{Start: tx.Now, End: tx.Now.AddDate(0, 0, previewDays)}
	own, err := s.forbidden(f, span.Start, span.End, nil)
	if err != nil || len(own) == 0 {
		return nil, err
	}
	rows, err := s.active(ctx, tx, FreezeKinds(), span.Start, span.End)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r activeRow) bool { return r.ID == f.ID })
	taken := wallclock.Merge(append(own, busy(rows, Target{}, span)...))
	items, err := s.certificates(ctx, tx, own[0].Start, own[len(own)-1].End)
	if err != nil {
		return nil, fmt.Errorf("read certificates that end: %w", err)
	}
	var out []Ending
	for _, item := range items {
		inside := slices.ContainsFunc(own, func(i Interval) bool { return !item.At.Before(i.Start) && item.At.Before(i.End) })
		if !inside || len(out) == previewEndings {
			continue
		}
		e := Ending{PreviewItem: item}
		e.Safe, e.HasSafe = lastGap(Interval{Start: tx.Now, End: item.At}, taken, renewalTakes)
		out = append(out, e)
	}
	return out, nil
}
