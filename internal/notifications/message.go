package notifications

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	views "github.com/vigilo/vigilo/templates/notifications"
	"github.com/vigilo/vigilo/templates/ui"
)

// maxMailItems is how many notifications a digest spells out.
const maxMailItems = 50

// severityWord is the severity on a page and in a mail.
func severityWord(s event.Severity) string {
	switch s {
	case event.Critical:
		return "Critical"
	case event.High:
		return "High"
	case event.Medium:
		return "Medium"
	case event.Low:
		return "Low"
	case event.Info:
		return "Info"
	default:
		return ""
	}
}

// notificationBody writes one notification, or a digest of several, in both forms.
func (s *Service) notificationBody(ctx context.Context, at place, items []Item, loc *time.Location, leave string) (body, error) {
	ws := "/ws/" + at.Slug
	v := views.Mail{
		Lang: "en", Workspace: at.Name, Because: "You get this because of your notification preferences in " + oneLine(at.Name) + ".",
		Settings: &ui.Link{Text: "Change them", Href: s.baseURL(ws + "/notifications/preferences")},
		Leave:    &ui.Link{Text: "Stop these e-mails", Href: leave},
		Button:   &ui.Link{Text: "Open in Vigilo", Href: s.baseURL(ws + "/notifications")},
	}
	for _, i := range items[:min(len(items), maxMailItems)] {
		v.Items = append(v.Items, views.MailItem{
			Title: i.Title, Href: s.baseURL(ws + "/notifications/" + i.ID.String()), Body: i.Body,
			Severity: severityWord(i.Severity), Mark: mark(i.Severity), Time: i.CreatedAt.In(loc).Format("2 January, 15:04 MST"),
		})
	}
	if len(items) == 1 {
		v.Subject, v.Button.Href = items[0].Title, v.Items[0].Href
		return render(ctx, v)
	}
	v.Subject = fmt.Sprintf("%d notifications", len(items))
	v.Lede = v.Subject + " from " + oneLine(at.Name)
	if more := len(items) - len(v.Items); more > 0 {
		v.More = fmt.Sprintf("%d more are in your inbox.", more)
	}
	return render(ctx, v)
}

// externalBody writes a notice for an address outside the inbox.
func (s *Service) externalBody(ctx context.Context, at place, m ExternalMail) (body, error) {
	v := views.Mail{
		Lang: "en", Subject: oneLine(m.Title), Workspace: at.Name, Because: m.Because,
		Items: []views.MailItem{{
			Title: clip(oneLine(m.Title), maxTitle), Body: clip(strings.TrimSpace(m.Body), maxBody),
			Severity: severityWord(m.Severity), Mark: mark(m.Severity),
		}},
	}
	if m.Path != "" {
		v.Button = &ui.Link{Text: "Open in Vigilo", Href: s.baseURL("/ws/" + at.Slug + m.Path)}
		v.Items[0].Href = v.Button.Href
	}
	return render(ctx, v)
}

// testMessage writes the mail that proves the settings.
func (s *Service) testMessage(ctx context.Context, at place, a db.Actor) (mail.Message, error) {
	v := views.Mail{
		Lang: "en", Subject: "Test mail from Vigilo", Workspace: at.Name,
		Items: []views.MailItem{{
			Title: "The mail server works", Body: "This mail was sent with the settings of the workspace " + oneLine(at.Name) + ".",
		}},
		Because: "You asked for it on the page with the mail settings.",
	}
	b, err := render(ctx, v)
	return mail.Message{To: a.Email, Subject: v.Subject, Text: b.Text, HTML: b.HTML}, err
}

// mark is the class that colours a severity in a mail; the word says the same.
func mark(s event.Severity) string {
	switch s {
	case event.Critical, event.High:
		return "crit"
	case event.Medium:
		return "warn"
	case event.Low, event.Info:
		return ""
	default:
		return ""
	}
}

func render(ctx context.Context, v views.Mail) (body, error) {
	var html strings.Builder
	if err := views.MailHTML(v).Render(ctx, &html); err != nil {
		return body{}, fmt.Errorf("write mail: %w", err)
	}
	return body{Text: plain(v), HTML: html.String()}, nil
}

// plain writes the plain part: the same words in the same order, addresses on lines of
// their own.
func plain(v views.Mail) string {
	var b strings.Builder
	line := func(parts ...string) {
		b.WriteString(strings.Join(parts, ""))
		b.WriteByte('\n')
	}
	if v.Lede != "" {
		line(v.Lede)
		line()
	}
	for _, i := range v.Items {
		line(i.Title)
		switch {
		case i.Severity != "" && i.Time != "":
			line(i.Severity, ", ", i.Time)
		case i.Severity != "":
			line(i.Severity)
		}
		if i.Body != "" {
			line(i.Body)
		}
		if i.Href != "" {
			line(i.Href)
		}
		line()
	}
	if v.More != "" {
		line(v.More)
		line()
	}
	if v.Button != nil && len(v.Items) > 1 {
		line(v.Button.Text, ": ", v.Button.Href)
		line()
	}
	line("-- ")
	line("Vigilo, ", oneLine(v.Workspace), ". ", v.Because)
	if v.Settings != nil {
		line(v.Settings.Text, ": ", v.Settings.Href)
	}
	if v.Leave != nil {
		line(v.Leave.Text, ": ", v.Leave.Href)
	}
	return b.String()
}
