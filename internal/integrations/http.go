package integrations

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/integrations"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Get("/integrations", ManageWebhooks, s.showList)
	r.Get("/integrations/events", ReadEvents, s.showCatalogue)
	r.Get("/integrations/networks", ManageWebhooks, s.showNetworks)
	r.Post("/integrations/networks", ManageWebhooks, s.saveNetworksPage)
	r.Get(pathWebhooks+"/new", ManageWebhooks, s.showNew)
	r.Post(pathWebhooks+"/new", ManageWebhooks, s.createPage)
	r.Get(pathWebhooks+"/{id}", ManageWebhooks, s.showEndpoint)
	r.Get(pathWebhooks+"/{id}/edit", ManageWebhooks, s.showEdit)
	r.Post(pathWebhooks+"/{id}/edit", ManageWebhooks, s.savePage)
	r.Post(pathWebhooks+"/{id}/enable", ManageWebhooks, s.toggle(true))
	r.Post(pathWebhooks+"/{id}/disable", ManageWebhooks, s.toggle(false))
	r.Post(pathWebhooks+"/{id}/test", ManageWebhooks, s.testPage)
	r.Get(pathWebhooks+"/{id}/rotate", ManageWebhooks, s.showRotate)
	r.Post(pathWebhooks+"/{id}/rotate", ManageWebhooks, s.rotatePage)
	r.Get(pathWebhooks+"/{id}/delete", ManageWebhooks, s.showDelete)
	r.Post(pathWebhooks+"/{id}/delete", ManageWebhooks, s.deletePage)
	r.Get(pathWebhooks+"/{id}/replay", ManageWebhooks, s.showReplay)
	r.Post(pathWebhooks+"/{id}/replay", ManageWebhooks, s.replayAllPage)
	r.Get(pathWebhooks+"/{id}/deliveries/{delivery}", ManageWebhooks, s.showDelivery)
	r.Post(pathWebhooks+"/{id}/deliveries/{delivery}/replay", ManageWebhooks, s.replayPage)
}

// statusText is a status as people know it, such as "503 Service Unavailable".
func statusText(status *int) string {
	if status == nil {
		return "No answer"
	}
	return strings.TrimSpace(strconv.Itoa(*status) + " " + http.StatusText(*status))
}

func (s *Service) showList(r *web.Request) error {
	q := r.URL.Query()
	list := endpointList.Query().Sort(q.Get("sort"))
	text, state := strings.TrimSpace(q.Get("q")), Health(q.Get("state"))
	if text != "" {
		list.Filter("text", db.Args{"text": strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")})
	}
	if state == Working || state == Failing || state == Disabled {
		list.Filter(string(state), nil)
	} else {
		state = ""
	}
	if q.Get("format") == "csv" {
		return s.sendEndpoints(r, list)
	}
	list, err := list.After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[EndpointRow]
	var count *db.Result[int64]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
	}); err != nil {
		return err
	}
	total, _ := count.First()
	return r.Page(web.Page{Title: "Webhooks", Crumbs: []web.Crumb{{Text: "Admin"}, {Text: "Integrations"}}},
		views.WebhookListPage(listView(r, text, state, list.SortInUse(), page.Page, total)))
}

