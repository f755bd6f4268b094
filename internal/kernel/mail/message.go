package mail

import (
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// maxHeaderBytes keeps a header field within the line length of RFC 5322 section
// 2.1.1 (998) with room for its name.
const maxHeaderBytes = 900

// Message is one message to one person.
type Message struct {
	// To is an address with an optional name.
	To      string
	Subject string
	// Text is the plain part and is required; HTML is an alternative to it.
	Text string
	HTML string
	// Headers are further fields, such as those of OneClickUnsubscribe. Fields that
	// this package sets itself are refused.
	Headers map[string]string
	// MessageID has the form local@domain, without brackets. The same event keeps its id
	// when it is sent again, so that mail programs show it once. Empty makes one up.
	MessageID string
}

// OneClickUnsubscribe returns the two fields with which mail programs offer to
// unsubscribe (RFC 8058). They POST to the address without a person's session, so it
// has to be https and to carry an unguessable token.
func OneClickUnsubscribe(address string) map[string]string {
	return map[string]string{"List-Unsubscribe": "<" + address + ">", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
}

// build checks the message and returns it in go-mail's form.
func (s *Sender) build(m Message) (*gomail.Msg, error) {
	to, err := parseAddress(m.To)
	if err != nil {
		return nil, invalid("to", "The recipient is not an e-mail address.")
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	msg.FromMailAddress(s.from)
	msg.ToMailAddress(to)
	msg.Subject(m.Subject)
	msg.SetDateWithValue(s.clock.Now())
	if m.MessageID == "" {
		msg.SetMessageID()
	} else {
		msg.SetMessageIDWithValue(m.MessageID)
	}
	// Keeps out-of-office replies from answering us (RFC 3834 section 5).
	msg.SetGenHeaderPreformatted("Auto-Submitted", "auto-generated")
	for name, value := range m.Headers {
		if isASCII(value) {
			// Encoding would fold a long address in the middle.
			msg.SetGenHeaderPreformatted(gomail.Header(name), value)
		} else {
			msg.SetGenHeader(gomail.Header(name), value)
		}
	}
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

// check refuses what would end a header field early or start another one: a subject
// often carries text that somebody else wrote.
func (m Message) check() error {
	if hasControl(m.Subject) || len(m.Subject) > maxHeaderBytes {
		return invalid("subject", "The subject has line breaks, or is too long.")
	}
	if m.Text == "" {
		return invalid("text", "The message has no plain text part.")
	}
	if m.MessageID != "" && !isMessageID(m.MessageID) {
		return invalid("message_id", "The message id is not of the form local@domain.")
	}
	for name, value := range m.Headers {
		if !isFieldName(name) || isOwnField(name) {
			return invalid("headers", fmt.Sprintf("The header field %q cannot be set.", name))
		}
		if hasControl(value) || len(value) > maxHeaderBytes {
			return invalid("headers", fmt.Sprintf("The value of the header field %q has line breaks, or is too long.", name))
		}
	}
	return m.checkUnsubscribe()
}

// checkUnsubscribe applies RFC 8058 section 3.1: one click needs an https address.
func (m Message) checkUnsubscribe() error {
	if m.Headers["List-Unsubscribe-Post"] == "" {
		return nil
	}
	for entry := range strings.SplitSeq(m.Headers["List-Unsubscribe"], ",") {
		address := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(entry), "<"), ">")
		if u, err := url.Parse(address); err == nil && u.Scheme == "https" && u.Host != "" {
			return nil
		}
	}
	return invalid("headers", "One-click unsubscribe needs an https address.")
}

func parseAddress(s string) (*netmail.Address, error) {
	if hasControl(s) || len(s) > maxHeaderBytes {
		return nil, errors.New("address has line breaks, or is too long")
	}
	return netmail.ParseAddress(s)
}

func invalid(field, message string) error {
	return &fault.Error{
		Kind: fault.Invalid, Code: CodeInvalid, Message: "The message cannot be sent.",
		Details: []fault.Detail{{Code: "invalid", Field: field, Message: message}},
	}
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e })
}

// isFieldName reports whether s is printable ASCII without a colon (RFC 5322 section 3.6.8).
func isFieldName(s string) bool {
	return s != "" && len(s) < 77 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > 0x7e || r == ':' })
}

// isOwnField reports whether the field decides where a message goes or how it is read.
func isOwnField(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "from", "sender", "reply-to", "to", "cc", "bcc", "subject", "date", "message-id", "mime-version", "return-path",
		"auto-submitted":
		return true
	}
	return strings.HasPrefix(name, "content-") || strings.HasPrefix(name, "resent-")
}

func isMessageID(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && len(s) <= maxHeaderBytes &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > 0x7e || r == '<' || r == '>' }) && !strings.Contains(domain, "@")
}
