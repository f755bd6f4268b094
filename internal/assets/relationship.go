package assets

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// RelationshipTypes lists the types. Whatever its type, a relationship is drawn from what
// depends to what it depends on.
func RelationshipTypes() []string {
	return []string{"depends_on", "hosts", "connects_to", "managed_by", "part_of"}
}

// verbs are a relationship read from its start and from its end.
func verbs(kind string) (forward, back string) {
	switch kind {
	case "hosts":
		return "runs on", "hosts"
	case "connects_to":
		return "connects to", "is used by"
	case "managed_by":
		return "is managed by", "manages"
	case "part_of":
		return "is part of", "contains"
	default:
		return "depends on", "is needed by"
	}
}

// Relationship is one edge: From depends on To.
type Relationship struct {
	ID   uuid.UUID `db:"id"`
	From uuid.UUID `db:"from_id" audit:"from"`
	To   uuid.UUID `db:"to_id" audit:"to"`
	Type string    `db:"type" audit:"type"`
	// Protocol and Port say how, such as tcp and 5432; empty and nil when nobody said.
	Protocol string `db:"protocol" audit:"protocol"`
	Port     *int32 `db:"port" audit:"port"`
	// Exclusive says that nothing else can stand in for To.
	Exclusive bool      `db:"exclusive" audit:"exclusive"`
	Note      string    `db:"note" audit:"note"`
	CreatedAt time.Time `db:"created_at"`
}

// NewRelationship is a relationship as somebody describes it. Type is depends_on when empty.
type NewRelationship struct {
	From, To       uuid.UUID
	Type, Protocol string
	Port           int // 0 for none
	Exclusive      bool
	Note           string
}

const (
	maxProtocol = 20
	maxNote     = 500
)

func (n NewRelationship) relationship(id uuid.UUID, now time.Time) (Relationship, error) {
	var c form.Check
	r := Relationship{
		ID: id, From: n.From, To: n.To, Type: choice(&c, "type", n.Type, "depends_on", RelationshipTypes()),
		Protocol: strings.ToLower(oneLine(n.Protocol)), Exclusive: n.Exclusive, Note: oneLine(n.Note), CreatedAt: now,
	}
	if n.From == uuid.Nil {
		c.Add("from", "required", "Say which asset depends.")
	}
	if n.To == uuid.Nil {
		c.Add("to", "required", "Say which asset it depends on.")
	}
	if n.From == n.To && n.From != uuid.Nil {
		c.Add("to", "self_relationship", "An asset cannot depend on itself.")
	}
	longest(&c, "protocol", r.Protocol, maxProtocol)
	longest(&c, "note", r.Note, maxNote)
	if n.Port != 0 {
		if n.Port < 1 || n.Port > 65535 {
			c.Add("port", "out_of_range", "Port must be between 1 and 65535.")
		} else {
			port := int32(n.Port)
			r.Port = &port
		}
	}
	return r, c.Err()
}

// how is the protocol and port in one word, such as tcp/5432; empty when neither is known.
func (r Relationship) how() string {
	switch {
	case r.Port == nil:
		return r.Protocol
	case r.Protocol == "":
		return fmt.Sprintf("port %d", *r.Port)
	}
	return fmt.Sprintf("%s/%d", r.Protocol, *r.Port)
}

// words by which people find an asset: its names from each part on, so that the beginning
// of any part finds it, its tags, its team and what its provider calls it.
func words(a Asset) []string {
	out := slices.Concat(nameWords(strings.ToLower(a.Name)), nameWords(a.Hostname), nameWords(strings.ToLower(a.ExternalID)))
	out = append(out, strings.Fields(strings.ToLower(a.Team))...)
	for _, t := range a.Tags {
		out = append(out, strings.Fields(t)...)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(w string) bool { return w == "" || utf8.RuneCountInString(w) > maxHostname })
}

// nameWords returns each word of a name, and what remains of it after each dot, hyphen,
// underscore, slash and colon.
func nameWords(name string) []string {
	var out []string
	for _, rest := range strings.Fields(name) {
		for rest != "" {
			out = append(out, rest)
			i := strings.IndexAny(rest, ".-_/:")
			if i < 0 {
				break
			}
			rest = rest[i+1:]
		}
	}
	return out
}

// maxWords is how many words of a search are looked at.
const maxWords = 4

// searchWords cuts what a person typed into the prefixes to look for.
func searchWords(text string) []string {
	text = strings.ToLower(strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", ""))
	out := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
	if len(out) > maxWords {
		out = out[:maxWords]
	}
	for i, w := range out {
		out[i] = clip(w, maxHostname)
	}
	return out
}

// clip cuts a text after n runes.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}

func errNotMember(field string) error {
	return fault.InvalidField(field, "unknown_member", "This person is not an active member of the workspace.")
}
