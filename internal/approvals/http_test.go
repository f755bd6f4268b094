package approvals

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// people signs in by a first name; the stranger does not belong to acme.
type people struct{ b *bench }

func (p people) Session(_ context.Context, token, slug string) (web.Principal, bool, error) {
	a, ok := map[string]db.Actor{
		"ann": p.b.ann, "ben": p.b.ben, "adam": p.b.adam, "rita": p.b.rita, "mo": p.b.mo, "vera": p.b.viewer, "stranger": p.b.stranger,
	}[token]
	if !ok {
		return web.Principal{}, false, nil
	}
	out := web.Principal{
		Kind: db.ActorUser, ID: a.UserID, User: web.User{ID: a.UserID, Name: a.Name, TimeZone: "Europe/Oslo"}, Role: access.Role(a.Role),
		SessionID: a.SessionID, SignedInAt: a.SignedInAt, AuthMethod: "oidc", MFA: "pwd otp",
	}
	switch {
	case slug == "acme" && token != "stranger":
		out.Workspace = &web.Workspace{ID: p.b.ws, Slug: "acme", Name: "Acme"}
	case slug == "globex" && token == "stranger":
		out.Workspace = &web.Workspace{ID: p.b.other, Slug: "globex", Name: "Globex"}
	}
	return out, true, nil
}

func (p people) Token(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	out, ok, err := p.Session(ctx, token, slug)
	out.Kind, out.SessionID, out.SignedInAt = db.ActorAPIKey, uuid.Nil, time.Time{}
	return out, ok, err
}

type site struct {
	*bench
	srv *httptest.Server
}

func serve(t testing.TB) site {
	t.Helper()
	b := setUp(t)
	if err := b.policy.Add(access.Grant{Permission: web.LivePermission, Min: access.Viewer}); err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	s := web.New(web.Options{DB: b.DB.DB, Policy: b.policy, Auth: people{b}, Clock: b.clk, Log: slog.New(slog.DiscardHandler), BaseURL: base})
	m := b.svc.Module()
	s.SetNav(m.Nav)
	m.Routes(s.Module(m.Name))
	m.API(api.New(s, b.DB.DB, dbtest.Keyring(t), "test").Module(m.Name))
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return site{b, srv}
}

