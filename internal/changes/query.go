package changes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/templates/ui"
)

// Filter narrows the list of changes. Empty fields do not narrow.
type Filter struct {
	Text, State, Type, Risk, Priority, Environment, Category string // State, Type and Risk: several, separated by commas
	Owner                                                    string // a user, "none" or "me"
	Asset, Tag, Template, Parent                             string
	Certificate, Host                                        string // ids that changes link to
	From, To                                                 string // RFC 3339 or a date; by the start of the window
	Retro, Held                                              string
	View                                                     string // a saved view
}

// The saved views.
const (
	viewOpen    = "open"
	viewMine    = "mine"
	viewWaiting = "waiting"
	viewReview  = "review"
	viewSoon    = "soon"
	viewRunning = "running"
	viewReviews = "reviews"
	viewClosed  = "closed"
)

// Views lists the saved views.
func Views() []string {
	return []string{viewOpen, viewMine, viewWaiting, viewReview, viewSoon, viewRunning, viewReviews, viewClosed}
}

func (f Filter) empty() bool { return f == Filter{} }

// splitList cuts a list of values in one parameter.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// listQuery is the query that a filter stands for. Values that no change can have are
// refused by name.
func (f Filter) query(me uuid.UUID, zone *time.Location) (*db.ListQuery[Item], error) {
	q := changeList.Query()
	for i, w := range searchWords(f.Text) {
		from, upto := db.PrefixRange(w)
		name := fmt.Sprintf("word%d", i+1)
		q.Filter(name, db.Args{name + "_from": from, name + "_upto": upto})
	}
	for _, l := range []struct {
		field, filter, value string
		allowed              []string
	}{
		{"state", "states", f.State, words(lifecycle.States())},
		{"type", "types", f.Type, words(lifecycle.Types())},
		{"risk", "risks", f.Risk, words(lifecycle.Levels())},
	} {
		list := splitList(l.value)
		for _, v := range list {
			if !slices.Contains(l.allowed, v) {
				return nil, fault.InvalidField(l.field, "not_allowed", "Use one or more of: "+strings.Join(l.allowed, ", ")+".")
			}
		}
		if len(list) > 0 {
			q.Filter(l.filter, db.Args{l.filter: list})
		}
	}
	for _, l := range []struct{ name, value string }{
		{"priority", f.Priority}, {"environment", environment(f.Environment)}, {"category", f.Category}, {"tag", strings.ToLower(f.Tag)}, {"retro", f.Retro},
	} {
		if l.value != "" {
			q.Filter(l.name, db.Args{l.name: l.value})
		}
	}
	for _, l := range []struct{ name, value string }{{"asset", f.Asset}, {"template", f.Template}, {"parent", f.Parent}} {
		if l.value != "" {
			q.Filter(l.name, db.Args{l.name: idOf(l.value)})
		}
	}
	for kind, value := range map[string]string{"certificate": f.Certificate, "host": f.Host} {
		if value != "" {
			q.Filter("target", db.Args{"target_kind": kind, "target": idOf(value)})
		}
	}
	switch f.Owner {
	case "":
	case "none":
		q.Filter("no_owner", nil)
	case "me":
		q.Filter("owner", db.Args{"owner": me})
	default:
		q.Filter("owner", db.Args{"owner": idOf(f.Owner)})
	}
	if f.Held == "true" || f.Held == "yes" {
		q.Filter("held", nil)
	}
	if err := f.times(q, zone); err != nil {
		return nil, err
	}
	return q, f.view(q, me)
}

// idOf is an id, and one that nothing has for what is none.
func idOf(text string) uuid.UUID {
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil
	}
	return id
}

func (f Filter) times(q *db.ListQuery[Item], zone *time.Location) error {
	for _, l := range []struct {
		field, name, value string
		day                time.Duration
	}{{"from", "starts_from", f.From, 0}, {"to", "starts_to", f.To, 24 * time.Hour}} {
		if l.value == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, l.value)
		if err != nil {
			if at, err = time.ParseInLocation(time.DateOnly, l.value, zone); err != nil {
				return fault.InvalidField(l.field, "invalid_date", "Write a day as 2026-11-15, or a moment as 2026-11-15T21:00:00Z.")
			}
			at = at.Add(l.day)
		}
		if at.Year() < 1 || at.Year() > 9000 {
			return fault.InvalidField(l.field, "out_of_range", "The year must lie between 1 and 9000.")
		}
		q.Filter(l.name, db.Args{l.name: at})
	}
	return nil
}

func (f Filter) view(q *db.ListQuery[Item], me uuid.UUID) error {
	switch f.View {
	case "":
	case viewOpen:
		q.Filter("open", nil)
	case viewMine:
		q.Filter("mine", db.Args{"me": me}).Filter("open", nil)
	case viewWaiting:
		q.Filter("waiting", db.Args{"me": me}).Sort("start")
	case viewReview:
		q.Filter("states", db.Args{"states": []string{string(lifecycle.Review)}})
	case viewSoon:
		q.Filter("soon", nil).Sort("start")
	case viewRunning:
		q.Filter("states", db.Args{"states": []string{string(lifecycle.InProgress)}})
	case viewReviews:
		q.Filter("reviews", nil)
	case viewClosed:
		q.Filter("closed", nil)
	default:
		return fault.InvalidField("view", "not_allowed", "There is no view of this name. There are: "+strings.Join(Views(), ", ")+".")
	}
	return nil
}

