package web

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/templates/layout"
	"github.com/vigilo/vigilo/templates/ui"
)

// Bucket is a heading of the sidebar. There are six, in this order.
type Bucket string

// The buckets of the sidebar.
const (
	Work        Bucket = "Work"
	Reliability Bucket = "Reliability"
	Inventory   Bucket = "Inventory"
	Governance  Bucket = "Governance"
	Knowledge   Bucket = "Knowledge"
	AdminBucket Bucket = "Admin"
)

var buckets = []Bucket{Work, Reliability, Inventory, Governance, Knowledge, AdminBucket}

// NavEntry is one page in the sidebar. It is shown to whoever holds the permission.
type NavEntry struct {
	Bucket     Bucket
	Label      string
	Path       string // below the workspace
	Icon       string // name of a Lucide icon in the sprite
	Key        string // letter that follows "g" to go there, empty for none
	Weight     int    // order inside the bucket
	Permission access.Permission
}

// Crumb is one step of the way to a page. The last one is the page itself.
type Crumb = layout.Crumb

// Page describes a page around its body.
type Page struct {
	Title  string
	Crumbs []Crumb
	// Status is the HTTP status, 0 means 200.
	Status int
	// Narrow makes a bare page one small card in the middle.
	Narrow bool
}

// ShellSource supplies what the shell shows besides the page: the newest unread
// notifications. It adds its reads to a batch and returns what makes the bell of them once
// the batch has run.
type ShellSource interface {
	QueueShell(b *db.Batch, r *Request) func() layout.Bell
}

// withShell lets what the frame shows be read with the first read of the page: most pages
// make one round trip less by it, and none has to know.
func (r *Request) withShell() {
	if r.s.o.Shell == nil || r.Route.Scope != InWorkspace || r.Route.API || r.Method != http.MethodGet {
		return
	}
	var bell func() layout.Bell
	r.Request = r.WithContext(db.WithRider(r.Context(), r.Actor,
		func(b *db.Batch) { bell = r.s.o.Shell.QueueShell(b, r) }, func() { r.bell = bell }))
}

// Page answers with a page inside the shell of the workspace.
func (r *Request) Page(p Page, body templ.Component) error {
	view, err := r.shell(p)
	if err != nil {
		return err
	}
	return r.render(cmp.Or(p.Status, http.StatusOK), withBody(layout.Shell(view), body))
}

// Bare answers with a page outside a workspace: sign-in, account, help.
func (r *Request) Bare(p Page, body templ.Component) error {
	return r.render(cmp.Or(p.Status, http.StatusOK), withBody(layout.Bare(r.barePage(p)), body))
}

// withBody renders a layout around a body.
func withBody(outer, body templ.Component) templ.Component {
	return templ.ComponentFunc(func(ctx context.Context, w io.Writer) error {
		return outer.Render(templ.WithChildren(ctx, body), w)
	})
}

// InvalidPage shows a form again with status 422 (409 for a conflict), when the error is
// one that the person can do something about; any other error is returned.
func (r *Request) InvalidPage(err error, p Page, body templ.Component) error {
	e := fault.Find(err)
	if e == nil || (e.Kind != fault.Invalid && e.Kind != fault.Conflict) {
		return err
	}
	r.LogFailure(err)
	p.Status = status(err)
	return r.Page(p, body)
}

func (r *Request) shell(p Page) (layout.Page, error) {
	if r.s.o.Shell == nil {
		return r.shellPage(p, layout.Bell{}), nil
	}
	if r.bell == nil {
		var bell func() layout.Bell
		err := r.s.o.DB.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { bell = r.s.o.Shell.QueueShell(b, r) })
		if err != nil {
			return layout.Page{}, fmt.Errorf("read shell: %w", err)
		}
		r.bell = bell
	}
	return r.shellPage(p, r.bell()), nil
}

// nav returns the sidebar of the actor, with the entry of the present page marked.
func (r *Request) nav() map[Bucket][]NavEntry {
	out := map[Bucket][]NavEntry{}
	for _, e := range r.s.o.Nav {
		if r.Can(e.Permission) {
			out[e.Bucket] = append(out[e.Bucket], e)
		}
	}
	for _, entries := range out {
		slices.SortFunc(entries, func(a, b NavEntry) int { return cmp.Compare(a.Weight, b.Weight) })
	}
	return out
}

