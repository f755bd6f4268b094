package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/cli"
)

const token = "vgl_test"

// seen is a request as it arrived.
type seen struct {
	method, path, query, body, contentType, key, ifMatch string
}

// vigilo is a server that behaves as product/api.md says: one token, one workspace.
type vigilo struct {
	*httptest.Server
	mux  *http.ServeMux
	mu   sync.Mutex
	seen []seen
}

func newVigilo(t *testing.T) *vigilo {
	t.Helper()
	v := &vigilo{mux: http.NewServeMux()}
	v.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read body: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(raw))
		v.mu.Lock()
		v.seen = append(v.seen, seen{
			r.Method, r.URL.Path, r.URL.RawQuery, string(raw), r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), r.Header.Get("If-Match"),
		})
		v.mu.Unlock()
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token:
			refuse(w, http.StatusUnauthorized, "unauthenticated", "Sign in to continue, or send a valid token.")
		case !strings.HasPrefix(r.URL.Path, "/ws/acme/api/v1/"):
			refuse(w, http.StatusNotFound, "not_found", "This page does not exist, or it belongs to a workspace you are not a member of.")
		default:
			http.StripPrefix("/ws/acme/api/v1", v.mux).ServeHTTP(w, r)
		}
	}))
	t.Cleanup(v.Close)
	return v
}

func (v *vigilo) requests() []seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.seen)
}

func refuse(w http.ResponseWriter, status int, code, message string, details ...map[string]string) {
	if details == nil {
		details = []map[string]string{}
	}
	reply(w, status, map[string]any{"error": map[string]any{"code": code, "message": message, "details": details, "request_id": "0198-r"}})
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

// result is what a command left behind.
type result struct {
	code     int
	out, err string
}

func (v *vigilo) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	return run(t, []string{"VIGILO_API_URL=" + v.URL, "VIGILO_API_WORKSPACE=acme", "VIGILO_API_TOKEN=" + token}, stdin, args...)
}

