package members

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/plan"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/members"
	"github.com/vigilo/vigilo/templates/ui"
)

func settingsPage() web.Page {
	return web.Page{Title: "Settings", Crumbs: []web.Crumb{{Text: "Admin"}, {Text: "Settings"}}}
}

// settingsForms is what the forms of the page hold, each with what is wrong with it.
type settingsForms struct {
	workspace    workspaceForm
	sessions     sessionForm
	workspaceErr error
	sessionsErr  error
	planErr      error
}

// filled returns the forms as they are when nobody has typed anything.
func filled(ws Workspace) settingsForms {
	return settingsForms{
		workspace: workspaceForm{Name: ws.Name, TimeZone: ws.TimeZone, Version: ws.Version},
		sessions:  sessionForm{Idle: ws.SessionIdleMinutes, Absolute: ws.SessionAbsoluteMinutes, Version: ws.Version},
	}
}

func (s *Service) settingsView(r *web.Request, f settingsForms, ws Workspace, use *PlanUse) views.Settings {
	v := views.Settings{
		Form: ui.Form{
			Action: r.Path("/settings"), Guard: true, Hidden: []ui.Hidden{versionField(f.workspace.Version)},
			Errors: errorList(f.workspaceErr, map[string]string{"name": "Name", "time_zone": "Time zone"}),
		},
		Name: web.WithError(ui.Field{Name: "name", Label: "Name", Value: f.workspace.Name, Required: true, MaxLength: maxName}, f.workspaceErr),
		Slug: ui.Field{Name: "slug", Label: "Address", Value: r.Workspace.Slug, Code: true, ReadOnly: true, Hint: "Part of every link, so it never changes."},
		TimeZone: web.WithError(ui.Field{
			Name: "time_zone", Label: "Time zone", Value: f.workspace.TimeZone, Required: true, List: commonZones(), Autocomplete: "off",
			Hint: "Used where people share times. Each person still reads times in their own zone.",
		}, f.workspaceErr),
		Sessions: s.sessionsView(r, f),
		Plan:     planView(r, ws, use, f.planErr),
	}
	for _, l := range s.settings {
		if r.Can(l.Permission) {
			v.Links = append(v.Links, ui.Row{Icon: l.Icon, Title: l.Title, Href: r.Path(l.Path), Sub: l.Text})
		}
	}
	return v
}

func versionField(version int64) ui.Hidden {
	return ui.Hidden{Name: "version", Value: strconv.FormatInt(version, 10)}
}

func (s *Service) sessionsView(r *web.Request, f settingsForms) views.SessionLimits {
	const idle, absolute = "session_idle_minutes", "session_absolute_minutes"
	return views.SessionLimits{
		Form: ui.Form{
			Action: r.Path("/settings/sessions"), Guard: true, Hidden: []ui.Hidden{versionField(f.sessions.Version)},
			Errors: errorList(f.sessionsErr, map[string]string{idle: "After a pause of", absolute: "In any case after"}),
		},
		Idle: web.WithError(ui.Field{
			Name: idle, Label: "After a pause of", Required: true, Hint: "Nothing was opened or saved for this long, in any workspace.",
			Options: sessionOptions(f.sessions.Idle, s.sessionIdle, 15, 30, 60, 120, 240, 480),
		}, f.sessionsErr),
		Absolute: web.WithError(ui.Field{
			Name: absolute, Label: "In any case after", Required: true, Hint: "Counted from the sign-in.",
			Options: sessionOptions(f.sessions.Absolute, s.sessionAbsolute, 60, 240, 480, 720, 1440, 2880, 4320),
		}, f.sessionsErr),
	}
}

// sessionOptions offers what is shorter than the installation's time, and a time that the
// API has set.
func sessionOptions(chosen int, installation time.Duration, offers ...int) []ui.Option {
	out := []ui.Option{{Value: "0", Text: span(installation) + ", as in the whole installation", Selected: chosen == 0}}
	known := chosen == 0
	for _, minutes := range offers {
		if time.Duration(minutes)*time.Minute >= installation {
			continue
		}
		if !known && chosen <= minutes {
			if chosen < minutes {
				out = append(out, sessionOption(chosen, true))
			}
			known = true
		}
		out = append(out, sessionOption(minutes, chosen == minutes))
	}
	if !known {
		out = append(out, sessionOption(chosen, true))
	}
	return out
}

func sessionOption(minutes int, selected bool) ui.Option {
	return ui.Option{Value: strconv.Itoa(minutes), Text: span(time.Duration(minutes) * time.Minute), Selected: selected}
}

