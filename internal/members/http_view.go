package members

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// person tells people apart by four hues that follow from the id.
func person(id uuid.UUID, name string) ui.Person {
	return ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id[15]%4) + 1}
}

func stateBadge(s State) ui.Badge {
	if s == Suspended {
		return ui.Badge{Text: s.Label(), Tone: ui.Warn, Icon: "circle-pause"}
	}
	return ui.Badge{Text: s.Label(), Tone: ui.Fine}
}

func invitationBadge(s InvitationState) ui.Badge {
	switch s {
	case Pending:
		return ui.Badge{Text: s.Label(), Tone: ui.Info, Icon: "clock"}
	case Expired:
		return ui.Badge{Text: s.Label(), Tone: ui.Warn, Icon: "hourglass"}
	case Accepted:
		return ui.Badge{Text: s.Label(), Tone: ui.Fine, Icon: "check"}
	default:
		return ui.Badge{Text: s.Label(), Tone: ui.Mute, Icon: "ban"}
	}
}

// roleHints say what each role may do, as the table of foundation.md, section 3.
func roleHint(role access.Role) string {
	switch role {
	case access.Viewer:
		return "Reads everything operational, changes nothing."
	case access.Member:
		return "Adds and changes hosts, certificates and rules."
	case access.Approver:
		return "May also decide approvals."
	case access.Admin:
		return "Also looks after members, settings and integrations."
	case access.Owner:
		return "May do everything, and makes other owners."
	default:
		return ""
	}
}

// roleOptions lists the roles that the actor may hand out.
func roleOptions(r *web.Request, chosen access.Role) []ui.Option {
	var out []ui.Option
	for _, role := range access.Roles() {
		if role == access.Owner && !r.Can(OwnWorkspace) && chosen != access.Owner {
			continue
		}
		out = append(out, ui.Option{Value: string(role), Text: role.Label(), Hint: roleHint(role), Selected: role == chosen})
	}
	return out
}

// errorList turns an error into the summary above a form. labels name fields by input.
func errorList(err error, labels map[string]string) []ui.FormError {
	e := fault.Find(err)
	if e == nil {
		return nil
	}
	if len(e.Details) == 0 || e.Kind != fault.Invalid {
		return []ui.FormError{{Text: e.Message}}
	}
	out := make([]ui.FormError, 0, len(e.Details))
	for _, d := range e.Details {
		fe := ui.FormError{Text: d.Message}
		if label, ok := labels[d.Field]; ok {
			fe.Field, fe.Label = d.Field, label
		} else if d.Field != "" {
			fe.Text = strings.ToUpper(d.Field[:1]) + d.Field[1:] + ": " + d.Message
		}
		out = append(out, fe)
	}
	return out
}

// tabs lead between the pages about people.
func tabs(r *web.Request, current string) ui.Tabs {
	items := []ui.Tab{{Text: "Members", Href: r.Path("/members")}}
	if r.Can(ManageMembers) {
		items = append(items, ui.Tab{Text: "Invitations", Href: r.Path("/members/invitations")})
	}
	items = append(items, ui.Tab{Text: "Groups", Href: r.Path("/members/groups")})
	if r.Can(ManageMembers) {
		items = append(items, ui.Tab{Text: "Identity provider groups", Href: r.Path("/members/mappings")})
	}
	for i := range items {
		items[i].Current = items[i].Text == current
	}
	return ui.Tabs{Label: "Members", Items: items}
}

// crumbs lead to a page below the list of members.
func crumbs(r *web.Request, steps ...web.Crumb) []web.Crumb {
	return append([]web.Crumb{{Text: "Admin"}, {Text: "Members", Href: r.Path("/members")}}, steps...)
}

// countLabel says how many rows there are; counting stops at 10,000.
func countLabel(n int64, unit string) string {
	if n > 10_000 {
		return "more than 10,000 " + unit + "s"
	}
	return plural(int(n), unit)
}

// commonZones are suggestions; any IANA name is accepted.
func commonZones() []string {
	return []string{
		"UTC", "Europe/London", "Europe/Lisbon", "Europe/Paris", "Europe/Madrid", "Europe/Berlin", "Europe/Rome", "Europe/Zurich",
		"Europe/Vienna", "Europe/Amsterdam", "Europe/Brussels", "Europe/Copenhagen", "Europe/Oslo", "Europe/Stockholm", "Europe/Helsinki",
		"Europe/Warsaw", "Europe/Prague", "Europe/Budapest", "Europe/Athens", "Europe/Bucharest", "Europe/Istanbul", "Europe/Kyiv",
		"America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Toronto", "America/Vancouver",
		"America/Mexico_City", "America/Bogota", "America/Sao_Paulo", "America/Buenos_Aires", "Africa/Cairo", "Africa/Lagos",
		"Africa/Nairobi", "Africa/Johannesburg", "Asia/Dubai", "Asia/Riyadh", "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok",
		"Asia/Singapore", "Asia/Hong_Kong", "Asia/Shanghai", "Asia/Tokyo", "Asia/Seoul", "Australia/Perth", "Australia/Sydney",
		"Pacific/Auckland",
	}
}
