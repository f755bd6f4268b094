package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/vigilo/vigilo/internal/demofarm"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/mailcatcher"
)

// soon is how long somebody who added a host waits until its certificate is on the page.
const soon = 5 * time.Second

// postOffice starts a mail server and returns the settings that use it.
func postOffice(t *testing.T) (*mailcatcher.Catcher, []string) {
	t.Helper()
	c, err := mailcatcher.New(mailcatcher.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close mail catcher: %v", err)
		}
	})
	host, port, err := net.SplitHostPort(c.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return c, []string{
		"VIGILO_SMTP_HOST=" + host, "VIGILO_SMTP_PORT=" + port, "VIGILO_SMTP_TLS=none", "VIGILO_SMTP_FROM=Vigilo <vigilo@example.test>",
	}
}

// trust returns the setting that makes a program accept the servers of a farm.
func trust(t *testing.T, f *demofarm.Farm) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(path, f.Roots(), 0o600); err != nil {
		t.Fatal(err)
	}
	return "VIGILO_TRUSTED_ROOTS_FILE=" + path
}

// serverOf returns a server of a farm and how lists name it.
func serverOf(t *testing.T, f *demofarm.Farm, name string) (s demofarm.Server, title string) {
	t.Helper()
	s, found := f.Server(name)
	if !found {
		t.Fatalf("the farm has no server %s", name)
	}
	return s, fmt.Sprintf("%s (%s:%d)", s.ServerName, s.Host, s.Port)
}

// hook is a webhook receiver that keeps every request as it came.
type hook struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

type received struct {
	header http.Header
	body   []byte
	event  event.Event
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := received{header: r.Header.Clone()}
		var err error
		if got.body, err = io.ReadAll(r.Body); err == nil {
			err = json.Unmarshal(got.body, &got.event)
		}
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		h.got = append(h.got, got)
		h.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(h.Close)
	return h
}

// wait returns the first request that matches, once it has arrived.
func (h *hook) wait(t *testing.T, what string, match func(event.Event) bool) received {
	t.Helper()
	var found received
	eventually(t, what, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		i := slices.IndexFunc(h.got, func(r received) bool { return match(r.event) })
		if i >= 0 {
			found = h.got[i]
		}
		return i >= 0
	})
	return found
}

// checkSigned verifies a request the way receivers are told to: with a library of the
// Standard Webhooks project, which shares no code with what signs.
func checkSigned(t *testing.T, secret string, r received) {
	t.Helper()
	v, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatalf("the secret is none of Standard Webhooks: %v", err)
	}
	if err := v.Verify(r.body, r.header); err != nil {
		t.Errorf("signature of %s: %v", r.event.Name, err)
	}
	if v.Verify(append(slices.Clone(r.body), ' '), r.header) == nil {
		t.Error("the signature also fits another body")
	}
}

// webhook lets an admin add a webhook for a hook, and returns its secret.
func (p *program) webhook(t *testing.T, slug string, h *hook, patterns ...string) string {
	t.Helper()
	body, err := json.Marshal(map[string]any{"url": h.URL + "/vigilo", "description": "Pager", "patterns": patterns})
	if err != nil {
		t.Fatal(err)
	}
	a := p.json(t, p.token(t, slug, "admin"), http.MethodPost, "/ws/"+slug+"/api/v1/webhooks", string(body))
	ok(t, a, http.StatusCreated, "create a webhook")
	var made struct {
		Secret string `json:"secret"`
	}
	if err := json.Unmarshal([]byte(a.body), &made); err != nil || made.Secret == "" {
		t.Fatalf("no secret in %s", clip(a.body))
	}
	return made.Secret
}

// mailAbout waits for a mail to somebody that names a thing.
func mailAbout(t *testing.T, c *mailcatcher.Catcher, to, thing string) mailcatcher.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := c.Wait(ctx, func(m mailcatcher.Message) bool { return slices.Contains(m.To, to) && strings.Contains(m.Text, thing) })
	if err != nil {
		t.Fatalf("no mail to %s about %s: %v", to, thing, err)
	}
	if m.Problem != "" || m.HTML == "" || !strings.Contains(m.HTML, thing) {
		t.Errorf("the mail is damaged or says less as HTML: %s %s", m.Problem, clip(m.HTML))
	}
	return m
}

