package mail

import (
	"errors"
	"net/textproto"

	gomail "github.com/wneessen/go-mail"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Codes of the errors of Send.
const (
	CodeInvalid    = "mail_invalid"
	CodeRejected   = "mail_rejected"
	CodeDeferred   = "mail_deferred"
	CodeAuthFailed = "mail_auth_failed"
)

// classify turns what go-mail reports into kinds: 5xx is final and 4xx is not
// (RFC 5321 section 4.2.1). An error without a code never reached a verdict, so
// trying again can help.
func classify(err error) error {
	code := replyCode(err)
	switch {
	// 530, 534, 535 and 538 are about our sign-in, not about this message (RFC 4954
	// section 6).
	case code == 530, code == 534, code == 535, code == 538:
		return &fault.Error{
			Kind: fault.Unavailable, Code: CodeAuthFailed, Cause: err,
			Message: "The mail server refuses the username or password. Tell your administrator.",
		}
	case code >= 500:
		return &fault.Error{
			Kind: fault.Invalid, Code: CodeRejected, Cause: err,
			Message: "The mail server refuses the message. Check the address.",
		}
	default:
		return &fault.Error{
			Kind: fault.Unavailable, Code: CodeDeferred, Cause: err,
			Message: "The mail server does not take the message now. It is tried again later.",
		}
	}
}

// replyCode returns the server's reply code, 0 when it gave none.
func replyCode(err error) int {
	if sent, ok := errors.AsType[*gomail.SendError](err); ok {
		return sent.ErrorCode()
	}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code
	}
	return 0
}
