package e2e

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestPlansBoundWhatAWorkspaceHolds runs the program with limits: a platform admin gives a
// workspace a plan, and what goes beyond it is refused by page and API.
func TestPlansBoundWhatAWorkspaceHolds(t *testing.T) {
	t.Parallel()
	p := start(t, "VIGILO_PLAN_LIMITS=true")
	const root, settings, api = "root@example.test", "/ws/acme/settings", "/ws/acme/api/v1"
	p.person(t, root)
	p.makePlatformAdmin(t, root)
	if a := p.post(t, "owner@acme.test", "/workspaces/new", "name=Acme&slug=acme"); a.status != http.StatusSeeOther {
		t.Fatalf("create workspace: status %d", a.status)
	}
	var ws uuid.UUID
	if err := p.db.Admin(t).QueryRow(context.Background(), `SELECT id FROM workspaces WHERE slug = 'acme'`).Scan(&ws); err != nil {
		t.Fatal(err)
	}
	p.spaces["acme"] = ws
	says := func(what string, a answer, status int, texts ...string) {
		t.Helper()
		if a.status != status {
			t.Errorf("%s: status %d, want %d: %s", what, a.status, status, clip(a.body))
		}
		for _, text := range texts {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: no %q in the answer", what, text)
			}
		}
	}
	says("the plan of a new workspace", p.get(t, "owner@acme.test", settings), 200, "Free", "1 of 3", "0 of 10", "Every day", "14 days")
	if strings.Contains(p.get(t, "owner@acme.test", settings).body, "Save plan") {
		t.Error("an owner is offered to choose the plan")
	}
	says("an owner choosing", p.post(t, "owner@acme.test", settings+"/plan", "plan=enterprise"), 403)
	token := p.token(t, "acme", "owner")
	host := func(name, interval string) answer {
		return p.json(t, token, http.MethodPost, api+"/hosts", `{"hostname":"`+name+`.example.invalid","scan_interval":"`+interval+`"}`)
	}
	invite := func(name string) answer {
		return p.json(t, token, http.MethodPost, api+"/invitations", `{"email":"`+name+`@example.test","role":"viewer"}`)
	}
	says("scanned too often", host("often", "6h"), 422, "plan_limit", "scan_interval", "every day at most")
	for _, name := range strings.Split("a b c d e f g h i j", " ") {
		says("host "+name, host(name, "24h"), 201)
	}
	says("one host too many", host("k", "24h"), 422, "plan_limit", "holds 10 hosts")
	says("one host too many by page", p.post(t, "owner@acme.test", "/ws/acme/certificates", "hostname=k.example.invalid&scan_interval=24h"), 422, "holds 10 hosts", "k.example.invalid")
	says("an invitation", invite("one"), 201)
	says("the last place", invite("two"), 201)
	says("one invitation too many", invite("three"), 422, "plan_limit", "holds 3 members")
	says("one too many by page", p.post(t, "owner@acme.test", "/ws/acme/members/invitations/new", "email=three@example.test&role=viewer"), 422, "holds 3 members")
	says("a full plan", p.get(t, "owner@acme.test", settings), 200, "3 of 3", "With 2 open invitations.", "10 of 10", "The plan is full")
	says("a platform admin's page", p.get(t, root, settings), 200, "Save plan")
	says("a plan that is none", p.post(t, root, settings+"/plan", "plan=gold"), 422, "Choose one of the plans")
	says("another plan", p.post(t, root, settings+"/plan", "plan=starter"), 303)
	says("one more host", host("k", "6h"), 201)
	says("one more invitation", invite("three"), 201)
	says("the larger plan", p.get(t, "owner@acme.test", settings), 200, "Starter", "4 of 10", "11 of 100")
	says("the entry", p.json(t, token, http.MethodGet, api+"/audit?action=workspace.plan_changed", ""), 200, "starter")
}
