package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"syscall"
)

// Class is all that a tenant may learn of a failed connection: never the peer's bytes,
// never an address.
type Class string

// The classes of failure.
const (
	ClassRefused     Class = "refused"
	ClassTimeout     Class = "timeout"
	ClassTLS         Class = "tls"
	ClassPolicy      Class = "policy"
	ClassDNS         Class = "dns"
	ClassUnreachable Class = "unreachable"
	ClassReset       Class = "reset"
	ClassOther       Class = "other"
)

// Classify returns the class of err, and "" for nil.
func Classify(err error) Class {
	var (
		dns     *net.DNSError
		alert   tls.AlertError
		record  tls.RecordHeaderError
		verify  *tls.CertificateVerificationError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		timeout net.Error
	)
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrBlocked):
		return ClassPolicy
	case errors.As(err, &dns):
		return ClassDNS
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return ClassTimeout
	case isAlert(err), errors.As(err, &alert), errors.As(err, &record), errors.As(err, &verify),
		errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &name):
		return ClassTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return ClassRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return ClassUnreachable
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return ClassReset
	}
	return ClassOther
}

// isAlert reports whether a TLS alert ended the connection. crypto/tls has no exported
// type for alerts outside QUIC, but marks them by the operation.
func isAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && (op.Op == "remote error" || op.Op == "local error")
}

// Sentence says in one English sentence what happened, in terms that help the person
// who entered the address.
func (c Class) Sentence() string {
	switch c {
	case ClassRefused:
		return "The connection was refused: nothing listens on this port."
	case ClassTimeout:
		return "The server did not answer in time."
	case ClassTLS:
		return "The TLS handshake failed."
	case ClassPolicy:
		return "This address is blocked by the network policy of this installation."
	case ClassDNS:
		return "The name could not be resolved."
	case ClassUnreachable:
		return "There is no route to the server."
	case ClassReset:
		return "The server closed the connection."
	case ClassOther:
		return "The connection failed."
	}
	return ""
}
