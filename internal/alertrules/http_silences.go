package alertrules

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/alertrules"
	"github.com/vigilo/vigilo/templates/ui"
)

// scopeText says what lies inside a silence. names are those of rules.
func scopeText(s Silence, names []nameRow) string {
	text := "Alerts"
	switch len(s.Rules) {
	case 0:
	case 1:
		text += " of a rule that was deleted"
		if i := slices.IndexFunc(names, func(n nameRow) bool { return n.ID == s.Rules[0] }); i >= 0 {
			text = "Alerts of the rule “" + names[i].Name + "”"
		}
	default:
		text += " of " + plural(len(s.Rules), "rule")
	}
	switch {
	case len(s.Hosts) > 0:
		text += " about " + plural(len(s.Hosts), "host")
	case len(s.Tags) > 0:
		text += " about hosts"
	}
	if len(s.Tags) > 0 {
		text += " tagged " + strings.Join(s.Tags, " or ")
	}
	return text
}

func silenceBadge(s SilenceState) ui.Badge {
	b := ui.Badge{Text: s.Label(), Tone: ui.Mute, Icon: "history"}
	switch s {
	case Scheduled:
		b.Tone, b.Icon = ui.Info, "clock"
	case Active:
		b.Tone, b.Icon = ui.Warn, "circle-pause"
	case Ended:
	}
	return b
}

func author(s Silence) string {
	if s.Author == "" {
		return "A token or a former member"
	}
	return s.Author
}

func silenceCrumbs(r *web.Request, steps ...web.Crumb) []web.Crumb {
	return append([]web.Crumb{
		{Text: "Reliability"}, {Text: "Alerts", Href: r.Path("/alerts")}, {Text: "Silences", Href: r.Path("/alert-silences")},
	}, steps...)
}

// silenceNotice is the banner of the list of alerts: what is silenced now, nil for nothing.
func silenceNotice(r *web.Request, active db.Page[Silence], names []nameRow) *ui.Notice {
	n := &ui.Notice{Tone: ui.Warn, Icon: "circle-pause", Action: &ui.Link{Text: "See the silences", Href: r.Path("/alert-silences")}}
	until := func(s Silence) string {
		return lower(scopeText(s, names)) + ", until " + timetext.Prose(s.EndsAt, r.Zone())
	}
	switch items := active.Items; {
	case len(items) == 0:
		return nil
	case len(items) == 1:
		s := items[0]
		n.Title = "Silenced: " + until(s) + "."
		n.Text = s.Comment + ". By " + author(s) + ". Alerts inside fire as always, and nobody is told of them."
		n.Action = &ui.Link{Text: "See the silence", Href: r.Path("/alert-silences/" + s.ID.String())}
	default:
		n.Title = plural(len(items), "silence") + " are active. Alerts inside fire as always, and nobody is told of them."
		if active.Next != "" {
			n.Title = "More than " + n.Title
		}
		var parts []string
		for i, s := range items {
			if i == 3 {
				parts = append(parts, "and others")
				break
			}
			parts = append(parts, until(s))
		}
		n.Text = strings.Join(parts, "; ") + "."
	}
	return n
}

func (s *Service) showSilences(r *web.Request) error {
	q := r.URL.Query()
	state := "live"
	if q.Get("state") == "ended" {
		state = "ended"
	}
	list, err := silenceList.Query().Filter(state, nil).After(q.Get("cursor"))
	if err != nil {
		return err
	}
	var page *db.PageResult[Silence]
	var count *db.Result[int64]
	var rules *db.Result[nameRow]
	var tally *db.Result[insideRow]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		page, count, rules, tally = list.Queue(b), list.QueueCount(b), ruleChoices.Queue(b, nil), firingInside.Queue(b, nil)
	}); err != nil {
		return err
	}
	total, _ := count.First()
	path := r.Path("/alert-silences")
	v := views.SilenceList{
		Lede: "What alerts are about is known; nobody needs to be told for a while.", Caption: "Silences, the last to end first",
		Pager: ui.Pager{Label: countLabel(total, "silence")}, Manage: r.Can(SilenceAlerts),
		Tabs: ui.Tabs{Label: "State", Items: []ui.Tab{
			{Text: "Active and planned", Href: path, Current: state == "live"}, {Text: "Ended", Href: path + "?state=ended", Current: state == "ended"},
		}},
	}
	if v.Manage {
		v.Actions = []ui.LinkButton{{Text: "New silence", Href: path + "/new", Icon: "plus", Kind: ui.Primary}}
	}
	for _, item := range page.Page.Items {
		v.Rows = append(v.Rows, silenceRow(r, item, rules.Rows, tally.Rows))
	}
	if page.Page.Next != "" {
		v.Pager.Next = web.Address(path, q, "cursor", page.Page.Next)
	}
	if page.Page.Prev != "" {
		v.Pager.Prev = web.Address(path, q, "cursor", page.Page.Prev)
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{Icon: "bell", Title: "Nothing is silenced", Text: "Silence alerts before planned work, so that nobody is woken by it.", Actions: v.Actions}
		if state == "ended" {
			v.Empty = &ui.Empty{Icon: "history", Title: "No silence has ended", Text: "Silences that are over are kept here."}
		}
	}
	return r.Page(web.Page{Title: "Silences", Crumbs: []web.Crumb{
		{Text: "Reliability"}, {Text: "Alerts", Href: r.Path("/alerts")}, {Text: "Silences"},
	}}, views.SilenceListPage(v))
}

