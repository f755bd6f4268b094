package identity

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
)

// Ways to sign in.
const (
	MethodOIDC = "oidc"
	MethodDev  = "dev"
)

// endReason says why a session ended. The text is stored with the session.
type endReason string

const (
	endSignedOut   endReason = "signed_out"
	endElsewhere   endReason = "signed_out_elsewhere"
	endReplaced    endReason = "replaced"
	endBackchannel endReason = "provider"
)

// words are the reason in the audit log.
func (r endReason) words() string {
	switch r {
	case endSignedOut:
		return "signed out"
	case endElsewhere:
		return "signed out from another session"
	case endReplaced:
		return "replaced by a new sign-in in the same browser"
	case endBackchannel:
		return "ended by the identity provider"
	default:
		return string(r)
	}
}

const (
	// touchEvery bounds how often a session or token writes that it was used.
	touchEvery = time.Minute
	// renewalGrace is how long the former token of a renewed session stays good, for
	// requests that were already under way.
	renewalGrace = time.Minute
)

// place is an active membership.
type place struct {
	WorkspaceID uuid.UUID   `json:"workspace_id" db:"workspace_id"`
	Slug        string      `json:"slug" db:"slug"`
	Name        string      `json:"name" db:"name"`
	Role        access.Role `json:"role" db:"role"`
}

// limits end the sessions of a workspace sooner than the installation does; 0 means that
// they do not.
type limits struct {
	IdleMinutes     int `db:"session_idle_minutes"`
	AbsoluteMinutes int `db:"session_absolute_minutes"`
}

// outlived reports whether a session is over for a workspace with these limits. longestIdle
// is the longest pause that the session has had so far: being used elsewhere meanwhile does
// not open a workspace again that had closed.
func (l limits) outlived(created, lastSeen time.Time, longestIdle time.Duration, now time.Time) bool {
	idle, absolute := time.Duration(l.IdleMinutes)*time.Minute, time.Duration(l.AbsoluteMinutes)*time.Minute
	return idle > 0 && max(longestIdle, now.Sub(lastSeen)) > idle || absolute > 0 && now.Sub(created) > absolute
}

// rolesDigest stands for a person's rights everywhere: it changes when they join or leave
// a workspace, when a role changes, and when they become platform administrator.
func rolesDigest(places []place, platformAdmin bool) []byte {
	sorted := slices.SortedFunc(slices.Values(places), func(a, b place) int {
		return bytes.Compare(a.WorkspaceID[:], b.WorkspaceID[:])
	})
	var b strings.Builder
	for _, p := range sorted {
		b.WriteString(p.WorkspaceID.String() + " " + string(p.Role) + "\n")
	}
	if platformAdmin {
		b.WriteString(string(access.PlatformAdmin))
	}
	sum := sha256.Sum256([]byte(b.String()))
	return sum[:16]
}

// landing returns where a person goes after sign-in: the page asked for, else the last
// workspace, else the first of theirs, else the page that makes one. last is the slug of
// the last workspace, which they may have left since.
func landing(returnTo string, places []place, last string, platformAdmin bool) string {
	if askedFor(returnTo) {
		return returnTo
	}
	mine := slices.ContainsFunc(places, func(p place) bool { return p.Slug == last })
	switch {
	case last != "" && (mine || platformAdmin):
		return "/ws/" + last
	case len(places) > 0:
		return "/ws/" + places[0].Slug
	default:
		return "/workspaces/new"
	}
}

// askedFor reports whether a local path is a page that somebody meant to open, and not
// the start page or a step of signing in and out.
func askedFor(path string) bool {
	page, _, _ := strings.Cut(path, "?")
	return page != "" && page != "/" && page != "/login" && page != "/logout" &&
		!strings.HasPrefix(page, "/login/") && !strings.HasPrefix(page, "/logout/")
}

// device names browser and system of a User-Agent header in a few words, as well as such
// a header tells.
func device(userAgent string) string {
	find := func(or string, pairs ...string) string {
		for i := 0; i < len(pairs); i += 2 {
			if strings.Contains(userAgent, pairs[i]) {
				return pairs[i+1]
			}
		}
		return or
	}
	// Most browsers also name those they descend from, so the order matters.
	browser := find("", "Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "HeadlessChrome/", "Chrome",
		"Chrome/", "Chrome", "CriOS/", "Chrome", "FxiOS/", "Firefox", "Safari/", "Safari", "curl/", "curl", "Go-http-client/", "Go program")
	system := find("", "iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "macOS",
		"CrOS", "ChromeOS", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return browser + " on " + system
	case browser != "" || system != "":
		return browser + system
	default:
		return "Unknown device"
	}
}
