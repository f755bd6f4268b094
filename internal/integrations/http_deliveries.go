package integrations

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/integrations/webhooksig"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/integrations"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) showEndpoint(r *web.Request) error {
	id, err := r.UUID("id", "webhook")
	if err != nil {
		return err
	}
	q := r.URL.Query()
	state := State(q.Get("state"))
	list := deliveryList.Query().Filter("endpoint", db.Args{"endpoint": id})
	switch state {
	case Delivered, Pending, Failed:
		list.Filter(string(state), nil)
	default:
		state = ""
	}
	if q.Get("format") == "csv" {
		return s.sendDeliveries(r, list)
	}
	if list, err = list.After(q.Get("cursor")); err != nil {
		return err
	}
	var found *db.Result[Endpoint]
	var page *db.PageResult[Delivery]
	var count, dead *db.Result[int64]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		found = oneEndpoint.Queue(b, db.Args{"id": id})
		page, count = list.Queue(b), list.QueueCount(b)
		dead = countFailed.Queue(b, db.Args{"endpoint": id})
	}); err != nil {
		return err
	}
	e, ok := found.First()
	if !ok {
		return fault.NewNotFound("webhook")
	}
	v := s.endpointView(r, e)
	total, _ := count.First()
	failed, _ := dead.First()
	deliveriesView(r, &v, e, state, page.Page, total, failed)
	return r.Page(web.Page{Title: e.Name(), Crumbs: endpointCrumbs(r, e, "")}, views.WebhookPage(v))
}

// endpointView is the page of an endpoint without its deliveries.
func (s *Service) endpointView(r *web.Request, e Endpoint) views.Webhook {
	path := endpointPath(r, e)
	badge := healthBadge(health(e))
	v := views.Webhook{
		Head: ui.PageHead{Title: e.Name(), Badge: &badge},
		Edit: ui.LinkButton{Text: "Edit", Href: path + "/edit", Icon: "pencil"},
		Test: views.Action{Href: path + "/test", Button: ui.Button{Text: "Send test event", Icon: "send", Kind: ui.Primary}},
		Facts: []ui.Fact{
			{Label: "Address", Text: e.URL, Mono: true},
			{Label: "Added", Time: at(r, e.CreatedAt)},
		},
		Patterns: e.Patterns,
		Rotate:   ui.LinkButton{Text: "Rotate secret", Href: path + "/rotate", Icon: "key-round", Small: true},
		Delete:   ui.LinkButton{Text: "Delete", Href: path + "/delete", Icon: "trash-2", Small: true},
	}
	if e.Enabled {
		v.Toggle = views.Action{Href: path + "/disable", Button: ui.Button{Text: "Disable", Icon: "pause"}}
	} else {
		v.Toggle = views.Action{Href: path + "/enable", Button: ui.Button{Text: "Enable", Icon: "circle-play"}}
	}
	if u, err := url.Parse(e.URL); err == nil && u.Scheme == "http" {
		v.Facts = append(v.Facts, ui.Fact{Label: "Transport", Text: "Not encrypted", Sub: "Others on the way can read the events."})
	}
	if e.PreviousUntil != nil && e.PreviousUntil.After(r.Now()) {
		v.Facts = append(v.Facts, ui.Fact{Label: "Old secret", Time: at(r, *e.PreviousUntil), Sub: "Signs, too, until then."})
	}
	if n := healthNotice(r, e); n != nil {
		v.Notices = append(v.Notices, *n)
	}
	return v
}

func at(r *web.Request, t time.Time) *ui.Time {
	m := r.Moment(t)
	return &m
}

