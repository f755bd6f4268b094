package alertrules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/alertrules"
	"github.com/vigilo/vigilo/templates/ui"
)

// silenceForm is a silence as people write it: hosts by name, times in their zone. Which
// answers, for a time that the clock shows twice, whether the first or the second is meant.
type silenceForm struct {
	Comment    string   `form:"comment"`
	Hosts      string   `form:"host_ids"`
	Tags       string   `form:"tags"`
	Rules      []string `form:"rule_ids"`
	Starts     string   `form:"starts_at"`
	StartWhich string   `form:"starts_which"`
	Ends       string   `form:"ends_at"`
	EndWhich   string   `form:"ends_which"`
	Version    int64    `form:"version"`
}

func silenceLabels() map[string]string {
	return map[string]string{
		"comment": "Comment", "host_ids": "Hosts", "tags": "Tags", "starts_at": "Starts", "starts_which": "Which start", "ends_at": "Ends",
		"ends_which": "Which end",
	}
}

// silenceFormOf writes a silence as a form shows it, and returns the rules to choose from.
func (s *Service) silenceFormOf(r *web.Request, silence Silence) (silenceForm, []nameRow, error) {
	f := silenceForm{Comment: silence.Comment, Tags: strings.Join(silence.Tags, ", "), Version: silence.Version}
	f.Starts, f.StartWhich = localText(silence.StartsAt, r.Zone())
	f.Ends, f.EndWhich = localText(silence.EndsAt, r.Zone())
	for _, id := range silence.Rules {
		f.Rules = append(f.Rules, id.String())
	}
	var rules []nameRow
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		hosts, err := s.hosts.Hosts(r.Context(), tx, silence.Hosts)
		if err != nil {
			return fmt.Errorf("read hosts of silence: %w", err)
		}
		titles := make([]string, len(hosts))
		for i, h := range hosts {
			titles[i] = h.Title
		}
		slices.Sort(titles)
		f.Hosts = strings.Join(titles, "\n")
		rules, err = ruleChoices.All(r.Context(), tx, nil)
		return err
	})
	return f, rules, err
}

// localText writes a time for an input, and which of two it is.
func localText(t time.Time, zone *time.Location) (text, which string) {
	text = t.In(zone).Format(timetext.LocalLayout)
	moments, err := timetext.Local(text, zone)
	if err == nil && len(moments) == 2 {
		which = "1"
		if !t.Before(moments[1]) {
			which = "2"
		}
	}
	return text, which
}

func (s *Service) ruleNames(r *web.Request) ([]nameRow, error) {
	var rules *db.Result[nameRow]
	err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { rules = ruleChoices.Queue(b, nil) })
	if err != nil {
		return nil, err
	}
	return rules.Rows, nil
}

// readLocal reads a time of a form. A time that does not exist, or comes twice without a
// choice, is a problem of its field.
func readLocal(c *form.Check, field, text, which string, zone *time.Location) time.Time {
	moments, err := timetext.Local(text, zone)
	if skipped, ok := errors.AsType[*timetext.SkippedError](err); ok {
		c.Add(field+"_at", "skipped_time", "The clock skips this time that night. The next one is "+skipped.Next.In(zone).Format("15:04")+".")
		return time.Time{}
	}
	switch {
	case err != nil:
		c.Add(field+"_at", "invalid_time", "Use a date and a time, such as 2026-11-24T18:30.")
	case len(moments) == 1:
		return moments[0]
	case which == "1":
		return moments[0]
	case which == "2":
		return moments[1]
	default:
		c.Add(field+"_which", "ambiguous_time", "The clock shows this time twice that night. Choose which one you mean.")
	}
	return time.Time{}
}

