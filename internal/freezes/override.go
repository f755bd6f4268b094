package freezes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// OverrideState is where the permission to pass a freeze stands.
type OverrideState string

// The states of an override. Void is one whose freeze stops more than it did, or whose
// change was edited.
const (
	Requested OverrideState = "requested"
	Granted   OverrideState = "granted"
	Refused   OverrideState = "refused"
	Void      OverrideState = "void"
)

// Override lets one revision of one change pass one freeze.
type Override struct {
	ID            uuid.UUID     `db:"id"`
	FreezeID      uuid.UUID     `db:"freeze_id"`
	FreezeName    string        `db:"freeze_name"`
	FreezeVersion int64         `db:"freeze_version"`
	ChangeID      uuid.UUID     `db:"change_id"`
	ChangeKey     string        `db:"change_key"`
	ChangeTitle   string        `db:"change_title"`
	ChangePath    string        `db:"change_path"` // below the workspace
	Revision      int64         `db:"revision"`
	Start         time.Time     `db:"window_start"`
	End           time.Time     `db:"window_end"`
	State         OverrideState `db:"state" audit:"state"`
	// SelfGranted marks one that an emergency wrote for itself: it waits for the
	// retrospective approval of the change.
	SelfGranted  bool          `db:"self_granted" audit:"self_granted"`
	Reason       string        `db:"reason" audit:"reason"`
	RequestedBy  uuid.UUID     `db:"requested_by"`
	RequestedAt  time.Time     `db:"requested_at"`
	DecidedBy    uuid.NullUUID `db:"decided_by"`
	DecidedAt    *time.Time    `db:"decided_at"`
	DecisionNote string        `db:"decision_note" audit:"note"`
}

func (o Override) subject() event.Subject {
	return event.Subject{Type: "freeze_override", ID: o.ID, Title: o.FreezeName + " for " + o.ChangeKey}
}

func (o Override) parent() *event.Subject {
	return &event.Subject{Type: "freeze", ID: o.FreezeID, Title: o.FreezeName}
}

// Path is the page of the override below its workspace.
func (o Override) Path() string {
	return listPath + "/" + o.FreezeID.String() + "/overrides/" + o.ID.String()
}

// NewOverride asks for permission to pass a freeze.
type NewOverride struct {
	// Change is an id or a key.
	Change string
	// Revision is the revision that the caller saw, nil for the present one.
	Revision *int64
	Reason   string
}

// RequestOverride asks that a change may pass a freeze that refuses it. Whoever may grant
// it is told. The change must meet the freeze, and the one who asks must be free to: people
// whom separation of duties excludes from deciding about the change are not.
func (s *Service) RequestOverride(ctx context.Context, a db.Actor, freezeID uuid.UUID, in NewOverride) (Override, error) {
	var o Override
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, RequestOverrides); err != nil {
			return err
		}
		f, err := shareFreeze.One(ctx, tx, db.Args{"id": freezeID})
		if err != nil {
			return err
		}
		reason, err := overrideReason("reason", in.Reason)
		if err != nil {
			return err
		}
		change, err := s.changeID(ctx, tx, in.Change)
		if err != nil {
			return err
		}
		subj, err := s.listener.Subject(ctx, tx, change)
		if err != nil {
			return err
		}
		if err := mayAct(tx.Actor, subj, "ask for"); err != nil {
			return err
		}
		if err := s.passable(ctx, tx, f, subj, in.Revision); err != nil {
			return err
		}
		if o, err = newOverride(tx, f, subj, reason); err != nil {
			return err
		}
		if _, err := insertOverride.Run(ctx, tx, overrideArgs(o)); err != nil {
			if db.Violated(err, "freeze_overrides_open_key") {
				return fault.NewConflict("override_exists", "An override of this freeze was requested or granted already for this revision of the change.")
			}
			return err
		}
		id, err := s.ledger.Record(ctx, tx, ledger.Entry{
			Action: eventOverrideRequested, Subject: o.subject(), Parent: o.parent(), After: o, Payload: overridePayload(o),
			Detail: overrideDetail(o),
		})
		if err != nil {
			return err
		}
		return s.tellDeciders(ctx, tx, id, o, subj)
	})
	return o, err
}

func overrideReason(field, text string) (string, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	var c form.Check
	if n := utf8.RuneCountInString(text); n < minReason {
		c.Add(field, "reason_required", fmt.Sprintf("Say why, in at least %d characters; this is kept for good.", minReason))
	}
	c.Longest(field, text, "The reason", maxReason)
	return text, c.Err()
}