// goTo follows a link of the sidebar.
func (b *tab) goTo(label string) {
	b.t.Helper()
	link := fmt.Sprintf(`.nav-link[data-label=%q]`, label)
	if !evaluate[bool](b, fmt.Sprintf(`document.querySelector(%q).closest("details").open`, link)) {
		b.click(fmt.Sprintf(`details:has(%s) > summary`, link))
	}
	before := b.path()
	b.click(link)
	b.waitFor("the page "+label, fmt.Sprintf(`location.pathname !== %q && document.readyState === "complete"`, before))
}

func (b *tab) path() string {
	b.t.Helper()
	return evaluate[string](b, "location.pathname")
}

// checkHelp opens the help panel beside the page, as the button does, and closes it.
func (b *tab) checkHelp(where string) {
	b.t.Helper()
	b.click(`[data-open="help"]`)
	b.waitFor(where+": the article", `document.querySelector("#help[open] #help-body .help-title")`)
	title, text := b.text("#help .help-title"), b.text("#help-body")
	if title == "" || len(text) < 200 {
		b.t.Errorf("%s: the help says little: %q", where, clip(text))
	}
	b.settle() // the panel slides in, and a click finds what stands still
	b.click(`[data-close="help"]`)
	b.waitFor(where+": help is closed", `!document.querySelector("#help[open]")`)
	b.checkQuiet(where)
}

// mark leaves something on the page that a reload would remove.
func (b *tab) mark() { evaluate[bool](b, `window.stayed = true`) }

func (b *tab) checkStayed(where string) {
	b.t.Helper()
	if !evaluate[bool](b, `window.stayed === true`) {
		b.t.Errorf("%s: the page was loaded again instead of changing by itself", where)
	}
}