func run(t *testing.T, env []string, stdin string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	code := cli.Run(ctx, args, env, strings.NewReader(stdin), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

func (r result) want(t *testing.T, code int) result {
	t.Helper()
	if r.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	return r
}

// hosts answers GET /hosts with n hosts in pages, and by name.
func (v *vigilo) hosts(n int) {
	v.mux.HandleFunc("GET /hosts", func(w http.ResponseWriter, r *http.Request) {
		var limit, from int
		if _, err := fmt.Sscan(r.URL.Query().Get("limit"), &limit); err != nil || limit < 1 || limit > 200 {
			refuse(w, http.StatusUnprocessableEntity, "validation_failed", "Some fields need your attention.",
				map[string]string{"code": "invalid", "field": "limit", "message": "expected number from 1 to 200"})
			return
		}
		if c := r.URL.Query().Get("cursor"); c != "" {
			if _, err := fmt.Sscanf(c, "c%d", &from); err != nil {
				refuse(w, http.StatusUnprocessableEntity, "validation_failed", "Some fields need your attention.")
				return
			}
		}
		items := []any{}
		for i := from; i < n && len(items) < limit; i++ {
			name := fmt.Sprintf("h%03d.example.test", i)
			if want := r.URL.Query().Get("hostname"); want != "" && want != name {
				continue
			}
			items = append(items, map[string]any{
				"id": hostID(i), "hostname": name, "port": 443, "status": "valid", "days_left": i, "not_after": "2027-01-02T03:04:05Z",
				"issuer": "Test CA", "tags": []string{"web", "eu"},
			})
		}
		var next any
		if from+len(items) < n && r.URL.Query().Get("hostname") == "" {
			next = fmt.Sprintf("c%d", from+len(items))
		}
		reply(w, http.StatusOK, map[string]any{"items": items, "next_cursor": next})
	})
}

func hostID(i int) string { return fmt.Sprintf("01990000-0000-7000-8000-%012d", i) }

func TestListIsATableForPeople(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.hosts(2)
	r := v.run(t, "", "hosts", "list").want(t, 0)
	want := "HOST               PORT  SERVER NAME  STATUS  DAYS  EXPIRES               ISSUER   TAGS     ID\n" +
		"h000.example.test  443   -            valid   0     2027-01-02 03:04:05Z  Test CA  web, eu  " + hostID(0) + "\n" +
		"h001.example.test  443   -            valid   1     2027-01-02 03:04:05Z  Test CA  web, eu  " + hostID(1) + "\n"
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}
	if r.err != "" {
		t.Errorf("stderr %q", r.err)
	}
}

func TestListFollowsPages(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.hosts(450)
	tests := []struct {
		name  string
		args  []string
		items int
		next  bool
		calls []string // the limit of each call
	}{
		{"the first page when nothing is said", nil, 50, true, []string{"50"}},
		{"as many as asked for", []string{"--limit", "250"}, 250, true, []string{"200", "50"}},
		{"no more than there are", []string{"--limit", "1000"}, 450, false, []string{"200", "200", "200"}},
		{"all of them", []string{"--all"}, 450, false, []string{"200", "200", "200"}},
	}
	for _, tt := range tests { // one after the other: they share the log of requests
		before := len(v.requests())
		r := v.run(t, "", append([]string{"hosts", "list", "--json"}, tt.args...)...).want(t, 0)
		var got struct {
			Items []struct {
				ID string `json:"id"`
			} `json:"items"`
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal([]byte(r.out), &got); err != nil {
			t.Fatalf("%s: %v in %s", tt.name, err, r.out)
		}
		if len(got.Items) != tt.items || (got.NextCursor != nil) != tt.next {
			t.Errorf("%s: %d items, next %v", tt.name, len(got.Items), got.NextCursor)
		}
		for i, item := range got.Items {
			if item.ID != hostID(i) {
				t.Fatalf("%s: item %d is %s", tt.name, i, item.ID)
			}
		}
		var limits []string
		for _, s := range v.requests()[before:] {
			_, rest, _ := strings.Cut(s.query, "limit=")
			limit, _, _ := strings.Cut(rest, "&")
			limits = append(limits, limit)
		}
		if diff := cmp.Diff(tt.calls, limits); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	if r := v.run(t, "", "hosts", "list").want(t, 0); !strings.Contains(r.err, "first 50") {
		t.Errorf("people are not told that there is more: %q", r.err)
	}
}

func TestFlagsBecomeParametersAndFields(t *testing.T) {
	t.Parallel()
	echo := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			reply(w, status, map[string]any{"id": "x", "accepted": true})
		}
	}
	id := hostID(7)
	tests := []struct {
		name string
		args []string
		want seen
	}{
		{"add", []string{"hosts", "add", "--port", "8443", "www.example.test", "--tags", "a, b,,c", "--active=false", "--scan-interval", "1h"}, seen{
			method: "POST", path: "/hosts", contentType: "application/json",
			body: `{"active":false,"hostname":"www.example.test","port":8443,"scan_interval":"1h","tags":["a","b","c"]}`,
		}},
		{"show", []string{"hosts", "show", id}, seen{method: "GET", path: "/hosts/" + id}},
		{"pause", []string{"hosts", "pause", id}, seen{method: "PATCH", path: "/hosts/" + id, contentType: "application/json", body: `{"active":false}`}},
		{"resume", []string{"hosts", "resume", id}, seen{method: "PATCH", path: "/hosts/" + id, contentType: "application/json", body: `{"active":true}`}},
		{"delete", []string{"hosts", "delete", id, "--yes"}, seen{method: "DELETE", path: "/hosts/" + id}},
		{"list", []string{"hosts", "list", "--status=expired", "--tag", "web", "--expires-before", "2027-01-01T00:00:00Z", "--sort", "-not_after"}, seen{
			method: "GET", path: "/hosts", query: "expires_before=2027-01-01T00%3A00%3A00Z&limit=50&sort=-not_after&status=expired&tag=web",
		}},
		{"certificates", []string{"certificates", "list", "--issuer", "a&b"}, seen{method: "GET", path: "/certificates", query: "issuer=a%26b&limit=50"}},
		{"alerts", []string{"alerts", "list", "--state", "firing"}, seen{method: "GET", path: "/alerts", query: "limit=50&state=firing"}},
		{"ack", []string{"alerts", "ack", "a/b"}, seen{method: "POST", path: "/alerts/a/b/acknowledge"}},
		{"alert rules", []string{"alert-rules", "list"}, seen{method: "GET", path: "/alert-rules", query: "limit=50"}},
		{"webhooks", []string{"webhooks", "list"}, seen{method: "GET", path: "/webhooks", query: "limit=50"}},
		{"test a webhook", []string{"webhooks", "test", id}, seen{method: "POST", path: "/webhooks/" + id + "/test"}},
		{"audit", []string{"audit", "list", "--actor", "system", "--from", "2026-01-01"}, seen{
			method: "GET", path: "/audit", query: "actor=system&from=2026-01-01&limit=50",
		}},
		{"export of the audit log", []string{"audit", "export", "--action", "host."}, seen{method: "GET", path: "/audit/export", query: "action=host.&format=csv"}},
		{"events", []string{"events", "list", "--after", id}, seen{method: "GET", path: "/events", query: "after=" + id + "&limit=50"}},
		{"members", []string{"members", "list"}, seen{method: "GET", path: "/members", query: "limit=50"}},
		{"me", []string{"me"}, seen{method: "GET", path: "/me"}},
		{"any endpoint", []string{"api", "put", "groups/1/members?x=1", "--data", `{"members":[]}`, "--if-match", "3"}, seen{
			method: "PUT", path: "/groups/1/members", query: "x=1", contentType: "application/json", body: `{"members":[]}`, ifMatch: `"3"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := newVigilo(t)
			v.mux.HandleFunc("/", echo(http.StatusOK))
			v.run(t, "", tt.args...).want(t, 0)
			all := v.requests()
			if len(all) != 1 {
				t.Fatalf("%d requests: %+v", len(all), all)
			}
			got := all[0]
			if created := got.method == http.MethodPost; created != (got.key != "") {
				t.Errorf("%s with the idempotency key %q", got.method, got.key)
			}
			got.key = ""
			got.path = strings.TrimPrefix(got.path, "/ws/acme/api/v1")
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(seen{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEveryCreationHasAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("POST /hosts", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusCreated, map[string]string{"id": hostID(1)})
	})
	v.run(t, "", "hosts", "add", "a.example.test").want(t, 0)
	v.run(t, "", "hosts", "add", "a.example.test").want(t, 0)
	v.run(t, "", "api", "POST", "/hosts", "--data", "{}", "--idempotency-key", "mine").want(t, 0)
	all := v.requests()
	if len(all) != 3 || all[0].key == all[1].key || all[2].key != "mine" {
		t.Errorf("keys %+v", all)
	}
}

func TestRefusalsAreShownWithEveryDetail(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("POST /hosts", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusUnprocessableEntity, "validation_failed", "Some fields need your attention.",
			map[string]string{"code": "required", "field": "hostname", "message": "Enter a name."},
			map[string]string{"code": "out_of_range", "field": "port", "message": "Use a port from 1 to 65535.\x1b[2J"})
	})
	v.mux.HandleFunc("GET /me", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusInternalServerError, "internal", "Something failed on our side.")
	})
	r := v.run(t, "", "hosts", "add", "x", "--port", "0").want(t, 1)
	want := "vigilo: Some fields need your attention. (validation_failed)\n" +
		"  hostname  Enter a name. (required)\n" +
		"  port      Use a port from 1 to 65535.\uFFFD[2J (out_of_range)\n"
	if diff := cmp.Diff(want, r.err); diff != "" {
		t.Error(diff)
	}
	if r.out != "" {
		t.Errorf("stdout %q", r.out)
	}
	r = v.run(t, "", "hosts", "add", "x", "--json").want(t, 1)
	var body struct {
		Error struct {
			Code    string           `json:"code"`
			Details []map[string]any `json:"details"`
		} `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.err), &body); err != nil || body.Error.Code != "validation_failed" || len(body.Error.Details) != 2 {
		t.Errorf("error for programs: %v %s", err, r.err)
	}
	if r := v.run(t, "", "me").want(t, 1); !strings.Contains(r.err, "request id 0198-r") {
		t.Errorf("a failure of the server names no request: %s", r.err)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.hosts(1)
	env := []string{"VIGILO_API_URL=" + v.URL, "VIGILO_API_WORKSPACE=acme", "VIGILO_API_TOKEN=" + token}
	tests := []struct {
		name string
		env  []string
		args []string
		code int
		err  string // part of what is said
	}{
		{"no command", env, nil, 2, "name a command"},
		{"unknown group", env, []string{"hostz"}, 2, "name a command"},
		{"a group alone", env, []string{"hosts"}, 2, "Usage: vigilo hosts"},
		{"unknown command of a group", env, []string{"hosts", "destroy"}, 2, `no command "destroy"`},
		{"unknown flag", env, []string{"hosts", "list", "--colour"}, 2, "there is no flag"},
		{"missing argument", env, []string{"hosts", "show"}, 2, "one argument, <host>"},
		{"too many arguments", env, []string{"hosts", "list", "x"}, 2, "no argument, got 1"},
		{"a number that is none", env, []string{"hosts", "add", "x", "--port", "https"}, 2, "whole number"},
		{"a limit of nothing", env, []string{"hosts", "list", "--limit", "0"}, 2, "--limit"},
		{"a loss that was not confirmed", env, []string{"hosts", "delete", hostID(0)}, 2, "--yes"},
		{"no address", env[1:], []string{"me"}, 2, "VIGILO_API_URL"},
		{"no workspace", []string{env[0], env[2]}, []string{"me"}, 2, "--workspace"},
		{"no token", env[:2], []string{"me"}, 2, "VIGILO_API_TOKEN"},
		{"a variable that is mistyped", append(slices.Clone(env), "VIGILO_API_TOKN=x"), []string{"me"}, 2, "VIGILO_API_TOKN"},
		{"an address that is none", env, []string{"me", "--url", "vigilo.example.com"}, 2, "https://"},
		{"an address with a path", env, []string{"me", "--url", "https://example.com/vigilo"}, 2, "end after the host"},
		{"a token in the clear", env, []string{"me", "--url", "http://vigilo.example.com"}, 2, "readable on the way"},
		{"a workspace with a path", env, []string{"me", "--workspace", "acme/../globex"}, 2, "slug"},
		{"a body that is not JSON", env, []string{"api", "POST", "/hosts", "--data", "{"}, 2, "not JSON"},
		{"a wrong token", env, []string{"me", "--token", "vgl_wrong"}, 1, "valid token"},
		{"another workspace", env, []string{"me", "--workspace", "globex"}, 1, "not a member"},
		{"nobody there", env, []string{"me", "--url", "http://127.0.0.1:1"}, 1, "reach 127.0.0.1:1"},
		{"no such host", env, []string{"hosts", "show", "missing.example.test"}, 1, "no host missing.example.test"},
		{"help of the client", env, []string{"hosts", "--help"}, 0, ""},
		{"help of a command", env, []string{"hosts", "scan", "--help"}, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, tt.env, "", tt.args...).want(t, tt.code)
			if !strings.Contains(r.err, tt.err) {
				t.Errorf("no %q in %q", tt.err, r.err)
			}
			if tt.code == 0 && !strings.Contains(r.out, "Usage: vigilo hosts") {
				t.Errorf("help %q", r.out)
			}
			if strings.Contains(r.out+r.err, token+"\n") || strings.Contains(r.err, "vgl_wrong") {
				t.Errorf("the token is printed: %s", r.err)
			}
		})
	}
}

func TestTokenIsNotSentAfterARedirect(t *testing.T) {
	t.Parallel()
	other := newVigilo(t)
	v := newVigilo(t)
	v.mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/ws/acme/api/v1/me", http.StatusFound)
	})
	if r := v.run(t, "", "me").want(t, 1); !strings.Contains(r.err, "redirects to "+other.URL) {
		t.Errorf("stderr %q", r.err)
	}
	if n := len(other.requests()); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
}

