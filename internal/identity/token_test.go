package identity

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

var tokenText = regexp.MustCompile(`vgl_[0-9A-Za-z]{43}`)

// accepts reports whether a token opens a workspace, and with which role.
func (b *bench) accepts(t *testing.T, token, slug string) (access.Role, bool) {
	t.Helper()
	p, ok, err := b.svc.Token(t.Context(), token, slug)
	if err != nil {
		t.Fatal(err)
	}
	return p.Role, ok && p.Workspace != nil
}

func TestPersonalTokenActsAsItsOwnerInItsWorkspaceOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme, beta := b.Workspace(t, "acme"), b.Workspace(t, "beta")
	mara := b.Member(t, acme, "Mara Lind", "member")
	b.join(t, beta, mara.UserID, "owner")
	token, err := b.svc.CreatePersonalToken(t.Context(), mara, "script", []string{"cert.read"}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if !tokenText.MatchString(token) || len(token) != 47 {
		t.Errorf("token %q", token)
	}
	p, ok, err := b.svc.Token(t.Context(), token, "acme")
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	if p.Kind != db.ActorAPIKey || p.User.ID != mara.UserID || p.ID == mara.UserID || p.TokenName != "script" || p.Role != access.Member ||
		!slices.Equal(p.Scopes, []string{"cert.read"}) || p.Workspace.ID != acme {
		t.Errorf("%+v", p)
	}
	for _, slug := range []string{"beta", "absent", "", "a\x00"} {
		if _, ok := b.accepts(t, token, slug); ok {
			t.Errorf("the token opens %q", slug)
		}
	}
	b.exec(t, `UPDATE members SET role = 'viewer' WHERE workspace_id = $1`, acme)
	if role, _ := b.accepts(t, token, "acme"); role != access.Viewer {
		t.Errorf("after a demotion the token has the role %s", role)
	}
}

func TestTokenIsRefusedOnceItsTimeOrItsOwnerIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	mara := b.Member(t, acme, "Mara Lind", "admin")
	token, err := b.svc.CreatePersonalToken(t.Context(), mara, "script", nil, b.clock.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range []struct{ name, away, back string }{
		{"suspended", `UPDATE members SET state = 'suspended'`, `UPDATE members SET state = 'active'`},
		{"disabled", `UPDATE users SET disabled_at = now()`, `UPDATE users SET disabled_at = NULL`},
		{"revoked", `UPDATE api_tokens SET revoked_at = now()`, `UPDATE api_tokens SET revoked_at = NULL`},
	} {
		b.exec(t, state.away)
		if _, ok, err := b.svc.Token(t.Context(), token, "acme"); ok || err != nil {
			t.Errorf("%s: accepted, %v", state.name, err)
		}
		b.exec(t, state.back)
		if _, ok := b.accepts(t, token, "acme"); !ok {
			t.Errorf("%s and back: refused", state.name)
		}
	}
	b.clock.Advance(time.Hour)
	if _, ok, err := b.svc.Token(t.Context(), token, "acme"); ok || err != nil {
		t.Errorf("expired: accepted, %v", err)
	}
	b.exec(t, `UPDATE api_tokens SET expires_at = NULL`)
	b.exec(t, `DELETE FROM members`)
	if _, ok, err := b.svc.Token(t.Context(), token, "acme"); ok || err != nil {
		t.Errorf("removed: accepted, %v", err)
	}
	for _, bad := range []string{"", "vgl_", "vgl_" + strings.Repeat("x", 43), token + "x", strings.TrimPrefix(token, "vgl_")} {
		if _, ok, err := b.svc.Token(t.Context(), bad, "acme"); ok || err != nil {
			t.Errorf("token %q: %v %v", bad, ok, err)
		}
	}
}