func listView(r *web.Request, text string, state Health, sort string, page db.Page[EndpointRow], total int64) views.WebhookList {
	path, q := r.Path("/integrations"), r.URL.Query()
	add := ui.LinkButton{Text: "New webhook", Href: r.Path(pathWebhooks + "/new"), Icon: "plus", Kind: ui.Primary}
	v := views.WebhookList{
		Tabs: tabs(r, "Webhooks"),
		Filters: ui.Filters{Action: path, Results: "results", Search: ui.Search{
			Name: "q", Value: text, Label: "Filter webhooks", Placeholder: "Filter by description or address",
		}},
		State:   ui.Field{Name: "state", Label: "State", Required: true, Options: []ui.Option{{Text: "Any"}}},
		Actions: []ui.LinkButton{{Text: "Export CSV", Href: web.Address(path, q, "format", "csv"), Icon: "download"}, add},
		Pager:   ui.Pager{Label: countLabel(total, "webhook", "webhooks")},
	}
	for _, h := range []Health{Working, Failing, Disabled} {
		v.State.Options = append(v.State.Options, ui.Option{Value: string(h), Text: h.Label(), Selected: h == state})
	}
	if state != "" {
		v.Filters.Chips = []ui.Chip{{Field: "State", Operator: "is", Value: state.Label(), RemoveHref: web.Address(path, q, "state", "")}}
	}
	if sort != "created_at" {
		v.Filters.Hidden = []ui.Hidden{{Name: "sort", Value: sort}}
	}
	v.Columns = []ui.Column{
		sortedBy(ui.Column{Text: "Webhook"}, "url", path, q, sort),
		{Text: "State"},
		{Text: "Events", Leaves: ui.LeavesThird},
		{Text: "Newest delivery", Leaves: ui.LeavesNext},
	}
	for _, e := range page.Items {
		v.Rows = append(v.Rows, rowView(r, e))
	}
	if page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Next)
	}
	if page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Prev)
	}
	switch {
	case len(v.Rows) > 0:
	case text != "" || state != "":
		v.Empty = &ui.Empty{
			Icon: "filter", Title: "No webhook matches", Text: "Remove " + filterNames(text, state) + " to see more.",
			Actions: []ui.LinkButton{{Text: "Clear all", Href: path}},
		}
	default:
		v.Empty = &ui.Empty{
			Icon: "webhook", Title: "No webhook yet", Text: "Add an address of your own program, and Vigilo tells it what happens here.",
			Actions: []ui.LinkButton{add},
		}
	}
	return v
}

// filterNames names what to remove so that something is found again.
func filterNames(text string, state Health) string {
	var names []string
	if text != "" {
		names = append(names, "the text “"+text+"”")
	}
	if state != "" {
		names = append(names, "the filter State is "+state.Label())
	}
	return strings.Join(names, " or ")
}

func sortedBy(c ui.Column, name, path string, q map[string][]string, sort string) ui.Column {
	next := name
	switch sort {
	case name:
		next, c.Sort = "-"+name, ui.Ascending
	case "-" + name:
		c.Sort = ui.Descending
	}
	c.Href = web.Address(path, q, "sort", next)
	return c
}

func rowView(r *web.Request, e EndpointRow) views.WebhookRow {
	row := views.WebhookRow{
		Link:  ui.RowLink{Text: e.Name(), Href: endpointPath(r, e.Endpoint)},
		State: healthBadge(health(e.Endpoint)), Patterns: e.Patterns,
	}
	if e.Description != "" {
		row.Link.Sub = e.Host()
	}
	if extra := len(e.Patterns) - 3; extra > 0 {
		row.Patterns, row.More = e.Patterns[:3], "+"+strconv.Itoa(extra)
	}
	if e.LastState != nil && e.LastAt != nil {
		b := stateBadge(*e.LastState, 0)
		row.Last, row.LastAt = &b, r.Moment(*e.LastAt)
	}
	return row
}

// sendEndpoints writes the list as CSV. Rows are read before the first byte, so that a
// failure is still an error page.
func (s *Service) sendEndpoints(r *web.Request, list *db.ListQuery[EndpointRow]) error {
	rows := [][]string{{"id", "url", "description", "patterns", "state", "disabled_reason", "failing_since", "created_at"}}
	err := s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		return list.Each(r.Context(), tx, func(e EndpointRow) error {
			reason := ""
			if e.DisabledReason != nil {
				reason = string(*e.DisabledReason)
			}
			rows = append(rows, []string{
				e.ID.String(), export.Cell(e.URL), export.Cell(e.Description), strings.Join(e.Patterns, " "), string(health(e.Endpoint)), reason,
				stamp(e.FailingSince), stamp(&e.CreatedAt),
			})
			return nil
		})
	})
	if err != nil {
		return err
	}
	return sendCSV(r, "webhooks.csv", rows)
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func sendCSV(r *web.Request, name string, rows [][]string) error {
	var b strings.Builder
	if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	if _, err := r.Download(name, "text/csv; charset=utf-8").Write([]byte(b.String())); err != nil {
		return fmt.Errorf("send csv: %w", err)
	}
	return nil
}

