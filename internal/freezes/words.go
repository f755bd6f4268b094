package freezes

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
)

// Label is the kind in words.
func (k Kind) Label() string {
	switch k {
	case Hard:
		return "Hard freeze"
	case Soft:
		return "Soft freeze"
	case MaintenanceOnly:
		return "Allowed hours"
	case Maintenance:
		return "Maintenance window"
	default:
		return string(k)
	}
}

// hint says what the kind does.
func (k Kind) hint() string {
	switch k {
	case Hard:
		return "No change that it concerns may be scheduled or started inside, unless two people agree on an override."
	case Soft:
		return "Whoever schedules or starts a change inside is warned."
	case MaintenanceOnly:
		return "Changes that it concerns belong inside these hours; outside they are warned or refused."
	case Maintenance:
		return "Alerts of the assets that it covers stay silent. It stops no change."
	default:
		return ""
	}
}

func (k Kind) icon() string {
	switch k {
	case Maintenance:
		return "wrench"
	case MaintenanceOnly:
		return "clock"
	case Hard, Soft:
	}
	return "snowflake"
}

// Label is the state in words.
func (s State) Label() string {
	switch s {
	case Draft:
		return "Draft"
	case Active:
		return "Active"
	case Lifted:
		return "Lifted"
	default:
		return string(s)
	}
}

// ScheduleText says when in one line: what recurs in its own hours, an instant in the zone
// that it was written in.
func (f Freeze) ScheduleText() string {
	if f.Recurring {
		rule, err := wallclock.ParseRule(f.RRule)
		if err != nil {
			return f.RRule
		}
		return ruleText(rule, f.FirstDate) + ", " + hoursText(f.Schedule) + " " + f.Zone
	}
	if f.StartsAt == nil {
		return ""
	}
	zone, err := time.LoadLocation(f.Zone)
	if err != nil {
		zone = time.UTC
	}
	const layout = "2 Jan 2006, 15:04"
	if f.EndsAt == nil {
		return "From " + f.StartsAt.In(zone).Format(layout+" MST") + " until it is lifted"
	}
	return f.StartsAt.In(zone).Format(layout) + " to " + f.EndsAt.In(zone).Format(layout+" MST")
}

// lower begins a text in lower case, inside a sentence.
func lower(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToLower(text[:1]) + text[1:]
}

func hoursText(s Schedule) string {
	text := s.LocalStart + " to " + s.LocalEnd
	switch s.EndDays {
	case 0:
		return text
	case 1:
		return text + " the next day"
	default:
		return text + fmt.Sprintf(" %d days later", s.EndDays)
	}
}

// ruleText says on which days a rule falls.
func ruleText(r wallclock.Rule, first string) string {
	units := map[wallclock.Freq][2]string{
		wallclock.Daily: {"Every day", "days"}, wallclock.Weekly: {"Every week", "weeks"},
		wallclock.Monthly: {"Every month", "months"}, wallclock.Yearly: {"Every year", "years"},
	}[r.Freq]
	text := units[0]
	if r.Interval > 1 {
		text = fmt.Sprintf("Every %d %s", r.Interval, units[1])
	}
	var on []string
	for _, w := range r.ByDay {
		on = append(on, weekdayText(w))
	}
	for _, d := range r.ByMonthDay {
		on = append(on, monthDayText(d))
	}
	if len(on) == 0 {
		if d, err := wallclock.ParseDate(first); err == nil {
			switch r.Freq {
			case wallclock.Weekly:
				on = []string{d.Weekday().String()}
			case wallclock.Monthly:
				on = []string{monthDayText(d.Day)}
			case wallclock.Yearly:
				on = []string{fmt.Sprintf("%d %s", d.Day, d.Month)}
				if len(r.ByMonth) > 0 {
					on = []string{monthDayText(d.Day)}
				}
			case wallclock.Daily:
			}
		}
	}
	if len(on) > 0 {
		text += " on " + and(on)
	}
	if len(r.ByMonth) > 0 {
		months := make([]string, len(r.ByMonth))
		for i, m := range r.ByMonth {
			months[i] = m.String()
		}
		text += " in " + and(months)
	}
	switch {
	case r.Count > 0:
		text += fmt.Sprintf(", %d times", r.Count)
	case !r.Until.Date.IsZero():
		text += " until " + r.Until.Date.String()
	}
	return text
}

func weekdayText(w wallclock.Weekday) string {
	switch {
	case w.Ordinal == 0:
		return w.Day.String()
	case w.Ordinal == -1:
		return "the last " + w.Day.String()
	case w.Ordinal < 0:
		return "the " + ordinal(-w.Ordinal) + " " + w.Day.String() + " from the end"
	default:
		return "the " + ordinal(w.Ordinal) + " " + w.Day.String()
	}
}

func monthDayText(d int) string {
	switch {
	case d == -1:
		return "the last day"
	case d < 0:
		return "the " + ordinal(-d) + " day from the end"
	default:
		return "the " + ordinal(d)
	}
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// and joins words as people do.
func and(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// ScopeText says what a freeze concerns in one line; n assets and services are counted.
func (s Scope) ScopeText() string {
	if s.Everything() {
		return "Everything"
	}
	var parts []string
	if len(s.Environments) > 0 {
		parts = append(parts, and(labels(s.Environments)))
	}
	if len(s.AssetTypes) > 0 {
		parts = append(parts, and(labels(s.AssetTypes)))
	}
	if len(s.AssetTags) > 0 {
		parts = append(parts, "tagged "+strings.Join(s.AssetTags, " or "))
	}
	if n := len(s.ServiceIDs); n > 0 {
		parts = append(parts, plural(n, "service"))
	}
	if n := len(s.AssetIDs); n > 0 {
		parts = append(parts, plural(n, "asset"))
	}
	if len(s.ChangeTypes) > 0 {
		parts = append(parts, and(s.ChangeTypes)+" changes")
	}
	if s.MinRisk != "" {
		parts = append(parts, "risk "+s.MinRisk+" and above")
	}
	text := strings.Join(parts, ", ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// label is an environment or a type of asset as people say it.
func label(v string) string {
	switch v {
	case "prod":
		return "production"
	case "dev":
		return "development"
	case "qa":
		return "quality assurance"
	case "vm":
		return "virtual machine"
	case "network":
		return "network device"
	default:
		return v
	}
}

func labels(in []string) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = label(v)
	}
	return out
}