func silenceRow(r *web.Request, s Silence, names []nameRow, tally []insideRow) views.SilenceRow {
	id := s.ID.String()
	row := views.SilenceRow{
		Link:  ui.RowLink{Text: s.Comment, Sub: scopeText(s, names), Href: r.Path("/alert-silences/" + id)},
		Scope: scopeText(s, names), From: r.Moment(s.StartsAt), Until: r.Moment(s.EndsAt), Author: author(s), State: silenceBadge(s.State(r.Now())),
	}
	if i := slices.IndexFunc(tally, func(n insideRow) bool { return n.SilenceID == s.ID }); i >= 0 {
		row.Inside = &ui.Link{Text: strconv.FormatInt(tally[i].N, 10), Href: r.Path("/alerts?silence=" + id)}
	}
	return row
}

// silenceDetail is a silence with the names of what it names.
type silenceDetail struct {
	silence Silence
	hosts   []Host
	rules   []nameRow
	inside  int64
}

func (s *Service) silenceDetail(ctx context.Context, a db.Actor, id uuid.UUID) (silenceDetail, error) {
	var d silenceDetail
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		if d.silence, err = oneSilence(ctx, tx, id); err != nil {
			return err
		}
		if len(d.silence.Hosts) > 0 {
			if d.hosts, err = s.hosts.Hosts(ctx, tx, d.silence.Hosts); err != nil {
				return err
			}
		}
		if len(d.silence.Rules) > 0 {
			if d.rules, err = ruleNames.All(ctx, tx, db.Args{"ids": d.silence.Rules}); err != nil {
				return err
			}
		}
		rows, err := firingInside.All(ctx, tx, nil)
		for _, row := range rows {
			if row.SilenceID == id {
				d.inside = row.N
			}
		}
		return err
	})
	return d, err
}

