package app

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes"
	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/members"
	"github.com/vigilo/vigilo/internal/notifications"
)

// changePeople lists who may own and carry out changes.
func (s *Services) changePeople(ctx context.Context, tx *db.Tx) ([]changes.Person, error) {
	people, err := s.Members.People(ctx, tx)
	if err != nil {
		return nil, err
	}
	out := make([]changes.Person, len(people))
	for i, p := range people {
		out[i] = changes.Person{UserID: p.UserID, MemberID: p.MemberID, Name: p.Name, Email: p.Email}
	}
	return out, nil
}

func (s *Services) tellAboutChanges(ctx context.Context, tx *db.Tx, n changes.Notice) error {
	return s.Notifications.Notify(ctx, tx, notifications.Notice(n))
}

// trail reads the audit log of a change for the API and for evidence packs.
func (k *kernel) trail() changes.Trail {
	reader := activity.New(k.ledger)
	return func(ctx context.Context, tx *db.Tx, subjectType string, id uuid.UUID, limit int) ([]changes.TrailEntry, error) {
		entries, err := reader.Of(ctx, tx, subjectType, id, limit)
		if err != nil {
			return nil, err
		}
		out := make([]changes.TrailEntry, len(entries))
		for i, e := range entries {
			out[i] = changes.TrailEntry{
				ID: e.ID, At: e.RecordedAt, Action: e.Action, Label: e.Label, Actor: e.Actor.Name, ActorID: uuid.NullUUID{UUID: e.Actor.ID, Valid: e.Actor.ID != uuid.Nil},
				ActorKind: e.Actor.Kind.String(), Outcome: outcomeWord(e.Outcome), Reason: e.Reason, Changes: []changes.TrailChange{}, Detail: e.Detail,
				TargetType: e.Target.Type, TargetID: e.Target.ID, TargetKey: e.Target.Key,
			}
			for _, c := range e.Changes {
				out[i].Changes = append(out[i].Changes, changes.TrailChange{Field: c.Field, From: value(c.From), To: value(c.To)})
			}
		}
		return out, nil
	}
}

// value decodes a recorded value; what cannot be decoded stays as it is.
func value(raw json.RawMessage) any {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return string(raw)
	}
	return v
}

func outcomeWord(o ledger.Outcome) string {
	switch o {
	case ledger.Denied:
		return "denied"
	case ledger.Failed:
		return "failed"
	default:
		return "success"
	}
}

// changesWaiting lists what waits for the reader: to be reworked, started, ended, reviewed.
func (s *Services) changesWaiting(b *db.Batch, a db.Actor) func() members.HomeSection {
	if a.UserID == uuid.Nil {
		return func() members.HomeSection { return members.HomeSection{} }
	}
	waiting := s.Changes.QueueWaiting(b, a, homeLimit)
	return func() members.HomeSection {
		out := members.HomeSection{Title: "Changes waiting for me", Href: "/changes?view=waiting", Empty: "No change waits for you."}
		for _, c := range waiting.Rows {
			out.Items = append(out.Items, members.HomeItem{Title: c.Key + " " + c.Title, Href: c.Path(), Meta: c.State.Label(), Icon: "git-pull-request-arrow"})
		}
		return out
	}
}

// changesSoon lists what happens in the next seven days.
func (s *Services) changesSoon(b *db.Batch, _ db.Actor) func() members.HomeSection {
	soon, now := s.Changes.QueueUpcoming(b, 7), b.Now()
	return func() members.HomeSection {
		out := members.HomeSection{Title: "Changes in the next 7 days", Href: "/changes?view=soon", Empty: "No change is planned for the next 7 days."}
		for _, c := range soon.Rows[:min(len(soon.Rows), homeLimit)] {
			item := members.HomeItem{Title: c.Key + " " + c.Title, Href: c.Path(), Icon: "calendar", Meta: changes.When(c, now)}
			if c.Risk == "high" || c.Risk == "critical" {
				item.Tone = "warn"
			}
			out.Items = append(out.Items, item)
		}
		return out
	}
}

// wireChanges puts changes on the home page and among the first steps.
func (s *Services) wireChanges() {
	s.Members.AddHome(s.changesWaiting)
	s.Members.AddHome(s.changesSoon)
	s.Members.AddStep(members.Step{
		Label: "File a change", Text: "Say what is about to be done, when and why. Whoever must agree is asked, and the record stays.",
		Href: "/changes/new", Action: "New change", Icon: "git-pull-request-arrow", Weight: 30, Permission: changes.CanCreate, Done: s.Changes.HasChange,
	})
}
