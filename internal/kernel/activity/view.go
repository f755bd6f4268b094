package activity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

// Timeline maps entries, newest first as Of returns them, to the timeline component, which
// draws the oldest first.
func Timeline(entries []Entry, zone *time.Location, now time.Time) []ui.Entry {
	out := make([]ui.Entry, len(entries))
	for i, e := range entries {
		v := ui.Entry{
			Icon: "bot", Tone: OutcomeTone(e.Outcome), Actor: e.Actor.Name, Text: e.Label,
			Time: Moment(e.RecordedAt, zone, now), Changes: Changes(e.Changes, zone),
		}
		if e.Reason != "" {
			v.Text += " (" + e.Reason + ")"
		}
		if e.Target.Key != "" || e.Target.Title != "" {
			v.Text += ": " + strings.TrimSpace(e.Target.Key+" "+e.Target.Title)
		}
		if e.Actor.Kind != db.ActorSystem {
			p := Person(e.Actor)
			v.Person = &p
		}
		out[i] = v
	}
	slices.Reverse(out)
	return out
}

// Person maps an actor to the component that draws somebody.
func Person(a Actor) ui.Person {
	return ui.Person{Name: a.Name, Initials: web.Initials(a.Name), Hue: int(a.ID[15]%4) + 1}
}

// OutcomeTone is neutral for success: an ordinary log stays quiet.
func OutcomeTone(o ledger.Outcome) ui.Tone {
	switch o {
	case ledger.Denied:
		return ui.Warn
	case ledger.Failed:
		return ui.Crit
	default:
		return ""
	}
}

// Changes puts the fields of an entry in words.
func Changes(changes []Change, zone *time.Location) []ui.Change {
	out := make([]ui.Change, len(changes))
	for i, c := range changes {
		out[i] = ui.Change{Field: FieldName(c.Field), From: Value(c.From, zone), To: Value(c.To, zone)}
	}
	return out
}

// FieldName turns the name of a field into words: scan_interval into "Scan interval".
func FieldName(field string) string {
	words := strings.ReplaceAll(field, "_", " ")
	if words == "" {
		return field
	}
	return strings.ToUpper(words[:1]) + words[1:]
}

// Value puts a recorded JSON value in words; an absent one is empty. A value that was too
// long to be kept is named by its length and digest.
func Value(raw json.RawMessage, zone *time.Location) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return string(raw)
	}
	return words(v, zone)
}

func words(v any, zone *time.Location) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case json.Number:
		return v.String()
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case string:
		if t, err := time.Parse(time.RFC3339, v); err == nil {
			return t.In(zone).Format("2 Jan 2006, 15:04:05 MST")
		}
		return v
	case []any:
		parts := make([]string, len(v))
		for i, item := range v {
			parts[i] = words(item, zone)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		if sum, ok := v["sha256"].(string); ok && len(v) == 2 && v["length"] != nil {
			return fmt.Sprintf("%s bytes, SHA-256 %s", words(v["length"], zone), sum)
		}
		parts := make([]string, 0, len(v))
		for name, item := range v {
			parts = append(parts, name+": "+words(item, zone))
		}
		slices.Sort(parts)
		return strings.Join(parts, "; ")
	default:
		return fmt.Sprint(v)
	}
}

// DetailFacts puts what else was recorded in words, by name.
func (e Entry) DetailFacts(zone *time.Location) []ui.Fact {
	out := make([]ui.Fact, 0, len(e.Detail))
	for name, v := range e.Detail {
		out = append(out, ui.Fact{Label: FieldName(name), Text: words(v, zone)})
	}
	slices.SortFunc(out, func(a, b ui.Fact) int { return strings.Compare(a.Label, b.Label) })
	return out
}

// Moment shows when something was recorded: to the second in the reader's zone, and how
// long ago that is in the long form.
func Moment(t time.Time, zone *time.Location, now time.Time) ui.Time {
	m := timetext.Second(t, zone)
	m.Title += " (" + timetext.Relative(t, now) + ")"
	return m
}