// Summaries returns changes as lists show them, by key. Ids that do not exist are left out.
func (s *Service) Summaries(ctx context.Context, tx *db.Tx, ids []uuid.UUID) ([]Item, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return itemsByIDs.All(ctx, tx, db.Args{"ids": ids})
}

// WindowFilter narrows InWindow. Zero values do not.
type WindowFilter struct {
	States []State // nil: all that are not cancelled
	Owner  uuid.UUID
	Asset  uuid.UUID
}

// InWindow returns the changes whose planned window overlaps a span, soonest first, at most
// 2,000, for calendars and feeds.
func (s *Service) InWindow(ctx context.Context, tx *db.Tx, from, until time.Time, f WindowFilter) ([]Item, error) {
	states := words(f.States)
	if len(states) == 0 {
		states = slices.DeleteFunc(words(lifecycle.States()), func(s string) bool { return s == string(lifecycle.Cancelled) })
	}
	return itemsInWindow.All(ctx, tx, db.Args{"from": from, "until": until, "states": states, "owner": db.NullID(f.Owner), "asset": db.NullID(f.Asset)})
}

// ByRisk orders changes for a meeting: the riskiest first, then the soonest.
func ByRisk(items []Item) {
	slices.SortStableFunc(items, func(a, b Item) int {
		if a.RiskRank != b.RiskRank {
			return int(a.RiskRank) - int(b.RiskRank)
		}
		return a.SortStart.Compare(b.SortStart)
	})
}

// ChangeIn reads a change by id or key in the transaction of a caller.
func (s *Service) ChangeIn(ctx context.Context, tx *db.Tx, ref string) (Change, error) {
	return findChange(ctx, tx, ref)
}

// Excluded returns who may not decide about a change, and why.
func Excluded(c Change) map[uuid.UUID]string {
	out := map[uuid.UUID]string{}
	for _, e := range excluded(c, db.Actor{}) {
		out[e.UserID] = e.Why
	}
	return out
}

// QueueWaiting reads what waits for the actor: to be reworked, started, ended, reviewed. The
// answer is there once the batch has run.
func (s *Service) QueueWaiting(b *db.Batch, a db.Actor, limit int) *db.Result[Item] {
	return itemsWaiting.Queue(b, db.Args{"me": a.UserID, "limit": limit})
}

// QueueUpcoming reads what is approved, scheduled or under way within some days, soonest
// first.
func (s *Service) QueueUpcoming(b *db.Batch, days int) *db.Result[Item] {
	now := b.Now()
	return itemsInWindow.Queue(b, db.Args{
		"from": now, "until": now.AddDate(0, 0, days), "owner": uuid.NullUUID{}, "asset": uuid.NullUUID{},
		"states": words([]State{lifecycle.Approved, lifecycle.Scheduled, lifecycle.InProgress}),
	})
}

// assetReferrer keeps an asset that changes name from being deleted.
func (s *Service) assetReferrer() assets.Referrer {
	return assets.Referrer{One: "change", Many: "changes", Count: func(ctx context.Context, tx *db.Tx, asset uuid.UUID) (int64, error) {
		return countOfAsset.One(ctx, tx, db.Args{"asset": asset})
	}}
}

// panelRows is how many changes the page of an asset shows.
const panelRows = 6

// assetPanel shows the changes of an asset on its page.
func (s *Service) assetPanel() assets.Panel {
	return assets.Panel{
		ID: "changes", Title: "Changes", Empty: "No change names this asset.", Permission: CanRead,
		Read: func(b *db.Batch, _ db.Actor, asset uuid.UUID) func(*time.Location, time.Time) (assets.PanelView, error) {
			rows := itemsOfAsset.Queue(b, db.Args{"asset": asset, "limit": panelRows + 1})
			return func(zone *time.Location, _ time.Time) (assets.PanelView, error) {
				var v assets.PanelView
				for i, c := range rows.Rows {
					if i == panelRows {
						v.MoreText, v.MorePath = "All changes", "/changes?asset="+asset.String()
						break
					}
					v.Rows = append(v.Rows, panelRow(c, zone))
				}
				return v, nil
			}
		},
	}
}

func panelRow(c Item, zone *time.Location) ui.Row {
	badge := stateBadge(c.State)
	row := ui.Row{Icon: "git-pull-request-arrow", Tone: stateTone(c.State), Key: c.Key, Title: c.Title, Href: c.Path(), Badge: &badge}
	if c.Start != nil {
		row.Sub = c.Start.In(zone).Format("Mon 2 Jan 2006, 15:04")
	}
	return row
}
