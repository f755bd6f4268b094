package alertrules

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/timetext"
)

// Host is what rules are judged by: an endpoint and what its last scan showed.
type Host struct {
	ID    uuid.UUID
	Title string // host and port
	Path  string // page of the host, below the workspace
	// NotBefore and NotAfter are those of the leaf certificate, both inclusive. A NotAfter
	// that is zero or in the year 9999 means that no certificate was seen. Without NotBefore the
	// lifetime is not known, and thresholds are not adapted to it.
	NotBefore time.Time
	NotAfter  time.Time
	// Status is the primary status (reliability.md 3.2), StatusDetail explains it.
	Status       string
	StatusDetail string
	Tags         []string
	SnapshotID   uuid.NullUUID
	// WarnDays and CriticalDays are the host's own limits; nil for none.
	WarnDays, CriticalDays *int
	// OwnerMemberID is the member who looks after the host.
	OwnerMemberID uuid.NullUUID
}

// HostState is a host with what only events tell.
type HostState struct {
	Host
	// Failing is set between host.scan_failed and host.scan_recovered: one failed scan
	// alone is no reason to wake somebody.
	Failing bool
}

// Condition is what a rule finds at a host.
type Condition int

// The conditions. NoData means that the last scan brought nothing to judge by; Hidden
// that a worse problem stands in front, such as an expired certificate before its chain.
// Both leave an alert as it is, NoData only for a while.
const (
	False Condition = iota
	True
	NoData
	Hidden
)

const day = 24 * time.Hour

// unscanned reports whether a status says that the last scan brought no certificate
// (reliability.md 3.2).
func unscanned(status string) bool {
	switch status {
	case "unreachable", "handshake_failed", "no_tls", "blocked_by_policy", "unknown":
		return true
	}
	return false
}

// rank says where a status stands among those that hide each other: a certificate that
// is out of time shows neither its name nor its chain, a wrong name not its chain.
func rank(status string) int {
	switch status {
	case "revoked", "expired", "not_yet_valid":
		return 1
	case "name_mismatch":
		return 2
	case "self_signed", "untrusted", "incomplete_chain":
		return 3
	}
	return 4
}

// hasCertificate reports whether a certificate was ever seen.
func (h Host) hasCertificate() bool { return !h.NotAfter.IsZero() && h.NotAfter.Year() < 9999 }

// remaining is how long the certificate is still valid: notAfter + 1 s - now, since
// notAfter is inclusive (RFC 5280, 4.1.2.5). Zero or less means expired.
func (h Host) remaining(now time.Time) time.Duration { return h.end().Sub(now) }

// end is the first moment at which the certificate is no longer valid.
func (h Host) end() time.Time { return h.NotAfter.Add(time.Second) }

// DaysLeft returns whole days until the certificate ends, 0 on its last day.
func (h Host) DaysLeft(now time.Time) int { return int(max(h.remaining(now)-time.Second, 0) / day) }

// threshold is how long before the end a rule with that many days fires at the host. A
// rule never fires earlier than the host itself warns: within a week that is its critical
// limit, before that its warning limit. These are the host's own, or a sixth and a third
// of the lifetime (reliability.md 3.3), so that a certificate of six days is not "expiring
// within 30 days" from its first minute.
func (h Host) threshold(days int) time.Duration {
	limit, own, share := time.Duration(days)*day, h.WarnDays, int64(3)
	if days <= 7 {
		own, share = h.CriticalDays, 6
	}
	switch {
	case own != nil:
		return min(limit, time.Duration(*own)*day)
	case !h.NotBefore.IsZero() && h.NotBefore.Before(h.NotAfter):
		return min(limit, h.end().Sub(h.NotBefore)/time.Duration(share))
	}
	return limit
}

// Evaluate judges one rule at one host. It knows nothing of the past: what a condition
// that begins or ends leads to is the business of Track. Triggers that are changes are
// False always, since a state does not show them.
func Evaluate(r Rule, h HostState, now time.Time) Condition {
	switch r.Trigger {
	case ExpiringSoon, Expired:
		if !h.hasCertificate() {
			return NoData
		}
		if r.Trigger == Expired {
			return when(h.remaining(now) <= 0)
		}
		return when(h.remaining(now) <= h.threshold(r.ThresholdDays))
	case ScanFailed:
		return when(h.Failing)
	case NameMismatch, ChainInvalid:
		wanted := 2
		if r.Trigger == ChainInvalid {
			wanted = 3
		}
		switch found := rank(h.Status); {
		case unscanned(h.Status):
			return NoData
		case found < wanted:
			return Hidden
		default:
			return when(found == wanted)
		}
	case CertChanged, IssuerChanged:
		return False
	}
	return False
}

func when(b bool) Condition {
	if b {
		return True
	}
	return False
}