// editSilence turns a form into a change of a silence. Without a start it begins now.
func (s *Service) editSilence(r *web.Request, f silenceForm) (func(*Silence), error) {
	var c form.Check
	starts := r.Now()
	if f.Starts != "" {
		starts = readLocal(&c, "starts", f.Starts, f.StartWhich, r.Zone())
	}
	ends := readLocal(&c, "ends", f.Ends, f.EndWhich, r.Zone())
	rules, ok := parseIDs(f.Rules)
	if !ok {
		c.Add("rule_ids", "not_found", "A rule that was chosen does not exist. Choose again.")
	}
	var hosts []uuid.UUID
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		ids, unknown, err := s.hostsNamed(r.Context(), tx, words(f.Hosts))
		if err != nil {
			return err
		}
		if hosts = ids; len(unknown) > 0 {
			c.Add("host_ids", "not_found", "No host is named "+strings.Join(unknown[:min(len(unknown), 5)], ", ")+". Write host and port as the list of certificates shows them.")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	edit := func(silence *Silence) {
		silence.Comment, silence.Hosts, silence.Tags, silence.Rules = f.Comment, hosts, words(f.Tags), rules
		// The form knows minutes only: what was not changed keeps its seconds.
		if !silence.StartsAt.Truncate(time.Minute).Equal(starts) {
			silence.StartsAt = starts
		}
		if !silence.EndsAt.Truncate(time.Minute).Equal(ends) {
			silence.EndsAt = ends
		}
	}
	if c.Err() == nil {
		return edit, nil
	}
	// What else is wrong is said at the same time, except about what was not understood.
	draft := Silence{}
	edit(&draft)
	draft.tidy()
	for field, text := range form.Messages(draft.check(r.Now()).Err()) {
		unread := strings.HasSuffix(field, "_at") && (starts.IsZero() || ends.IsZero())
		if !c.Has(field) && !unread {
			c.Add(field, "invalid", text)
		}
	}
	return nil, c.Err()
}

func silenceFormView(r *web.Request, f silenceForm, rules []nameRow, action, back string, err error) views.SilenceForm {
	zone := r.Zone()
	v := views.SilenceForm{
		Back: back,
		Form: ui.Form{
			Action: action, Guard: true, Errors: web.FormErrors(err, silenceLabels()),
			Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}},
		},
		Comment: web.WithError(ui.Field{
			Name: "comment", Label: "Comment", Value: f.Comment, Required: true, MaxLength: maxComment, Autocomplete: "off",
			Hint: "Why nobody needs to be told, such as “Move to the new load balancers”.",
		}, err),
		Hosts: web.WithError(ui.Field{
			Name: "host_ids", Label: "Hosts", Value: f.Hosts, Rows: 3, Code: true, Placeholder: "shop.example.com:443",
			Hint: "One a line. Without a port, 443 is meant.",
		}, err),
		Tags: web.WithError(ui.Field{
			Name: "tags", Label: "Tags", Value: f.Tags, Placeholder: "production, shop", Autocomplete: "off", Hint: "Hosts with one of them.",
		}, err),
		Starts: web.WithError(ui.Field{
			Name: "starts_at", Label: "Starts", Value: f.Starts, Type: "datetime-local", Hint: "Time in " + zone.String() + ". Empty means now.",
		}, err),
		StartWhich: whichField("starts_which", "Which start", f.Starts, f.StartWhich, zone, err),
		Ends: web.WithError(ui.Field{
			Name: "ends_at", Label: "Ends", Value: f.Ends, Type: "datetime-local", Required: true,
			Hint: "Time in " + zone.String() + ". At most 90 days after the start.",
		}, err),
		EndWhich: whichField("ends_which", "Which end", f.Ends, f.EndWhich, zone, err),
		RuleNote: form.Messages(err)["rule_ids"],
	}
	for _, rule := range rules {
		id := rule.ID.String()
		v.Rules = append(v.Rules, ui.Choice{ID: "rule-" + id, Name: "rule_ids", Value: id, Label: rule.Name, Checked: slices.Contains(f.Rules, id)})
	}
	return v
}

// whichField asks which of two moments a local time means, nil when there is only one.
func whichField(name, label, text, which string, zone *time.Location, err error) *ui.Field {
	moments, problem := timetext.Local(text, zone)
	if problem != nil || len(moments) < 2 {
		return nil
	}
	f := web.WithError(ui.Field{Name: name, Label: label, Required: true, Options: []ui.Option{{Text: "Choose"}}}, err)
	for i, order := range []string{"The first, ", "The second, "} {
		value := strconv.Itoa(i + 1)
		f.Options = append(f.Options, ui.Option{Value: value, Text: order + moments[i].In(zone).Format("15:04 MST"), Selected: value == which})
	}
	return &f
}
