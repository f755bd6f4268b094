package e2e

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheFirstPagesAnswer(t *testing.T) {
	t.Parallel()
	p := start(t)
	p.workspace(t, "acme")
	ok(t, p.get(t, "", "/healthz"), http.StatusOK, "health")
	ok(t, p.get(t, "", "/readyz"), http.StatusOK, "ready")
	ok(t, p.get(t, "", "/login"), http.StatusOK, "sign-in")
	a := p.get(t, "owner@acme.test", "/ws/acme")
	ok(t, a, http.StatusOK, "home")
	if !strings.Contains(a.body, "Acme") {
		t.Errorf("home does not name the workspace: %s", clip(a.body))
	}
	ok(t, p.get(t, p.token(t, "acme", "member"), "/ws/acme/api/v1/me"), http.StatusOK, "me")
}
