package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/mailcatcher"
)

// hostile is a name that becomes an element where a page does not treat it as text.
const hostile = `<img src=x data-owned onerror=owned=1>`

// TestTextOfPeopleStaysText gives everything that has a free name one that is markup, lets a
// server show a certificate full of it, and looks at every page, menu and mail.
func TestTextOfPeopleStaysText(t *testing.T) {
	t.Parallel()
	office, settings := postOffice(t)
	p := start(t, settings...)
	p.workspace(t, "acme")
	host := p.hostileNames(t)
	eventually(t, "the server was scanned and alerts tell of it", func() bool {
		return strings.Contains(p.get(t, p.token(t, "acme", "owner"), "/ws/acme/api/v1/alerts?host_id="+host).body, `"firing"`)
	})
	p.settle(t)

	b := p.open(t, "owner@acme.test", looks[0])
	shown := 0
	for _, path := range append(append(pagePaths(p), p.recordPaths(t, "acme")...), "/ws/acme/search?q=data-owned", "/ws/acme/alerts?state=all", "/ws/acme/notifications?show=all") {
		b.visit(path)
		b.checkUnowned(path)
		if b.holds(`document.body.innerText.includes("data-owned")`) {
			shown++
		}
	}
	if shown < 15 {
		t.Errorf("only %d pages show the name, so the others prove nothing", shown)
	}

	b.visit("/ws/acme/certificates")
	b.click("#bell-button")
	b.waitFor("the bell", `document.querySelector("#bell-menu:popover-open")`)
	b.checkUnowned("bell")
	b.visit("/ws/acme")
	b.press("k", chromedp.ModifierCtrl)
	b.waitFor("the palette", `document.activeElement.closest("#palette")`)
	b.press("img")
	b.waitFor("results", `document.querySelector("#palette [data-palette-status]").textContent !== "" && [...document.querySelectorAll("#palette [role=option]")].some(o => o.innerText.includes("data-owned"))`)
	b.checkUnowned("palette")

	ok(t, p.json(t, p.token(t, "acme", "owner"), http.MethodPost, "/ws/acme/api/v1/invitations", `{"email":"guest@example.test","role":"viewer"}`), http.StatusCreated, "invite")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := office.Wait(ctx, func(m mailcatcher.Message) bool { return len(m.To) == 1 && m.To[0] == "guest@example.test" }); err != nil {
		t.Fatal(err)
	}
	p.settle(t)
	named := 0
	for _, m := range office.Messages() {
		if strings.Contains(m.HTML, "<img") {
			t.Errorf("the mail %q holds the markup", m.Subject)
		}
		if strings.Contains(m.HTML, "data-owned") {
			named++
		}
	}
	if named < 2 {
		t.Errorf("only %d of %d mails show a name", named, len(office.Messages()))
	}
}

// checkUnowned fails when a name became an element, or ran.
func (b *tab) checkUnowned(where string) {
	b.t.Helper()
	if evaluate[bool](b, `document.querySelector("[data-owned]") !== null || window.owned !== undefined`) {
		b.t.Errorf("%s: a name became an element", where)
	}
	b.checkQuiet(where)
}

