package integrations

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

const (
	// MaxEndpoints is how many endpoints a workspace may have: each event is copied to
	// every endpoint that wants it.
	MaxEndpoints   = 200
	maxURL         = 2000
	maxDescription = 200
	maxPatterns    = 100
	// disableAfter is how long an endpoint may fail without one success in between
	// (foundation.md, section 7).
	disableAfter = 5 * 24 * time.Hour
)

// DisabledReason says why an endpoint receives nothing.
type DisabledReason string

// The reasons. The last two are Vigilo's own doing.
const (
	DisabledByHand  DisabledReason = "manual"
	DisabledGone    DisabledReason = "gone"    // the endpoint answered 410
	DisabledFailing DisabledReason = "failing" // no success for disableAfter
)

// Endpoint is an address that events are delivered to. Its secrets are kept elsewhere, so
// that whatever shows an endpoint cannot show them.
type Endpoint struct {
	ID uuid.UUID `db:"id"`
	// URL may hold a token of the receiver in its path or query, so the audit log, which
	// every member reads, says only that it changed.
	URL            string          `db:"url" audit:"url,secret"`
	Description    string          `db:"description" audit:"description"`
	Patterns       []string        `db:"patterns" audit:"patterns"`
	Enabled        bool            `db:"enabled" audit:"enabled"`
	DisabledReason *DisabledReason `db:"disabled_reason" audit:"disabled_reason"`
	DisabledAt     *time.Time      `db:"disabled_at"`
	// FailingSince is the first failed attempt after the last success, nil when all is well.
	FailingSince *time.Time `db:"failing_since"`
	// PreviousUntil is until when the previous secret signs, too.
	PreviousUntil *time.Time `db:"previous_until"`
	CreatedAt     time.Time  `db:"created_at"`
	UpdatedAt     time.Time  `db:"updated_at"`
	Version       int64      `db:"version"`
}

// Host returns the host and port of the address, which is safe to show anywhere.
func (e Endpoint) Host() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// Name is what people call the endpoint: its description, or else its host.
func (e Endpoint) Name() string {
	if e.Description != "" {
		return e.Description
	}
	return e.Host()
}

// Wants reports whether the endpoint receives an event. An event about an endpoint is
// never delivered to that endpoint: each delivery could cause the next.
func (e Endpoint) Wants(ev event.Event) bool {
	if !e.Enabled || (ev.Subject.Type == SubjectType && ev.Subject.ID == e.ID) {
		return false
	}
	return slices.ContainsFunc(e.Patterns, func(p string) bool { return event.Match(p, ev.Name) })
}

// Health is how an endpoint is doing.
type Health string

// The healths of an endpoint.
const (
	Working  Health = "enabled"
	Failing  Health = "failing"
	Disabled Health = "disabled"
)

// Label is the word on pages.
func (h Health) Label() string {
	switch h {
	case Failing:
		return "Failing"
	case Disabled:
		return "Disabled"
	default:
		return "Enabled"
	}
}

func health(e Endpoint) Health {
	switch {
	case !e.Enabled:
		return Disabled
	case e.FailingSince != nil:
		return Failing
	default:
		return Working
	}
}

func (e *Endpoint) enable() {
	e.Enabled, e.DisabledReason, e.DisabledAt, e.FailingSince = true, nil, nil, nil
}

func (e *Endpoint) disable(reason DisabledReason, now time.Time) {
	e.Enabled, e.DisabledReason, e.DisabledAt = false, &reason, &now
}

// NewEndpoint is what somebody enters to add an endpoint.
type NewEndpoint struct {
	URL         string
	Description string
	Patterns    []string
	Disabled    bool
}

// EndpointChange holds what changes; nil leaves a field as it is. Version or IfMatch is
// the version that the caller saw, for the optimistic lock.
type EndpointChange struct {
	URL         *string
	Description *string
	Patterns    *[]string
	Enabled     *bool
	Version     *int64
	IfMatch     string
}

// checkEndpoint reports every problem of an endpoint that somebody entered.
func checkEndpoint(e Endpoint, c *event.Catalogue) error {
	var check form.Check
	checkURL(&check, e.URL)
	check.Longest("description", e.Description, "The description", maxDescription)
	checkPatterns(&check, e.Patterns, c)
	return check.Err()
}

func checkURL(check *form.Check, text string) {
	check.Text("url", text, "An address", maxURL)
	if check.Has("url") {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" || u.Opaque != "":
		check.Add("url", "invalid_url", "Use a full address, such as https://example.com/hooks/vigilo.")
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		check.Add("url", "invalid_url", "An address has no blanks.")
	case u.User != nil:
		check.Add("url", "invalid_url", "Leave out the user name and password: the signature proves that Vigilo sent it.")
	case u.Fragment != "":
		check.Add("url", "invalid_url", "Leave out the part after #; it is never sent.")
	case !validPort(u.Port()):
		check.Add("url", "invalid_url", "The port must be between 1 and 65535.")
	}
}

func validPort(port string) bool {
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func checkPatterns(check *form.Check, patterns []string, c *event.Catalogue) {
	switch {
	case len(patterns) == 0:
		check.Add("patterns", "required", "Choose at least one event.")
		return
	case len(patterns) > maxPatterns:
		check.Add("patterns", "too_many", fmt.Sprintf("An endpoint takes at most %d patterns; use a wildcard such as change.*.", maxPatterns))
		return
	}
	for _, p := range patterns {
		if !c.ValidPattern(p) {
			check.Add("patterns", "unknown_event", fmt.Sprintf("%q matches no event that is sent. Choose from the list, or use a wildcard such as change.*.", clip(p, 80)))
			return
		}
	}
}

// clip shortens what somebody sent before it is repeated to them.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + "…"
	}
	return s
}

// tidyPatterns trims and sorts patterns and drops those that another one covers.
func tidyPatterns(patterns []string) []string {
	out := make([]string, 0, len(patterns))
	for _, p := range patterns {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	all := slices.Clone(out)
	out = slices.DeleteFunc(out, func(p string) bool {
		return slices.ContainsFunc(all, func(other string) bool {
			return other != p && strings.HasSuffix(other, "*") && event.Match(other, p)
		})
	})
	slices.Sort(out)
	return out
}

// numericHost returns the address that an endpoint names by number, with its port.
func numericHost(text string) (netip.AddrPort, bool) {
	u, err := url.Parse(text)
	if err != nil {
		return netip.AddrPort{}, false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return netip.AddrPort{}, false
	}
	port := uint64(443)
	if u.Scheme == "http" {
		port = 80
	}
	if u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return netip.AddrPort{}, false
		}
	}
	return netip.AddrPortFrom(addr, uint16(port)), true
}

var errTooManyEndpoints = fault.NewConflict("limit_reached",
	fmt.Sprintf("A workspace has at most %d webhook endpoints. Delete one that nobody needs.", MaxEndpoints))