func (s *Service) showSilence(r *web.Request) error {
	id, err := r.UUID("id", "silence")
	if err != nil {
		return err
	}
	d, err := s.silenceDetail(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return r.Page(silencePage(r, d.silence), views.SilencePage(silenceView(r, d)))
}

func silencePage(r *web.Request, s Silence, steps ...web.Crumb) web.Page {
	if len(steps) == 0 {
		return web.Page{Title: "Silence: " + s.Comment, Crumbs: silenceCrumbs(r, web.Crumb{Text: s.Comment})}
	}
	own := web.Crumb{Text: s.Comment, Href: r.Path("/alert-silences/" + s.ID.String())}
	return web.Page{Title: "Edit silence: " + s.Comment, Crumbs: silenceCrumbs(r, append([]web.Crumb{own}, steps...)...)}
}

func silenceView(r *web.Request, d silenceDetail) views.Silence {
	s, state := d.silence, d.silence.State(r.Now())
	path := r.Path("/alert-silences/" + s.ID.String())
	badge := silenceBadge(state)
	from, until, made := r.Moment(s.StartsAt), r.Moment(s.EndsAt), r.Moment(s.CreatedAt)
	v := views.Silence{
		Head: ui.PageHead{Title: s.Comment, Badge: &badge, Lede: scopeText(s, d.rules) + "."},
		Times: []ui.Fact{
			{Label: "From", Time: &from, Sub: timetext.Prose(s.StartsAt, r.Zone())}, {Label: "Until", Time: &until, Sub: timetext.Prose(s.EndsAt, r.Zone())},
		},
		Facts: []ui.Fact{
			{Label: "Author", Text: author(s)},
			{Label: "Created", Time: &made},
			{Label: "Firing inside", Text: plural(int(d.inside), "alert"), Href: r.Path("/alerts?silence=" + s.ID.String())},
			{Label: "All it ever muted", Text: "Its alerts", Href: r.Path("/alerts?state=all&silence=" + s.ID.String())},
		},
	}
	for i, h := range d.hosts {
		if i == listed {
			v.Scope = append(v.Scope, ui.Fact{Label: "", Text: "and " + strconv.Itoa(len(d.hosts)-listed) + " more"})
			break
		}
		v.Scope = append(v.Scope, ui.Fact{Label: "Host", Text: h.Title, Href: r.Path(h.Path)})
	}
	if len(s.Tags) > 0 {
		v.Scope = append(v.Scope, ui.Fact{Label: "Tags of the host", Text: strings.Join(s.Tags, ", "), Sub: "One of them is enough."})
	}
	for _, rule := range d.rules {
		v.Scope = append(v.Scope, ui.Fact{Label: "Rule", Text: rule.Name, Href: r.Path("/alert-rules/" + rule.ID.String())})
	}
	if gone := len(s.Hosts) - len(d.hosts) + len(s.Rules) - len(d.rules); gone > 0 {
		v.Scope = append(v.Scope, ui.Fact{Label: "No longer there", Text: plural(gone, "host or rule")})
	}
	if r.Can(SilenceAlerts) && state != Ended {
		v.Edit = &ui.LinkButton{Text: "Edit", Href: path + "/edit", Icon: "pencil"}
		v.End = path + "/end"
	}
	return v
}

func (s *Service) showNewSilence(r *web.Request) error {
	q := r.URL.Query()
	now := r.Now()
	silence := Silence{StartsAt: now, EndsAt: now.Add(4 * time.Hour)}
	if id, err := uuid.Parse(q.Get("host")); err == nil {
		silence.Hosts = []uuid.UUID{id}
	}
	if id, err := uuid.Parse(q.Get("rule")); err == nil {
		silence.Rules = []uuid.UUID{id}
	}
	f, rules, err := s.silenceFormOf(r, silence)
	if err != nil {
		return err
	}
	f.Starts = "" // from now on, whenever the form is sent
	return r.Page(newSilencePage(r), views.SilenceFormPage(newSilenceView(r, f, rules, nil)))
}

func newSilencePage(r *web.Request) web.Page {
	return web.Page{Title: "New silence", Crumbs: silenceCrumbs(r, web.Crumb{Text: "New"})}
}

func newSilenceView(r *web.Request, f silenceForm, rules []nameRow, err error) views.SilenceForm {
	v := silenceFormView(r, f, rules, r.Path("/alert-silences/new"), r.Path("/alert-silences"), err)
	v.Title, v.Submit = "New silence", "Create silence"
	v.Lede = "Alerts inside fire as always, and nobody is told of them until it is over."
	return v
}

func (s *Service) createSilence(r *web.Request) error {
	var f silenceForm
	err := r.Form(&f)
	var silence Silence
	if err == nil {
		var edit func(*Silence)
		if edit, err = s.editSilence(r, f); err == nil {
			edit(&silence)
			silence, err = s.CreateSilence(r.Context(), r.Actor, silence)
		}
	}
	if err != nil {
		rules, readErr := s.ruleNames(r)
		if readErr != nil {
			return readErr
		}
		return r.InvalidPage(err, newSilencePage(r), views.SilenceFormPage(newSilenceView(r, f, rules, err)))
	}
	r.Flash("Silence created")
	return r.SeeOther(r.Path("/alert-silences/" + silence.ID.String()))
}

func editSilenceView(r *web.Request, silence Silence, f silenceForm, rules []nameRow, err error) views.SilenceForm {
	path := r.Path("/alert-silences/" + silence.ID.String())
	v := silenceFormView(r, f, rules, path+"/edit", path, err)
	v.Title, v.Lede, v.Submit = "Edit silence", "What lies inside no longer is told, if it still fires.", "Save silence"
	if silence.State(r.Now()) == Active {
		v.Starts.Hint = "It has begun; this stays."
		v.Starts.ReadOnly = true
	}
	return v
}

func (s *Service) showEditSilence(r *web.Request) error {
	id, err := r.UUID("id", "silence")
	if err != nil {
		return err
	}
	silence, err := s.Silence(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	f, rules, err := s.silenceFormOf(r, silence)
	if err != nil {
		return err
	}
	return r.Page(silencePage(r, silence, web.Crumb{Text: "Edit"}), views.SilenceFormPage(editSilenceView(r, silence, f, rules, nil)))
}

func (s *Service) saveSilencePage(r *web.Request) error {
	id, err := r.UUID("id", "silence")
	if err != nil {
		return err
	}
	var f silenceForm
	if err = r.Form(&f); err == nil {
		var edit func(*Silence)
		if edit, err = s.editSilence(r, f); err == nil {
			_, err = s.ChangeSilence(r.Context(), r.Actor, id, SilenceChange{Edit: edit, Version: &f.Version})
		}
	}
	if err != nil {
		silence, readErr := s.Silence(r.Context(), r.Actor, id)
		if readErr != nil {
			return readErr
		}
		rules, readErr := s.ruleNames(r)
		if readErr != nil {
			return readErr
		}
		page := silencePage(r, silence, web.Crumb{Text: "Edit"})
		return r.InvalidPage(err, page, views.SilenceFormPage(editSilenceView(r, silence, f, rules, err)))
	}
	r.Flash("Silence saved")
	return r.SeeOther(r.Path("/alert-silences/" + id.String()))
}

func (s *Service) endSilencePage(r *web.Request) error {
	id, err := r.UUID("id", "silence")
	if err != nil {
		return err
	}
	if _, err := s.EndSilence(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("The silence has ended. What still fires is told within a minute.")
	return r.SeeOther(r.Path("/alert-silences/" + id.String()))
}