// current returns the path of the sidebar entry that leads to the page, or else to the
// nearest one above it: of /settings and /settings/mail only one is marked.
func (r *Request) current(nav map[Bucket][]NavEntry) string {
	nearest := ""
	for _, entries := range nav {
		for _, e := range entries {
			path := r.Path(e.Path)
			if (r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/")) && len(path) > len(nearest) {
				nearest = path
			}
		}
	}
	return nearest
}

// helpHref returns the article of the present route. Where there is none, such as on the
// page of an error, the frame leads to the Help Center as a page: it does not fit the panel.
func (r *Request) helpHref() string {
	if r.s.o.HelpFor != nil {
		if slug, ok := r.s.o.HelpFor(r.Route.Pattern); ok {
			return "/help/" + slug
		}
	}
	return ""
}

// errorPage shows an error in the product's own design, inside the shell when the person
// is in a workspace.
func (s *Server) errorPage(r *Request, code int, err error) error {
	v := layout.ErrorView{Status: code, Reference: r.ID.String(), Message: "Something failed on our side. Try again; if it happens again, give the reference below to the people who look after Vigilo."}
	if l, ok := asLimited(err); ok {
		v.Message = l.Error()
	} else if e := fault.Find(err); e != nil && e.Kind != fault.Internal {
		v.Message = e.Message
		for _, d := range e.Details {
			if d.Field == "" || len(e.Details) == 1 {
				v.Message = d.Message
			}
		}
	}
	v.Title = errorTitle(code)
	if g, ok := s.o.Policy.Grant(r.Route.Permission); ok && code == http.StatusForbidden && !s.o.Policy.Can(r.Actor, g.Permission) {
		v.RoleNeeded = g.Min.Label()
	}
	if r.Workspace.ID != uuid.Nil {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "Go to " + r.Workspace.Name, Href: r.Path("")})
	} else {
		v.Actions = append(v.Actions, ui.LinkButton{Text: "Go to the start page", Href: "/"})
	}
	if code == http.StatusServiceUnavailable {
		r.W.Header().Set("Refresh", "5")
		v.RetryHref = "/"
		if r.Method == http.MethodGet {
			v.RetryHref = r.URL.RequestURI()
		}
	}
	p := Page{Title: v.Title, Status: code}
	if r.Workspace.ID != uuid.Nil && code != http.StatusServiceUnavailable {
		if view, shellErr := r.shell(p); shellErr == nil {
			return r.render(code, withBody(layout.Shell(view), layout.ErrorPage(v)))
		}
	}
	return r.Bare(p, layout.ErrorPage(v))
}

func errorTitle(code int) string {
	switch code {
	case http.StatusForbidden:
		return "You may not do this"
	case http.StatusNotFound:
		return "This page does not exist"
	case http.StatusConflict:
		return "Something changed meanwhile"
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return "This could not be accepted"
	case http.StatusRequestEntityTooLarge:
		return "This is too large"
	case http.StatusTooManyRequests:
		return "Too many requests"
	case http.StatusServiceUnavailable:
		return "Vigilo is not ready"
	case http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType:
		return "This address cannot do that"
	default:
		return "Something failed"
	}
}

// maxKept is how much of a form is shown again after a session ended.
const maxKept = 64 << 10

// sessionEndedPage keeps what a form held: it can be sent again after signing in.
func (s *Server) sessionEndedPage(r *Request, path string) error {
	v := layout.SessionEnded{Action: r.URL.RequestURI(), LoginHref: path + url.QueryEscape(r.formPage())}
	if err := r.ParseBody(); err == nil && r.MultipartForm == nil && r.ContentLength <= maxKept {
		for name, values := range r.PostForm {
			for _, value := range values {
				v.Fields = append(v.Fields, layout.KeptField{Name: name, Value: value})
			}
		}
		slices.SortFunc(v.Fields, func(a, b layout.KeptField) int { return cmp.Compare(a.Name, b.Name) })
	}
	return r.Bare(Page{Title: "Your session has ended", Status: http.StatusUnauthorized, Narrow: true}, layout.SessionEndedPage(v))
}

// formPage returns the page that a form was sent from, if the browser says.
func (r *Request) formPage() string {
	if u, err := url.Parse(r.Referer()); err == nil && u.Host == r.Host && Local(u.RequestURI()) {
		return u.RequestURI()
	}
	return "/"
}
