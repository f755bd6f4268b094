package alertrules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Trigger is the condition that a rule waits for.
type Trigger string

// The triggers. The first five hold for a while; the last two happen.
const (
	ExpiringSoon  Trigger = "expiring_soon"
	Expired       Trigger = "expired"
	ScanFailed    Trigger = "scan_failed"
	ChainInvalid  Trigger = "chain_invalid"
	NameMismatch  Trigger = "name_mismatch"
	CertChanged   Trigger = "cert_changed"
	IssuerChanged Trigger = "cert_issuer_changed"
)

// Triggers lists the triggers in the order of the form.
func Triggers() []Trigger {
	return []Trigger{ExpiringSoon, Expired, ScanFailed, ChainInvalid, NameMismatch, CertChanged, IssuerChanged}
}

// Label is the trigger in words.
func (t Trigger) Label() string {
	switch t {
	case ExpiringSoon:
		return "Expiring soon"
	case Expired:
		return "Expired"
	case ScanFailed:
		return "Scan failed"
	case ChainInvalid:
		return "Chain not valid"
	case NameMismatch:
		return "Name does not match"
	case CertChanged:
		return "Certificate changed"
	case IssuerChanged:
		return "Issuer changed"
	default:
		return string(t)
	}
}

// OneTime reports whether the trigger is a change, which is over once it has happened.
func (t Trigger) OneTime() bool { return t == CertChanged || t == IssuerChanged }

// Target says which hosts a rule watches.
type Target string

// The targets.
const (
	WholeWorkspace Target = "workspace"
	SomeHosts      Target = "hosts"
	TaggedHosts    Target = "tags"
)

// ScopeCertificate is the only scope there is: rules about certificates of hosts.
const ScopeCertificate = "certificate"

// Rule says what to watch, where, and whom to tell.
type Rule struct {
	ID    uuid.UUID `db:"id"`
	Name  string    `db:"name" audit:"name"`
	Scope string    `db:"scope"`
	// Trigger is the condition; ThresholdDays belongs to ExpiringSoon and is 0 otherwise.
	Trigger       Trigger        `db:"trigger" audit:"trigger"`
	ThresholdDays int            `db:"threshold_days" audit:"threshold_days"`
	Severity      event.Severity `db:"severity" audit:"severity"`
	Enabled       bool           `db:"enabled" audit:"enabled"`
	// CooldownMinutes is how long after one notice about a host the next one waits.
	CooldownMinutes int         `db:"cooldown_minutes" audit:"cooldown_minutes"`
	Target          Target      `db:"target" audit:"target"`
	TargetHosts     []uuid.UUID `db:"target_hosts" audit:"target_host_ids"`
	TargetTags      []string    `db:"target_tags" audit:"target_tags"`
	// NotifyAdmins tells whoever is admin or owner of the workspace when it fires,
	// NotifyOwner whoever owns the host.
	NotifyAdmins bool        `db:"notify_admins" audit:"notify_admins"`
	NotifyOwner  bool        `db:"notify_owner" audit:"notify_host_owner"`
	MemberIDs    []uuid.UUID `db:"member_ids" audit:"member_ids"`
	GroupIDs     []uuid.UUID `db:"group_ids" audit:"group_ids"`
	Emails       []string    `db:"emails" audit:"emails"`
	WebhookIDs   []uuid.UUID `db:"webhook_ids" audit:"webhook_ids"`
	Version      int64       `db:"version"`
	CreatedAt    time.Time   `db:"created_at"`
	UpdatedAt    time.Time   `db:"updated_at"`
}

// DefaultCooldown is a day.
const DefaultCooldown = 1440

// NewRule returns what the form for a new rule starts with.
func NewRule() Rule {
	return Rule{
		Scope: ScopeCertificate, Trigger: ExpiringSoon, ThresholdDays: 30, Severity: event.Medium, Enabled: true,
		CooldownMinutes: DefaultCooldown, Target: WholeWorkspace, NotifyAdmins: true, NotifyOwner: true,
	}
}

// Cooldown is the least time between two notices about one host.
func (r Rule) Cooldown() time.Duration { return time.Duration(r.CooldownMinutes) * time.Minute }

// Limits of a rule and of a workspace.
const (
	maxName     = 80
	maxHosts    = 500
	maxTags     = 20
	maxTag      = 40
	maxMembers  = 100
	maxGroups   = 50
	maxEmails   = 20
	maxWebhooks = 20
	maxRules    = 200
	maxDays     = 365
	maxCooldown = 30 * 24 * 60
)

