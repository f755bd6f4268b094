package alertrules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/templates/ui"
)

// severityLabel is a severity in words.
func severityLabel(s event.Severity) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(string(s[:1])) + string(s[1:])
}

func severityBadge(s event.Severity) ui.Badge {
	b := ui.Badge{Text: severityLabel(s), Tone: ui.Mute}
	switch s {
	case event.Critical:
		b.Tone, b.Icon = ui.Crit, "circle-x"
	case event.High:
		b.Tone, b.Icon = ui.Crit, "circle-alert"
	case event.Medium:
		b.Tone, b.Icon = ui.Warn, "triangle-alert"
	case event.Low:
		b.Tone, b.Icon = ui.Info, "info"
	case event.Info:
	}
	return b
}

func stateBadge(a Alert) ui.Badge {
	switch {
	case a.State == Resolved && a.ResolvedReason == reasonOneTime:
		return ui.Badge{Text: "Happened", Tone: ui.Mute, Icon: "history"}
	case a.State == Resolved:
		return ui.Badge{Text: "Resolved", Tone: ui.Fine, Icon: "check"}
	case a.silenced():
		return ui.Badge{Text: "Silenced", Tone: ui.Mute, Icon: "circle-pause"}
	case a.MutedBy == MutedByRule:
		return ui.Badge{Text: "Inhibited", Tone: ui.Mute, Icon: "layers"}
	case a.AcknowledgedAt != nil:
		return ui.Badge{Text: "Acknowledged", Tone: ui.Note, Icon: "user-check"}
	default:
		return ui.Badge{Text: "Firing", Tone: ui.Crit, Icon: "siren"}
	}
}

func ruleBadge(r Rule) ui.Badge {
	if r.Enabled {
		return ui.Badge{Text: "On", Tone: ui.OK, Icon: "circle-check"}
	}
	return ui.Badge{Text: "Off", Tone: ui.Mute, Icon: "circle-pause"}
}

// acknowledger names who looks after an alert.
func acknowledger(a Alert) string {
	switch {
	case a.AcknowledgedAt == nil:
		return ""
	case a.Acknowledger == "":
		return "by a token or a former member"
	default:
		return "by " + a.Acknowledger
	}
}

// targetText says what a rule watches.
func targetText(r Rule) string {
	switch r.Target {
	case SomeHosts:
		return plural(len(r.TargetHosts), "host")
	case TaggedHosts:
		return "Tagged " + strings.Join(r.TargetTags, ", ")
	case WholeWorkspace:
	}
	return "All hosts"
}

// recipientsText says whom a rule tells.
func recipientsText(r Rule) string {
	var parts []string
	if r.NotifyAdmins {
		parts = append(parts, "admins and owners")
	}
	if r.NotifyOwner {
		parts = append(parts, "owner of the host")
	}
	for _, p := range []struct {
		n          int
		unit, many string
	}{
		{len(r.MemberIDs), "member", "members"},
		{len(r.GroupIDs), "group", "groups"},
		{len(r.Emails), "address", "addresses"},
		{len(r.WebhookIDs), "webhook", "webhooks"},
	} {
		switch p.n {
		case 0:
		case 1:
			parts = append(parts, "1 "+p.unit)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.many))
		}
	}
	if len(parts) == 0 {
		return "Nobody; webhooks that subscribe to alerts"
	}
	text := strings.Join(parts, ", ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// countLabel says how many rows there are; counting stops at 10,000.
func countLabel(n int64, unit string) string {
	if n > 10_000 {
		return "more than 10,000 " + unit + "s"
	}
	return plural(int(n), unit)
}

func severityOptions(chosen event.Severity) []ui.Option {
	all := event.Severities()
	slices.Reverse(all)
	out := make([]ui.Option, len(all))
	for i, s := range all {
		out[i] = ui.Option{Value: string(s), Text: severityLabel(s), Selected: s == chosen}
	}
	return out
}