// changeID reads an id, or finds a change by its key.
func (s *Service) changeID(ctx context.Context, tx *db.Tx, text string) (uuid.UUID, error) {
	text = strings.TrimSpace(text)
	if s.listener == nil || text == "" {
		return uuid.Nil, fault.InvalidField("change", "required", "Say which change, such as CHG-00012.")
	}
	if id, err := uuid.Parse(text); err == nil {
		return id, nil
	}
	if l, ok := s.listener.(OverrideListener); ok {
		id, found, err := l.ChangeByKey(ctx, tx, strings.ToUpper(text))
		if err != nil || found {
			return id, err
		}
	}
	return uuid.Nil, fault.InvalidField("change", "not_found", "There is no change "+text+" in this workspace.")
}

// mayAct refuses everybody but people, and those whom separation of duties excludes. No
// role is exempt.
func mayAct(a db.Actor, subj OverrideSubject, act string) error {
	if a.UserID == uuid.Nil {
		return fault.NewDenied("person_required", "Only a person can "+act+" an override.")
	}
	for _, e := range subj.Excluded {
		if e.UserID == a.UserID {
			return fault.NewDenied("sod_violation", "You cannot "+act+" an override of this change: you are its "+e.Why+". Ask somebody who is not part of it.")
		}
	}
	return nil
}

// passable reports whether there is anything to override: the freeze is in force and refuses
// this revision of the change.
func (s *Service) passable(ctx context.Context, tx *db.Tx, f Freeze, subj OverrideSubject, revision *int64) error {
	switch {
	case f.State != Active || !f.Blocks():
		return fault.NewConflict("freeze_not_blocking", f.Name+" refuses nothing now, so there is nothing to override.")
	case subj.Closed:
		return fault.NewConflict("change_closed", subj.Key+" runs already or is over.")
	case revision != nil && *revision != subj.Revision:
		return staleRevision(subj)
	}
	found, err := s.Check(ctx, tx, subj.Target, subj.Start, subj.End)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(found, func(h Hit) bool { return h.FreezeID == f.ID && h.Blocks }) {
		return fault.NewInvalid("freeze_not_met", subj.Key+" does not meet "+f.Name+": its window or what it touches lies outside.")
	}
	return nil
}

func staleRevision(subj OverrideSubject) error {
	return fault.NewConflict("stale_revision", fmt.Sprintf("%s was edited and is now at revision %d. Look at it again first.", subj.Key, subj.Revision))
}

func newOverride(tx *db.Tx, f Freeze, subj OverrideSubject, reason string) (Override, error) {
	id, err := newID()
	return Override{
		ID: id, FreezeID: f.ID, FreezeName: f.Name, FreezeVersion: f.Version, ChangeID: subj.ChangeID, ChangeKey: subj.Key,
		ChangeTitle: subj.Title, ChangePath: subj.Path, Revision: subj.Revision, Start: subj.Start, End: subj.End, State: Requested,
		Reason: reason, RequestedBy: tx.Actor.UserID, RequestedAt: tx.Now,
	}, err
}

func overrideDetail(o Override) map[string]any {
	return map[string]any{
		"change": o.ChangeKey, "revision": o.Revision, "freeze": o.FreezeName, "freeze_version": o.FreezeVersion,
		"window_start": o.Start.UTC().Format(time.RFC3339), "window_end": o.End.UTC().Format(time.RFC3339),
	}
}

// DecideOverride grants or refuses a request. Everything is looked at again now: the one
// who decides is not the one who asked and not excluded, the change is at the revision that
// was asked for, and the freeze stops no more than it did then.
func (s *Service) DecideOverride(ctx context.Context, a db.Actor, freezeID, id uuid.UUID, grant bool, note string) (Override, error) {
	var o Override
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if err := s.policy.Check(tx.Actor, GrantOverrides); err != nil {
			return err
		}
		// Freeze, change, override: the order in which everybody locks them.
		f, err := shareFreeze.One(ctx, tx, db.Args{"id": freezeID})
		if err != nil {
			return err
		}
		first, err := loadOverride.One(ctx, tx, db.Args{"id": id, "freeze": freezeID})
		if err != nil {
			return err
		}
		if s.listener == nil {
			return fault.NewConflict("change_closed", first.ChangeKey+" is not here any more.")
		}
		subj, err := s.listener.Subject(ctx, tx, first.ChangeID)
		if err != nil {
			return err
		}
		if o, err = lockOverride.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		if err := o.decidable(tx.Actor, f, subj, grant); err != nil {
			return err
		}
		note = strings.TrimSpace(strings.ReplaceAll(note, "\r\n", "\n"))
		var c form.Check
		if !grant && utf8.RuneCountInString(note) < minReason {
			c.Add("note", "reason_required", fmt.Sprintf("Say why, in at least %d characters; the one who asked reads it.", minReason))
		}
		c.Longest("note", note, "The note", maxReason)
		if err := c.Err(); err != nil {
			return err
		}
		before := o
		o.State, o.DecidedBy, o.DecidedAt, o.DecisionNote = Refused, db.NullID(tx.Actor.UserID), &tx.Now, note
		action := eventOverrideRefused
		if grant {
			o.State, action = Granted, eventOverrideGranted
		}
		if _, err := decideOverride.Run(ctx, tx, db.Args{"id": o.ID, "state": o.State, "by": tx.Actor.UserID, "note": note}); err != nil {
			return err
		}
		entry, err := s.ledger.Record(ctx, tx, ledger.Entry{
			Action: action, Subject: o.subject(), Parent: o.parent(), Before: before, After: o, Reason: note, Payload: overridePayload(o),
			Detail: overrideDetail(o),
		})
		if err != nil {
			return err
		}
		if grant {
			if err := s.overrideChanged(ctx, tx, o, true); err != nil {
				return err
			}
		}
		return s.tellRequester(ctx, tx, entry, action, o)
	})
	return o, err
}