func TestCertificateOfTheServerIsVerified(t *testing.T) {
	t.Parallel()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the request was sent") }))
	t.Cleanup(srv.Close)
	srv.Config.ErrorLog = nil
	r := run(t, []string{"VIGILO_API_URL=" + srv.URL, "VIGILO_API_WORKSPACE=acme", "VIGILO_API_TOKEN=" + token}, "", "me").want(t, 1)
	if !strings.Contains(r.err, "certificate") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestAnswersThatAreNotOfTheAPIAreNamed(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("GET /me", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<h1>Bad gateway</h1>", http.StatusBadGateway)
	})
	if r := v.run(t, "", "me").want(t, 1); !strings.Contains(r.err, "502") || strings.Contains(r.err, "<h1>") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestTooManyRequestsAreRepeatedAfterThePause(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	var n int
	v.mux.HandleFunc("POST /hosts", func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 3 {
			w.Header().Set("Retry-After", "0")
			refuse(w, http.StatusTooManyRequests, "rate_limited", "Too many requests.")
			return
		}
		reply(w, http.StatusCreated, map[string]string{"id": hostID(1)})
	})
	v.mux.HandleFunc("GET /me", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		refuse(w, http.StatusTooManyRequests, "rate_limited", "Too many requests.")
	})
	v.run(t, "", "hosts", "add", "a.example.test").want(t, 0)
	all := v.requests()
	if len(all) != 3 || all[0] != all[2] {
		t.Errorf("a repetition is another request: %+v", all)
	}
	if r := v.run(t, "", "me").want(t, 1); !strings.Contains(r.err, "rate_limited") {
		t.Errorf("stderr %q", r.err)
	}
}