// ask sends a request as somebody and returns status, place and body.
func (s site) ask(t *testing.T, who, method, path, body string) (int, string, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(path, "/api/") {
		req.Header.Set("Authorization", "Bearer "+who)
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
	} else {
		req.AddCookie(&http.Cookie{Name: "vigilo", Value: who})
		if method == http.MethodPost {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Location"), string(raw)
}

var forbiddenMarkup = regexp.MustCompile(`<[^>]*\s(style|on[a-z]+)=|<script>|javascript:`)

// page asks for a page that must be there and obey the policy.
func (s site) page(t *testing.T, who, path string) string {
	t.Helper()
	code, _, body := s.ask(t, who, http.MethodGet, path, "")
	if code != http.StatusOK {
		t.Fatalf("%s asks for %s: %d %s", who, path, code, body)
	}
	if bad := forbiddenMarkup.FindString(body); bad != "" {
		t.Errorf("%s contains %s", path, bad)
	}
	if n := strings.Count(body, "<h1"); n != 1 {
		t.Errorf("%s has %d headings of the first level", path, n)
	}
	return body
}

func contains(t *testing.T, body string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(body, w) {
			t.Errorf("no %q in page", w)
		}
	}
}

func lacks(t *testing.T, body string, unwanted ...string) {
	t.Helper()
	for _, w := range unwanted {
		if strings.Contains(body, w) {
			t.Errorf("%q in page", w)
		}
	}
}

func (s site) post(t *testing.T, who, path string, f url.Values, want int) (string, string) {
	t.Helper()
	code, place, body := s.ask(t, who, http.MethodPost, path, f.Encode())
	if code != want {
		t.Fatalf("%s posts to %s: %d, want %d\n%s", who, path, code, want, body)
	}
	return place, body
}

func TestTheQueueShowsWhatWaits(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.stages(t, "P", allOf("Check", user(s.ann), user(s.adam)))
	contains(t, s.page(t, "ann", "/ws/acme/approvals"), "Nothing waits for you")
	contains(t, s.page(t, "ann", "/ws/acme/approvals?view=decided"), "No decision yet")
	first := s.open(t, func(p *Subject) { p.Title, p.Facts.Risk = `<b>Shop</b> "renewal"`, "high" })
	s.open(t, func(p *Subject) { p.Key, p.Title = "PAP-00002", "=HYPERLINK(0)" })
	s.delegation(t, s.adam, s.ben)
	s.reroute(t)
	body := s.page(t, "ann", "/ws/acme/approvals")
	contains(t, body, "&lt;b&gt;Shop&lt;/b&gt;", "PAP-00002", "High", "Due in 3 days", `data-hotkey="a"`, "/ws/acme/approvals/"+s.seatOf(t, first, 1, "Ann").String())
	contains(t, s.page(t, "ben", "/ws/acme/approvals"), "For Adam Admin")
	contains(t, s.page(t, "adam", "/ws/acme/approvals?view=delegated"), "With Ben Approver")
	contains(t, s.page(t, "ann", "/ws/acme/approvals?risk=high&q=pap-00001"), "Shop", "Remove filter: Risk is high")
	contains(t, s.page(t, "ann", "/ws/acme/approvals?risk=critical"), "No approval matches", "the filter Risk is critical")
	lacks(t, s.page(t, "ann", "/ws/acme/approvals?q=hyper&due=week&sort=-opened_at"), "Shop")
	contains(t, s.page(t, "ann", "/ws/acme/approvals?due=overdue"), "No approval matches")

	_, _, raw := s.ask(t, "ann", http.MethodGet, "/ws/acme/approvals?format=csv", "")
	rows, err := csv.NewReader(strings.NewReader(raw)).ReadAll()
	if err != nil || len(rows) != 3 || !strings.HasPrefix(rows[2][1], "'=") && !strings.HasPrefix(rows[1][1], "'=") {
		t.Errorf("%v, %v", rows, err)
	}
	for _, who := range []string{"mo", "vera"} {
		if code, _, _ := s.ask(t, who, http.MethodGet, "/ws/acme/approvals", ""); code != http.StatusForbidden {
			t.Errorf("%s sees the queue: %d", who, code)
		}
	}
}

func TestASeatIsDecidedOnItsPage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.stages(t, "P", allOf("Check", user(s.ann), user(s.adam)), then(2, Stage{Name: "Board", Mode: "cab"}))
	d := s.delegation(t, s.adam, s.ben)
	p := s.open(t, func(p *Subject) { p.Shown = "Replace <script>alert(1)</script>\nthen restart." })
	seat := "/ws/acme/approvals/" + s.seatOf(t, p, 1, "Ann").String()
	body := s.page(t, "ann", seat)
	contains(t, body, "Replace &lt;script&gt;", "Renew the shop certificate", `name="revision" value="1"`, "Stage 1: Check", "Stage 2: Board", "Left out", "Rita Requester", `value="reject"`)
	contains(t, s.page(t, "ben", "/ws/acme/approvals/"+s.seatOf(t, p, 1, "Adam").String()), "You decide for Adam Admin.", d.Key)
	contains(t, s.page(t, "adam", "/ws/acme/approvals/"+s.seatOf(t, p, 1, "Adam").String()), "Ben Approver is asked in your place.")
	body = s.page(t, "rita", seat)
	contains(t, body, "Nobody approves their own work: you are its requester.")
	lacks(t, body, `value="reject"`)
	contains(t, s.page(t, "ben", seat), "You are not asked for this seat.")

	_, body = s.post(t, "ann", seat, url.Values{"decision": {"reject"}, "revision": {"1"}}, http.StatusUnprocessableEntity)
	contains(t, body, "Say why, so that the author knows what to change.")
	_, body = s.post(t, "ann", seat, url.Values{"decision": {"approve"}, "revision": {"2"}, "comment": {"Fine with me"}}, http.StatusConflict)
	contains(t, body, "It was changed since", "Fine with me")
	if code, _, _ := s.ask(t, "rita", http.MethodPost, seat, "decision=approve&revision=1"); code != http.StatusForbidden {
		t.Errorf("the requester decides: %d", code)
	}
	place, _ := s.post(t, "ann", seat, url.Values{"decision": {"approve"}, "revision": {"1"}, "comment": {"Checked"}, "key": {"k"}}, http.StatusSeeOther)
	if place != "/ws/acme/approvals" {
		t.Errorf("leads to %s", place)
	}
	s.post(t, "ann", seat, url.Values{"decision": {"approve"}, "revision": {"1"}, "comment": {"Checked"}, "key": {"k"}}, http.StatusSeeOther)
	_, body = s.post(t, "ann", seat, url.Values{"decision": {"approve"}, "revision": {"1"}}, http.StatusConflict)
	contains(t, body, "Ann Approver has decided this seat already.", "Your decision was not taken.")
	body = s.page(t, "ann", seat)
	contains(t, body, "Proof", "Valid", "1 record", "pwd otp", "Approved by Ann Approver.")
	lacks(t, body, `value="reject"`)
	contains(t, s.page(t, "ann", "/ws/acme/approvals?view=decided"), "Approved", "Checked")

	for _, path := range []string{"/ws/acme/approvals/" + uuid.NewString(), "/ws/acme/approvals/nothing"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if code, _, _ := s.ask(t, "ann", method, path, "decision=approve&revision=1"); code != http.StatusNotFound {
				t.Errorf("%s %s: %d", method, path, code)
			}
		}
	}
	own := strings.Replace(seat, "acme", "globex", 1)
	if code, _, _ := s.ask(t, "stranger", http.MethodGet, own, ""); code != http.StatusNotFound {
		t.Errorf("another workspace: %d", code)
	}
	if code, place, _ := s.ask(t, "nobody", http.MethodGet, seat, ""); code != http.StatusSeeOther || place != "/login?return_to="+url.QueryEscape(seat) {
		t.Errorf("signed out: %d %s", code, place)
	}
}

func TestAStageMaySendPeopleToSignInAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	st := anyOf("Director", role(access.Admin))
	st.Reauth = true
	s.stages(t, "P", st)
	seat := "/ws/acme/approvals/" + s.seatOf(t, s.open(t), 1, "Any").String()
	lacks(t, s.page(t, "adam", seat), "Sign in again")
	s.clk.Advance(6 * time.Minute)
	contains(t, s.page(t, "adam", seat), "This stage asks you to sign in again.")
	place, _ := s.post(t, "adam", seat, url.Values{"decision": {"approve"}, "revision": {"1"}}, http.StatusSeeOther)
	if place != "/login?again=act&return_to="+url.QueryEscape(seat) {
		t.Errorf("leads to %s", place)
	}
	code, _, body := s.ask(t, "adam", http.MethodPost, strings.Replace(seat, "/approvals", "/api/v1/approvals", 1)+"/decision", `{"decision":"approve","revision":1}`)
	if code != http.StatusForbidden || !strings.Contains(body, "reauth_required") {
		t.Errorf("by token: %d %s", code, body)
	}
}

func TestSeveralAreDecidedAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.stages(t, "P", allOf("Check", user(s.ann), user(s.adam)))
	one, two := s.open(t), s.open(t, func(p *Subject) { p.Key = "PAP-00002" })
	a, b := s.seatOf(t, one, 1, "Ann").String(), s.seatOf(t, two, 1, "Ann").String()
	if code, place, _ := s.ask(t, "ann", http.MethodGet, "/ws/acme/approvals/decide?do=approve", ""); code != http.StatusSeeOther || place != "/ws/acme/approvals" {
		t.Errorf("nothing selected: %d %s", code, place)
	}
	if code, _, _ := s.ask(t, "ann", http.MethodGet, "/ws/acme/approvals/decide?do=burn&id="+a, ""); code != http.StatusUnprocessableEntity {
		t.Errorf("an unknown act: %d", code)
	}
	body := s.page(t, "ann", "/ws/acme/approvals/decide?do=reject&id="+a+"&id="+b+"&id="+uuid.NewString())
	contains(t, body, "Reject 2 approvals", "revision_"+a, "PAP-00002")
	contains(t, s.page(t, "ben", "/ws/acme/approvals/decide?do=reject&id="+a), "None of them waits for you any more")
	f := url.Values{"do": {"reject"}, "id": {a, b}, "revision_" + a: {"1"}, "revision_" + b: {"1"}}
	_, body = s.post(t, "ann", "/ws/acme/approvals/decide", f, http.StatusUnprocessableEntity)
	contains(t, body, "Say why", "PAP-00002")
	f.Set("do", "approve")
	f.Set("revision_"+b, "9")
	s.post(t, "ann", "/ws/acme/approvals/decide", f, http.StatusSeeOther)
	if got := s.seatLines(t, one, 1) + " | " + s.seatLines(t, two, 1); got != "Ann Approver approved [Ann]; Adam Admin open [Adam] | Ann Approver open [Ann]; Adam Admin open [Adam]" {
		t.Error(got)
	}
}