// decidable reports whether somebody may decide the request as things stand now.
func (o Override) decidable(a db.Actor, f Freeze, subj OverrideSubject, grant bool) error {
	act := "refuse"
	if grant {
		act = "grant"
	}
	switch {
	case o.State != Requested:
		return fault.NewConflict("already_decided", "This request is "+string(o.State)+" already.")
	case a.UserID != uuid.Nil && a.UserID == o.RequestedBy:
		return fault.NewDenied("sod_violation", "You asked for this override, so somebody else must decide it.")
	}
	if err := mayAct(a, subj, act); err != nil || !grant {
		return err
	}
	switch {
	case subj.Revision != o.Revision:
		return staleRevision(subj)
	case f.State != Active || !f.Blocks():
		return fault.NewConflict("freeze_not_blocking", f.Name+" refuses nothing now, so there is nothing to override.")
	case o.FreezeVersion < f.WidenedVersion:
		return fault.NewConflict("freeze_widened", f.Name+" stops more than it did when this was asked. Ask again.")
	case subj.Closed:
		return fault.NewConflict("change_closed", subj.Key+" runs already or is over.")
	}
	return nil
}

// Overridden returns the overrides that let a revision of a change pass, by freeze. One
// whose freeze has come to stop more since is not among them.
func (s *Service) Overridden(ctx context.Context, tx *db.Tx, changeID uuid.UUID, revision int64) (map[uuid.UUID]Override, error) {
	rows, err := validOverrides.All(ctx, tx, db.Args{"change": changeID, "revision": revision})
	out := make(map[uuid.UUID]Override, len(rows))
	for _, o := range rows {
		out[o.FreezeID] = o
	}
	return out, err
}

// OverridesFor returns everything that was asked for a change, newest first.
func (s *Service) OverridesFor(ctx context.Context, tx *db.Tx, changeID uuid.UUID) ([]Override, error) {
	return overridesFor.All(ctx, tx, db.Args{"change": changeID})
}