func TestObjectIsShownInTheOrderOfTheAnswer(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("GET /me", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := io.WriteString(w, `{"user":{"name":"Mara <b>","email":""},"role":"member","platform_admin":false,"permissions":["a.read","b.read"],"big":12345678901234567890}`); err != nil {
			t.Error(err)
		}
	})
	r := v.run(t, "", "me").want(t, 0)
	want := "user.name       Mara <b>\nuser.email      -\nrole            member\nplatform_admin  no\npermissions     a.read, b.read\nbig             12345678901234567890\n"
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}
	r = v.run(t, "", "me", "--json").want(t, 0)
	if !json.Valid([]byte(r.out)) || !strings.Contains(r.out, `"Mara <b>"`) || !strings.Contains(r.out, "12345678901234567890") {
		t.Errorf("JSON %s", r.out)
	}
}

func TestTextOfForeignMachinesCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("GET /certificates", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"items": []any{map[string]any{"subject": "CN=\x1b]0;x\x07\u202eevil\nnext", "issuer": strings.Repeat("ü", 80)}}, "next_cursor": nil})
	})
	r := v.run(t, "", "certificates", "list").want(t, 0)
	if strings.ContainsAny(r.out, "\x1b\x07\u202e") || strings.Count(r.out, "\n") != 2 {
		t.Errorf("output %q", r.out)
	}
	if !strings.Contains(r.out, strings.Repeat("ü", 59)+"…") {
		t.Errorf("a long text is not cut by characters: %q", r.out)
	}
}

