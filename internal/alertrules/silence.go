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

// Silence keeps alerts from being told for a time (reliability.md 4.5). Alerts inside it
// begin and end as always; it ends by itself.
type Silence struct {
	ID      uuid.UUID `db:"id"`
	Comment string    `db:"comment" audit:"comment"`
	// Hosts, Tags and Rules say what lies inside: an alert whose host, one of whose host's
	// tags and whose rule are named. An empty list asks nothing; one of them is not empty.
	Hosts []uuid.UUID `db:"host_ids" audit:"host_ids"`
	Tags  []string    `db:"tags" audit:"tags"`
	Rules []uuid.UUID `db:"rule_ids" audit:"rule_ids"`
	// StartsAt is inside, EndsAt is not.
	StartsAt time.Time `db:"starts_at" audit:"starts_at"`
	EndsAt   time.Time `db:"ends_at" audit:"ends_at"`
	// CreatedBy is a user or a token; Author is their name where it is read and known.
	CreatedBy uuid.UUID `db:"created_by"`
	Author    string    `db:"author"`
	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// SilenceState is where a silence stands at a moment.
type SilenceState string

// The states of a silence.
const (
	Scheduled SilenceState = "scheduled"
	Active    SilenceState = "active"
	Ended     SilenceState = "ended"
)

// Label is the state in words.
func (s SilenceState) Label() string {
	switch s {
	case Scheduled:
		return "Scheduled"
	case Active:
		return "Active"
	case Ended:
	}
	return "Ended"
}

// State is where the silence stands now.
func (s Silence) State(now time.Time) SilenceState {
	switch {
	case !now.Before(s.EndsAt):
		return Ended
	case now.Before(s.StartsAt):
		return Scheduled
	default:
		return Active
	}
}

// Covers reports whether alerts of a rule about a host lie inside, whatever the time.
func (s Silence) Covers(rule uuid.UUID, h Host) bool {
	return (len(s.Hosts) == 0 || slices.Contains(s.Hosts, h.ID)) &&
		(len(s.Rules) == 0 || slices.Contains(s.Rules, rule)) &&
		(len(s.Tags) == 0 || slices.ContainsFunc(s.Tags, func(tag string) bool { return slices.Contains(h.Tags, tag) }))
}

// silenced returns the silence inside which alerts of a rule about a host lie now; of
// several the one that ends last.
func silenced(all []Silence, rule uuid.UUID, h Host, now time.Time) (uuid.UUID, bool) {
	var found Silence
	for _, s := range all {
		if s.State(now) == Active && s.Covers(rule, h) && s.EndsAt.After(found.EndsAt) {
			found = s
		}
	}
	return found.ID, found.ID != uuid.Nil
}

// nextTurn is when the next silence over alerts of a rule about a host begins or ends,
// zero for never.
func nextTurn(all []Silence, rule uuid.UUID, h Host, now time.Time) time.Time {
	var next time.Time
	for _, s := range all {
		if !s.Covers(rule, h) {
			continue
		}
		for _, at := range []time.Time{s.StartsAt, s.EndsAt} {
			if at.After(now) && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next
}

// Limits of a silence and of a workspace.
const (
	maxComment = 300
	// maxSilence keeps a silence from outliving whoever remembers it.
	maxSilence = 90 * day
	// maxAhead is how far ahead a silence may be planned.
	maxAhead        = 365 * day
	maxLiveSilences = 200
)

func (s *Silence) tidy() {
	s.Comment = strings.Join(strings.Fields(s.Comment), " ")
	s.Hosts, s.Rules, s.Tags = unique(s.Hosts), unique(s.Rules), unique(lowered(s.Tags))
	s.StartsAt, s.EndsAt = s.StartsAt.UTC().Truncate(time.Second), s.EndsAt.UTC().Truncate(time.Second)
}

// check returns every field that cannot be. Whether what it names exists is checked
// beside the database.
func (s *Silence) check(now time.Time) *form.Check {
	c := &form.Check{}
	c.Text("comment", s.Comment, "The comment", maxComment)
	if len(s.Hosts)+len(s.Tags)+len(s.Rules) == 0 {
		c.Add("host_ids", "required", "Name at least one host, tag or rule. To silence everything of a rule, name the rule.")
	}
	for _, tag := range s.Tags {
		c.Text("tags", tag, "A tag", maxTag)
	}
	for _, limit := range []struct {
		field, what string
		n, most     int
	}{
		{"host_ids", "hosts", len(s.Hosts), maxHosts}, {"tags", "tags", len(s.Tags), maxTags}, {"rule_ids", "rules", len(s.Rules), maxRules},
	} {
		if limit.n > limit.most {
			c.Add(limit.field, "too_many", fmt.Sprintf("A silence names at most %d %s; these are %d. Use a tag.", limit.most, limit.what, limit.n))
		}
	}
	if s.StartsAt.After(now.Add(maxAhead)) {
		c.Add("starts_at", "too_late", "A silence starts within a year from now.")
	}
	switch {
	case !s.EndsAt.After(now):
		c.Add("ends_at", "in_the_past", "The end has passed. Choose a later one.")
	case !s.EndsAt.After(s.StartsAt):
		c.Add("ends_at", "before_start", "The end must lie after the start.")
	case s.EndsAt.Sub(s.StartsAt) > maxSilence:
		c.Add("ends_at", "too_long", "A silence lasts at most 90 days.")
	}
	return c
}

func (s Silence) subject() event.Subject {
	return event.Subject{Type: "alert_silence", ID: s.ID, Title: s.Comment}
}

// SilencePayload is the body of the events of a silence.
type SilencePayload struct {
	SilenceID uuid.UUID   `json:"silence_id"`
	Comment   string      `json:"comment"`
	HostIDs   []uuid.UUID `json:"host_ids"`
	Tags      []string    `json:"tags"`
	RuleIDs   []uuid.UUID `json:"rule_ids"`
	StartsAt  time.Time   `json:"starts_at"`
	EndsAt    time.Time   `json:"ends_at"`
}

func silencePayload(s Silence) SilencePayload {
	return SilencePayload{
		SilenceID: s.ID, Comment: s.Comment, HostIDs: s.Hosts, Tags: s.Tags, RuleIDs: s.Rules,
		StartsAt: s.StartsAt.UTC(), EndsAt: s.EndsAt.UTC(),
	}
}
