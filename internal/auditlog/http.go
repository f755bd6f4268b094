package auditlog

import (
	"bufio"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/auditlog"
)

// showList shows one page of the log. A question that narrows is recorded once, by its
// first page; saved filters and members come in the same round trip as the entries.
func (s *Service) showList(r *web.Request) error {
	f, c, err := s.filterOf(r)
	if err != nil {
		return s.refuseFilter(r, f, err)
	}
	cursor := r.URL.Query().Get("cursor")
	var saved *db.Result[SavedFilter]
	var people *db.Result[member]
	p, err := s.List(r.Context(), r.Actor, c, after(cursor), true, func(b *db.Batch) {
		saved = savedFilters.Queue(b, db.Args{"user": r.Actor.UserID})
		people = membersByName.Queue(b, nil)
	})
	if err != nil {
		return err
	}
	if cursor == "" {
		if err := s.RecordSearch(r.Context(), r.Actor, c); err != nil {
			return err
		}
	}
	lp := listPage{r: r, s: s, filter: f, criteria: c, page: p, cursor: cursor, saved: saved.Rows, people: people.Rows}
	return r.Page(listFrame(), views.ListPage(lp.view()))
}

func after(cursor string) Apply {
	return func(q *db.ListQuery[activity.Row]) (*db.ListQuery[activity.Row], error) { return q.After(cursor) }
}

// filterOf reads the filter of the address. The filter is returned also when it has
// mistakes, so that the form keeps it.
func (s *Service) filterOf(r *web.Request) (Filter, Criteria, error) {
	var f Filter
	if err := form.Decode(r.URL.Query(), &f); err != nil {
		return f, Criteria{}, err
	}
	c, err := f.Parse(r.Now(), r.Zone())
	return f, c, err
}

// refuseFilter shows the form with what is wrong in it, and no entries.
func (s *Service) refuseFilter(r *web.Request, f Filter, err error) error {
	var saved *db.Result[SavedFilter]
	var people *db.Result[member]
	readErr := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		saved = savedFilters.Queue(b, db.Args{"user": r.Actor.UserID})
		people = membersByName.Queue(b, nil)
	})
	if readErr != nil {
		return readErr
	}
	lp := listPage{r: r, s: s, filter: f, saved: saved.Rows, people: people.Rows, problem: err}
	return r.InvalidPage(err, listFrame(), views.ListPage(lp.view()))
}

func listFrame() web.Page {
	return web.Page{Title: "Audit log", Crumbs: []web.Crumb{{Text: "Governance"}, {Text: "Audit log"}}}
}