func TestDemoFileSaysWhereAndAsWhom(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("GET /me", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"role": "member"})
	})
	const file = `{"base_url": %q, "workspaces": [{"slug": "acme", "name": "Acme"}, {"slug": "globex"}], "people": [
		{"name": "Olga", "email": "olga@demo.example", "memberships": [{"workspace": "globex", "role": "owner", "token": "vgl_other"}]},
		{"name": "Mara", "email": "mara@demo.example", "memberships": [
			{"workspace": "globex", "role": "viewer", "token": "vgl_other"}, {"workspace": "acme", "role": "member", "token": %q}]}
	], "tls_servers": []}`
	path := filepath.Join(t.TempDir(), "demo.json")
	if err := os.WriteFile(path, fmt.Appendf(nil, file, v.URL, token), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		args []string
		code int
		err  string
	}{
		{"the first person with a token", nil, 0, ""},
		{"a person by address", []string{"--as", "Mara@demo.example"}, 0, ""},
		{"a person without a token there", []string{"--as", "olga@demo.example"}, 2, "no token for the workspace acme"},
		{"nobody", []string{"--as", "x@demo.example"}, 2, "nobody"},
		{"a flag counts more", []string{"--token", "vgl_wrong"}, 1, "valid token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, []string{"VIGILO_API_TOKEN=vgl_env"}, "", append([]string{"me", "--demo", path}, tt.args...)...).want(t, tt.code)
			if !strings.Contains(r.err, tt.err) {
				t.Errorf("stderr %q", r.err)
			}
		})
	}
	run(t, nil, "", "me", "--as", "mara@demo.example").want(t, 2)
	run(t, nil, "", "me", "--demo", path+".missing").want(t, 1)
}

func TestAnyEndpointTakesItsBodyFromAFileOrTheInput(t *testing.T) {
	t.Parallel()
	v := newVigilo(t)
	v.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		reply(w, http.StatusOK, map[string]int{"n": 1})
	})
	path := filepath.Join(t.TempDir(), "body.json")
	if err := os.WriteFile(path, []byte(`{"from":"file"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := v.run(t, "", "api", "PATCH", "/x", "--data", "@"+path).want(t, 0); r.out != "{\n  \"n\": 1\n}\n" {
		t.Errorf("stdout %q", r.out)
	}
	v.run(t, `{"from":"input"}`, "api", "PATCH", "/x", "--data", "-").want(t, 0)
	v.run(t, "", "api", "POST", "/x", "--data", "a,b", "--content-type", "text/csv").want(t, 0)
	if r := v.run(t, "", "api", "DELETE", "/x").want(t, 0); r.out != "" {
		t.Errorf("stdout %q", r.out)
	}
	var bodies []string
	for _, s := range v.requests() {
		bodies = append(bodies, s.body)
	}
	if diff := cmp.Diff([]string{`{"from":"file"}`, `{"from":"input"}`, "a,b", ""}, bodies); diff != "" {
		t.Error(diff)
	}
}