// healthNotice says what is wrong with an endpoint, and what happens next.
func healthNotice(r *web.Request, e Endpoint) *ui.Notice {
	switch {
	case !e.Enabled && *e.DisabledReason == DisabledGone:
		return &ui.Notice{
			Tone: ui.Crit, Title: "Vigilo disabled this webhook " + r.Relative(*e.DisabledAt) + ".",
			Text: "It answered 410 Gone, which means that it wants no more events. Enable it once the receiver is back.",
		}
	case !e.Enabled && *e.DisabledReason == DisabledFailing:
		return &ui.Notice{
			Tone: ui.Crit, Title: "Vigilo disabled this webhook " + r.Relative(*e.DisabledAt) + ".",
			Text: "Every attempt failed for 5 days. Mend the receiver, send a test event, enable the webhook, then replay what failed.",
		}
	case !e.Enabled:
		return &ui.Notice{
			Title: "This webhook is disabled.", Text: "Events that happen now are not kept for it. Test events still work.",
		}
	case e.FailingSince != nil:
		until := e.FailingSince.Add(disableAfter)
		return &ui.Notice{
			Tone: ui.Warn, Title: "Every attempt has failed since " + timetext.Prose(*e.FailingSince, r.Zone()) + ".",
			Text: "Vigilo keeps trying, and disables the webhook when no attempt succeeds until " + timetext.Prose(until, r.Zone()) + ".",
		}
	}
	return nil
}

func stateLabel(s State) string {
	switch s {
	case Delivered:
		return "Delivered"
	case Pending:
		return "Under way"
	default:
		return "Failed"
	}
}

func deliveriesView(r *web.Request, v *views.Webhook, e Endpoint, state State, page db.Page[Delivery], total, failed int64) {
	path, q := endpointPath(r, e), r.URL.Query()
	v.Views = ui.Tabs{Label: "Deliveries by outcome", Items: []ui.Tab{{Text: "All", Href: path, Current: state == ""}}}
	for _, st := range States() {
		v.Views.Items = append(v.Views.Items, ui.Tab{Text: stateLabel(st), Href: path + "?state=" + string(st), Current: st == state})
	}
	v.Export = ui.LinkButton{Text: "Export CSV", Href: web.Address(path, q, "format", "csv"), Icon: "download", Small: true}
	if failed > 0 && e.Enabled {
		v.Replay = &ui.LinkButton{Text: "Replay failed", Href: path + "/replay", Icon: "rotate-ccw", Small: true}
	}
	v.Pager = ui.Pager{Label: countLabel(total, "delivery", "deliveries")}
	for _, d := range page.Items {
		row := views.DeliveryRow{
			Link:  ui.RowLink{Text: d.EventName, Href: path + "/deliveries/" + d.ID.String()},
			State: stateBadge(d.State, d.Attempts), Answer: answer(d.LastStatus, d.LastError), Attempts: strconv.Itoa(d.Attempts),
			Created: r.Moment(d.CreatedAt),
		}
		if d.State == Pending && d.Attempts > 0 && d.NextAttemptAt != nil {
			row.Next = at(r, *d.NextAttemptAt)
		}
		v.Deliveries = append(v.Deliveries, row)
	}
	if page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Next)
	}
	if page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Prev)
	}
	switch {
	case len(v.Deliveries) > 0:
	case state != "":
		v.Empty = &ui.Empty{
			Icon: "filter", Title: "No delivery matches", Text: "Remove the filter Outcome is " + stateLabel(state) + " to see more.",
			Actions: []ui.LinkButton{{Text: "All deliveries", Href: path}},
		}
	default:
		v.Empty = &ui.Empty{Icon: "send", Title: "Nothing was sent yet", Text: "Deliveries appear here as events happen that this webhook wants. Send a test event to try the address."}
	}
}

func (s *Service) sendDeliveries(r *web.Request, list *db.ListQuery[Delivery]) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	rows := [][]string{{"id", "event_id", "event", "state", "attempts", "last_status", "last_error", "last_attempt_at", "created_at"}}
	err = s.db.InWorkspace(r.Context(), r.Actor, func(tx *db.Tx) error {
		return list.Each(r.Context(), tx, func(d Delivery) error {
			status := ""
			if d.LastStatus != nil {
				status = strconv.Itoa(*d.LastStatus)
			}
			rows = append(rows, []string{
				d.ID.String(), d.EventID.String(), d.EventName, string(d.State), strconv.Itoa(d.Attempts), status, d.LastError,
				stamp(d.LastAttemptAt), stamp(&d.CreatedAt),
			})
			return nil
		})
	})
	if err != nil {
		return err
	}
	return sendCSV(r, "deliveries-"+e.ID.String()+".csv", rows)
}

