package integrations

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/integrations/deliver"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

func countLabel(n int64, unit, units string) string {
	switch {
	case n > 10_000:
		return "more than 10,000 " + units
	case n == 1:
		return "1 " + unit
	default:
		return fmt.Sprintf("%d %s", n, units)
	}
}

func healthBadge(h Health) ui.Badge {
	switch h {
	case Failing:
		return ui.Badge{Text: h.Label(), Tone: ui.Warn, Icon: "triangle-alert"}
	case Disabled:
		return ui.Badge{Text: h.Label(), Tone: ui.Mute, Icon: "circle-pause"}
	default:
		return ui.Badge{Text: h.Label(), Tone: ui.Fine, Icon: "check"}
	}
}

// stateBadge tells a delivery that waits for its first attempt from one that failed before.
func stateBadge(s State, attempts int) ui.Badge {
	switch {
	case s == Delivered:
		return ui.Badge{Text: "Delivered", Tone: ui.Fine, Icon: "check"}
	case s == Failed:
		return ui.Badge{Text: "Failed", Tone: ui.Crit, Icon: "circle-x"}
	case attempts > 0:
		return ui.Badge{Text: "Retrying", Tone: ui.Warn, Icon: "rotate-ccw"}
	default:
		return ui.Badge{Text: "Waiting", Tone: ui.Info, Icon: "clock"}
	}
}

func severityBadge(s event.Severity) ui.Badge {
	b := ui.Badge{Text: strings.ToUpper(string(s[:1])) + string(s[1:])}
	switch s {
	case event.Critical, event.High:
		b.Tone = ui.Crit
	case event.Medium:
		b.Tone = ui.Warn
	case event.Low:
		b.Tone = ui.Info
	default:
		b.Tone = ui.Mute
	}
	return b
}

// answer says in words what came back.
func answer(status *int, class string) string {
	switch deliver.ErrorClass(class) {
	case deliver.ErrorRedirect:
		return fmt.Sprintf("%s: a redirect, which is not followed", statusText(status))
	case deliver.ErrorRequest:
		return "The address cannot be used."
	case deliver.ErrorCancelled:
		return "The attempt was interrupted."
	case ErrorEndpointDisabled:
		return "The webhook was disabled before it was sent."
	}
	if status != nil {
		return statusText(status)
	}
	if sentence := outbound.Class(class).Sentence(); sentence != "" {
		return sentence
	}
	return "No attempt yet"
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "under 1 ms"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}

func tabs(r *web.Request, current string) ui.Tabs {
	items := []ui.Tab{
		{Text: "Webhooks", Href: r.Path("/integrations")},
		{Text: "Event types", Href: r.Path("/integrations/events")},
		{Text: "Network", Href: r.Path("/integrations/networks")},
	}
	for i := range items {
		items[i].Current = items[i].Text == current
	}
	return ui.Tabs{Label: "Integrations", Items: items}
}

// crumbs lead to a page below the list.
func crumbs(r *web.Request, steps ...web.Crumb) []web.Crumb {
	return append([]web.Crumb{{Text: "Admin"}, {Text: "Integrations", Href: r.Path("/integrations")}}, steps...)
}

func endpointPath(r *web.Request, e Endpoint) string {
	return r.Path(pathWebhooks + "/" + e.ID.String())
}

// endpointCrumbs lead to a page of an endpoint.
func endpointCrumbs(r *web.Request, e Endpoint, step string) []web.Crumb {
	if step == "" {
		return crumbs(r, web.Crumb{Text: e.Name()})
	}
	return crumbs(r, web.Crumb{Text: e.Name(), Href: endpointPath(r, e)}, web.Crumb{Text: step})
}
