package identity

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/secret"
)

// signOut ends the session of a cookie. It returns where the browser ends the session at
// the provider, empty when there is nothing to end or nowhere to do it.
func (s *Service) signOut(ctx context.Context, c client) (providerURL string, err error) {
	var hint sessionHint
	err = s.DB.System(ctx, func(tx *db.SystemTx) error {
		hash := secret.HashToken(c.oldToken)
		hint, _, err = sessionByHash.Maybe(ctx, tx, db.Args{"hash": hash})
		if err != nil {
			return err
		}
		ended, err := endByHash.All(ctx, tx, db.Args{"hash": hash, "reason": endSignedOut})
		if err != nil {
			return err
		}
		return s.recordEnds(ctx, tx, ended, endSignedOut, c)
	})
	if err != nil || s.OIDC == nil || hint.Method != MethodOIDC {
		return "", err
	}
	// The session is over already: without the hint the provider asks before it ends its own.
	idToken, err := s.Sealer.Open(uuid.Nil, idTokenPurpose, hint.IDToken)
	if err != nil {
		s.Log.WarnContext(ctx, "ID token of a session cannot be opened", "request_id", c.requestID.String(), "error", err.Error())
	}
	providerURL, _ = s.OIDC.LogoutURL(ctx, string(idToken), "")
	return providerURL, nil
}

// endOne ends one of a person's own sessions.
func (s *Service) endOne(ctx context.Context, a db.Actor, id uuid.UUID) error {
	return s.DB.System(ctx, func(tx *db.SystemTx) error {
		ended, err := endByID.All(ctx, tx, db.Args{"id": id, "user": a.UserID, "reason": endElsewhere})
		if err != nil {
			return err
		}
		if len(ended) == 0 {
			return fault.NewNotFound("session")
		}
		return s.recordEnds(ctx, tx, ended, endElsewhere, clientOf(a))
	})
}

// endOtherSessions ends every session of the person but the one that asks, and returns how many.
func (s *Service) endOtherSessions(ctx context.Context, a db.Actor) (n int, err error) {
	err = s.DB.System(ctx, func(tx *db.SystemTx) error {
		ended, err := endOthers.All(ctx, tx, db.Args{"id": a.SessionID, "user": a.UserID, "reason": endElsewhere})
		if err != nil {
			return err
		}
		n = len(ended)
		return s.recordEnds(ctx, tx, ended, endElsewhere, clientOf(a))
	})
	return n, err
}

// EndSessionsOf ends every session of a person at once, as when an account is closed.
func (s *Service) EndSessionsOf(ctx context.Context, userID uuid.UUID, a db.Actor) error {
	return s.DB.System(ctx, func(tx *db.SystemTx) error {
		ended, err := endOthers.All(ctx, tx, db.Args{"id": uuid.Nil, "user": userID, "reason": endElsewhere})
		if err != nil {
			return err
		}
		return s.recordEnds(ctx, tx, ended, endElsewhere, clientOf(a))
	})
}

func clientOf(a db.Actor) client {
	return client{ip: a.IP, userAgent: a.UserAgent, requestID: a.RequestID}
}

// errReplayed refuses a logout token that was used before.
var errReplayed = fault.NewDenied(oidcrp.CodeLogoutTokenInvalid, "This logout token was used before.")

// backchannelLogout ends the sessions that a verified logout token names: the one of its
// sid, else all of its subject (OpenID Connect Back-Channel Logout 1.0, 2.7). A token is
// good once. It returns how many sessions ended.
func (s *Service) backchannelLogout(ctx context.Context, raw string, c client) (n int, err error) {
	l, err := s.OIDC.VerifyLogoutToken(ctx, raw)
	if err != nil {
		return 0, err
	}
	if len(l.JTI) > 1000 || len(l.SessionID) > 1000 {
		return 0, fault.NewDenied(oidcrp.CodeLogoutTokenInvalid, "The logout token is too large.")
	}
	err = s.DB.System(ctx, func(tx *db.SystemTx) error {
		fresh, err := useLogoutToken.Run(ctx, tx, db.Args{
			"issuer": l.Issuer, "jti": l.JTI, "expires": l.ExpiresAt.Add(2 * oidcrp.DefaultMaxSkew),
		})
		if err != nil {
			return err
		}
		if fresh == 0 {
			return errReplayed
		}
		args := db.Args{"issuer": l.Issuer, "subject": l.Subject, "reason": endBackchannel}
		end := endBySubject
		if l.SessionID != "" {
			end = endBySID
			args["sid"] = l.SessionID
		}
		ended, err := end.All(ctx, tx, args)
		if err != nil {
			return err
		}
		n = len(ended)
		return s.recordEnds(ctx, tx, ended, endBackchannel, c)
	})
	return n, err
}