// nextEdge returns when time alone makes the rule's condition true, or zero when it never
// will.
func nextEdge(r Rule, h Host, now time.Time) time.Time {
	var at time.Time
	if !h.hasCertificate() {
		return at
	}
	switch r.Trigger {
	case ExpiringSoon:
		at = h.end().Add(-h.threshold(r.ThresholdDays))
	case Expired:
		at = h.end()
	case ScanFailed, ChainInvalid, NameMismatch, CertChanged, IssuerChanged:
		return at
	}
	if !at.After(now) {
		return time.Time{}
	}
	return at
}

// Watches reports whether a host is among the rule's targets.
func (r Rule) Watches(h Host) bool {
	switch r.Target {
	case WholeWorkspace:
		return true
	case SomeHosts:
		return slices.Contains(r.TargetHosts, h.ID)
	case TaggedHosts:
		return slices.ContainsFunc(r.TargetTags, func(tag string) bool { return slices.Contains(h.Tags, tag) })
	}
	return false
}

// inhibited returns the rule that watches the host, too, and says the same or more
// already (reliability.md 4.5, inhibition): expired mutes expiring, a host that cannot be
// scanned mutes everything about its certificate, and of several thresholds that are told
// to the same people the tightest speaks. A rule that is itself silenced still mutes.
func inhibited(r Rule, h HostState, others []Rule, now time.Time) (uuid.UUID, bool) {
	var by []Trigger
	switch r.Trigger {
	case ExpiringSoon:
		by = []Trigger{Expired, ScanFailed}
	case Expired, ChainInvalid, NameMismatch:
		by = []Trigger{ScanFailed}
	case ScanFailed, CertChanged, IssuerChanged:
		return uuid.Nil, false
	}
	speaks := func(o Rule) bool { return o.Watches(h.Host) && Evaluate(o, h, now) == True }
	if i := slices.IndexFunc(others, func(o Rule) bool { return slices.Contains(by, o.Trigger) && speaks(o) }); i >= 0 {
		return others[i].ID, true
	}
	if r.Trigger != ExpiringSoon {
		return uuid.Nil, false
	}
	best := r
	for _, o := range others {
		if o.Trigger == ExpiringSoon && o.tighter(best) && o.tellsLike(r) && speaks(o) {
			best = o
		}
	}
	return best.ID, best.ID != r.ID
}

// tighter reports whether a rule fires later than another, hence says more. Of two with
// the same days the older one counts as such, so that one of them speaks.
func (r Rule) tighter(than Rule) bool {
	if r.ThresholdDays != than.ThresholdDays {
		return r.ThresholdDays < than.ThresholdDays
	}
	return bytes.Compare(r.ID[:], than.ID[:]) < 0
}

// tellsLike reports whether two rules watch the same hosts and tell the same recipients.
func (r Rule) tellsLike(o Rule) bool {
	return r.Target == o.Target && r.NotifyAdmins == o.NotifyAdmins && r.NotifyOwner == o.NotifyOwner &&
		sameSet(r.TargetHosts, o.TargetHosts) && sameSet(r.TargetTags, o.TargetTags) && sameSet(r.MemberIDs, o.MemberIDs) &&
		sameSet(r.GroupIDs, o.GroupIDs) && sameSet(r.Emails, o.Emails) && sameSet(r.WebhookIDs, o.WebhookIDs)
}

// sameSet compares lists that hold nothing twice.
func sameSet[T comparable](a, b []T) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(v T) bool { return !slices.Contains(b, v) })
}

// message is what an alert says about its host. It stays true while the alert is kept.
func message(t Trigger, h Host) string {
	end := timetext.Prose(h.NotAfter, time.UTC)
	detail := func(text string) string {
		if h.StatusDetail != "" {
			return text + ": " + h.StatusDetail
		}
		return text + "."
	}
	switch t {
	case ExpiringSoon:
		return "The certificate is valid until " + end + "."
	case Expired:
		return "The certificate was valid until " + end + "."
	case ScanFailed:
		return detail("The host cannot be scanned")
	case ChainInvalid:
		return detail("The certificate chain is not valid")
	case NameMismatch:
		return detail("The certificate does not name this host")
	case CertChanged:
		return "The host serves another certificate, valid until " + end + "."
	case IssuerChanged:
		return "The host serves a certificate of another issuer, valid until " + end + "."
	default:
		return h.StatusDetail
	}
}

// headline is the title of a notice about one host, at the moment it is sent.
func headline(t Trigger, h Host, now time.Time) string {
	switch t {
	case ExpiringSoon:
		switch n := h.DaysLeft(now); {
		case h.remaining(now) <= 0:
			return h.Title + " has expired"
		case n == 0:
			return h.Title + " expires today"
		default:
			return fmt.Sprintf("%s expires in %s", h.Title, plural(n, "day"))
		}
	case Expired:
		return h.Title + " has expired"
	case ScanFailed:
		return h.Title + " cannot be scanned"
	case ChainInvalid:
		return h.Title + " has a chain that is not valid"
	case NameMismatch:
		return h.Title + " serves a certificate for another name"
	case CertChanged:
		return h.Title + " serves another certificate"
	case IssuerChanged:
		return h.Title + " has a certificate of another issuer"
	default:
		return h.Title
	}
}
