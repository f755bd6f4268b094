package identity

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// tokenDigits is how long the random part of a cookie or token is.
const tokenDigits = 43

// plausible reports whether a text can be a secret of ours at all, so that rubbish costs
// no question to the database.
func plausible(text, prefix string) bool {
	rest, ok := strings.CutPrefix(text, prefix)
	return ok && len(rest) == tokenDigits && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// storable returns the slug, or nothing for text that no slug can be and that the database
// would refuse to compare.
func storable(slug string) string {
	if len(slug) > 30 || !utf8.ValidString(slug) || strings.ContainsRune(slug, 0) {
		return ""
	}
	return slug
}

// Session implements web.Authenticator. It reads the person, their memberships and their
// place in the workspace in one statement. When their rights have changed since the last
// request, the session gets a new token, which p.NewToken hands to the browser.
func (s *Service) Session(ctx context.Context, token, slug string) (p web.Principal, ok bool, err error) {
	if !plausible(token, "") {
		return web.Principal{}, false, nil
	}
	hash := secret.HashToken(token)
	now := s.Clock.Now()
	row, ok, err := findSession.Maybe(ctx, s.DB.SystemRead(), db.Args{
		"hash": hash, "slug": storable(slug), "idle_since": now.Add(-s.Idle),
	})
	if err != nil || !ok {
		return web.Principal{}, false, db.Classify(err)
	}
	p = row.principal(now)
	if p.NewToken, err = s.touch(ctx, row, hash, now); err != nil {
		return web.Principal{}, false, err
	}
	return p, true, nil
}

func (f sessionFound) principal(now time.Time) web.Principal {
	p := web.Principal{
		Kind: db.ActorUser, ID: f.UserID, SessionID: f.SessionID, AuthMethod: f.AuthMethod, LastWorkspace: f.LastSlug,
		SignedInAt: f.SignedInAt, MFA: f.AMR,
		User: web.User{
			ID: f.UserID, Name: f.Name, Email: f.Email, TimeZone: f.TimeZone, Theme: f.Theme, Shortcuts: f.Shortcuts,
			PlatformAdmin: f.PlatformAdmin,
		},
	}
	p.SignInAgain = f.WorkspaceID.Valid &&
		f.outlived(f.CreatedAt, f.LastSeenAt, time.Duration(f.LongestIdle)*time.Second, now)
	if f.WorkspaceID.Valid && !p.SignInAgain {
		p.Workspace = &web.Workspace{
			ID: f.WorkspaceID.UUID, Slug: f.WorkspaceSlug, Name: f.WorkspaceName, TimeZone: f.WorkspaceTimeZone,
		}
		// Only a platform administrator gets here without a membership.
		p.Role = access.Owner
	}
	for _, m := range f.Places {
		p.Memberships = append(p.Memberships, web.Membership{Slug: m.Slug, Name: m.Name, Role: m.Role})
		if f.WorkspaceID.Valid && m.WorkspaceID == f.WorkspaceID.UUID {
			p.Role = m.Role
		}
	}
	return p
}

// touch writes that the session was used, at most once a minute unless something changed,
// and returns the new token when the rights did.
func (s *Service) touch(ctx context.Context, f sessionFound, hash []byte, now time.Time) (newToken string, err error) {
	digest := rolesDigest(f.Places, f.PlatformAdmin)
	sameRights := bytes.Equal(digest, f.RolesDigest)
	moved := f.WorkspaceID.Valid && f.WorkspaceID != f.LastWorkspace
	if sameRights && !moved && now.Sub(f.LastSeenAt) < touchEvery {
		return "", nil
	}
	var newHash []byte
	if f.RolesDigest != nil && !sameRights && f.Current {
		newToken, newHash = secret.NewToken("")
	}
	n, err := touchSession.One(ctx, s.DB.SystemRead(), db.Args{
		"id": f.SessionID, "digest": digest, "workspace": f.WorkspaceID, "hash": hash, "new_hash": newHash,
		"grace": now.Add(renewalGrace), "before": now.Add(-touchEvery),
	})
	if err != nil {
		return "", db.Classify(err)
	}
	if n == 0 {
		return "", nil // another request at the same time did it
	}
	return newToken, nil
}

// Token implements web.Authenticator for bearer tokens. A personal token acts with the
// present role of its owner and dies with their membership.
func (s *Service) Token(ctx context.Context, token, slug string) (p web.Principal, ok bool, err error) {
	if !plausible(token, TokenPrefix) {
		return web.Principal{}, false, nil
	}
	f, ok, err := findToken.Maybe(ctx, s.DB.SystemRead(), db.Args{"hash": secret.HashToken(token)})
	if err != nil || !ok {
		return web.Principal{}, false, db.Classify(err)
	}
	p = web.Principal{
		Kind: db.ActorAPIKey, ID: f.TokenID, TokenName: f.TokenName, AuthMethod: "token", Scopes: f.Scopes,
		User: web.User{
			ID: f.UserID, Name: f.Name, Email: f.Email, TimeZone: f.TimeZone, Theme: f.Theme, Shortcuts: f.Shortcuts,
			PlatformAdmin: f.PlatformAdmin,
		},
	}
	if f.Kind == KindService {
		p.Kind, p.User = db.ActorService, web.User{}
	}
	if f.WorkspaceSlug == slug {
		p.Workspace = &web.Workspace{ID: f.WorkspaceID, Slug: f.WorkspaceSlug, Name: f.WorkspaceName, TimeZone: f.WorkspaceZone}
		p.Role = f.Role
	}
	now := s.Clock.Now()
	if f.LastUsedAt == nil || now.Sub(*f.LastUsedAt) >= touchEvery {
		if _, err := touchToken.Run(ctx, s.DB.SystemRead(), db.Args{
			"workspace": f.WorkspaceID, "id": f.TokenID, "before": now.Add(-touchEvery),
		}); err != nil {
			return web.Principal{}, false, fmt.Errorf("note use of token: %w", db.Classify(err))
		}
	}
	return p, true, nil
}

// place finds a workspace in which the person behind a session may act, for pages outside
// workspaces. A session that is too old for the workspace is told so.
func (s *Service) place(ctx context.Context, sessionID uuid.UUID, slug string) (place, bool, error) {
	f, ok, err := placeOfSession.Maybe(ctx, s.DB.SystemRead(), db.Args{"session": sessionID, "slug": slug})
	if err != nil || !ok {
		return place{}, false, db.Classify(err)
	}
	if f.outlived(f.CreatedAt, f.LastSeenAt, time.Duration(f.LongestIdle)*time.Second, s.Clock.Now()) {
		return place{}, false, web.SignInAgain()
	}
	return f.place, true, nil
}
