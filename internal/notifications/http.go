package notifications

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/layout"
	views "github.com/vigilo/vigilo/templates/notifications"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Get("/notifications", ReadNotifications, s.showInbox)
	r.Get("/notifications/bell", ReadNotifications, s.showBell)
	r.Post("/notifications/read", ReadNotifications, s.markRead)
	r.Get("/notifications/preferences", ReadNotifications, s.showPreferences)
	r.Post("/notifications/preferences", ReadNotifications, s.savePreferencesForm)
	r.Post("/notifications/unmute", ReadNotifications, s.unmute)
	r.Get("/notifications/{id}", ReadNotifications, s.openNotification)
	r.Post("/notifications/{id}/mute", ReadNotifications, s.mute)
	r.Get("/settings/mail", ManageMail, s.showMail)
	r.Post("/settings/mail", ManageMail, s.saveMail)
	r.Post("/settings/mail/test", ManageMail, s.testMail)
	r.Get("/settings/mail/remove", ManageMail, s.askRemoveMail)
	r.Post("/settings/mail/remove", ManageMail, s.removeMail)
	r.Public(http.MethodGet, "/unsubscribe/{token}", s.showUnsubscribe)
	r.Public(http.MethodPost, "/unsubscribe/{token}", s.unsubscribe)
}

const (
	pathInbox       = "/notifications"
	pathPreferences = "/notifications/preferences"
	pathMail        = "/settings/mail"
)

// QueueShell implements web.ShellSource: the bell.
func (s *Service) QueueShell(b *db.Batch, r *web.Request) func() layout.Bell {
	if r.User().ID == uuid.Nil || !r.Can(ReadNotifications) {
		return func() layout.Bell { return layout.Bell{} }
	}
	newest := newestUnread.Queue(b, db.Args{"user": r.Actor.UserID})
	return func() layout.Bell { return newBell(r, newest.Rows) }
}

func newBell(r *web.Request, newest []unreadItem) layout.Bell {
	v := layout.Bell{
		Href: r.Path("/notifications/bell"), InboxHref: r.Path(pathInbox), ReadHref: r.Path("/notifications/read?all=true"),
	}
	for _, i := range newest {
		v.Unread = int(i.Unread)
		v.Items = append(v.Items, layout.BellItem{
			Text: i.Title, Href: r.Path(pathInbox + "/" + i.ID.String()), Icon: i.Icon, Tone: tone(i.Severity),
			Time: r.Moment(i.CreatedAt),
		})
	}
	return v
}

func (s *Service) showBell(r *web.Request) error {
	var v func() layout.Bell
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { v = s.QueueShell(b, r) }); err != nil {
		return err
	}
	return r.Fragment(http.StatusOK, layout.BellMenu(v()))
}

func (s *Service) showInbox(r *web.Request) error {
	q := r.URL.Query()
	all := q.Get("show") == "all"
	in, err := s.Inbox(r.Context(), r.Actor, InboxFilter{Unread: !all, Cursor: q.Get("cursor")})
	if err != nil {
		return err
	}
	return r.Page(web.Page{Title: "Notifications"}, views.Inbox(inboxPage(r, in, all)))
}

func inboxPage(r *web.Request, in Inbox, all bool) views.InboxPage {
	self := r.Path(pathInbox)
	address := func(cursor string) string {
		q := url.Values{}
		if all {
			q.Set("show", "all")
		}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		if len(q) == 0 {
			return self
		}
		return self + "?" + q.Encode()
	}
	count := fmt.Sprint(in.Unread)
	if in.Unread >= unreadCap {
		count = fmt.Sprintf("%d+", unreadCap-1)
	}
	v := views.InboxPage{
		Tabs: ui.Tabs{Label: "Which notifications", Items: []ui.Tab{
			{Text: "Unread", Href: self, Count: count, Current: !all},
			{Text: "All", Href: self + "?show=all", Current: all},
		}},
		Self: address(r.URL.Query().Get("cursor")), ReadHref: r.Path("/notifications/read"),
		PreferencesHref: r.Path(pathPreferences), HasUnread: in.Unread > 0,
	}
	switch {
	case len(in.Page.Items) > 0:
	case all:
		v.Empty = &ui.Empty{
			Icon: "bell", Title: "Nothing has happened yet", Text: "Notifications arrive here and under the bell. Choose which in your preferences.",
			Actions: []ui.LinkButton{{Text: "Choose what reaches you", Href: v.PreferencesHref}},
		}
	default:
		v.Empty = &ui.Empty{
			Icon: "circle-check", Title: "You have seen everything", Text: "New notifications appear here by themselves.",
			Actions: []ui.LinkButton{{Text: "Show all notifications", Href: self + "?show=all"}},
		}
	}
	for _, i := range in.Page.Items {
		v.Rows = append(v.Rows, inboxRow(r, i))
	}
	v.Pager.Label = fmt.Sprintf("%d on this page", len(v.Rows))
	if in.Page.Prev != "" {
		v.Pager.Prev = address(in.Page.Prev)
	}
	if in.Page.Next != "" {
		v.Pager.Next = address(in.Page.Next)
	}
	return v
}

