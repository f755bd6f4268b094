package alertrules

import (
	"context"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/alertrules"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) showRules(r *web.Request) error {
	rules, firing, err := s.Rules(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	path := r.Path("/alert-rules")
	v := views.RuleList{Lede: "What is worth telling about certificates, and to whom.", Manage: r.Can(ManageRules)}
	if v.Manage {
		v.Actions = []ui.LinkButton{{Text: "New rule", Href: path + "/new", Icon: "plus", Kind: ui.Primary}}
	}
	for _, rule := range rules {
		v.Rows = append(v.Rows, ruleRow(r, rule, firing[rule.ID]))
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{
			Icon: "bell", Title: "No alert rule", Text: "Without a rule nobody is told when a certificate is about to expire.", Actions: v.Actions,
		}
	}
	return r.Page(web.Page{Title: "Alert rules", Crumbs: []web.Crumb{
		{Text: "Reliability"}, {Text: "Alerts", Href: r.Path("/alerts")}, {Text: "Alert rules"},
	}}, views.RuleListPage(v))
}

func ruleRow(r *web.Request, rule Rule, firing int64) views.RuleRow {
	id := rule.ID.String()
	path := r.Path("/alert-rules/" + id)
	row := views.RuleRow{
		Link:     ui.RowLink{Text: rule.Name, Sub: targetText(rule), Href: path},
		Severity: severityBadge(rule.Severity), Target: targetText(rule), Recipients: recipientsText(rule), State: ruleBadge(rule),
		Toggle: path + "/disable", ToggleText: "Switch off " + rule.Name, ToggleIcon: "circle-pause",
		Menu: ui.Menu{ID: "rule-" + id, Label: "Actions for " + rule.Name, Icon: "ellipsis", IconOnly: true, Small: true, Items: []ui.MenuItem{
			{Text: "Edit", Href: path + "/edit", Icon: "pencil"},
			{Text: "Send test", Href: path + "/test", Icon: "send"},
			{Text: "Duplicate", Href: r.Path("/alert-rules/new?from=" + id), Icon: "copy"},
			{Text: "Delete", Href: path + "/delete", Icon: "trash-2", Danger: true},
		}},
	}
	if !rule.Enabled {
		row.Toggle, row.ToggleText, row.ToggleIcon = path+"/enable", "Switch on "+rule.Name, "circle-play"
	}
	if firing > 0 {
		row.Firing = &ui.Link{Text: strconv.FormatInt(firing, 10), Href: r.Path("/alerts?rule=" + id)}
	}
	return row
}

// ruleDetail is a rule with the names of what it names.
type ruleDetail struct {
	rule    Rule
	hosts   []Host
	members []person
	offer   choices
}

func (s *Service) ruleDetail(ctx context.Context, a db.Actor, id uuid.UUID) (ruleDetail, error) {
	var d ruleDetail
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		if d.rule, err = loadRule.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		if len(d.rule.TargetHosts) > 0 {
			if d.hosts, err = s.hosts.Hosts(ctx, tx, d.rule.TargetHosts); err != nil {
				return err
			}
		}
		if len(d.rule.MemberIDs) > 0 {
			if d.members, err = membersByID.All(ctx, tx, db.Args{"ids": d.rule.MemberIDs}); err != nil {
				return err
			}
		}
		if len(d.rule.GroupIDs)+len(d.rule.WebhookIDs) > 0 {
			d.offer, err = s.choices(ctx, tx)
		}
		return err
	})
	return d, err
}

// recipientRows names everybody whom a rule tells.
func (d ruleDetail) recipientRows(r *web.Request) []ui.Row {
	var rows []ui.Row
	if d.rule.NotifyAdmins {
		rows = append(rows, ui.Row{Icon: "shield", Title: "Admins and owners", Href: r.Path("/members"), Sub: "Whoever that is when it fires"})
	}
	if d.rule.NotifyOwner {
		rows = append(rows, ui.Row{Icon: "user", Title: "Owner of the host", Href: r.Path("/certificates"), Sub: "Nobody for hosts without an owner"})
	}
	for _, m := range d.members {
		rows = append(rows, ui.Row{Icon: "user", Title: m.Name, Href: r.Path("/members/" + m.MemberID.String()), Sub: m.Email})
	}
	for _, g := range d.offer.groups {
		if slices.Contains(d.rule.GroupIDs, g.ID) {
			rows = append(rows, ui.Row{Icon: "users", Title: g.Name, Href: r.Path("/members/groups/" + g.ID.String()), Sub: "Group of people"})
		}
	}
	for _, e := range d.rule.Emails {
		rows = append(rows, ui.Row{Icon: "mail", Title: e, Href: "mailto:" + e, Sub: "By mail"})
	}
	for _, e := range d.offer.endpoints {
		if slices.Contains(d.rule.WebhookIDs, e.ID) {
			rows = append(rows, ui.Row{Icon: "webhook", Title: e.Name, Href: r.Path("/integrations/" + e.ID.String()), Sub: "Webhook"})
		}
	}
	return rows
}