// endpointOf reads the endpoint that the path names.
func (s *Service) endpointOf(r *web.Request) (Endpoint, error) {
	id, err := r.UUID("id", "webhook")
	if err != nil {
		return Endpoint{}, err
	}
	return s.Endpoint(r.Context(), r.Actor, id)
}

func newPage(r *web.Request) web.Page {
	return web.Page{Title: "New webhook", Crumbs: crumbs(r, web.Crumb{Text: "New webhook"})}
}

func (s *Service) newView(r *web.Request, f endpointForm, err error) views.EndpointForm {
	v := s.formView(r, f, err)
	v.Head = ui.PageHead{Title: "New webhook", Lede: "You get its signing secret on the next page, once."}
	v.Form.Action, v.Submit, v.Cancel = r.Path(pathWebhooks+"/new"), "Add webhook", r.Path("/integrations")
	v.Enabled = &ui.Choice{
		Name: "disabled", Label: "Add it disabled", Checked: f.Disabled, Hint: "Nothing is sent until you enable it, except test events.",
	}
	return v
}

func (s *Service) showNew(r *web.Request) error {
	return r.Page(newPage(r), views.EndpointFormPage(s.newView(r, endpointForm{}, nil)))
}

func (s *Service) createPage(r *web.Request) error {
	var f endpointForm
	err := r.Form(&f)
	var e Endpoint
	var secret string
	if err == nil {
		e, secret, err = s.Create(r.Context(), r.Actor, f.new())
	}
	if err != nil {
		return r.InvalidPage(err, newPage(r), views.EndpointFormPage(s.newView(r, f, err)))
	}
	return r.Page(web.Page{Title: "Signing secret", Status: http.StatusCreated, Crumbs: endpointCrumbs(r, e, "Signing secret")},
		views.SecretPage(secretView(r, e, secret, nil)))
}

// secretView shows a secret in the answer to the request that made it: there is no address
// that shows it again.
func secretView(r *web.Request, e Endpoint, secret string, previousUntil *time.Time) views.Secret {
	v := views.Secret{
		Head: ui.PageHead{Title: "Signing secret", Lede: e.Name()},
		Notice: ui.Notice{
			Tone: ui.Warn, Title: "Copy the secret now.", Text: "Vigilo shows it only here. Whoever has it can send events in Vigilo's name.", Alert: true,
		},
		Secret: ui.CopyButton{Value: secret, Label: "Copy secret"},
		Steps: []string{
			"Store it where your receiver keeps its secrets.",
			"Verify each request with a Standard Webhooks library for your language. It reads webhook-id, webhook-timestamp and webhook-signature.",
			"Send a test event from the page of the webhook.",
		},
		Next: ui.LinkButton{Text: "I have stored it", Href: endpointPath(r, e), Icon: "check", Kind: ui.Primary},
	}
	if previousUntil != nil {
		v.Steps[1] = "Until " + timetext.Prose(*previousUntil, r.Zone()) + " the previous secret signs, too; change your receiver before."
	}
	return v
}

func (s *Service) editView(r *web.Request, e Endpoint, f endpointForm, err error) views.EndpointForm {
	v := s.formView(r, f, err)
	v.Head = ui.PageHead{Title: "Edit webhook", Lede: e.Name()}
	v.Form.Action, v.Form.Hidden, v.Submit, v.Cancel = endpointPath(r, e)+"/edit", versionField(f.Version), "Save", endpointPath(r, e)
	return v
}

