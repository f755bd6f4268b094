// Package auditlog shows the audit log: filtered pages, single entries, exports, saved
// filters, and the API for it and for events. The log is written by kernel/ledger; this
// package reads it and looks after its partitions.
package auditlog

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// Deps are the parts of the kernel that the module needs.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Policy *access.Policy
	// Index names the things that entries are about.
	Index *search.Index
}

// Service holds the use cases of the audit log.
type Service struct {
	db       *db.DB
	ledger   *ledger.Ledger
	policy   *access.Policy
	index    *search.Index
	activity *activity.Reader
}

// New returns the service.
func New(d Deps) *Service {
	return &Service{db: d.DB, ledger: d.Ledger, policy: d.Policy, index: d.Index, activity: activity.New(d.Ledger)}
}

// Page is one page of the log.
type Page struct {
	Entries []activity.Entry
	Next    string
	Prev    string
	// Count is how many entries match, at most CountCap + 1. The API does not count.
	Count    int64
	CountCap int64
}

// walkCap is where counting the entries of a frequent word stops: each is read for it.
const walkCap = 1_000

// Apply puts place, size and order on a query of the log.
type Apply func(q *db.ListQuery[activity.Row]) (*db.ListQuery[activity.Row], error)

// List reads one page. The caller records the question with RecordSearch afterwards;
// more queues further reads of its own in the same round trip.
func (s *Service) List(ctx context.Context, a db.Actor, c Criteria, apply Apply, count bool, more func(b *db.Batch)) (Page, error) {
	var p Page
	if c.Text != "" {
		var err error
		if c.hits, err = s.find(ctx, a, c); err != nil {
			return p, err
		}
	}
	q, err := apply(listQuery(c))
	if err != nil {
		return p, err
	}
	p.CountCap = db.CountCap
	switch {
	case c.hits != nil && c.textAlone():
		// What there is, and how much, is known; only the page itself is read.
		p.Count, count = int64(len(c.hits.ids)), false
		if c.hits, err = c.hits.window(q.Window(), q.SortInUse() == "-recorded_at"); err != nil {
			return p, err
		}
		if q, err = apply(listQuery(c)); err != nil {
			return p, err
		}
	case c.hits == nil && c.Text != "":
		p.CountCap = walkCap
	}
	var rows *db.PageResult[activity.Row]
	var total *db.Result[int64]
	err = s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		rows = q.Queue(b)
		if count {
			total = q.QueueCountTo(b, int(p.CountCap)+1)
		}
		if more != nil {
			more(b)
		}
	})
	if err != nil {
		return p, fmt.Errorf("read audit log: %w", err)
	}
	if p.Entries, err = s.activity.Entries(rows.Page.Items); err != nil {
		return p, err
	}
	p.Next, p.Prev = rows.Page.Next, rows.Page.Prev
	if total != nil {
		p.Count, _ = total.First()
	}
	return p, nil
}

// find returns the entries that hold the text, or nil when so many do that a list is found
// sooner by walking back in time.
func (s *Service) find(ctx context.Context, a db.Actor, c Criteria) (*hits, error) {
	var found *db.Result[hit]
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		found = searchText.Queue(b, db.Args{"from": c.From, "to": c.To, "text": c.Text})
	})
	if err != nil {
		return nil, fmt.Errorf("search audit log: %w", err)
	}
	if len(found.Rows) == 1 && found.Rows[0].Frequent {
		return nil, nil //nolint:nilnil // documented: no hits means that each entry is asked
	}
	return newHits(found.Rows), nil
}

// RecordSearch puts a question into the log that it was asked of (governance.md 2.1). It
// has a transaction of its own, after the read.
func (s *Service) RecordSearch(ctx context.Context, a db.Actor, c Criteria) error {
	if !c.Filter.Narrows() {
		return nil
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		_, err := s.ledger.Record(ctx, tx, ledger.Entry{
			Action: eventSearched, Subject: theLog(a), Detail: map[string]any{"filter": c.asDetail()},
		})
		return err
	})
}

// theLog is the subject of what is recorded about the log itself.
func theLog(a db.Actor) event.Subject {
	return event.Subject{Type: "audit_log", ID: a.WorkspaceID, Title: "Audit log"}
}

// Newer counts the entries after a place that meet the criteria, at most 100.
func (s *Service) Newer(ctx context.Context, a db.Actor, c Criteria, at time.Time, id uuid.UUID) (int64, error) {
	var n *db.Result[int64]
	err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		n = listQuery(c).Filter("newer", db.Args{"newer_at": at, "newer_id": id}).QueueCountTo(b, 100)
	})
	if err != nil {
		return 0, fmt.Errorf("count new audit entries: %w", err)
	}
	count, _ := n.First()
	return count, nil
}

// Detail is one entry with what it is about, as far as that still exists.
type Detail struct {
	activity.Entry
	TargetRef *search.Ref
	ParentRef *search.Ref
}

// Entry reads one entry.
func (s *Service) Entry(ctx context.Context, a db.Actor, id uuid.UUID) (Detail, error) {
	var d Detail
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		row, err := oneEntry.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		all, err := s.activity.Entries([]activity.Row{row})
		if err != nil {
			return err
		}
		d.Entry = all[0]
		target := search.Key{Type: d.Target.Type, ID: d.Target.ID}
		parent := search.Key{Type: d.Parent.Type, ID: d.Parent.ID}
		refs, err := s.index.Resolve(ctx, tx, []search.Key{target, parent})
		if err != nil {
			return fmt.Errorf("name what the entry is about: %w", err)
		}
		if ref, ok := refs[target]; ok {
			d.TargetRef = &ref
		}
		if ref, ok := refs[parent]; ok {
			d.ParentRef = &ref
		}
		return nil
	})
	return d, err
}

// Events returns events of the workspace after the one with the given id, oldest first.
func (s *Service) Events(ctx context.Context, a db.Actor, after uuid.UUID, limit int) ([]event.Event, error) {
	var out []event.Event
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		out, err = event.After(ctx, tx, after, limit)
		return err
	})
	return out, err
}