func rulePage(r *web.Request, rule Rule, steps ...web.Crumb) web.Page {
	if len(steps) == 0 {
		return web.Page{Title: rule.Name, Crumbs: ruleCrumbs(r, web.Crumb{Text: rule.Name})}
	}
	own := web.Crumb{Text: rule.Name, Href: r.Path("/alert-rules/" + rule.ID.String())}
	return web.Page{Title: steps[len(steps)-1].Text + ": " + rule.Name, Crumbs: ruleCrumbs(r, append([]web.Crumb{own}, steps...)...)}
}

func (s *Service) showRule(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	d, err := s.ruleDetail(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return r.Page(rulePage(r, d.rule), views.RulePage(ruleView(r, d)))
}

func ruleView(r *web.Request, d ruleDetail) views.Rule {
	rule := d.rule
	path := r.Path("/alert-rules/" + rule.ID.String())
	state, severity := ruleBadge(rule), severityBadge(rule.Severity)
	made, changed := r.Moment(rule.CreatedAt), r.Moment(rule.UpdatedAt)
	v := views.Rule{
		Head: ui.PageHead{Title: rule.Name, Badge: &state, Lede: "Watches " + lower(targetText(rule)) + "."},
		Condition: []ui.Fact{
			{Label: "Condition", Text: rule.Condition(), Sub: triggerHint(rule.Trigger)},
			{Label: "Watches", Text: targetText(rule)},
			{Label: "Cooldown", Text: cooldownText(rule), Sub: "After one notice about a host the next one waits that long."},
		},
		Recipients: d.recipientRows(r),
		Facts: []ui.Fact{
			{Label: "Severity", Badge: &severity},
			{Label: "Firing and past", Text: "Alerts of this rule", Href: r.Path("/alerts?state=all&rule=" + rule.ID.String())},
			{Label: "Created", Time: &made},
			{Label: "Changed", Time: &changed},
		},
	}
	for i, h := range d.hosts {
		if i == listed {
			v.Condition = append(v.Condition, ui.Fact{Label: "", Text: "and " + strconv.Itoa(len(d.hosts)-listed) + " more"})
			break
		}
		v.Condition = append(v.Condition, ui.Fact{Label: "Host", Text: h.Title, Href: r.Path(h.Path)})
	}
	if len(v.Recipients) == 0 {
		v.Nobody = &ui.Empty{Icon: "bell", Title: "Nobody is named", Text: "Alerts are listed, and webhooks that subscribe to them get them."}
	}
	if !rule.Enabled {
		v.Notice = &ui.Notice{Tone: ui.Warn, Title: "This rule is off.", Text: "It watches nothing and tells nobody."}
	}
	if !r.Can(ManageRules) {
		return v
	}
	v.Toggle = &views.Toggle{Action: path + "/disable", Button: ui.Button{Text: "Switch off", Icon: "circle-pause"}}
	if !rule.Enabled {
		v.Toggle = &views.Toggle{Action: path + "/enable", Button: ui.Button{Text: "Switch on", Icon: "circle-play"}}
	}
	v.Actions = []ui.LinkButton{
		{Text: "Duplicate", Href: r.Path("/alert-rules/new?from=" + rule.ID.String()), Icon: "copy"},
		{Text: "Send test", Href: path + "/test", Icon: "send"},
		{Text: "Edit", Href: path + "/edit", Icon: "pencil", Kind: ui.Primary},
	}
	v.Delete = &ui.LinkButton{Text: "Delete rule", Href: path + "/delete", Icon: "trash-2", Kind: ui.Danger}
	return v
}

func triggerHint(t Trigger) string {
	switch t {
	case ExpiringSoon:
		return "Short-lived certificates fire later: at a third of their lifetime, within a week at a sixth, or at the host's own limits."
	case ScanFailed:
		return "Two scans in a row brought no certificate."
	case CertChanged, IssuerChanged:
		return "Each change is told once, and is over at once."
	case Expired, ChainInvalid, NameMismatch:
	}
	return ""
}

func cooldownText(r Rule) string {
	switch m := r.CooldownMinutes; {
	case m == 0:
		return "None"
	case m%1440 == 0:
		return plural(m/1440, "day")
	case m%60 == 0:
		return plural(m/60, "hour")
	default:
		return plural(m, "minute")
	}
}

// showNewRule shows an empty form, a copy of the rule named by from, or one for the host
// named by host.
func (s *Service) showNewRule(r *web.Request) error {
	q := r.URL.Query()
	rule := NewRule()
	var f ruleForm
	var offer choices
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		if id, err := uuid.Parse(q.Get("from")); err == nil {
			if rule, err = loadRule.One(r.Context(), tx, db.Args{"id": id}); err != nil {
				return err
			}
			rule.Name = "Copy of " + rule.Name
			rule.Name = string([]rune(rule.Name)[:min(len([]rune(rule.Name)), maxName)])
		}
		if id, err := uuid.Parse(q.Get("host")); err == nil {
			rule.Target, rule.TargetHosts = SomeHosts, []uuid.UUID{id}
		}
		var err error
		if f, err = s.formOf(r.Context(), tx, rule); err != nil {
			return err
		}
		offer, err = s.choices(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return r.Page(newRulePage(r), views.RuleFormPage(newRuleView(r, f, offer, nil)))
}

func newRulePage(r *web.Request) web.Page {
	return web.Page{Title: "New alert rule", Crumbs: ruleCrumbs(r, web.Crumb{Text: "New"})}
}

func newRuleView(r *web.Request, f ruleForm, offer choices, err error) views.RuleForm {
	v := ruleFormView(f, offer, r.Path("/alert-rules/new"), r.Path("/alert-rules"), err)
	v.Title, v.Lede, v.Submit = "New alert rule", "Say what is worth telling, about which hosts, and to whom.", "Create rule"
	return v
}

func (s *Service) createRule(r *web.Request) error {
	var f ruleForm
	err := r.Form(&f)
	var rule Rule
	if err == nil {
		var edit func(*Rule)
		if edit, err = s.edit(r.Context(), r.Actor, f); err == nil {
			rule = NewRule()
			edit(&rule)
			rule, err = s.CreateRule(r.Context(), r.Actor, rule)
		}
	}
	if err != nil {
		offer, offerErr := s.offer(r)
		if offerErr != nil {
			return offerErr
		}
		return r.InvalidPage(err, newRulePage(r), views.RuleFormPage(newRuleView(r, f, offer, err)))
	}
	r.Flash("Rule created. Hosts that meet its condition already fire within a minute.")
	return r.SeeOther(r.Path("/alert-rules/" + rule.ID.String()))
}

func (s *Service) offer(r *web.Request) (choices, error) {
	var offer choices
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		offer, err = s.choices(r.Context(), tx)
		return err
	})
	return offer, err
}