func (s *Service) showEdit(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	f := endpointForm{URL: e.URL, Description: e.Description, Patterns: e.Patterns, Version: e.Version}
	return r.Page(web.Page{Title: "Edit webhook", Crumbs: endpointCrumbs(r, e, "Edit")}, views.EndpointFormPage(s.editView(r, e, f, nil)))
}

func (s *Service) savePage(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	var f endpointForm
	if err = r.Form(&f); err == nil {
		_, err = s.Change(r.Context(), r.Actor, e.ID, f.change())
	}
	if err == nil {
		r.Flash("Webhook saved")
		return r.SeeOther(endpointPath(r, e))
	}
	v := s.editView(r, e, f, err)
	if fault.Is(err, fault.Conflict) {
		v.Conflict, v.Form.Hidden = conflictOf(e, f), versionField(e.Version)
	}
	return r.InvalidPage(err, web.Page{Title: "Edit webhook", Crumbs: endpointCrumbs(r, e, "Edit")}, views.EndpointFormPage(v))
}

func (s *Service) toggle(on bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "webhook")
		if err != nil {
			return err
		}
		e, err := s.Change(r.Context(), r.Actor, id, EndpointChange{Enabled: &on})
		if err != nil {
			return err
		}
		r.Flash(map[bool]string{true: "Webhook enabled", false: "Webhook disabled"}[on])
		return r.SeeOther(endpointPath(r, e))
	}
}

func (s *Service) showRotate(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	return r.Page(web.Page{Title: "Rotate secret", Crumbs: endpointCrumbs(r, e, "Rotate secret")}, views.ConfirmPage(views.Confirm{
		Head: ui.PageHead{Title: "Rotate secret"},
		Form: ui.ConfirmForm{
			Action: endpointPath(r, e) + "/rotate", Title: "Give " + e.Name() + " a new secret?", Confirm: "Rotate secret", CancelHref: endpointPath(r, e),
			Points: []string{
				"You see the new secret once, on the next page.",
				"For 24 hours each request is signed with both, so a receiver with either verifies it.",
				"A secret from an earlier rotation that is still valid ends now.",
			},
		},
	}))
}

func (s *Service) rotatePage(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	secret, until, err := s.RotateSecret(r.Context(), r.Actor, e.ID)
	if err != nil {
		return err
	}
	return r.Page(web.Page{Title: "Signing secret", Crumbs: endpointCrumbs(r, e, "Signing secret")}, views.SecretPage(secretView(r, e, secret, &until)))
}

func (s *Service) showDelete(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	return r.Page(web.Page{Title: "Delete webhook", Crumbs: endpointCrumbs(r, e, "Delete")}, views.ConfirmPage(views.Confirm{
		Head: ui.PageHead{Title: "Delete webhook"},
		Form: ui.ConfirmForm{
			Action: endpointPath(r, e) + "/delete", Title: "Delete " + e.Name() + "?", Confirm: "Delete", Danger: true, CancelHref: endpointPath(r, e),
			Points: []string{
				"Its deliveries and their attempts go with it, also those that are still under way.",
				"Its secret is gone. To stop for a while, disable the webhook instead.",
			},
		},
	}))
}

