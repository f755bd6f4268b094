package assets

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Lifecycle is where an asset stands in its life.
type Lifecycle string

// The lifecycle of an asset. A retired one leaves pickers and walks, and keeps its history.
const (
	Planned Lifecycle = "planned"
	Active  Lifecycle = "active"
	Retired Lifecycle = "retired"
)

// Lifecycles lists them in the order of a life.
func Lifecycles() []Lifecycle { return []Lifecycle{Planned, Active, Retired} }

// Types lists what an asset can be (inventory.md, ci_type).
func Types() []string {
	return []string{"server", "vm", "container", "service", "domain", "database", "application", "network", "other"}
}

// Environments lists the environments, the one that matters most first.
func Environments() []string { return []string{"prod", "staging", "dev", "qa", "other"} }

// Criticalities lists how much an asset matters, least first.
func Criticalities() []string { return []string{"low", "medium", "high", "critical"} }

// Providers lists where assets come from.
func Providers() []string { return []string{"manual", "aws", "gcp", "azure", "k8s", "consul"} }

// Asset is one thing that a workspace runs or owns.
type Asset struct {
	ID   uuid.UUID `db:"id"`
	Name string    `db:"name" audit:"name"`
	// Hostname is a name or an address in lower case, empty for what has none.
	Hostname    string    `db:"hostname" audit:"hostname"`
	Type        string    `db:"ci_type" audit:"ci_type"`
	Environment string    `db:"environment" audit:"environment"`
	Criticality string    `db:"criticality" audit:"criticality"`
	Lifecycle   Lifecycle `db:"lifecycle" audit:"lifecycle"`
	// OwnerID is a user.
	OwnerID     uuid.NullUUID `db:"owner_user_id" audit:"owner"`
	Team        string        `db:"team" audit:"team"`
	Provider    string        `db:"provider" audit:"provider"`
	ExternalID  string        `db:"external_id" audit:"external_id"`
	Description string        `db:"description" audit:"description"`
	// Custom holds fields that people added, by name.
	Custom map[string]string `db:"custom" audit:"custom"`
	// LeadMinutes and TrailMinutes are what a change on this asset needs free before and
	// after its window.
	LeadMinutes      int32      `db:"lead_minutes" audit:"lead_minutes"`
	TrailMinutes     int32      `db:"trail_minutes" audit:"trail_minutes"`
	OneChangeAtATime bool       `db:"one_change_at_a_time" audit:"one_change_at_a_time"`
	Tags             []string   `db:"tags" audit:"tags"`
	RetiredAt        *time.Time `db:"retired_at"`
	Version          int64      `db:"version"`
	CreatedAt        time.Time  `db:"created_at"`
	UpdatedAt        time.Time  `db:"updated_at"`
}

// Path is the page of the asset below its workspace.
func (a Asset) Path() string { return assetPath(a.ID) }

func assetPath(id uuid.UUID) string { return "/assets/" + id.String() }

// Retire ends the life of the asset. Retiring it again is fault.Conflict.
func (a *Asset) Retire(now time.Time) error {
	if a.Lifecycle == Retired {
		return fault.NewConflict("asset_retired", a.Name+" is retired already.")
	}
	a.Lifecycle, a.RetiredAt = Retired, &now
	return nil
}

// Reinstate takes a retired asset back into use.
func (a *Asset) Reinstate() error {
	if a.Lifecycle != Retired {
		return fault.NewConflict("asset_in_use", a.Name+" is in use already.")
	}
	a.Lifecycle, a.RetiredAt = Active, nil
	return nil
}

// NewAsset is an asset as somebody describes it. Empty fields take the defaults: type
// other, environment prod, criticality medium, lifecycle active, provider manual.
type NewAsset struct {
	Name, Hostname, Type, Environment, Criticality, Lifecycle string
	// Owner is a user, a membership or an e-mail address; OwnerID is one that is known already.
	Owner                      string
	OwnerID                    uuid.NullUUID
	Team, Provider, ExternalID string
	Description                string
	Custom                     map[string]string
	LeadMinutes, TrailMinutes  int
	OneChangeAtATime           bool
	Tags                       []string
}

// The limits of an asset.
const (
	maxName       = 120
	maxTeam       = 60
	maxExternalID = 200
	maxText       = 5000
	maxCustom     = 30
	maxCustomName = 60
	maxCustomText = 500
	// MaxBuffer is a week: a longer buffer would block an asset for good.
	MaxBuffer    = 10080
	maxTagLength = 40
	maxTags      = 30
	maxHostname  = 253
)

