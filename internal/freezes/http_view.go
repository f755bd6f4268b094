package freezes

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/freezes"
	"github.com/vigilo/vigilo/templates/ui"
)

// moment shows a time in the person's zone and in UTC.
func moment(r *web.Request, word string, t time.Time) views.Moment {
	shown := timetext.Minute(t, r.Zone())
	shown.Text = t.In(r.Zone()).Format("Mon ") + shown.Text
	return views.Moment{Word: word, Time: shown, UTC: t.UTC().Format("2 Jan, 15:04 UTC")}
}

// spans draws occurrences. What differs from an ordinary day says so.
func spans(r *web.Request, f Freeze, found []Occurrence) []views.Span {
	out := make([]views.Span, len(found))
	usual := time.Duration(-1)
	if w, err := f.window(time.UTC); f.Recurring && err == nil {
		usual = w.Length()
	}
	for i, o := range found {
		v := views.Span{Date: o.Date, Start: moment(r, "", o.Start)}
		lasts := o.End.Sub(o.Start)
		switch {
		case o.Open:
			v.Lasts = "Until it is lifted"
		case o.Empty():
			end := moment(r, "", o.End)
			v.End, v.Lasts, v.Note = &end, "Nothing", "The clock changes over these hours."
		default:
			end := moment(r, "", o.End)
			v.End, v.Lasts = &end, lengthText(lasts)
			if usual >= 0 && lasts != usual {
				v.Note = "The clock changes: " + lengthText(usual) + " on other days."
			}
		}
		out[i] = v
	}
	return out
}

func lengthText(d time.Duration) string {
	days, hours, minutes := int(d/(24*time.Hour)), int(d/time.Hour)%24, int(d/time.Minute)%60
	var parts []string
	for _, p := range []struct {
		n    int
		unit string
	}{{days, "day"}, {hours, "hour"}, {minutes, "minute"}} {
		if p.n > 0 {
			parts = append(parts, plural(p.n, p.unit))
		}
	}
	if len(parts) == 0 {
		return "Less than a minute"
	}
	return strings.Join(parts[:min(2, len(parts))], " ")
}

func kindBadge(k Kind) ui.Badge {
	b := ui.Badge{Text: k.Label(), Icon: k.icon()}
	switch k {
	case Hard:
		b.Tone = ui.Crit
	case Soft:
		b.Tone = ui.Warn
	case MaintenanceOnly:
		b.Tone = ui.Note
	case Maintenance:
		b.Tone = ui.Info
	}
	return b
}

// stateBadge tells what a freeze does now: active and running, active and waiting, or not.
func stateBadge(f Freeze, running bool) ui.Badge {
	switch {
	case f.State == Draft:
		return ui.Badge{Text: "Draft", Tone: ui.Mute, Icon: "pencil"}
	case f.State == Lifted:
		return ui.Badge{Text: "Lifted", Tone: ui.Mute, Icon: "lock-open"}
	case running && f.Kind == Maintenance:
		return ui.Badge{Text: "Running", Tone: ui.Info, Icon: "wrench"}
	case running && f.Kind == MaintenanceOnly:
		return ui.Badge{Text: "Allowed now", Tone: ui.OK, Icon: "circle-check"}
	case running:
		return ui.Badge{Text: "In force", Tone: ui.Crit, Icon: "snowflake"}
	default:
		return ui.Badge{Text: "Active", Tone: ui.OK, Icon: "circle-check"}
	}
}

func overrideBadge(o Override) ui.Badge {
	switch o.State {
	case Requested:
		return ui.Badge{Text: "Waits", Tone: ui.Warn, Icon: "hourglass"}
	case Granted:
		if o.SelfGranted {
			return ui.Badge{Text: "Self-granted", Tone: ui.Crit, Icon: "zap"}
		}
		return ui.Badge{Text: "Granted", Tone: ui.OK, Icon: "check"}
	case Refused:
		return ui.Badge{Text: "Refused", Tone: ui.Crit, Icon: "x"}
	case Void:
	}
	return ui.Badge{Text: "Void", Tone: ui.Mute, Icon: "minus"}
}

func overrideRows(r *web.Request, list []Override) []ui.Row {
	out := make([]ui.Row, len(list))
	for i, o := range list {
		badge := overrideBadge(o)
		out[i] = ui.Row{
			Icon: "git-pull-request-arrow", Key: o.ChangeKey, Title: o.ChangeTitle, Href: r.Path(o.Path()), Badge: &badge,
			Sub: "Asked " + o.RequestedAt.In(r.Zone()).Format("2 Jan 2006, 15:04"),
		}
	}
	return out
}

// textLines splits what people wrote at its ends of lines.
func textLines(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// crumbs lead to a page below the list.
func crumbs(r *web.Request, steps ...web.Crumb) []web.Crumb {
	if len(steps) == 0 {
		return []web.Crumb{{Text: "Work"}, {Text: "Freezes and maintenance"}}
	}
	return append([]web.Crumb{{Text: "Work"}, {Text: "Freezes and maintenance", Href: r.Path(listPath)}}, steps...)
}

// freezePage describes a page below a freeze.
func freezePage(r *web.Request, f Freeze, steps ...web.Crumb) web.Page {
	if len(steps) == 0 {
		return web.Page{Title: f.Name, Crumbs: crumbs(r, web.Crumb{Text: f.Name})}
	}
	own := web.Crumb{Text: f.Name, Href: r.Path(f.Path())}
	return web.Page{Title: steps[len(steps)-1].Text + ": " + f.Name, Crumbs: crumbs(r, append([]web.Crumb{own}, steps...)...)}
}

// impactView draws what a freeze meets. did says what has become of the changes or will.
func impactView(r *web.Request, affected []Affected, endings []Ending, did string) views.Impact {
	v := views.Impact{HeldTitle: did}
	for _, c := range affected {
		row := ui.Row{
			Icon: "git-pull-request-arrow", Key: c.Key, Title: c.Title, Href: r.Path(c.Path), Aside: c.State,
			Sub: c.Start.In(r.Zone()).Format("2 Jan 2006, 15:04") + " to " + c.End.In(r.Zone()).Format("2 Jan 2006, 15:04 MST"),
		}
		if c.Hold {
			v.Held = append(v.Held, row)
		} else {
			v.Listed = append(v.Listed, row)
		}
	}
	for _, e := range endings {
		f := ui.Finding{
			Tone: ui.Crit, Title: e.Title, Action: &ui.Link{Text: "Open", Href: r.Path(e.Path)},
			Text: "It ends " + timetext.Prose(e.At, r.Zone()) + ", and no time is left before that in which it may be renewed. Ask for an override, or change the freeze.",
		}
		if e.HasSafe {
			f.Tone = ui.Warn
			f.Text = fmt.Sprintf("It ends %s. The last time to renew it is before %s.", timetext.Prose(e.At, r.Zone()),
				timetext.Prose(e.Safe.End, r.Zone()))
		}
		v.Certificates = append(v.Certificates, f)
	}
	return v
}

// resolveEdges are how a one-off is resolved when the clock changes: wide where it protects.
func resolveEdges(k Kind) (start, end wallclock.Edge) {
	if k.mode() == wallclock.Narrowest {
		return wallclock.Later, wallclock.Earlier
	}
	return wallclock.Earlier, wallclock.Later
}

func plain(n int64) string { return strconv.FormatInt(n, 10) }
