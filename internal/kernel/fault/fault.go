// Package fault holds the six kinds of error that Vigilo tells apart. The kind is
// chosen where the fact is known and survives wrapping with %w; the edge turns it
// into an HTTP status, a job runner into "cancel" or "retry".
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what an error means to whoever caused it.
type Kind int

const (
	// Internal is everything unclassified: a bug of ours. HTTP 500, jobs retry.
	Internal Kind = iota
	// Invalid means that the person can fix the input. HTTP 422, jobs cancel.
	Invalid
	// Denied means that the actor has no right. HTTP 403, jobs cancel.
	Denied
	// NotFound means absent, or not visible to this workspace. HTTP 404, jobs cancel.
	NotFound
	// Conflict means that the state moved on. HTTP 409, jobs cancel.
	Conflict
	// Unavailable means that a dependency failed. HTTP 503, jobs retry.
	Unavailable
)

// Detail is one problem of an error that can have several, such as one field of a
// form. Field is the name of the input, empty when the problem is not one field's.
type Detail struct {
	Code    string
	Field   string
	Message string
	Ref     string
}

// Error is a classified error. Message is a sentence for a person and says what to
// do; Code is stable and for programs; Cause is for the log only.
type Error struct {
	Kind    Kind
	Code    string
	Message string
	Details []Detail
	Cause   error
}

// Error returns the text for the log: the message and, if there is one, the cause.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, d := range e.Details {
		fmt.Fprintf(&b, "; %s: %s", d.Field, d.Message)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of the first classified error in err's chain, and Internal
// when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the given kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// Find returns the first classified error in err's chain, or nil.
func Find(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}

// InvalidField returns an Invalid error about one field.
func InvalidField(field, code, message string) error {
	return &Error{
		Kind: Invalid, Code: "validation_failed", Message: "Some fields need your attention.",
		Details: []Detail{{Code: code, Field: field, Message: message}},
	}
}

// InvalidDetails returns an Invalid error that lists every problem at once, and nil
// when there is none.
func InvalidDetails(details []Detail) error {
	if len(details) == 0 {
		return nil
	}
	return &Error{Kind: Invalid, Code: "validation_failed", Message: "Some fields need your attention.", Details: details}
}

// NewInvalid returns an Invalid error that is not about one field.
func NewInvalid(code, message string) error {
	return &Error{Kind: Invalid, Code: code, Message: message}
}

// NewDenied returns a Denied error.
func NewDenied(code, message string) error { return &Error{Kind: Denied, Code: code, Message: message} }

// NewNotFound returns a NotFound error; what names the thing in the product's words.
func NewNotFound(what string) error {
	return &Error{Kind: NotFound, Code: "not_found", Message: "This " + what + " does not exist, or it belongs to a workspace you are not a member of."}
}

// NewConflict returns a Conflict error.
func NewConflict(code, message string) error {
	return &Error{Kind: Conflict, Code: code, Message: message}
}

// NewUnavailable returns an Unavailable error with its cause for the log.
func NewUnavailable(message string, cause error) error {
	return &Error{Kind: Unavailable, Code: "unavailable", Message: message, Cause: cause}
}
