package certificates

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Get("/certificates", canReadHosts, s.showHosts)
	r.Post("/certificates", canCreateHost, s.createHost)
	r.Get("/certificates/new", canCreateHost, s.showNewHost)
	r.Get("/certificates/import", canCreateHost, s.showImport)
	r.Post("/certificates/import", canCreateHost, s.importHosts)
	r.Get("/certificates/calendar", canReadHosts, s.showCalendar)
	r.Post("/certificates/bulk", canScanHost, s.actOnHosts)
	r.Get("/certificates/remove", canDeleteHost, s.showRemove)
	r.Post("/certificates/remove", canDeleteHost, s.removeHosts)
	r.Get("/certificates/tag", canUpdateHost, s.showTag)
	r.Post("/certificates/tag", canUpdateHost, s.tagHosts)
	s.views.Routes(r, canReadHosts)

	r.Get("/certificates/stored", canReadCerts, s.showStored)
	r.Post("/certificates/stored", canCreateCert, s.uploadCerts)
	r.Get("/certificates/stored/upload", canCreateCert, s.showUpload)
	r.Get("/certificates/stored/{id}", canReadCerts, s.showCert)
	r.Get("/certificates/stored/{id}/pem", canReadCerts, s.downloadCert)

	r.Get("/certificates/{id}", canReadHosts, s.showOverview)
	r.Post("/certificates/{id}", canUpdateHost, s.updateHost)
	r.Get("/certificates/{id}/edit", canUpdateHost, s.showEdit)
	r.Get("/certificates/{id}/chain", canReadHosts, s.showChain)
	r.Get("/certificates/{id}/names", canReadHosts, s.showNames)
	r.Get("/certificates/{id}/history", canReadHosts, s.showHistory)
	if s.activity != nil {
		r.Get("/certificates/{id}/activity", canReadHosts, s.showActivity)
	}
	r.Post("/certificates/{id}/scan", canScanHost, s.scanHost)
	r.Post("/certificates/{id}/pause", canUpdateHost, s.pauseHost)
	r.Post("/certificates/{id}/resume", canUpdateHost, s.resumeHost)
	r.Get("/certificates/{id}/remove", canDeleteHost, s.showRemoveOne)
}

func crumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	out := []web.Crumb{{Text: "Certificates"}}
	if len(more) > 0 {
		out[0].Href = r.Path("/certificates")
	}
	return append(out, more...)
}

func (s *Service) scanHost(r *web.Request) error {
	id, err := r.UUID("id", "host")
	if err != nil {
		return err
	}
	if _, err := s.RequestScan(r.Context(), r.Actor, id); err != nil {
		return err
	}
	return r.SeeOther(r.Path(hostPath(id)))
}

func (s *Service) pauseHost(r *web.Request) error { return s.setPaused(r, true, "Scans are paused.") }

func (s *Service) resumeHost(r *web.Request) error { return s.setPaused(r, false, "Scans go on.") }

func (s *Service) setPaused(r *web.Request, paused bool, done string) error {
	id, err := r.UUID("id", "host")
	if err != nil {
		return err
	}
	if _, err := s.SetPaused(r.Context(), r.Actor, id, paused); err != nil {
		return err
	}
	r.Flash(done)
	return r.SeeOther(r.Path(hostPath(id)))
}

// bulkForm is what the list sends for the selected rows. Its other fields repeat the
// filter, for "select all that match".
type bulkForm struct {
	Do  string   `form:"do"`
	IDs []string `form:"id"`
	All bool     `form:"all"`
}

func (s *Service) actOnHosts(r *web.Request) error {
	var f bulkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	ids, err := s.selected(r, f)
	if err != nil {
		return err
	}
	back := r.Path("/certificates") + filterQuery(r.PostForm)
	yes, no := true, false
	switch f.Do {
	case "scan":
		n, err := s.RequestScans(r.Context(), r.Actor, ids)
		if err != nil {
			return err
		}
		r.Flash(count(n, "scan") + " started.")
	case "pause":
		n, err := s.EditHosts(r.Context(), r.Actor, ids, HostEdit{Paused: &yes}, nil)
		if err != nil {
			return err
		}
		r.Flash("Scans of " + count(n, "host") + " paused.")
	case "resume":
		n, err := s.EditHosts(r.Context(), r.Actor, ids, HostEdit{Paused: &no}, nil)
		if err != nil {
			return err
		}
		r.Flash("Scans of " + count(n, "host") + " resumed.")
	case "delete":
		return r.SeeOther(r.Path("/certificates/remove?") + idQuery(ids))
	case "tag":
		return r.SeeOther(r.Path("/certificates/tag?") + idQuery(ids))
	default:
		return fault.NewInvalid("unknown_action", "Choose what to do with the selected hosts.")
	}
	return r.SeeOther(back)
}

// selected returns the ids of a bulk action: the checked ones, or all that match.
func (s *Service) selected(r *web.Request, f bulkForm) ([]uuid.UUID, error) {
	if !f.All {
		ids := parseIDs(f.IDs)
		return ids, checkBulk(ids)
	}
	q, err := filterFrom(r.PostForm).query(r.Now())
	if err != nil {
		return nil, err
	}
	var page *db.PageResult[HostItem]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page = q.Limit(MaxBulk).Queue(b) })
	if err != nil {
		return nil, err
	}
	if page.Page.Next != "" {
		return nil, fault.InvalidField("all", "too_many", fmt.Sprintf("More than %d hosts match. Narrow the filter first.", MaxBulk))
	}
	ids := make([]uuid.UUID, len(page.Page.Items))
	for i, h := range page.Page.Items {
		ids[i] = h.ID
	}
	return ids, checkBulk(ids)
}

