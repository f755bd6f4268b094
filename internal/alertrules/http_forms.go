package alertrules

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/alertrules"
	"github.com/vigilo/vigilo/templates/ui"
)

type acknowledgeForm struct {
	IDs      []string `form:"id"`
	ReturnTo string   `form:"return_to"`
}

type deleteForm struct {
	Version int64 `form:"version"`
}

// ruleForm is a rule as people write it: hosts by name, people by address. Its fields are
// named like those of the rule, so that messages find their place.
type ruleForm struct {
	Name     string   `form:"name"`
	Trigger  string   `form:"trigger"`
	Days     string   `form:"threshold_days"`
	Severity string   `form:"severity"`
	Target   string   `form:"target"`
	Hosts    string   `form:"target_host_ids"`
	Tags     string   `form:"target_tags"`
	Admins   bool     `form:"notify_admins"`
	Owner    bool     `form:"notify_host_owner"`
	People   string   `form:"emails"`
	Groups   []string `form:"group_ids"`
	Webhooks []string `form:"webhook_ids"`
	Cooldown string   `form:"cooldown_minutes"`
	Enabled  bool     `form:"enabled"`
	Version  int64    `form:"version"`
}

// ruleLabels are the fields as the summary of problems names them.
func ruleLabels() map[string]string {
	return map[string]string{
		"name": "Name", "trigger": "Trigger", "threshold_days": "Days before expiry", "severity": "Severity", "target": "Hosts it watches",
		"target_host_ids": "Hosts", "target_tags": "Tags", "emails": "People", "cooldown_minutes": "Cooldown",
	}
}

func parseIDs(texts []string) ([]uuid.UUID, bool) {
	out := make([]uuid.UUID, 0, len(texts))
	for _, t := range texts {
		id, err := uuid.Parse(t)
		if err != nil {
			return nil, false
		}
		out = append(out, id)
	}
	return out, true
}

