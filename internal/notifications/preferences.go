package notifications

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Subscription is one line of the matrix: an event with the channels in force.
type Subscription struct {
	Type event.Type
	event.Channels
}

// Profile is everything that a member chose.
type Profile struct {
	Preferences
	// Events are those that the member's role may choose, by group and name.
	Events []Subscription
	Mutes  []Mute
	// HasServer says whether mail can be sent at all.
	HasServer bool
}

// Profile reads the actor's preferences in one round trip.
func (s *Service) Profile(ctx context.Context, a db.Actor) (Profile, error) {
	user, err := self(a)
	if err != nil {
		return Profile{}, err
	}
	var (
		settings *db.Result[settingsRow]
		choices  *db.Result[choiceRow]
		mutes    *db.Result[Mute]
		server   *db.Result[bool]
	)
	err = s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		settings = loadSettings.Queue(b, db.Args{"user": user})
		choices = loadChoices.Queue(b, db.Args{"user": user})
		mutes = loadMutes.Queue(b, db.Args{"user": user})
		server = hasServer.Queue(b, nil)
	})
	if err != nil {
		return Profile{}, err
	}
	p := Profile{Preferences: DefaultPreferences(), Mutes: mutes.Rows, Events: s.matrix(a, choices.Rows)}
	if row, ok := settings.First(); ok {
		p.Preferences = row.preferences()
	}
	own, _ := server.First()
	p.HasServer = own || s.smtp != nil
	return p, nil
}

// matrix returns the events that the actor may choose, with their choices.
func (s *Service) matrix(a db.Actor, chosen []choiceRow) []Subscription {
	byEvent := make(map[string]choiceRow, len(chosen))
	for _, c := range chosen {
		byEvent[c.EventName] = c
	}
	types := offered(s.ledger.Catalogue(), roleOf(a))
	out := make([]Subscription, len(types))
	for i, t := range types {
		out[i] = Subscription{Type: t, Channels: t.Notify}
		if c, ok := byEvent[t.Name]; ok {
			out[i].Channels = c.over(t.Notify)
		}
	}
	return out
}

// roleOf returns the role of an actor; a platform admin may choose what an owner may.
func roleOf(a db.Actor) access.Role {
	if a.PlatformAdmin {
		return access.PlatformAdmin
	}
	return access.Role(a.Role)
}

// SavePreferences replaces the actor's settings and the channels of the events that are
// named. A version that is not the current one is fault.Conflict.
func (s *Service) SavePreferences(ctx context.Context, a db.Actor, p Preferences, choices []Choice) error {
	user, err := self(a)
	if err != nil {
		return err
	}
	if err := p.Validate(); err != nil {
		return err
	}
	types := map[string]event.Type{}
	for _, t := range offered(s.ledger.Catalogue(), roleOf(a)) {
		types[t.Name] = t
	}
	seen := map[string]bool{}
	for _, c := range choices {
		if seen[c.Event] {
			return fault.InvalidField("events", "duplicate", fmt.Sprintf("The event %s is named twice.", c.Event))
		}
		seen[c.Event] = true
		if _, ok := types[c.Event]; !ok {
			return fault.InvalidField("events", "unknown_event", fmt.Sprintf("There is no event %q to choose.", clip(c.Event, 80)))
		}
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := currentPreferences(ctx, tx, user)
		if err != nil {
			return err
		}
		if before.Version != p.Version {
			return errPreferencesMoved
		}
		changes, err := saveChoices(ctx, tx, user, types, choices)
		if err != nil {
			return err
		}
		return s.savePreferences(ctx, tx, user, before, p, changes)
	})
}

var errPreferencesMoved = fault.NewConflict("version_conflict", "Your preferences were changed in another window. Look at them again, then save.")

func currentPreferences(ctx context.Context, tx *db.Tx, user uuid.UUID) (Preferences, error) {
	row, ok, err := loadSettings.Maybe(ctx, tx, db.Args{"user": user})
	if err != nil {
		return Preferences{}, err
	}
	if !ok {
		return DefaultPreferences(), nil
	}
	return row.preferences(), nil
}