// planView shows what is used of the plan, nil where limits are off.
func planView(r *web.Request, ws Workspace, use *PlanUse, err error) *views.Plan {
	if use == nil {
		return nil
	}
	v := &views.Plan{Name: ws.Plan.Label()}
	for _, u := range use.Used {
		line := views.PlanUse{Label: u.Label, Text: strconv.Itoa(u.Have) + ", without a limit", Note: u.Note}
		if u.Limit > 0 {
			line.Text = fmt.Sprintf("%d of %d", u.Have, u.Limit)
			line.Meter = &ui.Meter{Percent: min(100, 100*u.Have/u.Limit)}
			switch {
			case u.Have >= u.Limit:
				line.Meter.Tone, line.Note = ui.Crit, "The plan is full: ask the people who run Vigilo for a larger one to add more. "+u.Note
			case 5*u.Have >= 4*u.Limit:
				line.Meter.Tone = ui.Warn
			}
		}
		v.Uses = append(v.Uses, line)
	}
	interval, kept := "As short as Vigilo offers", "As long as Vigilo keeps them"
	if use.ShortestInterval > 0 {
		interval = "Every " + strings.TrimPrefix(span(use.ShortestInterval), "1 ")
	}
	if use.Retention > 0 {
		kept = span(use.Retention)
	}
	v.Facts = []ui.Fact{{Label: "Scans at most", Text: interval}, {Label: "Single scans are kept", Text: kept}}
	if r.Can(SetPlan) {
		v.Form = &ui.Form{Action: r.Path("/settings/plan"), Errors: errorList(err, map[string]string{"plan": "Plan"})}
		v.Choice = web.WithError(ui.Field{
			Name: "plan", Label: "Plan of this workspace", Required: true, Short: true,
			Hint: "What is there stays under a smaller plan; nothing can be added until it fits.",
		}, err)
		for _, n := range plan.Names() {
			v.Choice.Options = append(v.Choice.Options, ui.Option{Value: string(n), Text: n.Label(), Selected: n == ws.Plan})
		}
	}
	return v
}

func (s *Service) showSettings(r *web.Request) error {
	ws, use, err := s.Settings(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	return r.Page(settingsPage(), views.SettingsPage(s.settingsView(r, filled(ws), ws, use)))
}

// settingsAgain shows the page with what somebody typed into one of its forms and with what
// was wrong with it.
func (s *Service) settingsAgain(r *web.Request, err error, keep func(f *settingsForms, conflict *ui.Diff, now Workspace)) error {
	ws, use, loadErr := s.Settings(r.Context(), r.Actor)
	if loadErr != nil {
		return loadErr
	}
	f := filled(ws)
	var conflict *ui.Diff
	if e := fault.Find(err); e != nil && e.Code == "version_conflict" {
		conflict = &ui.Diff{FromHead: "Saved meanwhile", ToHead: "Yours"}
	}
	keep(&f, conflict, ws)
	v := s.settingsView(r, f, ws, use)
	v.Conflict = conflict
	return r.InvalidPage(err, settingsPage(), views.SettingsPage(v))
}

func (s *Service) saveSettings(r *web.Request) error {
	var f workspaceForm
	err := r.Form(&f)
	if err == nil {
		_, err = s.ChangeWorkspace(r.Context(), r.Actor, WorkspaceChange{Name: &f.Name, TimeZone: &f.TimeZone, Version: &f.Version})
	}
	if err == nil {
		r.Flash("Settings saved")
		return r.SeeOther(r.Path("/settings"))
	}
	return s.settingsAgain(r, err, func(forms *settingsForms, conflict *ui.Diff, now Workspace) {
		forms.workspace = f
		if conflict == nil {
			forms.workspaceErr = err
			return
		}
		forms.workspace.Version = now.Version
		differ(conflict, "Name", now.Name, f.Name)
		differ(conflict, "Time zone", now.TimeZone, f.TimeZone)
	})
}

func (s *Service) saveSessionLimits(r *web.Request) error {
	var f sessionForm
	err := r.Form(&f)
	if err == nil {
		_, err = s.ChangeWorkspace(r.Context(), r.Actor, WorkspaceChange{
			SessionIdleMinutes: &f.Idle, SessionAbsoluteMinutes: &f.Absolute, Version: &f.Version,
		})
	}
	if err == nil {
		r.Flash("Session limits saved")
		return r.SeeOther(r.Path("/settings"))
	}
	return s.settingsAgain(r, err, func(forms *settingsForms, conflict *ui.Diff, now Workspace) {
		forms.sessions = f
		if conflict == nil {
			forms.sessionsErr = err
			return
		}
		forms.sessions.Version = now.Version
		differ(conflict, "After a pause of", limitText(now.SessionIdleMinutes, s.sessionIdle), limitText(f.Idle, s.sessionIdle))
		differ(conflict, "In any case after", limitText(now.SessionAbsoluteMinutes, s.sessionAbsolute), limitText(f.Absolute, s.sessionAbsolute))
	})
}

func limitText(minutes int, installation time.Duration) string {
	if minutes == 0 {
		return span(installation)
	}
	return span(time.Duration(minutes) * time.Minute)
}

func differ(d *ui.Diff, field, from, to string) {
	if from != to {
		d.Changes = append(d.Changes, ui.Change{Field: field, From: from, To: to})
	}
}

func (s *Service) savePlanPage(r *web.Request) error {
	var f planForm
	err := r.Form(&f)
	if err == nil {
		_, err = s.ChangePlan(r.Context(), r.Actor, plan.Name(f.Plan))
	}
	if err == nil {
		r.Flash("Plan saved")
		return r.SeeOther(r.Path("/settings"))
	}
	return s.settingsAgain(r, err, func(forms *settingsForms, _ *ui.Diff, _ Workspace) { forms.planErr = err })
}
