package notifications

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/notifications"
	"github.com/vigilo/vigilo/templates/ui"
)

// preferencesForm is the page of preferences as a browser sends it. InApp and Mailed hold
// the names of the ticked events.
type preferencesForm struct {
	Floor       string   `form:"severity_floor"`
	MailEnabled bool     `form:"mail_enabled"`
	Digest      string   `form:"digest"`
	DigestAt    string   `form:"digest_at"`
	Quiet       bool     `form:"quiet"`
	QuietFrom   string   `form:"quiet_from"`
	QuietTo     string   `form:"quiet_to"`
	Bypass      bool     `form:"bypass"`
	InApp       []string `form:"in_app"`
	Mailed      []string `form:"mail"`
	Version     int64    `form:"version"`
}

// clockText is a time of the day as fields and the API write it.
func clockText(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }

// clockMinute reads a time of the day, and returns -1 for what is none.
func clockMinute(text string) int {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return -1
	}
	return t.Hour()*60 + t.Minute()
}

func (f preferencesForm) preferences() Preferences {
	return Preferences{
		Floor: event.Severity(f.Floor), MailEnabled: f.MailEnabled, Digest: Digest(f.Digest), DigestAt: clockMinute(f.DigestAt),
		Quiet:  QuietHours{On: f.Quiet, From: clockMinute(f.QuietFrom), To: clockMinute(f.QuietTo)},
		Bypass: f.Bypass, Version: f.Version,
	}
}

// choices returns the channels of every event that the page showed.
func (f preferencesForm) choices(shown []Subscription) []Choice {
	out := make([]Choice, len(shown))
	for i, e := range shown {
		name := e.Type.Name
		out[i] = Choice{Event: name, Channels: event.Channels{
			InApp: slices.Contains(f.InApp, name), Mail: slices.Contains(f.Mailed, name),
		}}
	}
	return out
}

func formOf(p Preferences) preferencesForm {
	return preferencesForm{
		Floor: string(p.Floor), MailEnabled: p.MailEnabled, Digest: string(p.Digest), DigestAt: clockText(p.DigestAt),
		Quiet: p.Quiet.On, QuietFrom: clockText(p.Quiet.From), QuietTo: clockText(p.Quiet.To), Bypass: p.Bypass, Version: p.Version,
	}
}