func TestPoliciesAreWrittenInAForm(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const path = "/ws/acme/settings/approval-policies"
	contains(t, s.page(t, "ann", path), "No approval policy")
	lacks(t, s.page(t, "ann", path), path+"/new")
	g := s.group(t, "Network team", s.ann, s.ben)
	contains(t, s.page(t, "adam", path+"/new"), "Network team", `name="s0_name"`, `name="count" value="1"`)
	f := url.Values{
		"do": {"add"}, "name": {"<b>Shop</b>"}, "priority": {"ten"}, "kinds": {"normal", "template"}, "risks": {"high", "critical"}, "count": {"1"}, "active": {"on"},
		"s0_order": {"1"}, "s0_name": {"Peer"}, "s0_mode": {"n_of_m"}, "s0_people": {"nobody@example.test"}, "s0_groups": {g.String()}, "s0_each": {"on"},
		"s0_owners": {"asset_owner"}, "s0_escalation": {"admin"}, "s0_reauth": {"on"}, "s0_reuse": {"no"}, "s0_deadline_days": {"2"},
	}
	_, body := s.post(t, "adam", path+"/new", f, http.StatusOK)
	contains(t, body, `name="s1_name"`, "&lt;b&gt;Shop&lt;/b&gt;", `value="remove-1"`)
	f.Set("do", "save")
	_, body = s.post(t, "adam", path+"/new", f, http.StatusUnprocessableEntity)
	contains(t, body, "Use a whole number, such as 3.", "No member has the address nobody@example.test.", "Number of approvals must be between 1 and 50.", `href="#s0_need"`)
	f.Set("priority", "10")
	f.Set("s0_people", "Adam.Admin@example.test")
	f.Set("s0_need", "2")
	place, _ := s.post(t, "adam", path+"/new", f, http.StatusSeeOther)
	body = s.page(t, "ann", place)
	contains(t, body, "2 of them", "Adam Admin, Group Network team, one seat each, Asset owners", "Admins and above", "Of the last five minutes", "2 business days", "Nobody who decided in an earlier stage", "high")
	lacks(t, body, place+"/edit")
	contains(t, s.page(t, "adam", place+"/edit"), "adam.admin@example.test", `value="10"`)
	f.Set("version", "1")
	f.Set("name", "Shop")
	s.post(t, "adam", place+"/edit", f, http.StatusSeeOther)
	f.Set("name", "Shop again")
	_, body = s.post(t, "adam", place+"/edit", f, http.StatusConflict)
	contains(t, body, "Shop again", "Somebody saved this policy meanwhile.", `name="version" value="2"`)
	s.post(t, "adam", place+"/retire", nil, http.StatusSeeOther)
	contains(t, s.page(t, "adam", place), "This policy is retired.", "Version 3", "Version 1")
	s.post(t, "adam", place+"/activate", nil, http.StatusSeeOther)
	for _, who := range []string{"ann", "mo"} {
		if code, _, _ := s.ask(t, who, http.MethodPost, place+"/edit", f.Encode()); code != http.StatusForbidden {
			t.Errorf("%s saves: %d", who, code)
		}
	}
	if code, _, _ := s.ask(t, "stranger", http.MethodGet, strings.Replace(place, "acme", "globex", 1), ""); code != http.StatusNotFound {
		t.Errorf("another workspace: %d", code)
	}
	body = s.page(t, "ann", path+"/preview?risk=high")
	contains(t, body, "Covered by “Shop”.", "Stage 1: Peer", "Ben Approver")
	lacks(t, body, "Ann Approver open")
	contains(t, s.page(t, "ann", path+"/preview?risk=low"), "No approval policy covers this")
}

