package changes

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

func stateTone(s State) ui.Tone {
	switch s {
	case lifecycle.Draft, lifecycle.Cancelled:
		return ui.Mute
	case lifecycle.Review:
		return ui.Warn
	case lifecycle.Approved, lifecycle.Scheduled:
		return ui.Info
	case lifecycle.InProgress:
		return ui.Note
	case lifecycle.Completed:
		return ui.OK
	case lifecycle.Failed, lifecycle.RolledBack:
		return ui.Crit
	}
	return ""
}

func stateIcon(s State) string {
	switch s {
	case lifecycle.Draft:
		return "pencil"
	case lifecycle.Review:
		return "clock"
	case lifecycle.Approved:
		return "badge-check"
	case lifecycle.Scheduled:
		return "calendar"
	case lifecycle.InProgress:
		return "play"
	case lifecycle.Completed:
		return "check"
	case lifecycle.Failed:
		return "circle-x"
	case lifecycle.RolledBack:
		return "undo-2"
	case lifecycle.Cancelled:
		return "x"
	}
	return ""
}

func stateBadge(s State) ui.Badge {
	return ui.Badge{Text: s.Label(), Tone: stateTone(s), Icon: stateIcon(s)}
}

func riskTone(l Level) ui.Tone {
	switch l {
	case lifecycle.Medium:
		return ui.Warn
	case lifecycle.High, lifecycle.Critical:
		return ui.Crit
	case lifecycle.Low:
	}
	return ui.Fine
}

func riskBadge(l Level) ui.Badge { return ui.Badge{Text: upperFirst(string(l)), Tone: riskTone(l)} }

func typeLabel(t Type) string { return upperFirst(string(t)) }

func environmentLabel(e string) string {
	switch e {
	case "prod":
		return "Production"
	case "dev":
		return "Development"
	case "qa":
		return "QA"
	case "":
		return "Not said yet"
	}
	return upperFirst(e)
}

func outcomeLabel(o string) string {
	if o == WithIssues {
		return "Successful, with issues"
	}
	return upperFirst(o)
}

func retroBadge(retro string) *ui.Badge {
	switch retro {
	case "pending":
		return &ui.Badge{Text: "Approval afterwards pending", Tone: ui.Warn, Icon: "clock"}
	case "overdue":
		return &ui.Badge{Text: "Approval afterwards overdue", Tone: ui.Crit, Icon: "triangle-alert"}
	case "rejected":
		return &ui.Badge{Text: "Refused afterwards", Tone: ui.Crit, Icon: "x"}
	case "approved":
		return &ui.Badge{Text: "Approved afterwards", Tone: ui.OK, Icon: "check"}
	}
	return nil
}

func templateLabel(s TemplateState) string { return upperFirst(string(s)) }

func templateBadge(s TemplateState) ui.Badge {
	switch s {
	case TemplateActive:
		return ui.Badge{Text: "Active", Tone: ui.OK, Icon: "check"}
	case TemplateProposed:
		return ui.Badge{Text: "Proposed", Tone: ui.Warn, Icon: "clock"}
	case TemplateSuspended:
		return ui.Badge{Text: "Suspended", Tone: ui.Crit, Icon: "circle-pause"}
	case TemplateRetired:
	}
	return ui.Badge{Text: "Retired", Tone: ui.Mute, Icon: "archive"}
}

func upperFirst(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return text
	}
	return string(unicode.ToUpper(r)) + text[n:]
}

func lowerFirst(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	if n == 0 {
		return text
	}
	return string(unicode.ToLower(r)) + text[n:]
}

// moment shows a point in time: in the reader's zone, with UTC for those who compare.
func moment(t time.Time, zone *time.Location) ui.Time {
	local := t.In(zone)
	return ui.Time{
		ISO: t.UTC().Format(time.RFC3339), Text: local.Format("Mon 2 Jan 2006, 15:04"),
		Title: local.Format("Monday, 2 January 2006, 15:04 MST") + " (" + t.UTC().Format("15:04 UTC") + ")",
	}
}

// relative says how far a moment is away.
func relative(t, now time.Time) string { return timetext.Relative(t, now) }

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return group(int64(n)) + " " + unit + "s"
}

// group writes a number with commas between thousands.
func group(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func cappedCount(n int64) string {
	if n > 10_000 {
		return "10,000+"
	}
	return group(n)
}

// span writes a duration in words, to the minute.
func span(d time.Duration) string {
	d = d.Round(time.Minute)
	if d < time.Minute {
		return "less than a minute"
	}
	var parts []string
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / u.unit); n > 0 {
			parts = append(parts, count(n, u.name))
			d -= time.Duration(n) * u.unit
		}
	}
	return strings.Join(parts, " ")
}

// window writes a planned window in one line.
func windowText(start, end *time.Time, zone *time.Location) string {
	if start == nil || end == nil {
		return "no window yet"
	}
	a, b := start.In(zone), end.In(zone)
	if a.Format(time.DateOnly) == b.Format(time.DateOnly) {
		return a.Format("Mon 2 Jan, 15:04") + " to " + b.Format("15:04")
	}
	return a.Format("Mon 2 Jan, 15:04") + " to " + b.Format("Mon 2 Jan, 15:04")
}

// person draws somebody; the hue follows from the id, so that it stays.
func person(id uuid.UUID, name string) ui.Person {
	return ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id[15])%4 + 1}
}

func sizeText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", (n+1<<9)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// When says in one line when a change happens, for the home page.
func When(c Item, now time.Time) string {
	if c.Start == nil {
		return c.State.Label()
	}
	return c.State.Label() + ", " + relative(*c.Start, now)
}
