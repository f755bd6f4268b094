package auditlog

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Filter is what a person asks of the log, as they wrote it. Empty fields ask nothing.
type Filter struct {
	// Actor is an id, or one of ActorSystem and ActorAnonymous.
	Actor string `form:"actor"`
	// Action is a name of the catalogue, or its beginning up to a dot, such as "cert.".
	Action     string `form:"action"`
	TargetType string `form:"target_type"`
	// Target is a key, an id, or type:id.
	Target   string `form:"target"`
	Outcome  string `form:"outcome"`
	Category string `form:"category"`
	// Window is a length of time that ends now; From and To are stronger.
	Window string `form:"window"`
	// From and To are dates, local times or RFC 3339. A date as To includes that day.
	From string `form:"from"`
	To   string `form:"to"`
	// Text is searched for in keys, titles, reasons, actions and changes.
	Text string `form:"q"`
}

// Actors that are nobody in particular.
const (
	ActorSystem    = "system"
	ActorAnonymous = "anonymous"
)

// DefaultWindow is how far back a question without times goes (governance.md 2.7, rule 3).
const DefaultWindow = "90d"

type window struct {
	name, label string
	length      time.Duration
}

const day = 24 * time.Hour

func windows() []window {
	return []window{
		{"24h", "Last 24 hours", day},
		{"7d", "Last 7 days", 7 * day},
		{"30d", "Last 30 days", 30 * day},
		{DefaultWindow, "Last 90 days", 90 * day},
		{"365d", "Last 12 months", 365 * day},
	}
}

func windowLength(name string) (time.Duration, bool) {
	for _, w := range windows() {
		if w.name == name {
			return w.length, true
		}
	}
	return 0, false
}

type word[T any] struct {
	name, label string
	value       T
}

func outcomes() []word[ledger.Outcome] {
	return []word[ledger.Outcome]{
		{"success", "Success", ledger.Success}, {"denied", "Denied", ledger.Denied}, {"failed", "Failed", ledger.Failed},
	}
}

func categories() []word[event.Category] {
	return []word[event.Category]{
		{"activity", "Activity", event.CategoryActivity},
		{"access", "Sign-in and access", event.CategoryAccess},
		{"admin", "Administration", event.CategoryAdmin},
		{"export", "Exports and sensitive reads", event.CategoryExport},
		{"approval", "Decisions and evidence", event.CategoryApproval},
	}
}

func find[T any](all []word[T], is func(word[T]) bool) word[T] {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i]
	}
	return word[T]{}
}

func outcomeWord(o ledger.Outcome) word[ledger.Outcome] {
	return find(outcomes(), func(w word[ledger.Outcome]) bool { return w.value == o })
}

func categoryWord(c event.Category) word[event.Category] {
	return find(categories(), func(w word[event.Category]) bool { return w.value == c })
}

func names[T any](all []word[T]) []string {
	out := make([]string, len(all))
	for i, w := range all {
		out[i] = w.name
	}
	return out
}

// severityWord is the product's word for an OCSF severity_id.
func severityWord(id int16) string {
	all := event.Severities()
	if id < 1 || int(id) > len(all) {
		return "info"
	}
	return string(all[id-1])
}

// Values returns the filter as the query string of the page, without what asks nothing.
func (f Filter) Values() url.Values {
	v := url.Values{}
	for name, value := range f.fields() {
		if value != "" && (name != "window" || value != DefaultWindow) {
			v.Set(name, value)
		}
	}
	return v
}

func (f Filter) fields() map[string]string {
	return map[string]string{
		"actor": f.Actor, "action": f.Action, "target_type": f.TargetType, "target": f.Target, "outcome": f.Outcome,
		"category": f.Category, "window": f.Window, "from": f.From, "to": f.To, "q": f.Text,
	}
}

// Narrows reports whether the filter asks for more than the newest entries.
func (f Filter) Narrows() bool { return len(f.Values()) > 0 }

// Criteria is a filter that was understood. Its times are always set, so that no query
// reads the whole log.
type Criteria struct {
	Filter     Filter
	From       time.Time // included
	To         time.Time // excluded
	ActorID    uuid.UUID
	ActorKind  db.ActorKind
	Action     string
	Prefix     string
	TargetType string
	TargetID   uuid.UUID
	TargetKey  string
	Outcome    ledger.Outcome
	Category   event.Category
	Text       string
	// hits are the entries that hold Text; nil when there are too many, or before the search
	// ran: then each entry is asked for its words.
	hits *hits
}

// textAlone reports whether the text is all that was asked for, beside the times.
func (c Criteria) textAlone() bool {
	f := c.Filter
	f.Text, f.Window, f.From, f.To = "", "", "", ""
	return !f.Narrows()
}

// ahead is how much further than now an open end lies: entries carry the time of the
// database, whose clock may be ahead of ours.
const ahead = time.Hour

var actionPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.([a-z][a-z0-9_]*)?)*$`)

// Parse understands the filter. Dates without a zone are read in the given one. It reports
// every problem by field.
func (f Filter) Parse(now time.Time, zone *time.Location) (Criteria, error) {
	c := Criteria{Filter: f, TargetType: f.TargetType, Text: f.Text}
	var check form.Check
	f.parseActor(&c, &check)
	f.parseAction(&c, &check)
	f.parseTarget(&c, &check)
	if f.Outcome != "" {
		check.OneOf("outcome", f.Outcome, "Outcome", names(outcomes())...)
		c.Outcome = find(outcomes(), func(w word[ledger.Outcome]) bool { return w.name == f.Outcome }).value
	}
	if f.Category != "" {
		check.OneOf("category", f.Category, "Category", names(categories())...)
		c.Category = find(categories(), func(w word[event.Category]) bool { return w.name == f.Category }).value
	}
	check.Longest("q", f.Text, "The text", 200)
	if f.Text != "" && !strings.ContainsFunc(f.Text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		check.Add("q", "no_words", "Search for at least one letter or digit.")
	}
	f.parseTimes(&c, &check, now, zone)
	return c, check.Err()
}

func (f Filter) parseActor(c *Criteria, check *form.Check) {
	switch f.Actor {
	case "":
	case ActorSystem:
		c.ActorKind = db.ActorSystem
	case ActorAnonymous:
		c.ActorKind = db.ActorAnonymous
	default:
		id, err := uuid.Parse(f.Actor)
		if err != nil || len(f.Actor) != 36 {
			check.Add("actor", "invalid_actor", "Choose somebody from the list, or use an id.")
		}
		c.ActorID = id
	}
}

func (f Filter) parseAction(c *Criteria, check *form.Check) {
	action := strings.TrimSuffix(f.Action, "*")
	switch {
	case action == "":
	case len(action) > 100 || !actionPattern.MatchString(action):
		check.Add("action", "invalid_action", "Use the name of an action, such as host.created, or its beginning, such as host.")
	case strings.HasSuffix(action, "."):
		c.Prefix = action
	default:
		c.Action = action
	}
}

func (f Filter) parseTarget(c *Criteria, check *form.Check) {
	check.Longest("target_type", f.TargetType, "The type", 100)
	check.Longest("target", f.Target, "The thing", 300)
	target := f.Target
	if typ, id, ok := strings.Cut(f.Target, ":"); ok && len(id) == 36 && uuid.Validate(id) == nil {
		if c.TargetType != "" && c.TargetType != typ {
			check.Add("target", "other_type", "The type in front of the id is not the chosen one.")
		}
		c.TargetType, target = typ, id
	}
	if id, err := uuid.Parse(target); err == nil && len(target) == 36 {
		c.TargetID = id
	} else {
		c.TargetKey = target
	}
}

func (f Filter) parseTimes(c *Criteria, check *form.Check, now time.Time, zone *time.Location) {
	length, _ := windowLength(DefaultWindow)
	if f.Window != "" {
		var ok bool
		if length, ok = windowLength(f.Window); !ok {
			check.Add("window", "not_allowed", "Choose one of the windows in the list.")
		}
	}
	c.To = now.Add(ahead)
	end := now
	if f.To != "" {
		var ok bool
		if c.To, ok = parseTime(f.To, zone, true); !ok {
			check.Add("to", "invalid_time", "Use a date such as 2026-03-31, or a time such as 2026-03-31T14:00:00Z.")
			return
		}
		end = c.To
	}
	c.From = end.Add(-length)
	if f.From != "" {
		var ok bool
		if c.From, ok = parseTime(f.From, zone, false); !ok {
			check.Add("from", "invalid_time", "Use a date such as 2026-03-01, or a time such as 2026-03-01T09:00:00Z.")
			return
		}
	}
	if !c.From.Before(c.To) {
		check.Add("from", "after_end", "The start must lie before the end.")
	}
}

// parseTime reads a date, a local time or RFC 3339. A date that ends a range means the end
// of that day, which need not be 24 hours after its start.
func parseTime(text string, zone *time.Location, end bool) (time.Time, bool) {
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		if end {
			t = time.Date(t.Year(), t.Month(), t.Day()+1, 0, 0, 0, 0, zone)
		}
		return t.UTC(), true
	}
	if t, err := time.ParseInLocation("2006-01-02T15:04", text, zone); err == nil {
		return t.UTC(), true
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.UTC(), err == nil
}

// afterPrefix is the least text behind every text that starts with prefix, in the order
// of the C collation. The last byte of an action's prefix is a dot.
func afterPrefix(prefix string) string {
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
}

// asDetail is the filter as the audit log keeps it.
func (c Criteria) asDetail() map[string]any {
	out := map[string]any{}
	for name, values := range c.Filter.Values() {
		out[name] = values[0]
	}
	return out
}
