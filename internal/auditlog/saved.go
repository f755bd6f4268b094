package auditlog

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// SavedFilter is a name for a filter: one person's, or shared with the workspace.
type SavedFilter struct {
	ID        uuid.UUID `db:"id"`
	OwnerID   uuid.UUID `db:"owner_id"`
	Shared    bool      `db:"shared" audit:"shared"`
	Name      string    `db:"name" audit:"name"`
	Query     string    `db:"query" audit:"query"`
	CreatedAt time.Time `db:"created_at"`
}

// NewFilter is a filter to be saved.
type NewFilter struct {
	Name   string
	Shared bool
	Filter Filter
}

// maxSaved is how many filters a person has, and a workspace shares: they are tabs.
const maxSaved = 12

// SaveFilter saves a filter. Sharing it needs the permission audit.share.
func (s *Service) SaveFilter(ctx context.Context, a db.Actor, in NewFilter) (SavedFilter, error) {
	f := SavedFilter{ID: uuid.Must(uuid.NewV7()), OwnerID: a.UserID, Shared: in.Shared, Name: in.Name, Query: in.Filter.Values().Encode()}
	if a.UserID == uuid.Nil {
		return f, fault.NewDenied("forbidden", "Only people have saved filters.")
	}
	if in.Shared {
		if err := s.policy.Check(a, canShare); err != nil {
			return f, err
		}
	}
	var check form.Check
	check.Text("name", in.Name, "A name", 40)
	if f.Query == "" {
		check.Add("", "empty_filter", "Choose a filter first: this one asks for everything.")
	}
	if len(f.Query) > 2000 {
		check.Add("", "too_long", "This filter is too long to be saved.")
	}
	if _, err := in.Filter.Parse(s.db.Clock().Now(), time.UTC); err != nil {
		check.Add("", "invalid_filter", "This filter has mistakes; correct them first.")
	}
	if err := check.Err(); err != nil {
		return f, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		// Two at once must not pass the limit together.
		if _, err := lockFilters.Run(ctx, tx, nil); err != nil {
			return err
		}
		n, err := countFilters.One(ctx, tx, db.Args{"user": a.UserID, "shared": f.Shared})
		if err != nil {
			return err
		}
		if n >= maxSaved {
			return fault.InvalidField("name", "too_many", fmt.Sprintf("There are %d saved filters already. Remove one first.", maxSaved))
		}
		f.CreatedAt = tx.Now
		_, err = insertFilter.Run(ctx, tx, db.Args{"id": f.ID, "user": f.OwnerID, "shared": f.Shared, "name": f.Name, "query": f.Query})
		if db.Violated(err, "audit_filters_shared_name") || db.Violated(err, "audit_filters_own_name") {
			return fault.InvalidField("name", "taken", "There is a saved filter of this name. Choose another one.")
		}
		if err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{Action: eventFilterSaved, Subject: f.subject(), After: f})
		return err
	})
	return f, err
}

func (f SavedFilter) subject() event.Subject {
	return event.Subject{Type: "audit_filter", ID: f.ID, Title: f.Name}
}

// SavedFilter reads one saved filter that the actor can see.
func (s *Service) SavedFilter(ctx context.Context, a db.Actor, id uuid.UUID) (SavedFilter, error) {
	var f SavedFilter
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		f, err = savedFilter.One(ctx, tx, db.Args{"id": id, "user": a.UserID})
		return err
	})
	return f, err
}

// MayRemove reports whether the actor may remove the filter: their own, or a shared one
// with the permission audit.share.
func (s *Service) MayRemove(a db.Actor, f SavedFilter) bool {
	return f.OwnerID == a.UserID || (f.Shared && s.policy.Can(a, canShare))
}

// RemoveFilter removes a saved filter.
func (s *Service) RemoveFilter(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		f, err := savedFilter.One(ctx, tx, db.Args{"id": id, "user": a.UserID})
		if err != nil {
			return err
		}
		if !s.MayRemove(a, f) {
			return s.policy.Check(a, canShare)
		}
		n, err := deleteFilter.Run(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NewNotFound("saved filter")
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{Action: eventFilterRemoved, Subject: f.subject(), Before: f})
		return err
	})
}

// parseQuery reads the query string of a saved filter.
func parseQuery(query string) (Filter, error) {
	var f Filter
	values, err := url.ParseQuery(query)
	if err != nil {
		return f, fault.InvalidField("", "invalid_filter", "This filter could not be read.")
	}
	return f, form.Decode(values, &f)
}
