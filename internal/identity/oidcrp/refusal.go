package oidcrp

import "github.com/vigilo/vigilo/internal/kernel/fault"

// Codes of the refusals of this package. The first four are the provider's own error
// codes (OAuth 2.0 section 4.1.2.1, OpenID Connect Core 3.1.2.6).
const (
	CodeAccessDenied        = "access_denied"
	CodeLoginRequired       = "login_required"
	CodeInteractionRequired = "interaction_required"
	CodeConsentRequired     = "consent_required"
	// CodeProviderError is any other error the provider answered with.
	CodeProviderError = "provider_error"
	// CodeStateMismatch means that this browser did not begin this sign-in.
	CodeStateMismatch = "state_mismatch"
	// CodeFlowExpired means that the sign-in took longer than FlowLifetime.
	CodeFlowExpired = "flow_expired"
	// CodeIssuerMismatch means that another provider answered (RFC 9207). It has kind
	// Unavailable when the discovery document names another issuer than the settings.
	CodeIssuerMismatch = "issuer_mismatch"
	// CodeCodeRejected means that the provider refused the code: used, expired, forged.
	CodeCodeRejected  = "code_rejected"
	CodeNonceMismatch = "nonce_mismatch"
	CodeTokenExpired  = "token_expired"
	CodeTokenInvalid  = "token_invalid"
	// CodeUserinfoMismatch means that userinfo is about another subject.
	CodeUserinfoMismatch = "userinfo_mismatch"
	// CodeLogoutTokenInvalid is every refusal of a logout token.
	CodeLogoutTokenInvalid = "logout_token_invalid"
	// CodeClientRejected has kind Unavailable: the provider does not accept our
	// credentials, which only an administrator can mend.
	CodeClientRejected = "client_rejected"
)

const (
	unavailableMessage    = "The identity provider does not answer. Try again in a moment."
	issuerMismatchMessage = "The identity provider goes by another address than Vigilo is set up with. Tell your administrator."
	clientRejectedMessage = "The identity provider does not accept Vigilo's client credentials. Tell your administrator."
)

func denied(code string, cause error) error {
	return &fault.Error{Kind: fault.Denied, Code: code, Message: refusalMessage(code), Cause: cause}
}

func refusalMessage(code string) string {
	switch code {
	case CodeAccessDenied:
		return "The sign-in was cancelled, or the identity provider does not let you use Vigilo."
	case CodeLoginRequired, CodeInteractionRequired, CodeConsentRequired:
		return "The identity provider needs you to sign in there. Start again."
	case CodeStateMismatch:
		return "This sign-in was not started in this browser. Start again."
	case CodeFlowExpired:
		return "The sign-in took too long. Start again."
	case CodeCodeRejected:
		return "This sign-in was already used or has expired. Start again."
	case CodeTokenExpired:
		return "The identity provider's answer is out of date, or its clock is wrong. Start again."
	case CodeLogoutTokenInvalid:
		return "The logout token is not valid."
	default:
		return "The identity provider's answer is not valid. Start again, and tell your administrator if it happens again."
	}
}