// asset checks every field and returns the asset. All problems are reported, by field.
func (n NewAsset) asset(id uuid.UUID, now time.Time) (Asset, error) {
	var c form.Check
	a := Asset{
		ID: id, Name: oneLine(n.Name), Hostname: hostname(&c, n.Hostname),
		Type:        choice(&c, "ci_type", n.Type, "other", Types()),
		Environment: choice(&c, "environment", n.Environment, "prod", Environments()),
		Criticality: choice(&c, "criticality", n.Criticality, "medium", Criticalities()),
		Lifecycle:   Lifecycle(choice(&c, "lifecycle", n.Lifecycle, string(Active), texts(Lifecycles()))),
		OwnerID:     n.OwnerID, Team: oneLine(n.Team), Provider: choice(&c, "provider", n.Provider, "manual", Providers()),
		ExternalID: oneLine(n.ExternalID), Description: strings.TrimSpace(strings.ReplaceAll(n.Description, "\r\n", "\n")),
		Custom: customFields(&c, n.Custom), LeadMinutes: minutes(&c, "lead_minutes", n.LeadMinutes),
		TrailMinutes: minutes(&c, "trail_minutes", n.TrailMinutes), OneChangeAtATime: n.OneChangeAtATime,
		Tags: cleanTags(&c, n.Tags), Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if a.Lifecycle == Retired {
		a.RetiredAt = &now
	}
	if a.Name == "" {
		c.Add("name", "required", "Name is needed.")
	}
	longest(&c, "name", a.Name, maxName)
	longest(&c, "team", a.Team, maxTeam)
	longest(&c, "external_id", a.ExternalID, maxExternalID)
	longest(&c, "description", a.Description, maxText)
	return a, c.Err()
}

// longest refuses a text that is too long, or that PostgreSQL could not keep.
func longest(c *form.Check, field, value string, limit int) {
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		c.Add(field, "invalid_text", "This contains characters that cannot be stored.")
	case utf8.RuneCountInString(value) > limit:
		c.Add(field, "too_long", fmt.Sprintf("At most %d characters fit here.", limit))
	}
}

func choice(c *form.Check, field, value, def string, allowed []string) string {
	value = strings.ToLower(strings.TrimSpace(value))
	if value == "" {
		return def
	}
	if !slices.Contains(allowed, value) {
		c.Add(field, "not_allowed", "Choose one of: "+strings.Join(allowed, ", ")+".")
	}
	return value
}

func minutes(c *form.Check, field string, n int) int32 {
	if n < 0 || n > MaxBuffer {
		c.Add(field, "out_of_range", fmt.Sprintf("Between 0 and %d minutes, which is a week.", MaxBuffer))
		return 0
	}
	return int32(n)
}

// hostname accepts a name or an address without port, blanks and slashes.
func hostname(c *form.Check, text string) string {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return ""
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return text
	}
	bad := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' && r != '_'
	}
	if len(text) > maxHostname || !utf8.ValidString(text) || strings.ContainsFunc(text, bad) || strings.Contains(text, "..") {
		c.Add("hostname", "invalid_hostname", "Write a host name or an address, such as db-01.example.com.")
	}
	return text
}

func customFields(c *form.Check, in map[string]string) map[string]string {
	out := make(map[string]string, len(in))
	for _, name := range slices.Sorted(maps.Keys(in)) {
		clean, value := oneLine(name), strings.TrimSpace(in[name])
		switch {
		case clean == "":
			c.Add("custom", "required", "Each custom field needs a name.")
		case utf8.RuneCountInString(clean) > maxCustomName:
			c.Add("custom", "too_long", fmt.Sprintf("The name of a custom field has at most %d characters.", maxCustomName))
		case utf8.RuneCountInString(value) > maxCustomText:
			c.Add("custom", "too_long", fmt.Sprintf("A custom field holds at most %d characters.", maxCustomText))
		case !utf8.ValidString(clean+value) || strings.ContainsRune(clean+value, 0):
			c.Add("custom", "invalid_text", "A custom field contains characters that cannot be stored.")
		case value != "":
			out[clean] = value
		}
	}
	if len(out) > maxCustom {
		c.Add("custom", "too_many", fmt.Sprintf("An asset has at most %d custom fields.", maxCustom))
	}
	return out
}

