package alertrules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

// telling is an outcome that people shall hear of, with its event.
type telling struct {
	outcome
	event uuid.UUID
}

// resolved reports whether the news is good.
func (t telling) resolved() bool { return t.Resolve.Valid || t.Late.Valid }

// group is the news of one rule in one evaluation: one notice, however many hosts.
type group struct {
	rule     Rule
	resolved bool
	items    []telling
}

func groups(told []telling) []group {
	var out []group
	for _, t := range told {
		i := slices.IndexFunc(out, func(g group) bool { return g.rule.ID == t.rule.ID && g.resolved == t.resolved() })
		if i < 0 {
			out, i = append(out, group{rule: t.rule, resolved: t.resolved()}), len(out)
		}
		out[i].items = append(out[i].items, t)
	}
	return out
}

// tell hands the news to inboxes, mail and webhooks, in the caller's transaction.
func (s *Service) tell(ctx context.Context, tx *db.Tx, told []telling) error {
	for _, g := range groups(told) {
		if err := s.deliver(ctx, tx, g); err != nil {
			return err
		}
		// What ended because of the rule or the host itself is no news to people: somebody
		// just did that.
		g.items = slices.DeleteFunc(g.items, func(t telling) bool { return t.resolved() && t.Reason != reasonCleared })
		if len(g.items) == 0 {
			continue
		}
		if err := s.inform(ctx, tx, g); err != nil {
			return err
		}
	}
	return nil
}

// deliver sends each event to the webhooks that the rule names.
func (s *Service) deliver(ctx context.Context, tx *db.Tx, g group) error {
	if len(g.rule.WebhookIDs) == 0 {
		return nil
	}
	for _, t := range g.items {
		ev, err := event.Load(ctx, tx, t.event)
		if err != nil {
			return err
		}
		if err := s.webhooks.Deliver(ctx, tx, g.rule.WebhookIDs, ev); err != nil {
			return fmt.Errorf("deliver %s to webhooks of rule %s: %w", ev.Name, g.rule.ID, err)
		}
	}
	return nil
}

// inform tells the members and addresses that the rule names, and each owner about their
// own hosts.
func (s *Service) inform(ctx context.Context, tx *db.Tx, g group) error {
	var owners []uuid.UUID
	if g.rule.NotifyOwner {
		for _, t := range g.items {
			if t.host.OwnerMemberID.Valid && !slices.Contains(owners, t.host.OwnerMemberID.UUID) {
				owners = append(owners, t.host.OwnerMemberID.UUID)
			}
		}
	}
	people, err := s.people(ctx, tx, g.rule, owners)
	if err != nil {
		return err
	}
	var named []uuid.UUID
	for _, p := range people {
		if p.Named {
			named = append(named, p.UserID)
			continue
		}
		own := g
		own.items = slices.DeleteFunc(slices.Clone(g.items), func(t telling) bool { return t.host.OwnerMemberID.UUID != p.MemberID })
		n := own.notice(tx.Now)
		n.Recipients = []uuid.UUID{p.UserID}
		if err := s.notifier.Notify(ctx, tx, n); err != nil {
			return fmt.Errorf("notify owner of hosts: %w", err)
		}
	}
	n := g.notice(tx.Now)
	if n.Recipients = named; len(named) > 0 {
		if err := s.notifier.Notify(ctx, tx, n); err != nil {
			return fmt.Errorf("notify recipients of rule %s: %w", g.rule.ID, err)
		}
	}
	if len(g.rule.Emails) > 0 {
		// Without a mail server nothing is queued; the page of the rule says so.
		if _, err := s.notifier.QueueMailTo(ctx, tx, g.mail(n)); err != nil {
			return fmt.Errorf("queue mail of rule %s: %w", g.rule.ID, err)
		}
	}
	return nil
}

// people returns the active members whom a rule names, and the owners given.
func (s *Service) people(ctx context.Context, tx *db.Tx, r Rule, owners []uuid.UUID) ([]person, error) {
	if !r.NotifyAdmins && len(r.MemberIDs)+len(r.GroupIDs)+len(owners) == 0 {
		return nil, nil
	}
	if owners == nil {
		owners = []uuid.UUID{}
	}
	return recipients.All(ctx, tx, db.Args{"members": r.MemberIDs, "groups": r.GroupIDs, "admins": r.NotifyAdmins, "owners": owners})
}

func (g group) mail(n Notice) Mail {
	return Mail{
		To: g.rule.Emails, DedupeKey: n.DedupeKey, Severity: n.Severity, Title: n.Title, Body: n.Body, Path: n.Path,
		Because: because(g.rule),
	}
}

func because(r Rule) string {
	return "The alert rule “" + r.Name + "” names this address. An admin of the workspace can take it out."
}

// listed is how many hosts a notice about several names.
const listed = 10

// notice words the news of a group. Its recipients are filled in by the caller.
func (g group) notice(now time.Time) Notice {
	first := g.items[0]
	n := Notice{
		EventName: eventFired, Severity: g.rule.Severity, Icon: "siren", Mail: g.rule.Severity != event.Info,
		Path: "/alerts/" + first.alert.ID.String(), SubjectType: "host", SubjectID: first.host.ID, SubjectTitle: first.host.Title,
		DedupeKey: first.event.String(),
	}
	if g.resolved {
		n.EventName, n.Icon = eventResolved, "circle-check"
	}
	if len(g.items) > 1 {
		n.Path = "/alerts?rule=" + g.rule.ID.String()
		n.SubjectType, n.SubjectID, n.SubjectTitle = "alert_rule", g.rule.ID, g.rule.Name
	}
	switch {
	case g.resolved && len(g.items) == 1:
		// One key for all rules that end at a host together: a renewal is one piece of news.
		n.DedupeKey = fmt.Sprintf("resolved:%s:%d", first.host.ID, now.UnixMicro())
		n.Title = "Resolved: " + first.host.Title
		n.Body = "No longer true: " + lower(g.rule.Condition()) + "." + validUntil(first.host)
	case g.resolved:
		n.Title = fmt.Sprintf("Resolved at %d hosts: %s", len(g.items), lower(g.rule.Condition()))
		n.Body = lines(g.items, func(t telling) string { return t.host.Title })
	case len(g.items) == 1:
		n.Title = headline(g.rule.Trigger, first.host, now)
		n.Body = first.alert.Message + again(first.Suppressed)
	default:
		n.Title = fmt.Sprintf("%d hosts: %s", len(g.items), lower(g.rule.Condition()))
		n.Body = lines(g.items, func(t telling) string { return headline(g.rule.Trigger, t.host, now) + again(t.Suppressed) })
	}
	n.Body += "\nRule: " + g.rule.Name + "."
	return n
}

func again(suppressed int) string {
	if suppressed == 0 {
		return ""
	}
	return fmt.Sprintf(" It fired %s since the last notice.", plural(suppressed, "more time"))
}

func validUntil(h Host) string {
	if !h.hasCertificate() {
		return ""
	}
	return " The certificate is valid until " + timetext.Prose(h.NotAfter, time.UTC) + "."
}

func lines(items []telling, text func(telling) string) string {
	var b strings.Builder
	for i, t := range items {
		if i == listed {
			fmt.Fprintf(&b, "and %d more\n", len(items)-listed)
			break
		}
		b.WriteString(text(t) + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func lower(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
