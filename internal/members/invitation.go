package members

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// invitationLife is how long a link works (foundation.md, 1).
const invitationLife = 7 * 24 * time.Hour

// MaxInvitations is how many rows one file may have (security.md, limits).
const MaxInvitations = 5000

// InvitationState says what became of an invitation.
type InvitationState string

// The states of an invitation.
const (
	Pending  InvitationState = "pending"
	Expired  InvitationState = "expired"
	Accepted InvitationState = "accepted"
	Revoked  InvitationState = "revoked"
)

// InvitationStates lists the states.
func InvitationStates() []InvitationState {
	return []InvitationState{Pending, Expired, Accepted, Revoked}
}

// Label is the state in words.
func (s InvitationState) Label() string {
	switch s {
	case Pending:
		return "Pending"
	case Expired:
		return "Expired"
	case Accepted:
		return "Accepted"
	case Revoked:
		return "Revoked"
	default:
		return ""
	}
}

// Invitation lets one person, known by an e-mail address, join with one role.
type Invitation struct {
	ID         uuid.UUID     `db:"id"`
	Email      string        `db:"email"`
	Role       access.Role   `db:"role" audit:"role"`
	InvitedBy  uuid.NullUUID `db:"invited_by"`
	CreatedAt  time.Time     `db:"created_at"`
	SentAt     time.Time     `db:"sent_at"`
	ExpiresAt  time.Time     `db:"expires_at" audit:"expires_at"`
	AcceptedAt *time.Time    `db:"accepted_at"`
	RevokedAt  *time.Time    `db:"revoked_at"`
}

// State returns what became of the invitation by now.
func (i Invitation) State(now time.Time) InvitationState {
	switch {
	case i.AcceptedAt != nil:
		return Accepted
	case i.RevokedAt != nil:
		return Revoked
	case !now.Before(i.ExpiresAt):
		return Expired
	default:
		return Pending
	}
}

// usable says why an invitation cannot be accepted, each reason in its own sentence.
func (i Invitation) usable(now time.Time) error {
	switch i.State(now) {
	case Accepted:
		return fault.NewConflict("invitation_used", "This invitation was used already. Each link works once.")
	case Revoked:
		return fault.NewConflict("invitation_revoked", "This invitation was withdrawn, or a newer link replaced it. Look for a newer mail, or ask for another invitation.")
	case Expired:
		return fault.NewConflict("invitation_expired", "This invitation has expired. Ask whoever invited you to send it again.")
	default:
		return nil
	}
}

// fits says whether a person may accept: the address must be theirs, and their identity
// provider must have checked it.
func (i Invitation) fits(email string, verified bool) error {
	if !strings.EqualFold(i.Email, strings.TrimSpace(email)) {
		return fault.NewDenied("invitation_mismatch",
			fmt.Sprintf("This invitation is for %s, and you are signed in as %s. Sign in with the invited address, or ask for an invitation to yours.", i.Email, email))
	}
	if !verified {
		return fault.NewDenied("email_unverified", "Your sign-in service has not confirmed that this e-mail address is yours. Confirm it there, then sign in again.")
	}
	return nil
}

// NewInvitation is what an admin says about an invitation. Row is the line of a file it
// comes from, 0 outside files.
type NewInvitation struct {
	Email string
	Role  access.Role
	Row   int
}

// field names an input of the invitation in messages: the one of the form, or the line.
func (n NewInvitation) field(name string) string {
	if n.Row == 0 {
		return name
	}
	return "row " + strconv.Itoa(n.Row)
}

// ParseInvitations reads lines of the form email,role. A first line that names the
// columns is skipped, a missing role means member. Every problem is reported with its
// line; what comes back is complete only without one.
func ParseInvitations(text string) ([]NewInvitation, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, fault.InvalidField("rows", "invalid_text", "This is not text in UTF-8. Save the sheet as CSV in UTF-8 and try again.")
	}
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.TrimLeadingSpace, r.ReuseRecord = -1, true, true
	if line, _, _ := strings.Cut(text, "\n"); strings.Contains(line, ";") && !strings.Contains(line, ",") {
		r.Comma = ';' // what spreadsheets write where the comma is the decimal sign
	}
	var out []NewInvitation
	c := &form.Check{}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			c.Add("row "+strconv.Itoa(parse.StartLine), "malformed", "This line is not valid CSV: a quotation mark is not closed or stands in the wrong place.")
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read invitations: %w", err)
		}
		line, _ := r.FieldPos(0)
		row, ok := parseRow(c, record, line, len(out) == 0)
		if !ok {
			continue
		}
		if out = append(out, row); len(out) > MaxInvitations {
			return nil, fault.InvalidField("rows", "too_many", fmt.Sprintf("One file may hold at most %d invitations. Split it and send the parts.", MaxInvitations))
		}
	}
	if err := c.Err(); err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fault.InvalidField("rows", "required", "Paste at least one line, such as mara@example.com,member, or choose a file.")
	}
	return out, nil
}

// parseRow reads one line. ok is false for blank lines and the head.
func parseRow(c *form.Check, record []string, line int, first bool) (row NewInvitation, ok bool) {
	email := strings.TrimSpace(record[0])
	role := ""
	if len(record) > 1 {
		role = strings.ToLower(strings.TrimSpace(record[1]))
	}
	if email == "" && role == "" {
		return row, false
	}
	if first && (strings.EqualFold(email, "email") || strings.EqualFold(email, "e-mail")) {
		return row, false
	}
	if role == "" {
		role = string(access.Member)
	}
	if len(record) > 2 && strings.TrimSpace(strings.Join(record[2:], "")) != "" {
		c.Add("row "+strconv.Itoa(line), "too_many_columns", "A line holds an e-mail address and a role, nothing else.")
	}
	return NewInvitation{Email: email, Role: access.Role(role), Row: line}, true
}

// checkRows checks every row alone and against the others, and puts addresses in lower
// case.
func checkRows(by acting, rows []NewInvitation) *form.Check {
	c := &form.Check{}
	first := map[string]int{}
	for i := range rows {
		row := &rows[i]
		one := &form.Check{}
		row.Email = one.Email("email", row.Email)
		if err := mayGrant(by, row.Role); err != nil {
			_ = one.Merge(err) // mayGrant returns field problems only
		}
		for field, message := range form.Messages(one.Err()) {
			c.Add(row.field(field), "invalid", message)
		}
		if n, ok := first[row.Email]; ok && row.Email != "" {
			c.Add(row.field("email"), "duplicate", fmt.Sprintf("%s stands in line %d already.", row.Email, n))
		} else {
			first[row.Email] = row.Row
		}
	}
	return c
}