func cleanTags(c *form.Check, tags []string) []string {
	out := make([]string, 0, len(tags))
	for _, t := range tags {
		if t = strings.ToLower(oneLine(t)); t == "" {
			continue
		}
		if utf8.RuneCountInString(t) > maxTagLength {
			c.Add("tags", "too_long", fmt.Sprintf("A tag has at most %d characters.", maxTagLength))
			return out
		}
		if strings.ContainsFunc(t, func(r rune) bool { return r == ',' || !unicode.IsPrint(r) }) || !utf8.ValidString(t) {
			c.Add("tags", "invalid_text", "A tag holds no commas and no control characters.")
			return out
		}
		out = append(out, t)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if len(out) > maxTags {
		c.Add("tags", "too_many", fmt.Sprintf("An asset has at most %d tags.", maxTags))
	}
	return out
}

// SplitTags cuts a list of tags as people type it, separated by commas.
func SplitTags(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || r == '\n' })
}

// oneLine folds all blanks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// nameKey is what makes two names of one type the same.
func nameKey(name string) string { return strings.ToLower(name) }

func texts[T ~string](in []T) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = string(v)
	}
	return out
}

// AssetEdit changes an asset. Nil fields stay as they are.
type AssetEdit struct {
	Name, Hostname, Type, Environment, Criticality, Lifecycle *string
	// Owner is a user, a membership or an e-mail address; an empty text takes the owner away.
	Owner                      *string
	Team, Provider, ExternalID *string
	Description                *string
	Custom                     *map[string]string
	LeadMinutes, TrailMinutes  *int
	OneChangeAtATime           *bool
	Tags                       *[]string
	// AddTags and RemoveTags change the tags that an asset has, for edits of many.
	AddTags, RemoveTags []string
	// IfMatch and Version are what the editor saw; both may be absent.
	IfMatch string
	Version *int64
}

// apply returns a as the edit makes it, without its owner. Every problem is reported.
func (e AssetEdit) apply(a Asset, now time.Time) (Asset, error) {
	n := NewAsset{
		Name: a.Name, Hostname: a.Hostname, Type: a.Type, Environment: a.Environment, Criticality: a.Criticality,
		Lifecycle: string(a.Lifecycle), OwnerID: a.OwnerID, Team: a.Team, Provider: a.Provider, ExternalID: a.ExternalID,
		Description: a.Description, Custom: a.Custom, LeadMinutes: int(a.LeadMinutes), TrailMinutes: int(a.TrailMinutes),
		OneChangeAtATime: a.OneChangeAtATime, Tags: a.Tags,
	}
	put(&n.Name, e.Name)
	put(&n.Hostname, e.Hostname)
	put(&n.Type, e.Type)
	put(&n.Environment, e.Environment)
	put(&n.Criticality, e.Criticality)
	put(&n.Lifecycle, e.Lifecycle)
	put(&n.Team, e.Team)
	put(&n.Provider, e.Provider)
	put(&n.ExternalID, e.ExternalID)
	put(&n.Description, e.Description)
	put(&n.Custom, e.Custom)
	put(&n.LeadMinutes, e.LeadMinutes)
	put(&n.TrailMinutes, e.TrailMinutes)
	put(&n.OneChangeAtATime, e.OneChangeAtATime)
	put(&n.Tags, e.Tags)
	n.Tags = slices.Concat(n.Tags, e.AddTags)
	if len(e.RemoveTags) > 0 {
		var c form.Check
		gone := cleanTags(&c, e.RemoveTags)
		n.Tags = slices.DeleteFunc(slices.Clone(n.Tags), func(t string) bool { return slices.Contains(gone, t) })
	}
	out, err := n.asset(a.ID, now)
	if err != nil {
		return a, err
	}
	if a.Lifecycle == Retired && out.Lifecycle == Retired {
		return a, fault.NewConflict("asset_retired", a.Name+" is retired. Reinstate it before you change it.")
	}
	if a.Lifecycle == Retired {
		out.RetiredAt = nil
	}
	out.Version, out.CreatedAt, out.UpdatedAt = a.Version, a.CreatedAt, a.UpdatedAt
	return out, nil
}

func put[T any](dst *T, v *T) {
	if v != nil {
		*dst = *v
	}
}