func TestTokensOfSomebodyWhoLeavesAreRevokedForGood(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	admin, mara := b.Member(t, acme, "Ada Admin", "admin"), b.Member(t, acme, "Mara Lind", "member")
	var tokens []string
	for _, a := range []db.Actor{mara, mara, admin} {
		token, err := b.svc.CreatePersonalToken(t.Context(), a, "script", nil, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, token)
	}
	err := b.InWorkspace(t.Context(), admin, func(tx *db.Tx) error {
		return b.svc.RevokeTokensOf(t.Context(), tx, mara.UserID, "removed from the workspace")
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, true} {
		if _, ok := b.accepts(t, tokens[i], "acme"); ok != want {
			t.Errorf("token %d accepted: %v", i, ok)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE action = 'token.revoked' AND actor_id = $1 AND reason = 'removed from the workspace'`, admin.ID); n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

func TestNewTokenIsCheckedFieldByField(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	admin, member := b.Member(t, acme, "Ada Admin", "admin"), b.Member(t, acme, "Mara Lind", "member")
	limited := member
	limited.Scopes = []string{string(CanUseTokens), "cert.read"}
	past, far := b.clock.Now(), b.clock.Now().Add(maxTokenLife+time.Hour)
	tests := []struct {
		name  string
		actor db.Actor
		in    NewToken
		field string
	}{
		{"no name", member, NewToken{Kind: KindPersonal}, "name"},
		{"long name", member, NewToken{Kind: KindPersonal, Name: strings.Repeat("n", 81)}, "name"},
		{"name that cannot be stored", member, NewToken{Kind: KindPersonal, Name: "a\x00"}, "name"},
		{"unknown kind", member, NewToken{Kind: "robot", Name: "n"}, "kind"},
		{"no scope at all", member, NewToken{Kind: KindPersonal, Name: "n", Scopes: []string{}}, "scopes"},
		{"unknown permission", member, NewToken{Kind: KindPersonal, Name: "n", Scopes: []string{"cert.eat"}}, "scopes"},
		{"permission the maker lacks", member, NewToken{Kind: KindPersonal, Name: "n", Scopes: []string{"workspace.delete"}}, "scopes"},
		{"everything, by a limited token", limited, NewToken{Kind: KindPersonal, Name: "n"}, "scopes"},
		{"more than a limited token has", limited, NewToken{Kind: KindPersonal, Name: "n", Scopes: []string{"cert.edit"}}, "scopes"},
		{"role of a personal token", member, NewToken{Kind: KindPersonal, Name: "n", Role: access.Admin}, "role"},
		{"expired already", member, NewToken{Kind: KindPersonal, Name: "n", ExpiresAt: &past}, "expires_at"},
		{"six years", member, NewToken{Kind: KindPersonal, Name: "n", ExpiresAt: &far}, "expires_at"},
		{"service token without a role", admin, NewToken{Kind: KindService, Name: "n"}, "role"},
		{"service token as owner", admin, NewToken{Kind: KindService, Name: "n", Role: access.Owner}, "role"},
		{"scope above its role", admin, NewToken{Kind: KindService, Name: "n", Role: access.Viewer, Scopes: []string{"cert.edit"}}, "scopes"},
	}
	for _, tc := range tests {
		_, _, err := b.svc.CreateToken(t.Context(), tc.actor, tc.in)
		e := fault.Find(err)
		if e == nil || e.Kind != fault.Invalid || len(e.Details) != 1 || e.Details[0].Field != tc.field {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	service := db.Actor{WorkspaceID: acme, Kind: db.ActorService, ID: uuid.New(), Role: "admin"}
	for name, try := range map[string]func() error{
		"service token by a member": func() error {
			_, _, err := b.svc.CreateToken(t.Context(), member, NewToken{Kind: KindService, Name: "n", Role: access.Viewer})
			return err
		},
		"personal token by a program": func() error {
			_, _, err := b.svc.CreateToken(t.Context(), service, NewToken{Kind: KindPersonal, Name: "n"})
			return err
		},
		"token by a token without the scope": func() error {
			narrow := member
			narrow.Scopes = []string{"cert.read"}
			_, err := b.svc.CreatePersonalToken(t.Context(), narrow, "n", []string{"cert.read"}, time.Time{})
			return err
		},
	} {
		if err := try(); !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM api_tokens`); n != 0 {
		t.Errorf("%d tokens were made", n)
	}
}

func TestTokenIsRevokedByItsOwnerOrAManagerOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme, beta := b.Workspace(t, "acme"), b.Workspace(t, "beta")
	admin, mara, other := b.Member(t, acme, "Ada Admin", "admin"), b.Member(t, acme, "Mara Lind", "member"), b.Member(t, acme, "Other One", "approver")
	stranger := b.Member(t, beta, "Stranger", "owner")
	make2 := func() (Token, string) {
		t.Helper()
		tok, secretText, err := b.svc.CreateToken(t.Context(), mara, NewToken{Kind: KindPersonal, Name: "script"})
		if err != nil {
			t.Fatal(err)
		}
		return tok, secretText
	}
	first, firstText := make2()
	for _, a := range []db.Actor{other, stranger} {
		if _, err := b.svc.RevokeToken(t.Context(), a, first.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", a.Name, err)
		}
		if _, err := b.svc.FindToken(t.Context(), a, first.ID); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s sees it: %v", a.Name, err)
		}
	}
	if _, ok := b.accepts(t, firstText, "acme"); !ok {
		t.Fatal("refused although nobody revoked it")
	}
	for range 2 {
		if _, err := b.svc.RevokeToken(t.Context(), mara, first.ID); err != nil {
			t.Fatal(err)
		}
	}
	second, secondText := make2()
	if _, err := b.svc.RevokeToken(t.Context(), admin, second.ID); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{firstText, secondText} {
		if _, ok := b.accepts(t, text, "acme"); ok {
			t.Error("a revoked token is accepted")
		}
	}
	if n := b.count(t, `SELECT count(*) FROM events WHERE name = 'token.revoked'`); n != 2 {
		t.Errorf("%d events, want 2: revoking twice is one change", n)
	}
}

func TestUseOfATokenIsWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	mara := b.Member(t, b.Workspace(t, "acme"), "Mara Lind", "member")
	token, err := b.svc.CreatePersonalToken(t.Context(), mara, "script", nil, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	used := func() time.Time {
		t.Helper()
		b.accepts(t, token, "acme")
		var at time.Time
		if err := b.Admin(t).QueryRow(t.Context(), `SELECT last_used_at FROM api_tokens`).Scan(&at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	first := used()
	b.clock.Advance(59 * time.Second)
	if !used().Equal(first) {
		t.Error("written within the minute")
	}
	b.clock.Advance(time.Second)
	if !used().Equal(b.clock.Now()) {
		t.Error("not written after a minute")
	}
}

func TestOwnTokenIsShownOnceAndRevokedAfterAQuestion(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	b.Workspace(t, "other")
	mara := b.Member(t, acme, "Mara Lind", "member")
	br := b.browser(t).use(b.session(t, mara))
	if page := br.get("/account/tokens"); !strings.Contains(page.body, "You have no API token") {
		t.Errorf("empty page: %d", page.status)
	}
	form := br.get("/account/tokens/new?workspace=acme").body
	if !strings.Contains(form, `value="cert.edit"`) || strings.Contains(form, `value="workspace.delete"`) {
		t.Error("the form does not offer exactly what the person may")
	}
	for _, slug := range []string{"other", "absent", "a%00"} {
		if a := br.get("/account/tokens/new?workspace=" + slug); a.status != http.StatusNotFound {
			t.Errorf("form for %s: %d", slug, a.status)
		}
	}
	bad := br.post("/account/tokens", url.Values{"workspace": {"acme"}, "name": {""}, "expires_at": {"soon"}, "access": {"some"}})
	if bad.status != http.StatusUnprocessableEntity || strings.Count(bad.body, `<li>`) < 3 || !strings.Contains(bad.body, "3 things need your attention.") {
		t.Errorf("a wrong form: %d %s", bad.status, bad.body)
	}
	created := br.post("/account/tokens", url.Values{
		"workspace": {"acme"}, "name": {"Nightly <b>export</b>"}, "expires_at": {"30"}, "access": {"some"}, "scopes": {"cert.read"},
	})
	token := tokenText.FindString(created.body)
	if created.status != http.StatusCreated || token == "" || strings.Contains(created.body, "<b>export") {
		t.Fatalf("%d %s", created.status, created.body)
	}
	list := br.get("/account/tokens").body
	if strings.Contains(list, token) || !strings.Contains(list, token[:shownDigits]) || !strings.Contains(list, "1 permission") {
		t.Error("the list shows the token, or not what it is")
	}
	path := regexp.MustCompile(`/account/tokens/acme/[0-9a-f-]{36}/revoke`).FindString(list)
	if ask := br.get(path); ask.status != http.StatusOK || !strings.Contains(ask.body, "Revoke token") {
		t.Errorf("question: %d", ask.status)
	}
	if _, ok := b.accepts(t, token, "acme"); !ok {
		t.Error("asking revoked it")
	}
	if a := br.post(path, url.Values{}); a.location != "/account/tokens" {
		t.Errorf("revoking: %d %s", a.status, a.body)
	}
	if _, ok := b.accepts(t, token, "acme"); ok {
		t.Error("a revoked token is accepted")
	}
}

func TestServiceTokenPagesAreForAdmins(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	acme := b.Workspace(t, "acme")
	mara := b.Member(t, acme, "Mara Lind", "member")
	admin := b.browser(t).use(b.session(t, b.Member(t, acme, "Ada Admin", "admin")))
	member := b.browser(t).use(b.session(t, mara))
	if a := member.get("/ws/acme/settings/tokens"); a.status != http.StatusForbidden {
		t.Errorf("a member opens the page: %d", a.status)
	}
	if page := admin.get("/ws/acme/settings/tokens"); page.status != http.StatusOK || !strings.Contains(page.body, "No API tokens") {
		t.Fatalf("empty page: %d %s", page.status, page.body)
	}
	if page := admin.get("/ws/acme/settings/tokens/new"); page.status != http.StatusOK || strings.Contains(page.body, `value="owner"`) {
		t.Errorf("form: %d", page.status)
	}
	bad := admin.post("/ws/acme/settings/tokens", url.Values{"name": {"CI"}, "role": {"owner"}, "expires_at": {"never"}, "access": {"all"}})
	if bad.status != http.StatusUnprocessableEntity || !strings.Contains(bad.body, `value="CI"`) {
		t.Errorf("owner: %d", bad.status)
	}
	created := admin.post("/ws/acme/settings/tokens", url.Values{"name": {"CI"}, "role": {"member"}, "expires_at": {"never"}, "access": {"all"}})
	token := tokenText.FindString(created.body)
	if created.status != http.StatusCreated || token == "" {
		t.Fatalf("%d %s", created.status, created.body)
	}
	p, ok, err := b.svc.Token(t.Context(), token, "acme")
	if err != nil || !ok || p.Kind != db.ActorService || p.Role != access.Member || p.User.ID != uuid.Nil || p.TokenName != "CI" {
		t.Errorf("%+v %v %v", p, ok, err)
	}
	if _, err := b.svc.CreatePersonalToken(t.Context(), mara, "script of mara", nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	all := admin.get("/ws/acme/settings/tokens").body
	if !strings.Contains(all, "script of mara") || !strings.Contains(all, "Mara Lind") || !strings.Contains(all, "2 tokens") {
		t.Error("the list does not show every token")
	}
	service := admin.get("/ws/acme/settings/tokens?kind=service").body
	if strings.Contains(service, "script of mara") || !strings.Contains(service, "CI") {
		t.Error("the list of service tokens is not one")
	}
	path := regexp.MustCompile(`/ws/acme/settings/tokens/[0-9a-f-]{36}/revoke`).FindString(service)
	if a := member.post(path, url.Values{}); a.status != http.StatusForbidden {
		t.Errorf("a member revokes: %d", a.status)
	}
	if a := admin.get(path); a.status != http.StatusOK || !strings.Contains(a.body, "Revoke “CI”?") {
		t.Errorf("question: %d", a.status)
	}
	if a := admin.post(path, url.Values{}); a.location != "/ws/acme/settings/tokens" {
		t.Errorf("revoking: %d", a.status)
	}
	if _, ok, err := b.svc.Token(t.Context(), token, "acme"); ok || err != nil {
		t.Errorf("a revoked token is accepted, %v", err)
	}
}

func TestAPIOfMeAndTokens(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.serveAPI()
	acme, beta := b.Workspace(t, "acme"), b.Workspace(t, "beta")
	admin, mara := b.Member(t, acme, "Ada Admin", "admin"), b.Member(t, acme, "Mara Lind", "member")
	stranger := b.Member(t, beta, "Stranger", "owner")
	tokenOf := func(a db.Actor, scopes ...string) string {
		t.Helper()
		token, err := b.svc.CreatePersonalToken(t.Context(), a, "of "+a.Name, scopes, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	call := func(token, method, path string, body any, out any) answer {
		t.Helper()
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		if body == nil {
			raw = nil
		}
		req, err := http.NewRequestWithContext(t.Context(), method, b.site.URL+"/ws/acme/api/v1"+path, strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		br := b.browser(t)
		res, err := br.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if out != nil {
			if err := json.NewDecoder(res.Body).Decode(out); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
		}
		return answer{status: res.StatusCode, location: res.Header.Get("Location"), header: res.Header}
	}
	maraToken, adminToken := tokenOf(mara), tokenOf(admin)

	var me meBody
	if a := call(maraToken, "GET", "/me", nil, &me); a.status != http.StatusOK {
		t.Fatalf("GET /me: %d", a.status)
	}
	if me.User == nil || me.User.ID != mara.UserID || me.Role != "member" || me.Actor.Kind != "api_key" || me.Workspace.Slug != "acme" ||
		!slices.Contains(me.Permissions, "cert.edit") || slices.Contains(me.Permissions, string(CanManageTokens)) {
		t.Errorf("GET /me: %+v", me)
	}
	me = meBody{}
	if call(tokenOf(mara, "cert.read", "workspace.read"), "GET", "/me", nil, &me); !slices.Equal(me.Permissions, []string{"cert.read", "workspace.read"}) {
		t.Errorf("permissions of a limited token: %v", me.Permissions)
	}
	if a := call(tokenOf(mara, "cert.read"), "GET", "/tokens", nil, nil); a.status != http.StatusForbidden {
		t.Errorf("a token without the scope lists tokens: %d", a.status)
	}
	for name, bad := range map[string]string{"unknown": "vgl_" + strings.Repeat("0", 43), "empty": "", "garbage": "x"} {
		var body struct{ Error struct{ Code string } }
		a := call(bad, "GET", "/me", nil, &body)
		if a.status != http.StatusUnauthorized || body.Error.Code != "unauthenticated" || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s token: %d %s", name, a.status, body.Error.Code)
		}
	}
	if a := call(tokenOf(stranger), "GET", "/me", nil, nil); a.status != http.StatusNotFound {
		t.Errorf("token of another workspace: %d", a.status)
	}

	var made createdTokenBody
	body := map[string]any{"kind": "service", "name": "CI", "role": "member", "scopes": []string{"cert.read", "cert.read", "workspace.read"}}
	if a := call(adminToken, "POST", "/tokens", body, &made); a.status != http.StatusCreated || a.location != "/ws/acme/api/v1/tokens/"+made.ID.String() {
		t.Fatalf("POST /tokens: %d to %q", a.status, a.location)
	}
	if !tokenText.MatchString(made.Token) || len(made.Scopes) != 2 || made.OwnerID != nil || *made.Role != "member" {
		t.Errorf("POST /tokens: %+v", made)
	}
	me = meBody{}
	if call(made.Token, "GET", "/me", nil, &me); me.User != nil || me.Actor.Kind != "service" || me.Actor.Name != "CI" || me.Role != "member" {
		t.Errorf("GET /me of a service token: %+v", me)
	}
	if a := call(maraToken, "POST", "/tokens", body, nil); a.status != http.StatusForbidden {
		t.Errorf("a member makes a service token: %d", a.status)
	}
	var problem struct {
		Error struct{ Details []struct{ Field string } }
	}
	a := call(maraToken, "POST", "/tokens", map[string]any{"name": "", "scopes": []string{"nothing.here"}, "expires_at": "2001-01-01T00:00:00Z"}, &problem)
	if a.status != http.StatusUnprocessableEntity || len(problem.Error.Details) != 3 {
		t.Errorf("wrong fields: %d %+v", a.status, problem)
	}
	if a := call(maraToken, "POST", "/tokens", map[string]any{"name": "x", "surprise": 1}, nil); a.status != http.StatusUnprocessableEntity {
		t.Errorf("unknown field: %d", a.status)
	}

	var list struct {
		Items []tokenBody `json:"items"`
		Next  *string     `json:"next_cursor"`
	}
	call(maraToken, "GET", "/tokens", nil, &list)
	for _, item := range list.Items {
		if item.OwnerID == nil || *item.OwnerID != mara.UserID {
			t.Errorf("a member sees the token %q of somebody else", item.Name)
		}
	}
	if len(list.Items) != 3 {
		t.Errorf("a member sees %d tokens, want 3", len(list.Items))
	}
	seen := map[uuid.UUID]bool{}
	for path := "/tokens?limit=2&sort=name"; path != ""; {
		list.Items, list.Next = nil, nil
		call(adminToken, "GET", path, nil, &list)
		path = ""
		for _, item := range list.Items {
			seen[item.ID] = true
		}
		if list.Next != nil {
			path = "/tokens?limit=2&sort=name&cursor=" + url.QueryEscape(*list.Next)
		}
	}
	if len(seen) != 5 {
		t.Errorf("an admin sees %d tokens over all pages, want 5", len(seen))
	}
	call(adminToken, "GET", "/tokens?kind=service", nil, &list)
	if len(list.Items) != 1 {
		t.Errorf("%d service tokens, want 1", len(list.Items))
	}
	if a := call(adminToken, "GET", "/tokens?colour=red", nil, nil); a.status != http.StatusUnprocessableEntity {
		t.Errorf("unknown parameter: %d", a.status)
	}

	path := "/tokens/" + made.ID.String()
	if a := call(maraToken, "DELETE", path, nil, nil); a.status != http.StatusNotFound {
		t.Errorf("a member revokes a service token: %d", a.status)
	}
	if a := call(adminToken, "DELETE", path, nil, nil); a.status != http.StatusNoContent {
		t.Errorf("DELETE: %d", a.status)
	}
	if a := call(made.Token, "GET", "/me", nil, nil); a.status != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", a.status)
	}
	var gone tokenBody
	if call(adminToken, "GET", path, nil, &gone); gone.RevokedAt == nil {
		t.Error("GET of a revoked token does not say so")
	}
}