// showNews answers an open page that asks whether entries arrived after its newest.
func (s *Service) showNews(r *web.Request) error {
	f, c, err := s.filterOf(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	at, err := time.Parse(time.RFC3339Nano, q.Get("at"))
	if err != nil {
		return fault.InvalidField("at", "invalid_time", "This page is out of date. Load it again.")
	}
	id, err := uuid.Parse(q.Get("after"))
	if err != nil {
		return fault.InvalidField("after", "invalid_id", "This page is out of date. Load it again.")
	}
	n, err := s.Newer(r.Context(), r.Actor, c, at, id)
	if err != nil {
		return err
	}
	text := ""
	switch {
	case n == 1:
		text = "Show 1 new entry"
	case n >= 100:
		text = "Show more than 100 new entries"
	case n > 1:
		text = "Show " + strconv.FormatInt(n, 10) + " new entries"
	}
	return r.Fragment(http.StatusOK, views.NewsLink(text, r.Path(logAddress(f))))
}

// logAddress is the address of the list with a filter, below the workspace.
func logAddress(f Filter) string { return withQuery(pathLog, f.Values()) }

func withQuery(path string, v url.Values) string {
	if len(v) == 0 {
		return path
	}
	return path + "?" + v.Encode()
}

func (s *Service) showEntry(r *web.Request) error {
	id, err := r.UUID("id", "audit entry")
	if err != nil {
		return err
	}
	d, err := s.Entry(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	frame := web.Page{Title: d.Label, Crumbs: []web.Crumb{
		{Text: "Governance"}, {Text: "Audit log", Href: r.Path(pathLog)}, {Text: d.Label},
	}}
	return r.Page(frame, views.EntryPage(s.entryView(r, d)))
}

// goToTarget leads from a row of the list to the page of what it is about. The list itself
// does not ask whether that still exists: it would cost more round trips than the page has.
func (s *Service) goToTarget(r *web.Request) error {
	id, err := r.UUID("id", "audit entry")
	if err != nil {
		return err
	}
	d, err := s.Entry(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if d.TargetRef != nil && d.TargetRef.Path != "" {
		return r.SeeOther(r.Path(d.TargetRef.Path))
	}
	r.Flash("What this entry is about has no page, or no longer exists.")
	return r.SeeOther(r.Path(pathLog + "/" + id.String()))
}

func (s *Service) export(r *web.Request) error {
	_, c, err := s.filterOf(r)
	if err != nil {
		return err
	}
	x, err := s.Export(r.Context(), r.Actor, c, Format(r.URL.Query().Get("format")))
	if err != nil {
		return err
	}
	w := r.Download(x.Name(), x.Format.ContentType())
	s.stream(r, x, w)
	return nil
}

// stream writes an export. What fails after the first byte ends the connection, so that
// nobody takes half a file for the whole.
func (s *Service) stream(r *web.Request, x *Export, w http.ResponseWriter) {
	err := http.NewResponseController(w).SetWriteDeadline(time.Time{})
	if err == nil {
		out := bufio.NewWriterSize(w, 64<<10)
		if err = x.Write(r.Context(), out); err == nil {
			err = out.Flush()
		}
	}
	if err == nil {
		return
	}
	if r.Context().Err() == nil {
		r.LogFailure(err)
	}
	panic(http.ErrAbortHandler)
}

func (s *Service) showFilterForm(r *web.Request) error {
	f, _, err := s.filterOf(r)
	if err != nil {
		return err
	}
	if !f.Narrows() {
		r.Flash("Choose a filter first, then save it.")
		return r.SeeOther(r.Path(pathLog))
	}
	return r.Page(saveFrame(r), views.SavePage(s.saveView(r, saveForm{Query: f.Values().Encode()}, f, nil)))
}

func saveFrame(r *web.Request) web.Page {
	return web.Page{Title: "Save filter", Crumbs: []web.Crumb{
		{Text: "Governance"}, {Text: "Audit log", Href: r.Path(pathLog)}, {Text: "Save filter"},
	}}
}

// saveForm is the form that names a filter.
type saveForm struct {
	Name   string `form:"name"`
	Shared bool   `form:"shared"`
	Query  string `form:"query"`
}

func (s *Service) saveFilter(r *web.Request) error {
	var in saveForm
	if err := r.Form(&in); err != nil {
		return err
	}
	f, err := parseQuery(in.Query)
	if err == nil {
		_, err = s.SaveFilter(r.Context(), r.Actor, NewFilter{Name: in.Name, Shared: in.Shared, Filter: f})
	}
	if err != nil {
		return r.InvalidPage(err, saveFrame(r), views.SavePage(s.saveView(r, in, f, err)))
	}
	r.Flash("Filter saved.")
	return r.SeeOther(r.Path(logAddress(f)))
}

func (s *Service) confirmRemoval(r *web.Request) error {
	f, err := s.savedFilterOf(r)
	if err != nil {
		return err
	}
	if !s.MayRemove(r.Actor, f) {
		return s.policy.Check(r.Actor, canShare)
	}
	frame := web.Page{Title: "Remove filter", Crumbs: []web.Crumb{
		{Text: "Governance"}, {Text: "Audit log", Href: r.Path(pathLog)}, {Text: "Remove filter"},
	}}
	return r.Page(frame, removalPage(r, f))
}

func (s *Service) savedFilterOf(r *web.Request) (SavedFilter, error) {
	id, err := r.UUID("filter", "saved filter")
	if err != nil {
		return SavedFilter{}, err
	}
	return s.SavedFilter(r.Context(), r.Actor, id)
}

func (s *Service) removeFilter(r *web.Request) error {
	id, err := r.UUID("filter", "saved filter")
	if err != nil {
		return err
	}
	if err := s.RemoveFilter(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("Filter removed.")
	return r.SeeOther(r.Path(pathLog))
}
