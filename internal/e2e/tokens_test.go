package e2e

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
)

// TestTokensOfSomebodySuspendedOrRemovedStopAtOnce calls the API with a personal token
// before and after an admin acts on its owner, also by the API.
func TestTokensOfSomebodySuspendedOrRemovedStopAtOnce(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	p.workspace(t, "beta")
	p.seat(t, "beta", "member@acme.test")
	admin, mine := p.token(t, "acme", "admin"), p.token(t, "acme", "member")
	elsewhere := p.actor(t, "acme", "member")
	elsewhere.WorkspaceID = p.spaces["beta"]
	other, err := p.Services.Identity.CreatePersonalToken(context.Background(), elsewhere, "in beta", nil, p.DB().Clock().Now().AddDate(0, 1, 0))
	if err != nil {
		t.Fatal(err)
	}
	check := func(what, token, slug string, want int) {
		t.Helper()
		if a := p.json(t, token, http.MethodGet, "/ws/"+slug+"/api/v1/workspace", ""); a.status != want {
			t.Errorf("%s: status %d, want %d", what, a.status, want)
		}
	}
	act := func(method, path, body string, want int) {
		t.Helper()
		if a := p.json(t, admin, method, path, body); a.status != want {
			t.Fatalf("%s %s: status %d: %s", method, path, a.status, clip(a.body))
		}
	}
	member := fmt.Sprintf("/ws/acme/api/v1/members/%s", p.memberID(t, "acme", "member@acme.test"))
	check("before", mine, "acme", http.StatusOK)
	act(http.MethodPatch, member, `{"state":"suspended"}`, http.StatusOK)
	check("suspended", mine, "acme", http.StatusUnauthorized)
	check("suspended in the other workspace", other, "beta", http.StatusOK)
	act(http.MethodPatch, member, `{"state":"active"}`, http.StatusOK)
	check("resumed", mine, "acme", http.StatusOK)
	act(http.MethodDelete, member, "", http.StatusNoContent)
	check("removed", mine, "acme", http.StatusUnauthorized)
	check("removed in the other workspace", other, "beta", http.StatusOK)
	if _, err := p.Services.Members.SeedMember(context.Background(), p.spaces["acme"], elsewhere.UserID, access.Member); err != nil {
		t.Fatal(err)
	}
	check("back with a later membership", mine, "acme", http.StatusUnauthorized)
}

// memberID returns the membership of a person in a workspace.
func (p *program) memberID(t *testing.T, slug, email string) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	err := p.db.Admin(t).QueryRow(context.Background(), `SELECT m.id FROM members m JOIN users u ON u.id = m.user_id
		JOIN workspaces w ON w.id = m.workspace_id WHERE w.slug = $1 AND u.email = $2`, slug, email).Scan(&id)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