// words splits what was typed at commas, semicolons and ends of lines.
func words(text string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;\n\r", r) }) {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// formOf writes a rule as a form shows it.
func (s *Service) formOf(ctx context.Context, tx *db.Tx, r Rule) (ruleForm, error) {
	f := ruleForm{
		Name: r.Name, Trigger: string(r.Trigger), Severity: string(r.Severity), Target: string(r.Target),
		Tags: strings.Join(r.TargetTags, ", "), Admins: r.NotifyAdmins, Owner: r.NotifyOwner, Cooldown: strconv.Itoa(r.CooldownMinutes),
		Enabled: r.Enabled, Version: r.Version,
	}
	if r.ThresholdDays > 0 {
		f.Days = strconv.Itoa(r.ThresholdDays)
	}
	if len(r.TargetHosts) > 0 {
		hosts, err := s.hosts.Hosts(ctx, tx, r.TargetHosts)
		if err != nil {
			return f, fmt.Errorf("read hosts of rule: %w", err)
		}
		titles := make([]string, len(hosts))
		for i, h := range hosts {
			titles[i] = h.Title
		}
		slices.Sort(titles)
		f.Hosts = strings.Join(titles, "\n")
	}
	var people []string
	if len(r.MemberIDs) > 0 {
		members, err := membersByID.All(ctx, tx, db.Args{"ids": r.MemberIDs})
		if err != nil {
			return f, err
		}
		for _, m := range members {
			people = append(people, m.Email)
		}
	}
	f.People = strings.Join(append(people, r.Emails...), "\n")
	for _, id := range r.GroupIDs {
		f.Groups = append(f.Groups, id.String())
	}
	for _, id := range r.WebhookIDs {
		f.Webhooks = append(f.Webhooks, id.String())
	}
	return f, nil
}

// edit turns a form into a change of a rule. Addresses of members become members, whose
// inbox and preferences count; all others stay addresses.
func (s *Service) edit(ctx context.Context, a db.Actor, f ruleForm) (func(*Rule), error) {
	var c form.Check
	number := func(field, text string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			c.Add(field, "not_a_number", "Use a whole number, such as 30.")
		}
		return n
	}
	days, cooldown := 0, number("cooldown_minutes", f.Cooldown)
	if Trigger(f.Trigger) == ExpiringSoon {
		days = number("threshold_days", f.Days)
	}
	groups, okGroups := parseIDs(f.Groups)
	webhooks, okWebhooks := parseIDs(f.Webhooks)
	if !okGroups {
		c.Add("group_ids", "not_found", "A group that was chosen does not exist. Choose again.")
	}
	if !okWebhooks {
		c.Add("webhook_ids", "not_found", "A webhook that was chosen does not exist. Choose again.")
	}
	emails := lowered(words(f.People))
	var hosts, members []uuid.UUID
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		if Target(f.Target) == SomeHosts {
			ids, unknown, err := s.hostsNamed(ctx, tx, words(f.Hosts))
			if err != nil {
				return err
			}
			if hosts = ids; len(unknown) > 0 {
				c.Add("target_host_ids", "not_found", "No host is named "+strings.Join(unknown[:min(len(unknown), 5)], ", ")+". Write host and port as the list of certificates shows them.")
			}
		}
		people, err := membersByEmail.All(ctx, tx, db.Args{"emails": emails})
		if err != nil {
			return err
		}
		for _, p := range people {
			// The oldest membership wins where two accounts carry one address.
			if i := slices.Index(emails, p.Email); i >= 0 {
				members = append(members, p.MemberID)
				emails = slices.DeleteFunc(emails, func(e string) bool { return e == p.Email })
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	edit := func(r *Rule) {
		r.Name, r.Trigger, r.ThresholdDays, r.Severity = f.Name, Trigger(f.Trigger), days, event.Severity(f.Severity)
		r.Target, r.TargetHosts, r.TargetTags = Target(f.Target), hosts, words(f.Tags)
		r.NotifyAdmins, r.NotifyOwner, r.MemberIDs, r.GroupIDs = f.Admins, f.Owner, members, groups
		r.Emails, r.WebhookIDs, r.CooldownMinutes, r.Enabled = emails, webhooks, cooldown, f.Enabled
	}
	if err := c.Err(); err != nil {
		// What else is wrong is said at the same time.
		draft := NewRule()
		edit(&draft)
		draft.tidy()
		for field, text := range form.Messages(draft.check().Err()) {
			if !c.Has(field) {
				c.Add(field, "invalid", text)
			}
		}
		return nil, c.Err()
	}
	return edit, nil
}

// choices are what a form offers.
type choices struct {
	groups    []nameRow
	endpoints []Endpoint
}

func (s *Service) choices(ctx context.Context, tx *db.Tx) (choices, error) {
	var out choices
	var err error
	if out.groups, err = allGroups.All(ctx, tx, nil); err != nil {
		return out, err
	}
	if out.endpoints, err = s.webhooks.Endpoints(ctx, tx); err != nil {
		return out, fmt.Errorf("read webhooks: %w", err)
	}
	return out, nil
}

func ruleFormView(f ruleForm, offer choices, action, back string, err error) views.RuleForm {
	messages := form.Messages(err)
	v := views.RuleForm{
		Back: back,
		Form: ui.Form{
			Action: action, Guard: true, Errors: web.FormErrors(err, ruleLabels()),
			Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}},
		},
		Name: web.WithError(ui.Field{
			Name: "name", Label: "Name", Value: f.Name, Required: true, MaxLength: maxName, Autocomplete: "off",
			Hint: "It stands in notices, so say what happened, such as “Shop certificate expires within 14 days”.",
		}, err),
		Trigger: ui.Field{Name: "trigger", Label: "Trigger", Required: true},
		Days: web.WithError(ui.Field{
			Name: "threshold_days", Label: "Days before expiry", Value: f.Days, Type: "number", Min: "1", Max: strconv.Itoa(maxDays), Short: true,
			Unmarked: true, Hint: "For “Expiring soon” only.",
		}, err),
		Severity: web.WithError(ui.Field{Name: "severity", Label: "Severity", Required: true, Options: severityOptions(event.Severity(f.Severity))}, err),
		Target: web.WithError(ui.Field{Name: "target", Label: "Hosts it watches", Required: true, Options: []ui.Option{
			{Value: string(WholeWorkspace), Text: "All hosts", Hint: "Those that are added later too.", Selected: f.Target == string(WholeWorkspace)},
			{Value: string(TaggedHosts), Text: "Hosts with a tag", Selected: f.Target == string(TaggedHosts)},
			{Value: string(SomeHosts), Text: "Certain hosts", Selected: f.Target == string(SomeHosts)},
		}}, err),
		Hosts: web.WithError(ui.Field{
			Name: "target_host_ids", Label: "Hosts", Value: f.Hosts, Rows: 3, Code: true, Unmarked: true, Placeholder: "shop.example.com:443",
			Hint: "For “Certain hosts”: one a line. Without a port, 443 is meant.",
		}, err),
		Tags: web.WithError(ui.Field{
			Name: "target_tags", Label: "Tags", Value: f.Tags, Unmarked: true, Placeholder: "production, shop", Autocomplete: "off",
			Hint: "For “Hosts with a tag”: one of them is enough.",
		}, err),
		Admins: ui.Choice{Name: "notify_admins", Label: "Admins and owners of the workspace", Hint: "Whoever that is when it fires.", Checked: f.Admins},
		Owner:  ui.Choice{Name: "notify_host_owner", Label: "The owner of the host", Checked: f.Owner},
		People: web.WithError(ui.Field{
			Name: "emails", Label: "People", Value: f.People, Rows: 3, Placeholder: "mara@example.com",
			Hint: "One e-mail address a line. Members are told in their inbox and as they prefer; other addresses get mail.",
		}, err),
		Cooldown: web.WithError(ui.Field{
			Name: "cooldown_minutes", Label: "Cooldown in minutes", Value: f.Cooldown, Type: "number", Min: "0", Max: strconv.Itoa(maxCooldown), Short: true,
			Required: true, Hint: "After one notice about a host the next one waits that long. 1440 is a day.",
		}, err),
		Enabled:   ui.Choice{Name: "enabled", Label: "The rule is on", Checked: f.Enabled},
		GroupNote: messages["group_ids"], HookNote: messages["webhook_ids"],
	}
	for _, t := range Triggers() {
		v.Trigger.Options = append(v.Trigger.Options, ui.Option{Value: string(t), Text: t.Label(), Selected: string(t) == f.Trigger})
	}
	v.Trigger = web.WithError(v.Trigger, err)
	if m := messages["member_ids"]; m != "" && v.People.Error == "" {
		v.People.Error = m
	}
	for _, g := range offer.groups {
		id := g.ID.String()
		v.Groups = append(v.Groups, ui.Choice{ID: "group-" + id, Name: "group_ids", Value: id, Label: g.Name, Checked: slices.Contains(f.Groups, id)})
	}
	for _, e := range offer.endpoints {
		id := e.ID.String()
		c := ui.Choice{ID: "webhook-" + id, Name: "webhook_ids", Value: id, Label: e.Name, Checked: slices.Contains(f.Webhooks, id)}
		if !e.Enabled {
			c.Hint = "Switched off: it gets nothing until an admin switches it on."
		}
		v.Webhooks = append(v.Webhooks, c)
	}
	return v
}

// ruleCrumbs lead to a page below the list of rules.
func ruleCrumbs(r *web.Request, steps ...web.Crumb) []web.Crumb {
	return append([]web.Crumb{
		{Text: "Reliability"}, {Text: "Alerts", Href: r.Path("/alerts")}, {Text: "Alert rules", Href: r.Path("/alert-rules")},
	}, steps...)
}
