package notifications

import (
	"fmt"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/mail"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/notifications"
	"github.com/vigilo/vigilo/templates/ui"
)

type serverForm struct {
	Host     string `form:"host"`
	Port     int    `form:"port"`
	TLS      string `form:"tls"`
	Username string `form:"username"`
	Password string `form:"password,raw"`
	From     string `form:"from"`
	Version  int64  `form:"version"`
}

func mailFrame(r *web.Request) web.Page {
	return web.Page{Title: "E-mail", Crumbs: []web.Crumb{{Text: "Settings", Href: r.Path("/settings")}, {Text: "E-mail"}}}
}

func (s *Service) showMail(r *web.Request) error { return s.mailPage(r, nil) }

// mailPage shows the settings with, after a test, its answer.
func (s *Service) mailPage(r *web.Request, answer *ui.Notice) error {
	p, err := s.MailSettings(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	v := newMailPage(r, p, serverFormOf(p), nil)
	v.Answer = answer
	return r.Page(mailFrame(r), views.MailSettings(v))
}

func serverFormOf(p MailPage) serverForm {
	if p.Server == nil {
		return serverForm{Port: 587, TLS: string(mail.StartTLS)}
	}
	return serverForm{
		Host: p.Server.Host, Port: p.Server.Port, TLS: p.Server.TLS, Username: p.Server.Username, From: p.Server.From,
		Version: p.Server.Version,
	}
}

func (s *Service) saveMail(r *web.Request) error {
	var f serverForm
	err := r.Form(&f)
	if err == nil {
		err = s.SaveServer(r.Context(), r.Actor, NewServer{
			Host: f.Host, Port: f.Port, Username: f.Username, Password: f.Password, From: f.From, TLS: f.TLS, Version: f.Version,
		})
	}
	if err != nil {
		p, readErr := s.MailSettings(r.Context(), r.Actor)
		if readErr != nil {
			return readErr
		}
		return r.InvalidPage(err, mailFrame(r), views.MailSettings(newMailPage(r, p, f, err)))
	}
	r.Flash("The mail server is saved. Send a test mail to prove it.")
	return r.SeeOther(r.Path(pathMail))
}

func (s *Service) testMail(r *web.Request) error {
	if s.testLimit != nil {
		if ok, retry, _ := s.testLimit.Allow(r.Actor.ID.String()); !ok {
			return web.TooMany(retry)
		}
	}
	problem, err := s.SendTest(r.Context(), r.Actor)
	switch {
	case fault.Is(err, fault.Conflict) || fault.Is(err, fault.Invalid):
		return s.mailPage(r, &ui.Notice{Tone: ui.Crit, Title: "No test mail was sent.", Text: fault.Find(err).Message, Alert: true})
	case err != nil:
		return err
	case problem != "":
		return s.mailPage(r, &ui.Notice{Tone: ui.Crit, Title: "The test mail was not sent.", Text: ProblemText(problem), Alert: true})
	default:
		return s.mailPage(r, &ui.Notice{
			Tone: ui.OK, Title: "The mail server took the test mail.", Text: "Look for it at " + r.Actor.Email + ", and in the spam folder.", Alert: true,
		})
	}
}

func (s *Service) askRemoveMail(r *web.Request) error {
	p, err := s.MailSettings(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	if p.Server == nil {
		return r.SeeOther(r.Path(pathMail))
	}
	next := "This workspace sends no mail any more."
	if p.Installation != "" {
		next = "Mail goes out through the server of the installation, from " + p.Installation + "."
	}
	page := mailFrame(r)
	page.Title = "Stop using " + p.Server.Host
	return r.Page(page, ui.ConfirmPage(ui.ConfirmForm{
		Action: r.Path(pathMail + "/remove"), Title: "Stop using " + p.Server.Host + "?", Confirm: "Stop using it", Danger: true,
		CancelHref: r.Path(pathMail), Points: []string{next, "The stored password is forgotten."},
	}))
}

func (s *Service) removeMail(r *web.Request) error {
	if err := s.DropServer(r.Context(), r.Actor); err != nil {
		return err
	}
	r.Flash("The workspace has no mail server of its own any more.")
	return r.SeeOther(r.Path(pathMail))
}

func newMailPage(r *web.Request, p MailPage, f serverForm, err error) views.MailPage {
	messages := form.Messages(err)
	field := func(name, label, value, hint string) ui.Field {
		return ui.Field{Name: name, Label: label, Value: value, Hint: hint, Error: messages[name]}
	}
	v := views.MailPage{
		Form: ui.Form{
			Action: r.Path(pathMail), Guard: true, Hidden: []ui.Hidden{{Name: "version", Value: fmt.Sprint(f.Version)}},
			Errors: formErrors(err, [][2]string{
				{"host", "Server"}, {"port", "Port"}, {"tls", "Encryption"}, {"username", "User name"}, {"password", "Password"}, {"from", "Sender"},
			}),
		},
		Host: field("host", "Server", f.Host, ""), Port: field("port", "Port", fmt.Sprint(f.Port), ""),
		TLS:      field("tls", "Encryption", "", ""),
		Username: field("username", "User name", f.Username, ""),
		Password: field("password", "Password", "", "Stored sealed and never shown again."),
		From:     field("from", "Sender", f.From, "An address the server may send from, such as Vigilo <vigilo@example.com>."),
	}
	v.Host.Required, v.Port.Required, v.TLS.Required, v.From.Required = true, true, true, true
	v.Port.Type, v.Port.Short, v.Port.Min, v.Port.Max = "number", true, "1", "65535"
	v.Password.Type, v.Password.Autocomplete, v.Username.Autocomplete = "password", "new-password", "off"
	v.TLS.Options = []ui.Option{
		{Value: string(mail.StartTLS), Text: "STARTTLS", Hint: "Usual on port 587. A server that does not offer it is refused."},
		{Value: string(mail.ImplicitTLS), Text: "TLS from the start", Hint: "Usual on port 465."},
		{Value: string(mail.NoTLS), Text: "None", Hint: "Only for a relay in a network you trust. No password is sent without encryption."},
	}
	for i := range v.TLS.Options {
		v.TLS.Options[i].Selected = v.TLS.Options[i].Value == f.TLS
	}
	switch {
	case p.Server != nil:
		v.State = ui.Notice{Tone: ui.OK, Icon: "mail", Title: "This workspace has its own mail server.", Text: p.Server.Host + ", sending as " + p.Server.From + "."}
		v.RemoveHref = r.Path(pathMail + "/remove")
		if p.Server.HasPassword {
			v.Password.Hint = "A password is stored. Leave this empty to keep it."
		}
	case p.Installation != "":
		v.State = ui.Notice{Tone: ui.Info, Icon: "mail", Title: "Mail goes out through the installation's server.", Text: "It sends as " + p.Installation + ". A server of your own takes its place."}
	default:
		v.State = ui.Notice{
			Tone: ui.Warn, Icon: "mail", Title: "No mail server is set up.",
			Text: "No e-mail is sent; notifications still arrive in the inbox. Name a server below, or set VIGILO_SMTP_HOST for the whole installation.",
		}
	}
	if p.Server != nil || p.Installation != "" {
		v.TestHref = r.Path(pathMail + "/test")
	}
	for _, m := range p.Problems {
		v.Problems = append(v.Problems, problemEntry(r, m))
	}
	return v
}

// problemEntry says which mail failed, why, and whether it is tried again.
func problemEntry(r *web.Request, m Problem) ui.Entry {
	tries := "after one try"
	if m.Attempts > 1 {
		tries = fmt.Sprintf("after %d tries", m.Attempts)
	}
	e := ui.Entry{Icon: "circle-x", Tone: ui.Crit, Actor: m.Recipient, Time: r.Moment(m.UpdatedAt)}
	state := "Given up " + tries + ". "
	if m.State == "waiting" {
		e.Icon, e.Tone, state = "clock", ui.Warn, "Not sent "+tries+", will be tried again. "
	}
	e.Text = "“" + m.Subject + "”. " + state + ProblemText(m.Problem)
	return e
}
