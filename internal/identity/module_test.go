package identity

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/docs"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

func TestEveryPageHasAHelpArticle(t *testing.T) {
	t.Parallel()
	library, err := help.Load(docs.Help())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []*bench{newBench(t, nil), newOIDCBench(t, nil)} {
		for _, r := range b.server.Routes() {
			if r.Module != "identity" || r.Method != http.MethodGet || r.Pattern == "/" || r.Pattern == "/login/oidc" {
				continue
			}
			if a, ok := library.ForRoute(r.Pattern); !ok || a.Slug == "getting-started" {
				t.Errorf("%s has no article", r.Pattern)
			}
		}
	}
}

func TestPagesAskForASessionAndWorkspacePagesForARight(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, r := range b.server.Routes() {
		if r.Module != "identity" {
			continue
		}
		switch {
		case strings.HasPrefix(r.Pattern, "/account"):
			if r.Scope != web.SignedIn {
				t.Errorf("%s %s is %s", r.Method, r.Pattern, r.Scope)
			}
		case strings.HasPrefix(r.Pattern, "/ws/"):
			if r.Permission != CanManageTokens {
				t.Errorf("%s %s asks for %s", r.Method, r.Pattern, r.Permission)
			}
		}
	}
	stranger := b.browser(t)
	for _, path := range []string{"/account", "/account/sessions", "/account/tokens", "/account/tokens/new", "/ws/acme/settings/tokens"} {
		if a := stranger.get(path); a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, "/login?return_to=") {
			t.Errorf("%s of a stranger: %d to %q", path, a.status, a.location)
		}
	}
}

func TestPagesHoldNoInlineStyleOrScript(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "admin")
	br := b.browser(t)
	pages := map[string]string{"/login": br.get("/login").body}
	br.use(b.session(t, mara))
	for _, path := range []string{"/account", "/account/sessions", "/account/tokens", "/account/tokens/new", "/ws/acme/settings/tokens", "/ws/acme/settings/tokens/new"} {
		a := br.get(path)
		if a.status != http.StatusOK {
			t.Errorf("%s: %d", path, a.status)
		}
		pages[path] = a.body
	}
	for path, body := range pages {
		for _, bad := range []string{" style=", "<script>", " onclick=", "javascript:"} {
			if strings.Contains(body, bad) {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		if n := strings.Count(body, "<h1"); n != 1 {
			t.Errorf("%s has %d main headings", path, n)
		}
	}
}

func TestTokensAreNamedInTheAuditLog(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme, beta := b.Workspace(t, "acme"), b.Workspace(t, "beta")
	mara, other := b.Member(t, acme, "Mara Lind", "admin"), b.Member(t, beta, "Other One", "admin")
	tok, _, err := b.svc.CreateToken(t.Context(), mara, NewToken{Kind: KindPersonal, Name: "script"})
	if err != nil {
		t.Fatal(err)
	}
	refs := b.svc.Module().Refs
	at := slices.IndexFunc(refs, func(r search.Resolver) bool { return r.Type == "token" })
	resolve := func(a db.Actor) (got map[uuid.UUID]search.Ref) {
		t.Helper()
		err := b.InWorkspace(context.Background(), a, func(tx *db.Tx) error {
			got, err = refs[at].Resolve(context.Background(), tx, []uuid.UUID{tok.ID, uuid.New()})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	want := map[uuid.UUID]search.Ref{tok.ID: {Title: "script", Path: "/settings/tokens", State: "active"}}
	if diff := cmp.Diff(want, resolve(mara)); diff != "" {
		t.Error(diff)
	}
	if got := resolve(other); len(got) != 0 {
		t.Errorf("another workspace knows %v", got)
	}
}