func (s *Service) showPreferences(r *web.Request) error {
	p, err := s.Profile(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	return r.Page(preferencesFrame(r), views.Preferences(s.preferencesPage(r, p, formOf(p.Preferences), nil)))
}

func preferencesFrame(r *web.Request) web.Page {
	return web.Page{Title: "Notification preferences", Crumbs: []web.Crumb{
		{Text: "Notifications", Href: r.Path(pathInbox)}, {Text: "Preferences"},
	}}
}

func (s *Service) savePreferencesForm(r *web.Request) error {
	var f preferencesForm
	err := r.Form(&f)
	if fault.Find(err) == nil && err != nil {
		return err
	}
	p, readErr := s.Profile(r.Context(), r.Actor)
	if readErr != nil {
		return readErr
	}
	if err == nil {
		err = s.SavePreferences(r.Context(), r.Actor, f.preferences(), f.choices(p.Events))
	}
	if err != nil {
		for i, c := range f.choices(p.Events) {
			p.Events[i].Channels = c.Channels
		}
		return r.InvalidPage(err, preferencesFrame(r), views.Preferences(s.preferencesPage(r, p, f, err)))
	}
	r.Flash("Your preferences are saved.")
	return r.SeeOther(r.Path(pathPreferences))
}

// formErrors lists what is wrong for the head of a form, in the order of its fields.
func formErrors(err error, labels [][2]string) []ui.FormError {
	messages := form.Messages(err)
	if e := fault.Find(err); e != nil && e.Kind == fault.Conflict {
		messages[""] = e.Message
	}
	var out []ui.FormError
	for _, l := range labels {
		if text, ok := messages[l[0]]; ok {
			out = append(out, ui.FormError{Field: l[0], Label: l[1], Text: text})
			delete(messages, l[0])
		}
	}
	for _, text := range messages {
		out = append(out, ui.FormError{Text: text})
	}
	slices.SortStableFunc(out, func(a, b ui.FormError) int {
		if a.Field == "" && b.Field == "" {
			return strings.Compare(a.Text, b.Text)
		}
		return 0
	})
	return out
}

func (s *Service) preferencesPage(r *web.Request, p Profile, f preferencesForm, err error) views.PreferencesPage {
	messages := form.Messages(err)
	v := views.PreferencesPage{
		Form: ui.Form{
			Action: r.Path(pathPreferences), Guard: true, Hidden: []ui.Hidden{{Name: "version", Value: fmt.Sprint(f.Version)}},
			Errors: formErrors(err, [][2]string{
				{"severity_floor", "Tell me about"},
				{"digest", "E-mail comes"},
				{"digest_at", "Daily at"},
				{"quiet_from", "From"},
				{"quiet_to", "To"},
			}),
		},
		Zone: r.Zone().String(), Groups: groupsOf(p.Events), UnmuteHref: r.Path("/notifications/unmute"), CancelHref: r.Path(pathInbox),
		Floor: ui.Field{
			Name: "severity_floor", Label: "Tell me about", Required: true, Error: messages["severity_floor"], Options: floorOptions(f.Floor),
			Hint: "What is less severe reaches you neither in the inbox nor by e-mail.",
		},
		Mail: ui.Choice{
			Name: "mail_enabled", Label: "Send me e-mail", Checked: f.MailEnabled, Hint: "Off means no e-mail about notifications at all.",
		},
		Digest: ui.Field{Name: "digest", Label: "E-mail comes", Required: true, Error: messages["digest"], Options: digestOptions(f.Digest)},
		DigestAt: ui.Field{
			Name: "digest_at", Label: "Daily at", Type: "time", Short: true, Required: true, Value: f.DigestAt, Error: messages["digest_at"],
			Hint: "Used for the daily e-mail only.",
		},
		Quiet: ui.Choice{
			Name: "quiet", Label: "Keep quiet hours", Checked: f.Quiet,
			Hint: "No e-mail is sent then. What arrives waits for the end, and what you read meanwhile is left out.",
		},
		QuietFrom: ui.Field{Name: "quiet_from", Label: "From", Type: "time", Short: true, Required: true, Value: f.QuietFrom, Error: messages["quiet_from"]},
		QuietTo:   ui.Field{Name: "quiet_to", Label: "To", Type: "time", Short: true, Required: true, Value: f.QuietTo, Error: messages["quiet_to"]},
		Bypass: ui.Choice{
			Name: "bypass", Label: "Send critical things at once", Checked: f.Bypass, Hint: "Also in quiet hours, and without waiting for a digest.",
		},
	}
	if !p.HasServer {
		v.NoMail = &ui.Notice{
			Tone: ui.Warn, Icon: "mail", Title: "No mail server is set up.",
			Text: "Notifications arrive in the inbox. Your choices about e-mail count as soon as an admin names a mail server.",
		}
		if r.Can(ManageMail) {
			v.NoMail.Action = &ui.Link{Text: "Set up e-mail", Href: r.Path(pathMail)}
		}
	}
	for _, m := range p.Mutes {
		thing := views.MutedThing{
			Type: m.SubjectType, ID: m.SubjectID.String(), Title: m.Title, Since: r.Moment(m.CreatedAt),
		}
		if m.Path != "" {
			thing.Href = r.Path(m.Path)
		}
		v.Mutes = append(v.Mutes, thing)
	}
	return v
}

func floorOptions(chosen string) []ui.Option {
	words := []string{"Everything", "Low and above", "Medium and above", "High and above", "Critical only"}
	out := make([]ui.Option, len(words))
	for i, s := range event.Severities() {
		out[i] = ui.Option{Value: string(s), Text: words[i], Selected: string(s) == chosen}
	}
	return out
}

func digestOptions(chosen string) []ui.Option {
	out := []ui.Option{
		{Value: string(DigestNone), Text: "At once"},
		{Value: string(DigestHourly), Text: "Gathered, once an hour"},
		{Value: string(DigestDaily), Text: "Gathered, once a day"},
	}
	for i := range out {
		out[i].Selected = out[i].Value == chosen
	}
	return out
}
