package tasks

import (
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

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

// until says how far the due date is away, and that it is late once it has passed.
func until(due, now time.Time) string {
	if due.Before(now) {
		return timetext.Span(now.Sub(due)) + " late"
	}
	return timetext.Relative(due, now)
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