// TestANewUserSeesACertificateAndHearsOfIt follows a member from the sign-in page to
// everything that a certificate about to end sets off.
func TestANewUserSeesACertificateAndHearsOfIt(t *testing.T) {
	t.Parallel()
	servers := farm(t)
	office, settings := postOffice(t)
	p := start(t, append(settings, trust(t, servers))...)
	p.workspace(t, "acme")
	receiver := newHook(t)
	secret := p.webhook(t, "acme", receiver, "host.added", "alert.*")
	server, title := serverOf(t, servers, "expires-in-5-days")

	b := p.open(t, "", looks[0])
	b.visit("/login")
	b.click(`button[value="member@acme.test"]`)
	b.waitFor("the workspace", `location.pathname.startsWith("/ws/acme") && document.readyState === "complete"`)
	b.checkHelp("home")
	b.goTo("Certificates")
	b.checkHelp("empty list")
	b.click(`a[href="/ws/acme/certificates/new"]`)
	b.waitFor("the form", `document.querySelector("#hostname")`)
	b.checkHelp("form")

	b.write("#hostname", server.Host)
	b.write("#port", fmt.Sprint(server.Port))
	b.choose("#owner", "Member Tester")
	b.write("#server_name", server.ServerName)
	b.click("form.form .form-foot .btn.is-primary")
	eventuallyWithin(t, soon, "the certificate is shown", func() bool {
		return b.holds(`/^\/ws\/acme\/certificates\/[0-9a-f-]{36}$/.test(location.pathname) && /expires in [45] days/i.test(document.body.innerText) &&
			document.querySelector("[aria-labelledby=identity]").innerText.includes("login.acme.test")`)
	})
	b.checkHelp("host")
	b.checkFits("host")
	host := b.path()

	b.waitFor("the bell rings", `document.querySelector("#bell .pip")`)
	b.mark()
	b.click("#bell-button")
	b.waitFor("the bell names the host", fmt.Sprintf(`document.querySelector("#bell-menu:popover-open")?.innerText.includes(%q)`, title))
	b.checkStayed("bell")
	b.settle()
	b.click("#bell-menu .list a")
	b.waitFor("the alert", `/^\/ws\/acme\/alerts\/[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === "complete"`)
	if text := b.text("main"); !strings.Contains(text, title) || !strings.Contains(text, "Certificate expires within") {
		t.Errorf("the alert does not say what it is about: %s", clip(text))
	}
	b.checkHelp("alert")
	b.click(`form[action$="/acknowledge"] button`)
	b.waitFor("the alert is acknowledged", `document.querySelector("main").innerText.includes("Acknowledged by") && document.readyState === "complete"`)

	m := mailAbout(t, office, "member@acme.test", title)
	link := regexp.MustCompile(regexp.QuoteMeta(p.base) + `/ws/acme/\S+`).FindString(m.Text)
	if link == "" {
		t.Fatalf("the mail leads nowhere: %s", m.Text)
	}
	b.visit(strings.TrimPrefix(link, p.base))
	if text := b.text("main"); !strings.Contains(text, title) {
		t.Errorf("the link of the mail, %s, leads to %s: %s", link, b.path(), clip(text))
	}

	fired := receiver.wait(t, "alert.fired arrives", func(ev event.Event) bool {
		return ev.Name == "alert.fired" && strings.Contains(string(ev.Payload), strings.TrimPrefix(host, "/ws/acme/certificates/"))
	})
	checkSigned(t, secret, fired)
	added := receiver.wait(t, "host.added arrives", func(ev event.Event) bool { return ev.Name == "host.added" })
	checkSigned(t, secret, added)
	if added.event.Actor.Name != "Member Tester" || added.event.Subject.Title != title {
		t.Errorf("host.added names %q and %q", added.event.Actor.Name, added.event.Subject.Title)
	}

	p.settle(t)
	b.goTo("Audit log")
	b.checkHelp("audit log")
	log := b.text("main")
	for _, want := range []string{
		"Signed in", "Webhook", "Host added", "First certificate of a host seen", "Status of a host changed", "An alert fired", "An alert was acknowledged",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log lacks %q: %s", want, log)
		}
	}
	b.visit("/ws/acme/governance/audit?action=host.added")
	b.click(".table tbody .row-link")
	b.waitFor("the entry", `/\/governance\/audit\/[0-9a-f-]{36}$/.test(location.pathname) && document.readyState === "complete"`)
	if text := b.text("main"); !strings.Contains(text, "Member Tester") || !strings.Contains(text, title) {
		t.Errorf("the entry does not say who added what: %s", clip(text))
	}
	b.checkHelp("audit entry")
}

// choose selects an option by its text, as people do.
func (b *tab) choose(selector, text string) {
	b.t.Helper()
	found := evaluate[bool](b, fmt.Sprintf(`(() => {
		const select = document.querySelector(%q);
		const option = [...select.options].find(o => o.text === %q);
		if (!option) return false;
		select.value = option.value;
		select.dispatchEvent(new Event("input", {bubbles: true}));
		select.dispatchEvent(new Event("change", {bubbles: true}));
		return true;
	})()`, selector, text))
	if !found {
		b.t.Fatalf("%s has no option %q", selector, text)
	}
}

// read gets a path of the API of acme and decodes the answer.
func read[T any](t *testing.T, p *program, token, path string) T {
	t.Helper()
	a := p.get(t, token, "/ws/acme/api/v1"+path)
	ok(t, a, http.StatusOK, path)
	var v T
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%s: %v: %s", path, err, clip(a.body))
	}
	return v
}

type items[T any] struct {
	Items []T `json:"items"`
}

type hostSeen struct {
	ID            string  `json:"id"`
	Status        string  `json:"status"`
	DaysLeft      *int    `json:"days_left"`
	Issuer        string  `json:"issuer"`
	OwnerName     string  `json:"owner_name"`
	SnapshotID    *string `json:"snapshot_id"`
	CertificateID *string `json:"certificate_id"`
}

type alertSeen struct {
	ID           string  `json:"id"`
	State        string  `json:"state"`
	Trigger      string  `json:"trigger"`
	Severity     string  `json:"severity"`
	Acknowledged *string `json:"acknowledged_at"`
}