// tidy removes what does not belong to the trigger and the target, and what is said twice.
func (r *Rule) tidy() {
	r.Name = strings.Join(strings.Fields(r.Name), " ")
	r.Scope = ScopeCertificate
	if r.Trigger != ExpiringSoon {
		r.ThresholdDays = 0
	}
	if r.Target != SomeHosts {
		r.TargetHosts = nil
	}
	if r.Target != TaggedHosts {
		r.TargetTags = nil
	}
	r.TargetTags, r.Emails = lowered(r.TargetTags), lowered(r.Emails)
	r.TargetHosts, r.MemberIDs = unique(r.TargetHosts), unique(r.MemberIDs)
	r.GroupIDs, r.WebhookIDs = unique(r.GroupIDs), unique(r.WebhookIDs)
	r.TargetTags, r.Emails = unique(r.TargetTags), unique(r.Emails)
}

// lowered returns trimmed copies in lower case, as tags and addresses are kept.
func lowered(in []string) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = strings.ToLower(strings.TrimSpace(v))
	}
	return out
}

// unique drops repetitions and keeps the order; it never returns nil, since columns are
// not null.
func unique[T comparable](in []T) []T {
	out := make([]T, 0, len(in))
	for _, v := range in {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// check returns fault.Invalid that names every field which cannot be. Whether what it
// names exists is checked beside the database.
func (r *Rule) check() *form.Check {
	c := &form.Check{}
	c.Text("name", r.Name, "The name", maxName)
	triggers := make([]string, 0, len(Triggers()))
	for _, t := range Triggers() {
		triggers = append(triggers, string(t))
	}
	c.OneOf("trigger", string(r.Trigger), "The trigger", triggers...)
	if r.Trigger == ExpiringSoon {
		c.Range("threshold_days", r.ThresholdDays, 1, maxDays, "The days before expiry")
	}
	c.OneOf("severity", string(r.Severity), "The severity", "info", "low", "medium", "high", "critical")
	c.Range("cooldown_minutes", r.CooldownMinutes, 0, maxCooldown, "The cooldown in minutes")
	c.OneOf("target", string(r.Target), "The target", string(WholeWorkspace), string(SomeHosts), string(TaggedHosts))
	if r.Target == SomeHosts && len(r.TargetHosts) == 0 {
		c.Add("target_host_ids", "required", "Name at least one host, or watch the whole workspace.")
	}
	if r.Target == TaggedHosts && len(r.TargetTags) == 0 {
		c.Add("target_tags", "required", "Name at least one tag, or watch the whole workspace.")
	}
	for _, tag := range r.TargetTags {
		c.Text("target_tags", tag, "A tag", maxTag)
	}
	for _, address := range r.Emails {
		c.Email("emails", address)
	}
	for _, limit := range []struct {
		field, what string
		n, most     int
	}{
		{"target_host_ids", "hosts", len(r.TargetHosts), maxHosts},
		{"target_tags", "tags", len(r.TargetTags), maxTags},
		{"member_ids", "members", len(r.MemberIDs), maxMembers},
		{"group_ids", "groups", len(r.GroupIDs), maxGroups},
		{"emails", "addresses", len(r.Emails), maxEmails},
		{"webhook_ids", "webhooks", len(r.WebhookIDs), maxWebhooks},
	} {
		if limit.n > limit.most {
			c.Add(limit.field, "too_many", fmt.Sprintf("A rule names at most %d %s; these are %d. Use a tag or a group.", limit.most, limit.what, limit.n))
		}
	}
	return c
}

// Condition is the rule's trigger in words, with its threshold.
func (r Rule) Condition() string {
	if r.Trigger == ExpiringSoon {
		return "Expires within " + plural(r.ThresholdDays, "day")
	}
	return r.Trigger.Label()
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func (r Rule) subject() event.Subject {
	return event.Subject{Type: "alert_rule", ID: r.ID, Title: r.Name}
}

// Defaults are the rules of a new workspace. Whoever is admin or owner hears of all of
// them, and the owner of a host of those about it.
func Defaults() []Rule {
	with := func(name string, t Trigger, days int, s event.Severity, cooldown int) Rule {
		r := NewRule()
		r.Name, r.Trigger, r.ThresholdDays, r.Severity, r.CooldownMinutes = name, t, days, s, cooldown
		return r
	}
	const hour = 60
	return []Rule{
		with("Certificate expires within 30 days", ExpiringSoon, 30, event.Low, DefaultCooldown),
		with("Certificate expires within 14 days", ExpiringSoon, 14, event.Medium, DefaultCooldown),
		with("Certificate expires within 7 days", ExpiringSoon, 7, event.High, DefaultCooldown),
		with("Certificate expires within 1 day", ExpiringSoon, 1, event.Critical, DefaultCooldown),
		with("Certificate expired", Expired, 0, event.Critical, DefaultCooldown),
		with("Scan failed", ScanFailed, 0, event.High, DefaultCooldown),
		with("Chain not valid", ChainInvalid, 0, event.High, DefaultCooldown),
		with("Name does not match", NameMismatch, 0, event.High, DefaultCooldown),
		// Changes are over at once: an hour keeps two servers that take turns from filling
		// the inbox, and still tells of the second change of a day.
		with("Certificate changed", CertChanged, 0, event.Info, hour),
		with("Issuer changed", IssuerChanged, 0, event.Medium, hour),
	}
}