// SelfGrant lets an emergency pass the freezes that it meets, in the transaction that starts
// it. Each override is marked, and waits for the retrospective approval of the change.
// Freezes that only warn need none.
func (s *Service) SelfGrant(ctx context.Context, tx *db.Tx, changeID uuid.UUID, revision int64, met []Hit, reason string) error {
	met = slices.DeleteFunc(slices.Clone(met), func(h Hit) bool { return !h.Blocks })
	if len(met) == 0 {
		return nil
	}
	if tx.Actor.UserID == uuid.Nil {
		return fault.NewDenied("person_required", "Only a person can start an emergency inside a freeze.")
	}
	reason, err := overrideReason("reason", reason)
	if err != nil {
		return err
	}
	subj, err := s.listener.Subject(ctx, tx, changeID)
	if err != nil {
		return err
	}
	if subj.Revision != revision {
		return staleRevision(subj)
	}
	valid, err := s.Overridden(ctx, tx, changeID, revision)
	if err != nil {
		return err
	}
	for _, h := range met {
		if _, ok := valid[h.FreezeID]; ok {
			continue
		}
		o, err := newOverride(tx, Freeze{ID: h.FreezeID, Name: h.Name, Version: h.Version}, subj, reason)
		if err != nil {
			return err
		}
		// What waits for somebody's decision is overtaken.
		if err := s.void(ctx, tx, openOverridesFor, db.Args{"change": changeID, "revision": revision + 1}, "An emergency started meanwhile.", func(other Override) bool {
			return other.FreezeID == h.FreezeID && other.Revision == revision
		}); err != nil {
			return err
		}
		o.State, o.SelfGranted, o.DecidedBy, o.DecidedAt = Granted, true, db.NullID(tx.Actor.UserID), &tx.Now
		if _, err := insertOverride.Run(ctx, tx, overrideArgs(o)); err != nil {
			return err
		}
		err = s.record(ctx, tx, ledger.Entry{
			Action: eventOverrideSelfGranted, Subject: o.subject(), Parent: o.parent(), After: o, Reason: reason,
			Payload: overridePayload(o), Detail: overrideDetail(o),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// VoidOverrides ends what was asked for and granted to earlier revisions of a change, in the
// transaction of a material edit. revision is the one that the change has from now on.
func (s *Service) VoidOverrides(ctx context.Context, tx *db.Tx, changeID uuid.UUID, revision int64) error {
	return s.void(ctx, tx, openOverridesFor, db.Args{"change": changeID, "revision": revision}, "The change was edited.", nil)
}

// voidAll ends what was asked for and granted before a freeze came to stop more.
func (s *Service) voidAll(ctx context.Context, tx *db.Tx, f Freeze) error {
	return s.void(ctx, tx, openOverridesOf, db.Args{"freeze": f.ID}, "The freeze stops more than it did.", nil)
}

func (s *Service) void(ctx context.Context, tx *db.Tx, which db.Statement[Override], args db.Args, why string, only func(Override) bool) error {
	open, err := which.All(ctx, tx, args)
	if err != nil {
		return err
	}
	for _, before := range open {
		if only != nil && !only(before) {
			continue
		}
		o := before
		o.State, o.DecisionNote = Void, why
		if _, err := voidOverride.Run(ctx, tx, db.Args{"id": o.ID, "note": why}); err != nil {
			return err
		}
		entry, err := s.ledger.Record(ctx, tx, ledger.Entry{
			Action: eventOverrideVoided, Subject: o.subject(), Parent: o.parent(), Before: before, After: o, Reason: why,
			Payload: overridePayload(o), Detail: overrideDetail(o),
		})
		if err != nil {
			return err
		}
		if before.State == Granted {
			if err := s.overrideChanged(ctx, tx, o, false); err != nil {
				return err
			}
		}
		if err := s.tellRequester(ctx, tx, entry, eventOverrideVoided, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) overrideChanged(ctx context.Context, tx *db.Tx, o Override, valid bool) error {
	l, ok := s.listener.(OverrideListener)
	if !ok {
		return nil
	}
	if err := l.OverrideChanged(ctx, tx, o.FreezeID, o.ChangeID, valid); err != nil {
		return fmt.Errorf("tell of override %s: %w", o.ID, err)
	}
	return nil
}

// tellDeciders tells whoever may grant the request.
func (s *Service) tellDeciders(ctx context.Context, tx *db.Tx, entry uuid.UUID, o Override, subj OverrideSubject) error {
	if s.notifier == nil {
		return nil
	}
	people, err := s.people(ctx, tx)
	if err != nil {
		return fmt.Errorf("read people: %w", err)
	}
	var to []uuid.UUID
	for _, p := range people {
		excluded := slices.ContainsFunc(subj.Excluded, func(e Excluded) bool { return e.UserID == p.UserID })
		if p.UserID != o.RequestedBy && !excluded && s.policy.Can(db.Actor{Role: string(p.Role)}, GrantOverrides) {
			to = append(to, p.UserID)
		}
	}
	return s.notifier.Notify(ctx, tx, Notice{
		Recipients: to, DedupeKey: entry.String(), EventName: eventOverrideRequested, Severity: event.Medium, Mail: true,
		Title: o.ChangeKey + " asks to pass " + o.FreezeName, Body: o.Reason, Path: o.Path(), Icon: "snowflake",
		SubjectType: "freeze_override", SubjectID: o.ID, SubjectTitle: o.FreezeName + " for " + o.ChangeKey,
	})
}

// tellRequester tells the one who asked what became of it.
func (s *Service) tellRequester(ctx context.Context, tx *db.Tx, entry uuid.UUID, action string, o Override) error {
	if s.notifier == nil || tx.Actor.UserID == o.RequestedBy {
		return nil
	}
	title := map[OverrideState]string{
		Granted: o.ChangeKey + " may pass " + o.FreezeName, Refused: o.ChangeKey + " may not pass " + o.FreezeName,
		Void: "The override of " + o.FreezeName + " for " + o.ChangeKey + " is void",
	}[o.State]
	return s.notifier.Notify(ctx, tx, Notice{
		Recipients: []uuid.UUID{o.RequestedBy}, DedupeKey: entry.String(), EventName: action, Severity: event.Medium, Mail: true,
		Title: title, Body: o.DecisionNote, Path: o.Path(), Icon: "snowflake",
		SubjectType: "freeze_override", SubjectID: o.ID, SubjectTitle: o.FreezeName + " for " + o.ChangeKey,
	})
}