func (s *Service) testPage(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	if err := s.admitTest(r); err != nil {
		return err
	}
	res, err := s.SendTest(r.Context(), r.Actor, e.ID)
	if err != nil {
		return err
	}
	list := deliveryList.Query().Filter("endpoint", db.Args{"endpoint": e.ID})
	var page *db.PageResult[Delivery]
	var count, dead *db.Result[int64]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count = list.Queue(b), list.QueueCount(b)
		dead = countFailed.Queue(b, db.Args{"endpoint": e.ID})
	}); err != nil {
		return err
	}
	v := s.endpointView(r, e)
	total, _ := count.First()
	failed, _ := dead.First()
	deliveriesView(r, &v, e, "", page.Page, total, failed)
	v.Result = resultView(res)
	return r.Page(web.Page{Title: e.Name(), Crumbs: endpointCrumbs(r, e, "")}, views.WebhookPage(v))
}

func resultView(res TestResult) *views.TestResult {
	a := res.Attempt
	status := orNil(a.Status)
	v := &views.TestResult{
		Notice: ui.Notice{Tone: ui.OK, Title: "The test event was accepted.", Alert: true},
		Facts: []ui.Fact{
			{Label: "Answer", Text: answer(status, string(a.ErrorClass))},
			{Label: "Latency", Text: milliseconds(a.Latency)},
			{Label: "Event id", Text: res.EventID.String(), Mono: true},
		},
		Answer: printable(a.Body),
	}
	if a.Outcome != deliver.Success {
		v.Notice = ui.Notice{Tone: ui.Crit, Title: "The test event was not accepted.", Text: "A receiver answers with a status of 2xx within 10 seconds.", Alert: true}
	}
	return v
}

func (s *Service) showDelivery(r *web.Request) error {
	endpoint, err := r.UUID("id", "webhook")
	if err != nil {
		return err
	}
	id, err := r.UUID("delivery", "delivery")
	if err != nil {
		return err
	}
	var found *db.Result[deliveryDetail]
	var attempts *db.Result[Attempt]
	var parent *db.Result[Endpoint]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		found = oneDelivery.Queue(b, db.Args{"endpoint": endpoint, "id": id})
		attempts = attemptsOf.Queue(b, db.Args{"id": id})
		parent = oneEndpoint.Queue(b, db.Args{"id": endpoint})
	}); err != nil {
		return err
	}
	d, ok := found.First()
	e, there := parent.First()
	if !ok || !there {
		return fault.NewNotFound("delivery")
	}
	return r.Page(web.Page{Title: "Delivery of " + d.EventName, Crumbs: endpointCrumbs(r, e, d.EventName)},
		views.DeliveryPage(deliveryView(r, e, d, attempts.Rows)))
}

func deliveryView(r *web.Request, e Endpoint, d deliveryDetail, attempts []Attempt) views.Delivery {
	badge := stateBadge(d.State, d.Attempts)
	v := views.Delivery{
		Head: ui.PageHead{Title: d.EventName, Badge: &badge, Lede: "To " + e.Name()},
		Facts: []ui.Fact{
			{Label: "Webhook", Text: e.Name(), Href: endpointPath(r, e)},
			{Label: "Event id", Text: d.EventID.String(), Mono: true},
			{Label: "Created", Time: at(r, d.CreatedAt)},
			{Label: "Attempts", Text: strconv.Itoa(d.Attempts)},
		},
		Headers: []ui.Fact{
			{Label: "content-type", Text: contentType, Mono: true},
			{Label: "user-agent", Text: userAgent, Mono: true},
			{Label: strings.ToLower(webhooksig.HeaderID), Text: d.EventID.String(), Mono: true},
		},
		Body: indentRaw(d.Body),
	}
	switch {
	case d.State == Pending && d.NextAttemptAt != nil && d.Attempts > 0:
		v.Notice = &ui.Notice{Tone: ui.Warn, Title: "The next attempt is due " + r.Relative(*d.NextAttemptAt) + ".", Text: answer(d.LastStatus, d.LastError)}
	case d.State == Failed:
		v.Notice = &ui.Notice{Tone: ui.Crit, Title: "Vigilo has given up on this delivery.", Text: answer(d.LastStatus, d.LastError) + " Replay it once the receiver works."}
	}
	if d.State != Pending && e.Enabled {
		v.Replay = &views.Action{
			Href: endpointPath(r, e) + "/deliveries/" + d.ID.String() + "/replay", Button: ui.Button{Text: "Replay", Icon: "rotate-ccw", Kind: ui.Primary},
		}
	}
	if len(attempts) == 0 {
		v.None = "No attempt was made yet."
	}
	for _, a := range attempts {
		v.Attempts = append(v.Attempts, attemptView(r, a))
	}
	return v
}