func inboxRow(r *web.Request, i Item) views.InboxRow {
	at := r.Moment(i.CreatedAt)
	row := views.InboxRow{
		ID: i.ID.String(), Icon: i.Icon, Tone: tone(i.Severity), Body: i.Body, Unread: i.ReadAt == nil,
		Severity: ui.Badge{Text: severityWord(i.Severity), Tone: tone(i.Severity)}, Time: at,
		Link: ui.RowLink{Text: i.Title, Href: r.Path(pathInbox + "/" + i.ID.String()), Sub: at.Text},
	}
	if i.SubjectID.Valid {
		row.MuteHref = r.Path(pathInbox + "/" + i.ID.String() + "/mute")
	}
	return row
}

// openNotification leads to the thing and marks the notification as read: a link under the
// bell or in a mail must do both. It changes nothing but that, for nobody but the reader,
// so a GET may; a browser that only looks ahead does not.
func (s *Service) openNotification(r *web.Request) error {
	id, err := r.UUID("id", "notification")
	if err != nil {
		return err
	}
	item, err := s.Find(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		if _, err := s.MarkRead(r.Context(), r.Actor, []uuid.UUID{id}); err != nil {
			return err
		}
	}
	if item.Path == "" {
		return r.SeeOther(r.Path(pathInbox) + "?show=all")
	}
	return r.SeeOther(r.Path(item.Path))
}

type readForm struct {
	All  bool     `form:"all"`
	Only string   `form:"only"`
	IDs  []string `form:"id"`
}

func (s *Service) markRead(r *web.Request) error {
	var f readForm
	if err := r.Form(&f); err != nil {
		return err
	}
	// The menu of the bell sends an empty form, so its address says that all are meant.
	if f.All || r.URL.Query().Get("all") == "true" {
		if _, err := s.MarkAllRead(r.Context(), r.Actor); err != nil {
			return err
		}
		r.Flash("All notifications are marked as read.")
		return r.SeeOther(r.Path(pathInbox))
	}
	texts := f.IDs
	if f.Only != "" {
		texts = []string{f.Only}
	}
	ids := make([]uuid.UUID, len(texts))
	for i, text := range texts {
		id, err := uuid.Parse(text)
		if err != nil {
			return fault.NewNotFound("notification")
		}
		ids[i] = id
	}
	n, err := s.MarkRead(r.Context(), r.Actor, ids)
	if err != nil {
		return err
	}
	if n == 1 {
		r.Flash("One notification is marked as read.")
	} else {
		r.Flash(fmt.Sprintf("%d notifications are marked as read.", n))
	}
	return r.SeeOther(r.Path(pathInbox))
}

func (s *Service) mute(r *web.Request) error {
	id, err := r.UUID("id", "notification")
	if err != nil {
		return err
	}
	m, err := s.Mute(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	r.Flash("Muted: " + clip(m.Title, 120) + ". You will not hear of it again.")
	return r.SeeOther(r.Path(pathInbox))
}

func (s *Service) unmute(r *web.Request) error {
	var f struct {
		Type string `form:"subject_type"`
		ID   string `form:"subject_id"`
	}
	if err := r.Form(&f); err != nil {
		return err
	}
	id, err := uuid.Parse(f.ID)
	if err != nil {
		return fault.NewNotFound("muted thing")
	}
	if err := s.Unmute(r.Context(), r.Actor, f.Type, id); err != nil {
		return err
	}
	r.Flash("No longer muted.")
	return r.SeeOther(r.Path(pathPreferences))
}

func (s *Service) showUnsubscribe(r *web.Request) error {
	label, err := s.unsubscribeLabel(r.Param("token"))
	if err != nil {
		return err
	}
	v := views.UnsubscribePage{Event: label, Action: "/unsubscribe/" + r.Param("token")}
	return r.Bare(web.Page{Title: "Stop these e-mails?", Narrow: true}, views.Unsubscribe(v))
}

// unsubscribe serves the button of the page and, without a session, the one click of a
// mail program (RFC 8058, section 3.2).
func (s *Service) unsubscribe(r *web.Request) error {
	token := r.Param("token")
	label, err := s.unsubscribeLabel(token)
	if err != nil {
		return err
	}
	if err := s.Unsubscribe(r.Context(), token); err != nil {
		return err
	}
	return r.Bare(web.Page{Title: "Done", Narrow: true}, views.Unsubscribe(views.UnsubscribePage{Event: label}))
}

// tone colours a severity; the word says the same.
func tone(s event.Severity) ui.Tone {
	switch s {
	case event.Critical, event.High:
		return ui.Crit
	case event.Medium:
		return ui.Warn
	case event.Low:
		return ui.Info
	case event.Info:
		return ui.Mute
	default:
		return ui.Mute
	}
}

// groupsOf arranges the matrix under its headings.
func groupsOf(events []Subscription) []views.EventGroup {
	var out []views.EventGroup
	for _, e := range events {
		i := slices.IndexFunc(out, func(g views.EventGroup) bool { return g.Name == e.Type.Group })
		if i < 0 {
			i, out = len(out), append(out, views.EventGroup{Name: e.Type.Group})
		}
		out[i].Events = append(out[i].Events, views.EventRow{
			Name: e.Type.Name, Label: e.Type.Label, InApp: e.InApp, Mail: e.Mail,
			Severity: ui.Badge{Text: severityWord(e.Type.Severity), Tone: tone(e.Type.Severity)},
		})
	}
	return out
}
