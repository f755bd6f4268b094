package members

import (
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/plan"
)

// Workspace is the tenancy boundary. Slug never changes.
type Workspace struct {
	ID       uuid.UUID `db:"id"`
	Slug     string    `db:"slug" audit:"slug"`
	Name     string    `db:"name" audit:"name"`
	TimeZone string    `db:"timezone" audit:"time_zone"`
	// SessionIdleMinutes and SessionAbsoluteMinutes end sessions in this workspace sooner
	// than the installation does: after a pause, and after a time in any case. 0 leaves
	// it to the installation.
	SessionIdleMinutes     int `db:"session_idle_minutes" audit:"session_idle_minutes"`
	SessionAbsoluteMinutes int `db:"session_absolute_minutes" audit:"session_absolute_minutes"`
	// Plan bounds what the workspace holds, where limits are on.
	Plan      plan.Name `db:"plan" audit:"plan"`
	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
}

// NewWorkspace is what a person says about a new workspace. An empty slug is made from
// the name, an empty time zone is UTC.
type NewWorkspace struct {
	Name     string
	Slug     string
	TimeZone string
}

const (
	maxName = 80
	minSlug = 3
	maxSlug = 30
)

var slugPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// reservedSlugs are words of our own addresses, and names that would mislead people.
func reservedSlugs() []string {
	return []string{
		"about", "account", "admin", "administrator", "api", "app", "assets", "auth", "billing", "callback", "dashboard",
		"demo-login", "dev", "docs", "download", "error", "health", "healthz", "help", "home", "ical", "internal", "invitation",
		"invitations", "invite", "legal", "live", "login", "logout", "mail", "me", "metrics", "new", "oauth", "oidc",
		"platform", "privacy", "public", "readyz", "root", "search", "security", "settings", "signin", "signup", "sso",
		"static", "status", "support", "system", "team", "terms", "token", "user", "users", "vigilo", "webhook", "webhooks",
		"workspace", "workspaces", "www",
	}
}

// normal fills what may be left empty.
func (n NewWorkspace) normal() NewWorkspace {
	n.Name, n.Slug, n.TimeZone = strings.TrimSpace(n.Name), strings.TrimSpace(n.Slug), strings.TrimSpace(n.TimeZone)
	if n.Slug == "" {
		n.Slug = ProposeSlug(n.Name)
	}
	if n.TimeZone == "" {
		n.TimeZone = "UTC"
	}
	return n
}

// check reports every problem of the fields.
func (n NewWorkspace) check() *form.Check {
	c := &form.Check{}
	c.Text("name", n.Name, "A name", maxName)
	if n.Slug != "" || n.Name != "" {
		checkSlug(c, n.Slug)
	}
	c.Zone("time_zone", n.TimeZone)
	return c
}

func checkSlug(c *form.Check, slug string) {
	switch {
	case len(slug) < minSlug || len(slug) > maxSlug:
		c.Add("slug", "invalid_slug", "The address must have 3 to 30 characters.")
	case !slugPattern.MatchString(slug):
		c.Add("slug", "invalid_slug", "Use lower-case letters, digits and single hyphens, and start with a letter, such as acme-it.")
	case slices.Contains(reservedSlugs(), slug):
		c.Add("slug", "reserved_slug", "Vigilo needs this word for its own pages. Choose another one.")
	}
}

// plain replaces Latin letters that are common in names by their nearest plain ones.
func plain() *strings.Replacer {
	return strings.NewReplacer(
		"ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "æ", "ae", "ø", "o", "å", "a", "œ", "oe", "ł", "l", "đ", "d", "ð", "d", "þ", "th",
		"à", "a", "á", "a", "â", "a", "ã", "a", "ą", "a", "ă", "a", "ç", "c", "ć", "c", "č", "c", "ď", "d", "è", "e", "é", "e", "ê", "e",
		"ë", "e", "ę", "e", "ě", "e", "ğ", "g", "ì", "i", "í", "i", "î", "i", "ï", "i", "ı", "i", "ñ", "n", "ń", "n", "ň", "n", "ò", "o",
		"ó", "o", "ô", "o", "õ", "o", "ő", "o", "ř", "r", "ś", "s", "š", "s", "ş", "s", "ș", "s", "ť", "t", "ț", "t", "ù", "u", "ú", "u",
		"û", "u", "ů", "u", "ű", "u", "ý", "y", "ÿ", "y", "ź", "z", "ż", "z", "ž", "z", "&", " and ", "'", "", "’", "",
	)
}

// ProposeSlug makes a slug from a name. It is empty when the name has no letter or digit
// that a slug may hold, and may still be reserved or taken.
func ProposeSlug(name string) string {
	var b strings.Builder
	for _, r := range plain().Replace(strings.ToLower(name)) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-") && (unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r)):
			b.WriteByte('-')
		}
	}
	slug := strings.Trim(b.String(), "-")
	if slug == "" {
		return ""
	}
	if slug[0] >= '0' && slug[0] <= '9' {
		slug = "ws-" + slug
	}
	if len(slug) > maxSlug {
		slug = slug[:maxSlug]
		// A word that was cut in half reads badly; a single long word has no better end.
		if i := strings.LastIndexByte(slug, '-'); i >= minSlug {
			slug = slug[:i]
		}
	}
	if len(slug) < minSlug {
		slug += "-ws"
	}
	return slug
}

// minSessionMinutes is the shortest time that sessions can be made to last. Below it people
// would sign in more often than the use of a session is written down.
const minSessionMinutes = 5

// changed returns the workspace with what in says, or every problem of it. idle and absolute
// are how long sessions last in the installation.
func (w Workspace) changed(in WorkspaceChange, idle, absolute time.Duration) (Workspace, error) {
	c := &form.Check{}
	if in.Name != nil {
		w.Name = strings.TrimSpace(*in.Name)
		c.Text("name", w.Name, "A name", maxName)
	}
	if in.TimeZone != nil {
		w.TimeZone = strings.TrimSpace(*in.TimeZone)
		c.Zone("time_zone", w.TimeZone)
	}
	if in.SessionIdleMinutes != nil {
		w.SessionIdleMinutes = *in.SessionIdleMinutes
		checkSessionMinutes(c, "session_idle_minutes", w.SessionIdleMinutes, idle)
	}
	if in.SessionAbsoluteMinutes != nil {
		w.SessionAbsoluteMinutes = *in.SessionAbsoluteMinutes
		checkSessionMinutes(c, "session_absolute_minutes", w.SessionAbsoluteMinutes, absolute)
	}
	if w.SessionAbsoluteMinutes > 0 && w.SessionIdleMinutes > w.SessionAbsoluteMinutes {
		c.Add("session_idle_minutes", "out_of_range", "The pause must not be longer than the session may last in any case.")
	}
	return w, c.Err()
}

func checkSessionMinutes(c *form.Check, field string, minutes int, installation time.Duration) {
	switch {
	case minutes == 0:
	case minutes < minSessionMinutes:
		c.Add(field, "out_of_range", "Choose at least "+plural(minSessionMinutes, "minute")+", or 0 to leave it to the installation.")
	case minutes > int(installation/time.Minute):
		c.Add(field, "out_of_range", "A workspace can only shorten sessions. In this installation they end after "+span(installation)+".")
	}
}

// span writes a duration in the largest unit that fits it exactly.
func span(d time.Duration) string {
	switch {
	case d >= 24*time.Hour && d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), "day")
	case d >= time.Hour && d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour")
	default:
		return plural(int(d/time.Minute), "minute")
	}
}