func editRuleView(r *web.Request, rule Rule, f ruleForm, offer choices, err error) views.RuleForm {
	path := r.Path("/alert-rules/" + rule.ID.String())
	v := ruleFormView(f, offer, path+"/edit", path, err)
	v.Title, v.Lede, v.Submit = "Edit "+rule.Name, "What no longer belongs to the rule ends without a notice.", "Save rule"
	return v
}

func (s *Service) showEditRule(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	var rule Rule
	var f ruleForm
	var offer choices
	err = s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		if rule, err = loadRule.One(r.Context(), tx, db.Args{"id": id}); err != nil {
			return err
		}
		if f, err = s.formOf(r.Context(), tx, rule); err != nil {
			return err
		}
		offer, err = s.choices(r.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return r.Page(rulePage(r, rule, web.Crumb{Text: "Edit"}), views.RuleFormPage(editRuleView(r, rule, f, offer, nil)))
}

func (s *Service) saveRulePage(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	var f ruleForm
	if err = r.Form(&f); err == nil {
		var edit func(*Rule)
		if edit, err = s.edit(r.Context(), r.Actor, f); err == nil {
			_, err = s.ChangeRule(r.Context(), r.Actor, id, RuleChange{Edit: edit, Version: &f.Version})
		}
	}
	if err != nil {
		rule, readErr := s.Rule(r.Context(), r.Actor, id)
		if readErr != nil {
			return readErr
		}
		offer, offerErr := s.offer(r)
		if offerErr != nil {
			return offerErr
		}
		return r.InvalidPage(err, rulePage(r, rule, web.Crumb{Text: "Edit"}), views.RuleFormPage(editRuleView(r, rule, f, offer, err)))
	}
	r.Flash("Rule saved")
	return r.SeeOther(r.Path("/alert-rules/" + id.String()))
}

func (s *Service) switchRule(on bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "alert rule")
		if err != nil {
			return err
		}
		rule, err := s.ChangeRule(r.Context(), r.Actor, id, RuleChange{Edit: func(rule *Rule) { rule.Enabled = on }})
		if err != nil {
			return err
		}
		if on {
			r.Flash(rule.Name + " is on")
		} else {
			r.Flash(rule.Name + " is off. What fired for it ends.")
		}
		return r.SeeOther(r.Path("/alert-rules/" + id.String()))
	}
}