func (s *Service) deletePage(r *web.Request) error {
	id, err := r.UUID("id", "webhook")
	if err != nil {
		return err
	}
	if err := s.Delete(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("Webhook deleted")
	return r.SeeOther(r.Path("/integrations"))
}

func networksView(r *web.Request, f networksForm, err error) views.Networks {
	return views.Networks{
		Tabs: tabs(r, "Network"),
		Form: ui.Form{Action: r.Path("/integrations/networks"), Guard: true, Hidden: versionField(f.Version), Errors: web.FormErrors(err, map[string]string{"networks": "Ranges"})},
		Networks: web.WithError(ui.Field{
			Name: "networks", Label: "Ranges", Value: f.Networks, Rows: 6, Code: true, Placeholder: "10.20.0.0/16",
			Hint: "Addresses or ranges such as 10.20.0.0/16, one on each line. Empty means public addresses only.",
		}, err),
		Note: ui.Notice{
			Title: "Only what the operator of this installation permits can be named here.",
			Text:  "Loopback, link-local and metadata addresses stay blocked unless the operator opened them. The rules hold for the address that is really dialed, whatever name leads to it.",
		},
	}
}

func networksPage(r *web.Request) web.Page {
	return web.Page{Title: "Network", Crumbs: crumbs(r, web.Crumb{Text: "Network"})}
}

func (s *Service) showNetworks(r *web.Request) error {
	n, err := s.Networks(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	return r.Page(networksPage(r), views.NetworksPage(networksView(r, networksForm{Networks: n.Text, Version: n.Version}, nil)))
}

func (s *Service) saveNetworksPage(r *web.Request) error {
	var f networksForm
	err := r.Form(&f)
	if err == nil {
		_, err = s.SetNetworks(r.Context(), r.Actor, f.Networks, f.Version)
	}
	if err != nil {
		return r.InvalidPage(err, networksPage(r), views.NetworksPage(networksView(r, f, err)))
	}
	r.Flash("Networks saved")
	return r.SeeOther(r.Path("/integrations/networks"))
}

func (s *Service) showCatalogue(r *web.Request) error {
	path, text := r.Path("/integrations/events"), strings.TrimSpace(r.URL.Query().Get("q"))
	v := views.Catalogue{
		Filters:  ui.Filters{Action: path, Results: "results", Search: ui.Search{Name: "q", Value: text, Label: "Filter events", Placeholder: "Filter by name"}},
		Envelope: envelope(),
	}
	page := web.Page{Title: "Event types", Crumbs: []web.Crumb{{Text: "Admin"}, {Text: "Event types"}}}
	if r.Can(ManageWebhooks) {
		t := tabs(r, "Event types")
		v.Tabs, page.Crumbs = &t, crumbs(r, web.Crumb{Text: "Event types"})
	}
	for _, t := range s.ledger.Catalogue().Types() {
		if text != "" && !strings.Contains(strings.ToLower(t.Name+" "+t.Label+" "+t.Group), strings.ToLower(text)) {
			continue
		}
		if n := len(v.Groups); n == 0 || v.Groups[n-1].Title != t.Group {
			v.Groups = append(v.Groups, views.CatalogueGroup{ID: "group-" + strconv.Itoa(n), Title: t.Group})
		}
		g := &v.Groups[len(v.Groups)-1]
		g.Types = append(g.Types, typeView(t))
	}
	if len(v.Groups) == 0 {
		v.Empty = &ui.Empty{
			Icon: "filter", Title: "No event matches", Text: "Remove the text “" + text + "” to see more.",
			Actions: []ui.LinkButton{{Text: "Clear", Href: path}},
		}
	}
	return r.Page(page, views.CataloguePage(v))
}

func typeView(t event.Type) views.EventType {
	out := views.EventType{Name: t.Name, Label: t.Label, Severity: severityBadge(t.Severity)}
	if t.AuditOnly {
		out.Note = "kept in the audit log, not sent"
		return out
	}
	e := exampleOf(t)
	out.Example = &e
	return out
}

// admitTest counts a test event of a person and refuses when there were too many.
func (s *Service) admitTest(r *web.Request) error {
	if s.testLimit == nil {
		return nil
	}
	a := r.Actor
	who := a.UserID
	if who == uuid.Nil {
		who = a.ID
	}
	if ok, retry, _ := s.testLimit.Allow("webhook test|" + who.String()); !ok {
		r.W.Header().Set("Retry-After", strconv.Itoa(max(1, int(retry.Seconds()+0.999))))
		return web.TooMany(retry)
	}
	return nil
}
