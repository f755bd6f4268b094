package notifications

import (
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

// Notice is something that members shall be told.
type Notice struct {
	// Recipients are user ids. Who is not an active member is left out.
	Recipients []uuid.UUID
	// DedupeKey makes the notice idempotent for each recipient, at most 200 bytes. For a
	// notice about an event that is recorded too, it is the event's id: whoever also
	// subscribed to the event then hears of it once.
	DedupeKey string
	// EventName is a name of the catalogue; its row of the preferences decides.
	EventName string
	// Severity is that of the event when empty.
	Severity event.Severity
	Title    string
	Body     string
	// Path is below the workspace, such as /certificates/<id>; empty when there is no page.
	Path string
	// Icon is a name of the sprite; empty means one that fits the severity.
	Icon        string
	SubjectType string
	SubjectID   uuid.UUID
	// SubjectTitle names the thing on the list of muted things; empty means Title.
	SubjectTitle string
	// Mail says that recipients who chose nothing for the event are mailed as well.
	Mail bool
}

const (
	maxTitle = 200
	maxBody  = 2000
)

// clip keeps a text within a number of characters.
func clip(s string, limit int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// oneLine folds all blanks, so that a text fits a title or a subject.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// severityIcon is the icon of a notice that names none.
func severityIcon(s event.Severity) string {
	switch s {
	case event.Critical, event.High:
		return "circle-alert"
	case event.Medium:
		return "triangle-alert"
	case event.Low, event.Info:
		return "info"
	default:
		return "info"
	}
}

// noticeOf words an event for people: what happened to what, and who did it.
func noticeOf(t event.Type, ev event.Event) Notice {
	thing := strings.TrimSpace(ev.Subject.Key + " " + ev.Subject.Title)
	n := Notice{
		DedupeKey: ev.ID.String(), EventName: ev.Name, Severity: ev.Severity, Title: t.Label,
		SubjectType: ev.Subject.Type, SubjectID: ev.Subject.ID, SubjectTitle: thing, Mail: t.Notify.Mail,
	}
	if thing != "" {
		n.Title += ": " + thing
	}
	switch {
	case ev.Actor.Kind == "system":
		n.Body = ev.Actor.Reason
		if n.Body != "" {
			first, size := utf8.DecodeRuneInString(n.Body)
			n.Body = "Vigilo: " + strings.ToLower(string(first)) + n.Body[size:] + "."
		}
	case ev.Actor.Name != "" && ev.Actor.Reason != "":
		n.Body = "By " + ev.Actor.Name + ": " + ev.Actor.Reason
	case ev.Actor.Name != "":
		n.Body = "By " + ev.Actor.Name + "."
	}
	return n
}
