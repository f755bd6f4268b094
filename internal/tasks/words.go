package tasks

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

const longLayout = "Monday, 2 January 2006, 15:04 MST"

func stateTitle(s State) string {
	word := stateWord(s)
	if word == "" {
		return word
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// Badge is the state of a task, or that it waits for another, for lists of other modules.
func Badge(i Item) ui.Badge { return stateBadge(i) }

func stateBadge(i Item) ui.Badge {
	if i.Blocked() {
		return ui.Badge{Text: "Waiting", Tone: ui.Warn, Icon: "hourglass"}
	}
	b := ui.Badge{Text: stateTitle(i.State)}
	switch i.State {
	case Todo:
		b.Tone, b.Icon = ui.Mute, "circle"
	case Doing:
		b.Tone, b.Icon = ui.Info, "circle-play"
	case Done:
		b.Tone, b.Icon = ui.OK, "circle-check"
	case Skipped:
		b.Tone, b.Icon = ui.Mute, "minus"
	case Cancelled:
		b.Tone, b.Icon = ui.Mute, "ban"
	}
	return b
}

func gateLabel(gate string) string {
	switch gate {
	case BeforeStart:
		return "Before the start"
	case BeforeComplete:
		return "Before completion"
	case BeforeClose:
		return "Before closing"
	}
	return ""
}

// dueTone marks a date that has passed, or comes within two days.
func dueTone(t Task, now time.Time) ui.Tone {
	switch {
	case t.State.Settled():
		return ""
	case t.Overdue(now):
		return ui.Crit
	case t.DueAt.Sub(now) < 48*time.Hour:
		return ui.Warn
	}
	return ""
}

// dueTime says when a task is due: how far away, and the moment in the long form.
func dueTime(due, now time.Time, zone *time.Location) ui.Time {
	return ui.Time{
		ISO: due.UTC().Format(time.RFC3339), Text: until(due, now) + ", " + due.In(zone).Format("2 Jan"), Title: due.In(zone).Format(longLayout),
	}
}

// When says in a few words what the task is for and how urgent it is.
func (o Open) When(now time.Time) string {
	var parts []string
	if o.For != "" {
		parts = append(parts, o.For)
	}
	switch {
	case o.Blocked:
		parts = append(parts, "waits for another task")
	case o.Overdue:
		parts = append(parts, until(*o.Due, now))
	case o.Due != nil:
		parts = append(parts, "due "+until(*o.Due, now))
	}
	return strings.Join(parts, " · ")
}

// until says how far a moment is away, in the largest unit that fits.
func until(t, now time.Time) string {
	d := t.Sub(now)
	late := d < 0
	if late {
		d = -d
	}
	var words string
	switch {
	case d < time.Hour:
		words = count(int64(d/time.Minute), "minute", "minutes")
	case d < 48*time.Hour:
		words = count(int64(d/time.Hour), "hour", "hours")
	default:
		words = count(int64(d/(24*time.Hour)), "day", "days")
	}
	if late {
		return words + " late"
	}
	return "in " + words
}

// minutesLabel is a span in words.
func minutesLabel(n int32) string {
	switch {
	case n == 0:
		return "not said"
	case n%1440 == 0:
		return count(int64(n/1440), "day", "days")
	case n%60 == 0:
		return count(int64(n/60), "hour", "hours")
	}
	return count(int64(n), "minute", "minutes")
}

func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return capped(n) + " " + many
}

// capped writes a count; counting stops where this says so.
func capped(n int64) string {
	if n > db.CountCap {
		return "10,000+"
	}
	s := strconv.FormatInt(n, 10)
	if len(s) > 3 {
		s = s[:len(s)-3] + "," + s[len(s)-3:]
	}
	return s
}

// person draws somebody; the hue follows from the id, so that it stays.
func person(id uuid.NullUUID, name string) *ui.Person {
	if !id.Valid || name == "" {
		return nil
	}
	return &ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id.UUID[15])%4 + 1}
}