// TestTheSameByTheAPI does with a member's token what the page does.
func TestTheSameByTheAPI(t *testing.T) {
	t.Parallel()
	servers := farm(t)
	office, settings := postOffice(t)
	p := start(t, append(settings, trust(t, servers))...)
	p.workspace(t, "acme")
	receiver := newHook(t)
	secret := p.webhook(t, "acme", receiver, "alert.fired")
	server, title := serverOf(t, servers, "expires-in-5-days")
	token := p.token(t, "acme", "member")
	const root = "/ws/acme/api/v1"

	ok(t, p.json(t, token, http.MethodPost, root+"/webhooks", `{"url":"https://example.test","patterns":["*"]}`), http.StatusForbidden, "a member adds a webhook")
	a := p.json(t, token, http.MethodPost, root+"/hosts", fmt.Sprintf(
		`{"hostname":%q,"port":%d,"server_name":%q,"owner":"member@acme.test","tags":["api"]}`, server.Host, server.Port, server.ServerName))
	ok(t, a, http.StatusCreated, "add a host")
	host := id(t, a)
	if want := root + "/hosts/" + host; a.header.Get("Location") != want {
		t.Errorf("Location is %q, want %q", a.header.Get("Location"), want)
	}
	var h hostSeen
	eventuallyWithin(t, soon, "the certificate is known", func() bool {
		h = read[hostSeen](t, p, token, "/hosts/"+host)
		return h.SnapshotID != nil
	})
	if h.Status != "critical" || h.DaysLeft == nil || *h.DaysLeft > 5 || h.OwnerName != "Member Tester" {
		t.Errorf("the host is %+v", h)
	}
	snapshot := read[struct {
		Chain []struct {
			Subject string `json:"subject"`
			IsCA    bool   `json:"is_ca"`
		} `json:"chain"`
	}](t, p, token, "/snapshots/"+*h.SnapshotID)
	if len(snapshot.Chain) < 2 || snapshot.Chain[0].IsCA || !snapshot.Chain[1].IsCA {
		t.Errorf("the chain is %+v", snapshot.Chain)
	}
	cert := read[struct {
		Names []string `json:"names"`
	}](t, p, token, "/certificates/"+*h.CertificateID)
	if !slices.Contains(cert.Names, server.ServerName) {
		t.Errorf("the certificate names %v", cert.Names)
	}

	var alert alertSeen
	eventually(t, "an alert fires", func() bool {
		for _, al := range read[items[alertSeen]](t, p, token, "/alerts?state=firing&host_id="+host).Items {
			if al.Trigger == "expiring_soon" && al.Severity == "high" {
				alert = al
			}
		}
		return alert.ID != ""
	})
	ok(t, p.json(t, token, http.MethodPost, root+"/alerts/"+alert.ID+"/acknowledge", ""), http.StatusOK, "acknowledge")
	if n := len(read[items[alertSeen]](t, p, token, "/alerts?acknowledged=true&host_id="+host).Items); n != 1 {
		t.Errorf("%d alerts are acknowledged, want 1", n)
	}
	type noticeSeen struct {
		ID    string `json:"id"`
		Event string `json:"event"`
		Title string `json:"title"`
		Read  bool   `json:"read"`
	}
	var notice noticeSeen
	eventually(t, "the inbox says so", func() bool {
		list := read[items[noticeSeen]](t, p, token, "/notifications").Items
		if i := slices.IndexFunc(list, func(n noticeSeen) bool { return strings.Contains(n.Title, title) }); i >= 0 {
			notice = list[i]
		}
		return notice.ID != ""
	})
	ok(t, p.json(t, token, http.MethodPost, root+"/notifications/read", fmt.Sprintf(`{"ids":[%q]}`, notice.ID)), http.StatusOK, "mark as read")
	mailAbout(t, office, "member@acme.test", title)
	checkSigned(t, secret, receiver.wait(t, "alert.fired arrives", func(ev event.Event) bool { return ev.Name == "alert.fired" }))

	a = p.json(t, token, http.MethodPost, root+"/hosts/"+host+"/scan", "")
	ok(t, a, http.StatusAccepted, "scan now")
	var scan struct {
		ScanID string `json:"scan_id"`
	}
	if err := json.Unmarshal([]byte(a.body), &scan); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the scan succeeds", func() bool {
		return read[struct {
			State string `json:"state"`
		}](t, p, token, "/scans/"+scan.ScanID).State == "succeeded"
	})
	p.settle(t)
	type entry struct {
		Action string `json:"action"`
	}
	var actions []string
	for _, e := range read[items[entry]](t, p, token, "/audit?limit=200").Items {
		actions = append(actions, e.Action)
	}
	for _, want := range []string{
		"webhook.created", "host.added", "cert.observed", "host.status_changed", "alert.fired", "alert.acknowledged", "host.scan_requested",
	} {
		if !slices.Contains(actions, want) {
			t.Errorf("the audit log lacks %s: %v", want, actions)
		}
	}
}