func (s *Service) showTest(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	d, err := s.ruleDetail(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v := testView(r, d.rule)
	if v.Will = d.recipientRows(r); len(v.Will) == 0 {
		v.Nobody = &ui.Empty{
			Icon: "bell", Title: "This rule names nobody", Text: "Name somebody first; then a test shows what they get.",
			Actions: []ui.LinkButton{{Text: "Edit the rule", Href: v.Back + "/edit", Icon: "pencil"}},
		}
	}
	return r.Page(rulePage(r, d.rule, web.Crumb{Text: "Send test"}), views.TestPage(v))
}

func testView(r *web.Request, rule Rule) views.Test {
	path := r.Path("/alert-rules/" + rule.ID.String())
	return views.Test{
		Head: ui.PageHead{Title: "Send test", Lede: "A test of “" + rule.Name + "” goes to its recipients. It touches no alert and no cooldown."},
		Back: path, Action: path + "/test",
	}
}

func (s *Service) sendTestPage(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	rule, err := s.Rule(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	trials, err := s.SendTest(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	v := testView(r, rule)
	v.Done, v.Head.Lede = true, "The test of “"+rule.Name+"” was sent. This is how each recipient fared."
	for _, t := range trials {
		v.Results = append(v.Results, trialRow(t, v.Back))
	}
	if len(trials) == 0 {
		v.Nobody = &ui.Empty{Icon: "bell", Title: "Nobody got a test", Text: "The rule names nobody who is here."}
	}
	return r.Page(rulePage(r, rule, web.Crumb{Text: "Send test"}), views.TestPage(v))
}

func trialRow(t Trial, href string) ui.Row {
	row := ui.Row{Title: t.Recipient, Href: href, Sub: t.Detail, Icon: "inbox"}
	switch t.Channel {
	case "mail":
		row.Icon = "mail"
	case "webhook":
		row.Icon = "webhook"
	}
	badge := ui.Badge{}
	switch t.State {
	case TrialQueued:
		badge = ui.Badge{Text: "Queued", Tone: ui.Info, Icon: "clock"}
	case TrialSent:
		badge = ui.Badge{Text: "Arrived", Tone: ui.OK, Icon: "check"}
	case TrialSkipped:
		badge = ui.Badge{Text: "Not sent", Tone: ui.Mute, Icon: "minus"}
	case TrialFailed:
		badge, row.Tone = ui.Badge{Text: "Failed", Tone: ui.Crit, Icon: "circle-x"}, ui.Crit
	}
	row.Badge = &badge
	return row
}

func (s *Service) showDeleteRule(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	rule, err := s.Rule(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	return r.Page(rulePage(r, rule, web.Crumb{Text: "Delete"}), views.ConfirmPage(deleteRuleView(r, rule, nil)))
}

func deleteRuleView(r *web.Request, rule Rule, err error) views.Confirm {
	path := r.Path("/alert-rules/" + rule.ID.String())
	return views.Confirm{
		Head: ui.PageHead{Title: "Delete " + rule.Name},
		Form: ui.ConfirmForm{
			Action: path + "/delete", Title: "Delete this alert rule?", Confirm: "Delete rule", Danger: true, CancelHref: path,
			Points: []string{"Nobody is told of its condition any more.", "What fires for it ends without a notice.", "Its alerts stay in the list."},
			Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(rule.Version, 10)}}, Errors: web.FormErrors(err, nil),
		},
	}
}

func (s *Service) deleteRulePage(r *web.Request) error {
	id, err := r.UUID("id", "alert rule")
	if err != nil {
		return err
	}
	var f deleteForm
	if err := r.Form(&f); err != nil {
		return err
	}
	rule, err := s.Rule(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	if err := s.DeleteRule(r.Context(), r.Actor, id, &f.Version, ""); err != nil {
		return r.InvalidPage(err, rulePage(r, rule, web.Crumb{Text: "Delete"}), views.ConfirmPage(deleteRuleView(r, rule, err)))
	}
	r.Flash(rule.Name + " was deleted")
	return r.SeeOther(r.Path("/alert-rules"))
}