// savePreferences writes the settings and the entry of the audit log. Nothing that did not
// change is recorded.
func (s *Service) savePreferences(ctx context.Context, tx *db.Tx, user uuid.UUID, before, after Preferences, changes []ledger.Change) error {
	n, err := saveSettings.Run(ctx, tx, settingsArgs(user, after))
	if err != nil {
		return err
	}
	if n == 0 {
		return errPreferencesMoved
	}
	after.Version = before.Version
	if before == after && len(changes) == 0 {
		return nil
	}
	return s.recordPreferences(ctx, tx, user, ledger.Entry{Before: before, After: after, Changes: changes})
}

func (s *Service) recordPreferences(ctx context.Context, tx *db.Tx, user uuid.UUID, e ledger.Entry) error {
	e.Action, e.Subject = eventPreferences, event.Subject{Type: "user", ID: user}
	_, err := s.ledger.Record(ctx, tx, e)
	return err
}

// saveChoices stores what differs from the channels in force and returns the changes.
// What is as it was is not stored, so that a default may change for whoever never chose.
func saveChoices(ctx context.Context, tx *db.Tx, user uuid.UUID, types map[string]event.Type, choices []Choice) ([]ledger.Change, error) {
	rows, err := loadChoices.All(ctx, tx, db.Args{"user": user})
	if err != nil {
		return nil, err
	}
	chosen := make(map[string]choiceRow, len(rows))
	for _, r := range rows {
		chosen[r.EventName] = r
	}
	var changes []ledger.Change
	var names []string
	var inApp, mailed []bool
	for _, c := range choices {
		was := chosen[c.Event].over(types[c.Event].Notify)
		if was == c.Channels {
			continue
		}
		changes = append(changes, ledger.Change{Field: c.Event, From: words(was), To: words(c.Channels)})
		names, inApp, mailed = append(names, c.Event), append(inApp, c.InApp), append(mailed, c.Mail)
	}
	_, err = addChoices.Run(ctx, tx, db.Args{"user": user, "events": names, "in_app": inApp, "mail": mailed})
	return changes, err
}

// words names channels in the audit log.
func words(c event.Channels) string {
	switch {
	case c.InApp && c.Mail:
		return "in-app, mail"
	case c.InApp:
		return "in-app"
	case c.Mail:
		return "mail"
	default:
		return "off"
	}
}

// Mute keeps the thing that a notification of the actor is about from telling them again.
func (s *Service) Mute(ctx context.Context, a db.Actor, notification uuid.UUID) (Mute, error) {
	user, err := self(a)
	if err != nil {
		return Mute{}, err
	}
	var m Mute
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		item, err := loadItem.One(ctx, tx, db.Args{"user": user, "id": notification})
		if err != nil {
			return err
		}
		if !item.SubjectID.Valid {
			return fault.NewInvalid("no_subject", "This notification is about no single thing, so there is nothing to mute. Change your preferences instead.")
		}
		m = Mute{SubjectType: item.SubjectType, SubjectID: item.SubjectID.UUID, Title: item.SubjectTitle, Path: item.Path}
		n, err := addMute.Run(ctx, tx, db.Args{"user": user, "type": m.SubjectType, "id": m.SubjectID, "title": m.Title, "path": m.Path})
		if err != nil || n == 0 {
			return err
		}
		return s.recordPreferences(ctx, tx, user, ledger.Entry{Changes: []ledger.Change{muteChange(m, nil, "muted")}})
	})
	return m, err
}

// Unmute lets the thing tell the actor again. What is not muted stays so.
func (s *Service) Unmute(ctx context.Context, a db.Actor, subjectType string, subject uuid.UUID) error {
	user, err := self(a)
	if err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		n, err := dropMute.Run(ctx, tx, db.Args{"user": user, "type": subjectType, "id": subject})
		if err != nil || n == 0 {
			return err
		}
		m := Mute{SubjectType: subjectType, SubjectID: subject}
		return s.recordPreferences(ctx, tx, user, ledger.Entry{Changes: []ledger.Change{muteChange(m, "muted", nil)}})
	})
}

func muteChange(m Mute, from, to any) ledger.Change {
	return ledger.Change{Field: m.SubjectType + "/" + m.SubjectID.String(), From: from, To: to}
}
