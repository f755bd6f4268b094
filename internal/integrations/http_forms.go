package integrations

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/integrations"
	"github.com/vigilo/vigilo/templates/ui"
)

type endpointForm struct {
	URL         string   `form:"url"`
	Description string   `form:"description"`
	Patterns    []string `form:"pattern"`
	Disabled    bool     `form:"disabled"`
	Version     int64    `form:"version"`
}

type networksForm struct {
	Networks string `form:"networks"`
	Version  int64  `form:"version"`
}

type replayForm struct {
	Since string `form:"since"`
}

// sinceLayout is what an input of type datetime-local sends.
const sinceLayout = "2006-01-02T15:04"

func (f replayForm) time(zone *time.Location) (time.Time, error) {
	t, err := time.ParseInLocation(sinceLayout, f.Since, zone)
	if err != nil {
		return time.Time{}, fault.InvalidField("since", "invalid_time", "Use a date and a time, such as 2026-11-16 22:00.")
	}
	return t, nil
}

func endpointErrors(err error) []ui.FormError {
	return web.FormErrors(err, map[string]string{"url": "Address", "description": "Description", "patterns": "Events"})
}

// formView is what both forms of an endpoint share.
func (s *Service) formView(r *web.Request, f endpointForm, err error) views.EndpointForm {
	v := views.EndpointForm{
		Form: ui.Form{Guard: true, Errors: endpointErrors(err)},
		URL: web.WithError(ui.Field{
			Name: "url", Label: "Address", Type: "url", Value: f.URL, Required: true, MaxLength: maxURL, Autocomplete: "off", Code: true,
			Placeholder: "https://example.com/hooks/vigilo", Hint: "Receives a POST with JSON for each event, and answers with a status of 2xx within 10 seconds.",
		}, err),
		Description: web.WithError(ui.Field{
			Name: "description", Label: "Description", Value: f.Description, MaxLength: maxDescription, Autocomplete: "off",
			Hint: "What it is for, such as Deploy bot. Left empty, the host name stands for it.",
		}, err),
		Problem: form.Messages(err)["patterns"],
		All: ui.Choice{
			ID: "pattern-all", Name: "pattern", Value: "*", Label: "All events", Checked: slices.Contains(f.Patterns, "*"),
			Hint: "Everything that is sent at all. Usually too much.",
		},
		Groups: s.patternGroups(f.Patterns), Catalogue: r.Path("/integrations/events"),
	}
	return v
}

// patternGroups is the picker: the catalogue by its headings, with a wildcard for each noun
// that has more than one event. A pattern that no longer matches anything is dropped.
func (s *Service) patternGroups(chosen []string) []views.PatternGroup {
	var out []views.PatternGroup
	nouns := map[string]int{}
	types := s.sentTypes()
	for _, t := range types {
		noun, _, _ := strings.Cut(t.Name, ".")
		nouns[noun]++
	}
	offered := map[string]bool{}
	for _, t := range types {
		if len(out) == 0 || out[len(out)-1].Title != t.Group {
			out = append(out, views.PatternGroup{Title: t.Group, Example: exampleOf(t)})
		}
		g := &out[len(out)-1]
		noun, _, _ := strings.Cut(t.Name, ".")
		if wildcard := noun + ".*"; nouns[noun] > 1 && !offered[wildcard] {
			offered[wildcard] = true
			g.Choices = append(g.Choices, choice(wildcard, wildcard, "All of these", chosen))
		}
		g.Choices = append(g.Choices, choice(t.Name, t.Name, t.Label, chosen))
	}
	return out
}

func choice(pattern, label, hint string, chosen []string) ui.Choice {
	return ui.Choice{
		ID: "pattern-" + strings.NewReplacer(".", "-", "*", "all").Replace(pattern), Name: "pattern", Value: pattern,
		Label: label, Hint: hint, Checked: slices.Contains(chosen, pattern),
	}
}

// sentTypes lists the events that are sent, by group and name.
func (s *Service) sentTypes() []event.Type {
	return slices.DeleteFunc(s.ledger.Catalogue().Types(), func(t event.Type) bool { return t.AuditOnly })
}

// exampleOf shows the payload of an event.
func exampleOf(t event.Type) views.Example {
	return views.Example{Title: "Payload of " + t.Name, JSON: indent(t.Example)}
}

// envelope shows a whole body, with made-up ids.
func envelope() views.Example {
	id := uuid.MustParse("0198d3f2-7c1a-7e55-9b1c-3f6f0f4a2d11")
	ev := event.Event{
		ID: id, WorkspaceID: id, Name: "change.approved", OccurredAt: time.Date(2026, 11, 11, 13, 5, 0, 0, time.UTC), Severity: event.Info,
		Actor:   event.Actor{Kind: "user", ID: id, Name: "Mara Lindqvist"},
		Subject: event.Subject{Type: "change", ID: id, Key: "CHG-01042", Title: "Renew the certificate on pay.example.com"},
		SchemaV: 1, Payload: json.RawMessage(`{}`), RequestID: uuid.NullUUID{UUID: id, Valid: true},
	}
	return views.Example{Title: "Example of a body", JSON: indent(ev)}
}

// indent writes a value as people read JSON. The examples are our own, so one that does not
// encode is a mistake that a test finds.
func indent(v any) string {
	if v == nil {
		return "{}"
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// indentRaw is indent for bytes that are JSON already.
func indentRaw(raw []byte) string {
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return printable(raw)
	}
	return b.String()
}

func (f endpointForm) new() NewEndpoint {
	return NewEndpoint{URL: f.URL, Description: f.Description, Patterns: f.Patterns, Disabled: f.Disabled}
}

func (f endpointForm) change() EndpointChange {
	return EndpointChange{URL: &f.URL, Description: &f.Description, Patterns: &f.Patterns, Version: &f.Version}
}

// conflictOf shows what somebody else saved beside what this person wants to save.
func conflictOf(saved Endpoint, f endpointForm) *ui.Diff {
	d := &ui.Diff{FromHead: "Saved meanwhile", ToHead: "Yours"}
	add := func(field, theirs, ours string) {
		if theirs != ours {
			d.Changes = append(d.Changes, ui.Change{Field: field, From: theirs, To: ours})
		}
	}
	add("Address", saved.URL, f.URL)
	add("Description", saved.Description, f.Description)
	add("Events", strings.Join(saved.Patterns, ", "), strings.Join(tidyPatterns(f.Patterns), ", "))
	return d
}

func versionField(v int64) []ui.Hidden {
	return []ui.Hidden{{Name: "version", Value: strconv.FormatInt(v, 10)}}
}