// hostileNames fills acme, and returns the id of a host whose certificate is hostile, too.
func (p *program) hostileNames(t *testing.T) string {
	t.Helper()
	ctx := context.Background()
	token := p.token(t, "acme", "owner")
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	text := string(quoted)
	user, err := p.Services.Identity.EnsureUser(ctx, identity.SeedUser{Email: "hostile@acme.test", Name: hostile})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Services.Members.SeedMember(ctx, p.spaces["acme"], user.ID, access.Admin); err != nil {
		t.Fatal(err)
	}
	const root = "/ws/acme/api/v1"
	ok(t, p.json(t, token, http.MethodPatch, root+"/workspace", `{"name":`+text+`}`), http.StatusOK, "name the workspace")
	p.create(t, token, "acme", "/groups", `{"name":`+text+`}`)
	webhook := p.create(t, token, "acme", "/webhooks", fmt.Sprintf(`{"url":%q,"description":%s,"patterns":["*"]}`, newHook(t).URL+"/hook?x="+url.QueryEscape(hostile), text))
	p.create(t, token, "acme", "/tokens", `{"name":`+text+`,"scopes":["host.read"]}`)
	p.create(t, token, "acme", "/group-mappings", `{"claim_value":`+text+`,"role":"viewer"}`)
	ok(t, p.post(t, "owner@acme.test", "/ws/acme/governance/audit/filters", url.Values{"name": {hostile}, "query": {"q=host"}, "q": {"host"}}.Encode()), http.StatusSeeOther, "save a filter")

	asset := fmt.Sprintf(`{"name":%s,"ci_type":"%%s","team":%[1]s,"tags":[%[1]s],"description":%[1]s,"external_id":%[1]s,"provider":"%%s","custom_fields":{%[1]s:%[1]s}}`, text)
	below := p.create(t, token, "acme", "/assets", fmt.Sprintf(asset, "database", "aws"))
	above := p.create(t, token, "acme", "/assets", fmt.Sprintf(asset, "service", "gcp"))
	p.create(t, token, "acme", "/asset-relationships", fmt.Sprintf(`{"from":%q,"to":%q,"note":%s}`, above, below, text))
	first := p.create(t, token, "acme", "/tasks", fmt.Sprintf(`{"title":%s,"description":%[1]s,"parent_type":"asset","parent_id":%q,"assignee":"owner@acme.test"}`, text, below))
	next := p.create(t, token, "acme", "/tasks", fmt.Sprintf(`{"title":%s,"assignee":"hostile@acme.test"}`, text))
	p.create(t, token, "acme", "/tasks/"+next+"/dependencies", fmt.Sprintf(`{"predecessor":%q}`, first))
	p.planSilence(t, token, "acme", text)
	p.create(t, token, "acme", "/freezes", fmt.Sprintf(
		`{"name":%s,"kind":"hard","reason":%[1]s,"owner":%q,"state":"active","scope":{"asset_tags":[%[1]s],"asset_ids":[%[3]q],"service_ids":[%[4]q]},"schedule":{"starts_at":"2031-01-02T03:04:00Z"}}`,
		text, user.ID, below, above))
	p.furnishApprovals(t, token, "acme", text)
	change := p.create(t, token, "acme", "/changes", fmt.Sprintf(
		`{"title":%s,"description":%[1]s,"environment":"staging","planned_start":"2031-02-03T04:05:00Z","planned_end":"2031-02-03T05:05:00Z","implementation_plan":%[1]s,"backout_plan":%[1]s,"assets":[%[2]q],"tags":[%[1]s]}`,
		text, below))
	p.create(t, token, "acme", "/changes/"+change+"/comments", `{"body":`+text+`}`)
	p.create(t, token, "acme", "/change-templates", fmt.Sprintf(
		`{"name":%s,"body":{"title_pattern":%[1]s,"implementation_plan":%[1]s,"backout_plan":%[1]s,"risk_ceiling":"low"}}`, text))

	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	now := time.Now()
	cert := certtest.Must(certtest.SelfSigned(certtest.Spec{
		CommonName: hostile, Organization: hostile, DNSNames: []string{hostile}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(50 * time.Hour),
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}
	server.StartTLS()
	t.Cleanup(server.Close)
	port := strings.TrimPrefix(server.URL, "https://127.0.0.1:")
	p.create(t, token, "acme", "/alert-rules", fmt.Sprintf(
		`{"name":%s,"trigger":"expiring_soon","threshold_days":5,"severity":"critical","webhook_ids":[%q],"emails":["pager@example.test"]}`, text, webhook))
	return p.create(t, token, "acme", "/hosts", fmt.Sprintf(`{"hostname":"127.0.0.1","port":%s,"tags":[%s],"owner":"hostile@acme.test"}`, port, text))
}