// TestARenewalIsSeenToldAndExplained replaces a certificate and looks at what a member
// finds about it.
func TestARenewalIsSeenToldAndExplained(t *testing.T) {
	t.Parallel()
	servers := farm(t)
	p := start(t, trust(t, servers))
	p.workspace(t, "acme")
	server, title := serverOf(t, servers, "healthy")
	token := p.token(t, "acme", "member")
	host := p.create(t, token, "acme", "/hosts", fmt.Sprintf(
		`{"hostname":%q,"port":%d,"server_name":%q,"owner":"member@acme.test"}`, server.Host, server.Port, server.ServerName))
	var before hostSeen
	eventually(t, "the first certificate is known", func() bool {
		before = read[hostSeen](t, p, token, "/hosts/"+host)
		return before.SnapshotID != nil
	})
	if before.Status != "valid" {
		t.Fatalf("the host is %s although its root is trusted", before.Status)
	}
	p.settle(t)

	b := p.open(t, "member@acme.test", looks[0])
	page := "/ws/acme/certificates/" + host
	b.visit(page)
	if err := servers.Replace("healthy"); err != nil {
		t.Fatal(err)
	}
	b.click(`form[action$="/scan"] button`)
	b.waitFor("the new certificate is on the page", fmt.Sprintf(
		`document.querySelector("[aria-labelledby=identity]") && !document.querySelector("[aria-labelledby=identity]").innerText.includes(%q)`, before.Issuer))
	after := read[hostSeen](t, p, token, "/hosts/"+host)
	if after.Status != "valid" || after.Issuer == before.Issuer || *after.CertificateID == *before.CertificateID {
		t.Errorf("before %+v, after %+v", before, after)
	}

	var told []string
	eventually(t, "both changes are alerts", func() bool {
		told = nil
		for _, al := range read[items[alertSeen]](t, p, token, "/alerts?host_id="+host).Items {
			told = append(told, al.Trigger)
		}
		return slices.Contains(told, "cert_changed") && slices.Contains(told, "cert_issuer_changed")
	})
	b.waitFor("the bell rings", `document.querySelector("#bell .pip")`)
	b.visit("/ws/acme/alerts?state=all")
	if text := b.text("main"); !strings.Contains(text, "Certificate changed") || !strings.Contains(text, "Issuer changed") || !strings.Contains(text, title) {
		t.Errorf("the list of alerts does not show the renewal: %s", clip(text))
	}
	b.checkHelp("alerts")

	b.visit(page + "/history")
	history := b.text("[aria-labelledby=changes]")
	for _, want := range []string{before.Issuer, after.Issuer, "Issuer", "Serial"} {
		if !strings.Contains(history, want) {
			t.Errorf("the history does not say %q: %s", want, history)
		}
	}
	b.checkHelp("history")
	b.visit(page + "/chain")
	chain := b.text("main")
	for _, want := range []string{after.Issuer, server.ServerName, "Root, in the roots of this installation, not sent"} {
		if !strings.Contains(chain, want) {
			t.Errorf("the chain does not show %q: %s", want, chain)
		}
	}
	b.checkHelp("chain")
	b.click(`[aria-labelledby=sent] a`)
	b.waitFor("the stored certificate", `location.pathname.startsWith("/ws/acme/certificates/stored/") && document.readyState === "complete"`)
	b.checkHelp("stored certificate")
	b.visit(page + "/activity")
	if text := b.text("main"); !strings.Contains(text, "Member Tester") {
		t.Errorf("the activity does not say who asked for a scan: %s", clip(text))
	}
}