// parseIDs reads ids and leaves out what is none: it could match nothing.
func parseIDs(list []string) []uuid.UUID {
	var out []uuid.UUID
	for _, text := range list {
		if id, err := uuid.Parse(text); err == nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func idQuery(ids []uuid.UUID) string {
	q := url.Values{}
	for _, id := range ids {
		q.Add("id", id.String())
	}
	return q.Encode()
}

func (s *Service) showRemove(r *web.Request) error {
	return s.confirmRemove(r, parseIDs(r.URL.Query()["id"]), r.Path("/certificates"))
}

func (s *Service) showRemoveOne(r *web.Request) error {
	id, err := r.UUID("id", "host")
	if err != nil {
		return err
	}
	return s.confirmRemove(r, []uuid.UUID{id}, r.Path(hostPath(id)))
}

func (s *Service) confirmRemove(r *web.Request, ids []uuid.UUID, cancel string) error {
	hosts, err := s.chosen(r, ids)
	if err != nil {
		return err
	}
	title := "Remove " + count(len(hosts), "host")
	if len(hosts) == 1 {
		title = "Remove " + hosts[0].Title()
	}
	c := ui.ConfirmForm{
		Action: r.Path("/certificates/remove"), Title: title, Confirm: "Remove", Danger: true, CancelHref: cancel,
		Text:   "Vigilo stops scanning, and the history of scans goes. Certificates that were seen stay, and so does the audit log.",
		Points: titles(hosts), Hidden: hiddenIDs(hosts),
	}
	return r.Page(web.Page{Title: title, Crumbs: crumbs(r, web.Crumb{Text: "Remove"})}, views.DeletePage(views.Delete{Title: title, Confirm: c}))
}

// chosen reads the hosts that a page asks about.
func (s *Service) chosen(r *web.Request, ids []uuid.UUID) ([]Host, error) {
	if err := checkBulk(ids); err != nil {
		return nil, err
	}
	var rows *db.Result[Host]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { rows = hostsByID.Queue(b, db.Args{"ids": ids}) }); err != nil {
		return nil, err
	}
	if len(rows.Rows) == 0 {
		return nil, fault.NewNotFound("host")
	}
	slices.SortFunc(rows.Rows, func(a, b Host) int { return strings.Compare(a.Hostname, b.Hostname) })
	return rows.Rows, nil
}

func titles(hosts []Host) []string {
	const shown = 12
	var out []string
	for i, h := range hosts {
		if i == shown && len(hosts) > shown+1 {
			return append(out, "and "+count(len(hosts)-shown, "more host"))
		}
		out = append(out, h.Title())
	}
	return out
}

func hiddenIDs(hosts []Host) []ui.Hidden {
	out := make([]ui.Hidden, len(hosts))
	for i, h := range hosts {
		out[i] = ui.Hidden{Name: "id", Value: h.ID.String()}
	}
	return out
}

type idsForm struct {
	IDs  []string `form:"id"`
	Tags string   `form:"tags"`
}

func (s *Service) removeHosts(r *web.Request) error {
	var f idsForm
	if err := r.Form(&f); err != nil {
		return err
	}
	n, err := s.RemoveHosts(r.Context(), r.Actor, parseIDs(f.IDs))
	if err != nil {
		return err
	}
	r.Flash(count(n, "host") + " removed.")
	return r.SeeOther(r.Path("/certificates"))
}

func (s *Service) showTag(r *web.Request) error {
	hosts, err := s.chosen(r, parseIDs(r.URL.Query()["id"]))
	if err != nil {
		return err
	}
	page, body := tagPage(r, hosts, "", nil)
	return r.Page(page, body)
}

func (s *Service) tagHosts(r *web.Request) error {
	var f idsForm
	if err := r.Form(&f); err != nil {
		return err
	}
	ids := parseIDs(f.IDs)
	hosts, err := s.chosen(r, ids)
	if err != nil {
		return err
	}
	tags := SplitTags(f.Tags)
	var n int
	if len(tags) == 0 {
		err = fault.InvalidField("tags", "required", "Write at least one tag.")
	} else {
		n, err = s.EditHosts(r.Context(), r.Actor, ids, HostEdit{}, tags)
	}
	if err != nil {
		page, body := tagPage(r, hosts, f.Tags, err)
		return r.InvalidPage(err, page, body)
	}
	r.Flash(count(n, "host") + " tagged.")
	return r.SeeOther(r.Path("/certificates"))
}

func tagPage(r *web.Request, hosts []Host, value string, err error) (web.Page, templ.Component) {
	title := "Add tags to " + count(len(hosts), "host")
	messages := form.Messages(err)
	c := ui.ConfirmForm{
		Action: r.Path("/certificates/tag"), Title: title, Confirm: "Add tags", CancelHref: r.Path("/certificates"),
		Text: "The tags are added to those that each host has.", Points: titles(hosts), Hidden: hiddenIDs(hosts),
		Type: &ui.Field{Name: "tags", Label: "Tags", Value: value, Hint: "Separated by commas, such as production, payments.", Required: true, Error: messages["tags"]},
	}
	return web.Page{Title: title, Crumbs: crumbs(r, web.Crumb{Text: "Add tags"})}, views.DeletePage(views.Delete{Title: title, Confirm: c})
}

// csvDownload answers a list as a file.
func (s *Service) csvDownload(r *web.Request, f hostFilter) error {
	q, err := f.query(r.Now())
	if err != nil {
		return err
	}
	w := r.Download("hosts.csv", "text/csv; charset=utf-8")
	if r.Method == http.MethodHead {
		return nil
	}
	return s.writeCSV(r.Context(), r.Actor, q.Sort(r.URL.Query().Get("sort")), w, r.Now())
}