func attemptView(r *web.Request, a Attempt) views.Attempt {
	v := views.Attempt{
		ID: "attempt-" + strconv.Itoa(a.Number), Title: fmt.Sprintf("Attempt %d", a.Number), When: r.Moment(a.StartedAt),
		State: ui.Badge{Text: "Accepted", Tone: ui.Fine, Icon: "check"},
		Facts: []ui.Fact{
			{Label: "Answer", Text: answer(a.Status, a.ErrorClass)},
			{Label: "Latency", Text: milliseconds(a.Latency())},
			{Label: strings.ToLower(webhooksig.HeaderTimestamp), Text: strconv.FormatInt(a.StartedAt.Unix(), 10), Mono: true},
			{Label: strings.ToLower(webhooksig.HeaderSignature), Text: a.Signature, Mono: true},
		},
		Answer: printable(a.Answer),
	}
	if a.Outcome != deliver.Success {
		v.State = ui.Badge{Text: "Not accepted", Tone: ui.Crit, Icon: "circle-x"}
	}
	return v
}

func (s *Service) replayPage(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	id, err := r.UUID("delivery", "delivery")
	if err != nil {
		return err
	}
	if _, err := s.Replay(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("The delivery is on its way again")
	return r.SeeOther(endpointPath(r, e) + "/deliveries/" + id.String())
}

func replayPageOf(r *web.Request, e Endpoint) web.Page {
	return web.Page{Title: "Replay failed deliveries", Crumbs: endpointCrumbs(r, e, "Replay")}
}

func replayView(r *web.Request, e Endpoint, f replayForm, err error) views.Replay {
	return views.Replay{
		Head: ui.PageHead{Title: "Replay failed deliveries", Lede: "Sends everything again that Vigilo has given up on, oldest first, with the same webhook-id as before."},
		Form: ui.Form{Action: endpointPath(r, e) + "/replay", Errors: web.FormErrors(err, map[string]string{"since": "Created since"})},
		Since: web.WithError(ui.Field{
			Name: "since", Label: "Created since", Type: "datetime-local", Value: f.Since, Required: true, Short: true, Hint: "In " + r.Zone().String() + ".",
		}, err),
		Cancel: endpointPath(r, e),
	}
}

func (s *Service) showReplay(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	f := replayForm{Since: r.Now().Add(-7 * 24 * time.Hour).In(r.Zone()).Format(sinceLayout)}
	return r.Page(replayPageOf(r, e), views.ReplayPage(replayView(r, e, f, nil)))
}

func (s *Service) replayAllPage(r *web.Request) error {
	e, err := s.endpointOf(r)
	if err != nil {
		return err
	}
	var f replayForm
	var since time.Time
	n := 0
	if err = r.Form(&f); err == nil {
		since, err = f.time(r.Zone())
	}
	if err == nil {
		n, err = s.ReplaySince(r.Context(), r.Actor, e.ID, since)
	}
	if err != nil {
		return r.InvalidPage(err, replayPageOf(r, e), views.ReplayPage(replayView(r, e, f, err)))
	}
	switch {
	case n == 0:
		r.Flash("Nothing failed since then")
	case n == maxReplay:
		r.Flash("10,000 deliveries are on their way again. Replay once more for the rest.")
	default:
		r.Flash(countLabel(int64(n), "delivery is", "deliveries are") + " on the way again")
	}
	return r.SeeOther(endpointPath(r, e))
}