func TestAFormKeepsWhatItShowsOfAPolicy(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	for _, p := range Defaults() {
		f := policyFormOf(p, nil)
		edit, err := b.svc.editPolicy(ctx, b.adam, f)
		if err != nil {
			t.Errorf("%s: %v", p.Name, err)
			continue
		}
		var got Policy
		edit(&got)
		got.tidy()
		p.tidy()
		if diff := cmp.Diff(p, got); diff != "" || !plainForm(p) {
			t.Errorf("%s: plain %v %s", p.Name, plainForm(p), diff)
		}
	}
	odd := NewPolicy()
	odd.Stages[0].Sources = append(odd.Stages[0].Sources, each(role(access.Admin)))
	if plainForm(odd) {
		t.Error("the form shows two roles")
	}
}

func TestAwayAndDelegationsOnTheirPages(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const path = "/ws/acme/account/away"
	contains(t, s.page(t, "ann", path), "Nobody decides for you", "No absence is entered.", "Europe/Oslo")
	contains(t, s.page(t, "mo", path), "You decide no approvals.")
	_, body := s.post(t, "ann", path+"/absences", url.Values{"from": {"2026-06-10"}, "until": {"2026-06-09"}, "reason": {"Trip"}}, http.StatusUnprocessableEntity)
	contains(t, body, "It must end after it starts.", "Trip")
	_, body = s.post(t, "ann", path+"/absences", url.Values{"from": {"soon"}}, http.StatusUnprocessableEntity)
	contains(t, body, "Use a date, such as 2026-07-06.", "Choose a day.")
	s.post(t, "ann", path+"/absences", url.Values{"from": {"2026-06-10"}, "until": {"2026-06-11"}, "reason": {"Trip"}}, http.StatusSeeOther)
	body = s.page(t, "ann", path)
	contains(t, body, "10 June 2026 to 11 June 2026", "Trip")
	var start time.Time
	var absence uuid.UUID
	if err := s.Admin(t).QueryRow(context.Background(), `SELECT id, starts_at FROM approval_absences`).Scan(&absence, &start); err != nil || !start.Equal(time.Date(2026, 6, 9, 22, 0, 0, 0, time.UTC)) {
		t.Errorf("starts %v, %v", start, err)
	}
	if code, _, _ := s.ask(t, "ben", http.MethodPost, path+"/absences/"+absence.String()+"/delete", ""); code != http.StatusNotFound {
		t.Errorf("somebody else removes it: %d", code)
	}
	s.post(t, "ann", path+"/absences/"+absence.String()+"/delete", nil, http.StatusSeeOther)

	contains(t, s.page(t, "ann", path+"/delegations/new"), "Ben Approver, Approver")
	f := url.Values{"delegate": {s.ben.UserID.String()}, "kind": {"out"}, "scope": {"asset_group"}, "from": {"2026-06-01"}, "until": {"2026-06-05"}}
	_, body = s.post(t, "ann", path+"/delegations/new", f, http.StatusUnprocessableEntity)
	contains(t, body, "The tag of the assets is needed.", `href="#tag"`)
	f.Set("tag", "pci")
	s.post(t, "ann", path+"/delegations/new", f, http.StatusSeeOther)
	contains(t, s.page(t, "ann", path), "Ben Approver", "DLG-00001", "Assets tagged pci, 1 June 2026 to 5 June 2026", "Running")
	contains(t, s.page(t, "ben", path), "Ann Approver", "DLG-00001")
	var id uuid.UUID
	if err := s.Admin(t).QueryRow(context.Background(), `SELECT id FROM approval_delegations`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	one := path + "/delegations/" + id.String()
	contains(t, s.page(t, "ann", one), `value="2026-06-05"`, "Revoke")
	lacks(t, s.page(t, "ben", one), "<form class=\"form\"")
	if code, _, _ := s.ask(t, "rita", http.MethodGet, one, ""); code != http.StatusNotFound {
		t.Errorf("a third person reads it: %d", code)
	}
	f.Set("version", "1")
	f.Set("until", "2026-06-06")
	s.post(t, "ann", one, f, http.StatusSeeOther)
	_, body = s.post(t, "ann", one, f, http.StatusConflict)
	contains(t, body, "Somebody changed this meanwhile")
	contains(t, s.page(t, "ann", one+"/revoke"), "Revoke this delegation?", "What was decided stays decided.")

	const all = "/ws/acme/settings/delegations"
	contains(t, s.page(t, "adam", all), "DLG-00001", "Running", "Ann Approver")
	contains(t, s.page(t, "adam", all+"?q=zz"), "No delegation matches")
	contains(t, s.page(t, "adam", all+"/new"), "For", "Ann Approver, Approver")
	if code, _, _ := s.ask(t, "ann", http.MethodGet, all, ""); code != http.StatusForbidden {
		t.Errorf("an approver reads all: %d", code)
	}
	s.post(t, "adam", all+"/"+id.String()+"/revoke", nil, http.StatusSeeOther)
	contains(t, s.page(t, "adam", all+"?view=over"), "Revoked")
	f.Set("principal", s.rita.UserID.String())
	f.Del("tag")
	f.Set("scope", "all")
	s.post(t, "adam", all+"/new", f, http.StatusSeeOther)
	contains(t, s.page(t, "ben", path), "Rita Requester")
}

func (s site) api(t *testing.T, who, method, path, body string, want int, into any) string {
	t.Helper()
	code, place, raw := s.ask(t, who, method, "/ws/acme/api/v1"+path, body)
	if code != want {
		t.Fatalf("%s %s as %s: %d, want %d\n%s", method, path, who, code, want, raw)
	}
	if into != nil {
		if err := json.Unmarshal([]byte(raw), into); err != nil {
			t.Fatalf("%v in %s", err, raw)
		}
	}
	return raw + place
}

func TestTheAPIDoesWhatThePagesDo(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var p policyBody
	raw := s.api(t, "adam", http.MethodPost, "/approval-policies", `{"name":"Peer","stages":[{"order":1,"name":"Peer","mode":"any","sources":[{"kind":"role","role":"approver"}]}]}`, 201, &p)
	contains(t, raw, "/ws/acme/api/v1/approval-policies/"+p.ID.String())
	contains(t, s.api(t, "adam", http.MethodPost, "/approval-policies", `{"name":"Empty"}`, 422, nil), `"field":"stages"`)
	s.api(t, "ann", http.MethodPost, "/approval-policies", `{"name":"X"}`, 403, nil)
	s.api(t, "mo", http.MethodGet, "/approval-policies", "", 403, nil)
	contains(t, s.api(t, "ann", http.MethodGet, "/approval-policies?limit=1&sort=-name&active=true", "", 200, nil), `"name":"Peer"`, `"next_cursor":null`)
	contains(t, s.api(t, "ann", http.MethodGet, "/approval-policies?colour=red", "", 422, nil), "unknown_parameter")
	s.api(t, "adam", http.MethodPatch, "/approval-policies/"+p.ID.String(), `{"validity_days":7,"version":1}`, 200, &p)
	if p.Version != 2 || p.ValidityDays != 7 || len(p.Stages) != 1 || p.Stages[0].Sources[0].Role != "approver" {
		t.Errorf("%+v", p)
	}
	contains(t, s.api(t, "adam", http.MethodPatch, "/approval-policies/"+p.ID.String(), `{"priority":7,"version":1}`, 409, nil), "version_conflict")
	s.api(t, "ann", http.MethodGet, "/approval-policies/"+uuid.NewString(), "", 404, nil)

	var pre previewBody
	s.api(t, "ann", http.MethodPost, "/approval-policies/preview", `{"facts":{"risk":"low"}}`, 200, &pre)
	if !pre.Satisfiable || len(pre.Stages) != 1 || len(pre.Stages[0].Seats[0].Routes) != 3 {
		t.Errorf("%+v", pre)
	}
	s.api(t, "ann", http.MethodPost, "/approval-policies/preview", `{"facts":{"requester_id":"`+s.mo.UserID.String()+`"},"policy":{"stages":[{"order":1,"name":"Owners","mode":"all","sources":[{"kind":"asset_owner"}]}]},"policy_id":"`+p.ID.String()+`"}`, 200, &pre)
	if pre.Satisfiable || len(pre.Problems) != 1 || pre.Problems[0].Code != "approval_unsatisfiable" {
		t.Errorf("%+v", pre)
	}

	paper := s.open(t)
	var list struct{ Items []queueBody }
	s.api(t, "ann", http.MethodGet, "/approvals?mine=true", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].SubjectKey != "PAP-00001" || list.Items[0].Revision != 1 {
		t.Errorf("%+v", list)
	}
	s.api(t, "rita", http.MethodGet, "/approvals?mine=true", "", 200, &list)
	if len(list.Items) != 0 {
		t.Errorf("the requester is asked: %+v", list)
	}
	s.api(t, "rita", http.MethodGet, "/approvals", "", 200, &list)
	if len(list.Items) != 1 {
		t.Errorf("all: %+v", list)
	}
	seat := s.seatOf(t, paper, 1, "Any").String()
	contains(t, s.api(t, "rita", http.MethodPost, "/approvals/"+seat+"/decision", `{"decision":"approve","revision":1}`, 403, nil), "sod_violation")
	contains(t, s.api(t, "ann", http.MethodPost, "/approvals/"+seat+"/decision", `{"decision":"reject","revision":1}`, 422, nil), `"field":"comment"`)
	contains(t, s.api(t, "ann", http.MethodPost, "/approvals/"+seat+"/decision", `{"decision":"approve","revision":4}`, 409, nil), "stale_revision")
	var d decidedBody
	s.api(t, "ann", http.MethodPost, "/approvals/"+seat+"/decision", `{"decision":"approve","revision":1}`, 200, &d)
	if d.RequestState != StateApproved {
		t.Errorf("%+v", d)
	}
	contains(t, s.api(t, "ben", http.MethodPost, "/approvals/"+seat+"/decision", `{"decision":"approve","revision":1}`, 409, nil), "already_decided")
	s.api(t, "ben", http.MethodPost, "/approvals/"+uuid.NewString()+"/decision", `{"decision":"approve","revision":1}`, 404, nil)
}

func TestDelegationsAndAbsencesByAPI(t *testing.T) {
	t.Parallel()
	s := serve(t)
	start, end := monday.Format(time.RFC3339), monday.Add(48*time.Hour).Format(time.RFC3339)
	body := func(to uuid.UUID, more string) string {
		return `{"delegate_id":"` + to.String() + `","start":"` + start + `","end":"` + end + `"` + more + `}`
	}
	var d delegationBody
	s.api(t, "ann", http.MethodPost, "/delegations", body(s.ben.UserID, ""), 201, &d)
	if d.Key != "DLG-00001" || d.Kind != "out" || d.Scope != "all" || !d.Active || d.Principal.Name != "Ann Approver" {
		t.Errorf("%+v", d)
	}
	contains(t, s.api(t, "ben", http.MethodPost, "/delegations", body(s.ann.UserID, ""), 422, nil), `"code":"delegation_loop"`, "Ben Approver → Ann Approver → Ben Approver")
	contains(t, s.api(t, "ann", http.MethodPost, "/delegations", body(s.ann.UserID, ""), 422, nil), `"field":"delegate_id"`, "self")
	contains(t, s.api(t, "ann", http.MethodPost, "/delegations", body(s.mo.UserID, ""), 422, nil), "role_too_low")
	s.api(t, "ben", http.MethodPost, "/delegations", body(s.adam.UserID, `,"principal_id":"`+s.ann.UserID.String()+`"`), 403, nil)
	s.api(t, "mo", http.MethodGet, "/delegations", "", 403, nil)
	var list struct{ Items []delegationBody }
	for who, want := range map[string]int{"ann": 1, "ben": 1, "rita": 0, "adam": 1} {
		if s.api(t, who, http.MethodGet, "/delegations?current=true", "", 200, &list); len(list.Items) != want {
			t.Errorf("%s sees %d", who, len(list.Items))
		}
	}
	s.api(t, "rita", http.MethodGet, "/delegations/"+d.ID.String(), "", 404, nil)
	s.api(t, "ann", http.MethodGet, "/delegations/DLG-00001", "", 200, &d)
	contains(t, s.api(t, "ann", http.MethodPatch, "/delegations/"+d.ID.String(), `{"reason":"Away","version":7}`, 409, nil), "version_conflict")
	s.api(t, "ann", http.MethodPatch, "/delegations/"+d.ID.String(), `{"reason":"Away","version":1}`, 200, &d)
	if d.Version != 2 || d.Reason != "Away" {
		t.Errorf("%+v", d)
	}
	s.api(t, "rita", http.MethodDelete, "/delegations/"+d.ID.String(), "", 404, nil)
	s.api(t, "ann", http.MethodDelete, "/delegations/"+d.ID.String(), "", 204, nil)
	s.api(t, "ann", http.MethodGet, "/delegations?current=false", "", 200, &list)
	if len(list.Items) != 1 || list.Items[0].RevokedAt == nil || list.Items[0].Active {
		t.Errorf("%+v", list)
	}

	var a absenceBody
	s.api(t, "mo", http.MethodPost, "/absences", `{"start":"`+start+`","end":"`+end+`","reason":"Ill"}`, 201, &a)
	contains(t, s.api(t, "mo", http.MethodPost, "/absences", `{"start":"`+end+`","end":"`+start+`"}`, 422, nil), "before_start")
	s.api(t, "mo", http.MethodPost, "/absences", `{"user_id":"`+s.ann.UserID.String()+`","start":"`+start+`","end":"`+end+`"}`, 403, nil)
	s.api(t, "adam", http.MethodPost, "/absences", `{"user_id":"`+s.ann.UserID.String()+`","start":"`+start+`","end":"`+end+`"}`, 201, nil)
	s.api(t, "vera", http.MethodGet, "/absences", "", 403, nil)
	var away struct{ Items []absenceBody }
	for who, want := range map[string]int{"mo": 1, "ben": 0, "adam": 2} {
		if s.api(t, who, http.MethodGet, "/absences?current=true", "", 200, &away); len(away.Items) != want {
			t.Errorf("%s sees %d absences", who, len(away.Items))
		}
	}
	s.api(t, "ann", http.MethodGet, "/absences/"+a.ID.String(), "", 404, nil)
	s.api(t, "ann", http.MethodDelete, "/absences/"+a.ID.String(), "", 404, nil)
	s.api(t, "mo", http.MethodDelete, "/absences/"+a.ID.String(), "", 204, nil)
}
