package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ratelimit"
	"github.com/vigilo/vigilo/internal/kernel/secret"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// huma keeps the functions that make its errors in variables of its package, so there is
// one API in the process at a time: the tests at the top do not run in parallel, their
// parts do.

// people finds whoever a token names: "mara" a member, "viewer" a viewer, "hasty" a member
// with three calls a minute, and anything that starts with "p-" a member of its own.
type people struct{ workspace uuid.UUID }

func (p people) Session(ctx context.Context, token, slug string) (web.Principal, bool, error) {
	return p.Token(ctx, token, slug)
}

func (p people) Token(_ context.Context, token, slug string) (web.Principal, bool, error) {
	if token == "" || token == "wrong" {
		return web.Principal{}, false, nil
	}
	id := personID(token)
	out := web.Principal{Kind: db.ActorUser, ID: id, User: web.User{ID: id, Name: token, TimeZone: "UTC"}, Role: access.Member}
	if token == "viewer" {
		out.Role = access.Viewer
	}
	if slug == "acme" {
		out.Workspace = &web.Workspace{ID: p.workspace, Slug: "acme", Name: "Acme"}
	}
	return out, true, nil
}

func personID(token string) uuid.UUID { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(token)) }

// quota gives "hasty" three calls and everybody else plenty.
type quota struct{ *ratelimit.Limiter }

func newQuota(clk clock.Clock) quota {
	return quota{ratelimit.New(ratelimit.Per(3, time.Minute), 3, clk)}
}

func (q quota) Allow(key string) (bool, time.Duration, int) {
	if key == personID("hasty").String() {
		return q.Limiter.Allow(key)
	}
	return true, 0, 3
}

type thingBody struct {
	Name  string            `json:"name" minLength:"1" maxLength:"20"`
	Count int               `json:"count,omitempty" minimum:"0" maximum:"100"`
	When  *time.Time        `json:"when,omitempty"`
	Tags  []string          `json:"tags,omitempty" maxItems:"5"`
	Owner *thingOwner       `json:"owner,omitempty"`
	Extra map[string]string `json:"extra,omitempty"`
}

type thingOwner struct {
	ID uuid.UUID `json:"id" format:"uuid"`
}

type madeBody struct {
	Number int64  `json:"number"`
	Secret string `json:"secret"`
}

type made struct {
	Location string `header:"Location"`
	Body     madeBody
}

// deeply is nested as deep as anybody likes.
type deeply struct {
	Body map[string]any
}

// house is a real server with a handful of operations on a real database.
type house struct {
	*httptest.Server
	web     *web.Server
	api     *api.API
	db      *dbtest.DB
	clock   *clock.Fixed
	made    atomic.Int64
	failing atomic.Bool
	calm    bool // nothing panics
	mu      sync.Mutex
	gates   map[string]chan struct{}
}

const topSecret = "whsec_only-shown-once"

func newHouse(t testing.TB, withDB bool) *house {
	t.Helper()
	h := &house{clock: clock.NewFixed(time.Date(2026, 10, 1, 8, 0, 0, 0, time.UTC)), gates: map[string]chan struct{}{}}
	policy, err := access.NewPolicy(
		access.Grant{Permission: web.LivePermission, Min: access.Viewer},
		access.Grant{Permission: "thing.read", Min: access.Viewer},
		access.Grant{Permission: "thing.create", Min: access.Member},
	)
	if err != nil {
		t.Fatal(err)
	}
	base, err := url.Parse("http://vigilo.test")
	if err != nil {
		t.Fatal(err)
	}
	auth := people{workspace: uuid.New()}
	var d *db.DB
	if withDB {
		h.db = dbtest.NewAt(t, h.clock)
		auth.workspace = h.db.Workspace(t, "acme")
		d = h.db.DB
	}
	keys, err := secret.ParseKeyring(secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	h.web = web.New(web.Options{
		DB: d, Policy: policy, Auth: auth, Clock: h.clock, Log: slog.New(slog.DiscardHandler), BaseURL: base, APILimit: newQuota(h.clock),
	})
	h.api = api.New(h.web, d, keys, "test")
	h.operations()
	h.Server = httptest.NewServer(h.web.Handler())
	t.Cleanup(h.Close)
	return h
}

func (h *house) operations() {
	m := h.api.Module("things")
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/things", Permission: "thing.create", ID: "create-thing", Summary: "Make a thing", Tag: "Things", Status: http.StatusCreated},
		func(ctx context.Context, in *struct {
			Mode string `query:"mode" enum:"plain,odd"`
			Body thingBody
		},
		) (*made, error) {
			h.wait(in.Body.Name)
			n := h.made.Add(1)
			switch {
			case in.Body.Name == "boom" && !h.calm:
				panic("boom")
			case h.failing.Load():
				return nil, fmt.Errorf("write thing: %w", io.ErrUnexpectedEOF)
			case in.Body.Name == "taken":
				return nil, fault.NewConflict("taken", "There is one already.")
			}
			return &made{Location: api.Request(ctx).Path("/api/v1/things/1"), Body: madeBody{Number: n, Secret: topSecret}}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/things", Permission: "thing.read", ID: "list-things", Summary: "List things", Tag: "Things"},
		func(context.Context, *struct {
			api.ListIn
			Owner uuid.UUID `query:"owner" format:"uuid"`
			Since time.Time `query:"since"`
			Tags  []string  `query:"tags"`
		},
		) (*struct{ Body api.List[thingBody] }, error) {
			return &struct{ Body api.List[thingBody] }{Body: api.List[thingBody]{Items: []thingBody{}}}, nil
		})
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/things/{id}", Permission: "thing.create", ID: "update-thing", Summary: "Change a thing", Tag: "Things"},
		func(_ context.Context, in *struct {
			ID      string `path:"id"`
			IfMatch string `header:"If-Match"`
			Body    struct {
				Version *int64 `json:"version,omitempty"`
			}
		},
		) (*struct{}, error) {
			if in.ID != "1" {
				return nil, fault.NewNotFound("thing")
			}
			return &struct{}{}, api.CheckVersion(in.IfMatch, in.Body.Version, 7)
		})
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/deep", Permission: "thing.create", ID: "deep", Summary: "Take anything", Tag: "Things"},
		func(context.Context, *deeply) (*struct{}, error) { return &struct{}{}, nil })
}

// hold makes calls for a thing of that name wait until release is called.
func (h *house) hold(name string) (release func()) {
	gate := make(chan struct{})
	h.mu.Lock()
	h.gates[name] = gate
	h.mu.Unlock()
	return func() { close(gate) }
}

func (h *house) wait(name string) {
	h.mu.Lock()
	gate := h.gates[name]
	h.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// call is one request; the zero values are those of mara, who posts JSON to acme.
type call struct {
	method, path, token, body, contentType, key string
	workspace, ifMatch                          string
	anonymous                                   bool
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

func (c call) do(t testing.TB, h *house) reply {
	t.Helper()
	if c.workspace == "" {
		c.workspace = "acme"
	}
	req, err := http.NewRequest(c.method, h.URL+"/ws/"+c.workspace+"/api/v1"+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.token == "" {
		c.token = "mara"
	}
	if !c.anonymous {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.body != "" && c.contentType == "" {
		c.contentType = "application/json"
	}
	for name, v := range map[string]string{"Content-Type": c.contentType, "Idempotency-Key": c.key, "If-Match": c.ifMatch} {
		if v != "" && v != "none" {
			req.Header.Set(name, v)
		}
	}
	res, err := h.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, c.path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(raw)}
}

// refusal is an error as api.md shows it.
type refusal struct {
	Error struct {
		Code      string            `json:"code"`
		Message   string            `json:"message"`
		Details   []web.ErrorDetail `json:"details"`
		RequestID string            `json:"request_id"`
	} `json:"error"`
}

// refused reads an error and holds it against the one shape that errors have.
func (r reply) refused(t testing.TB, status int, code string) refusal {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
	var e refusal
	dec := json.NewDecoder(strings.NewReader(r.body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		t.Fatalf("not the shape of an error: %v in %s", err, r.body)
	}
	if e.Error.Code != code {
		t.Errorf("code %q, want %q: %s", e.Error.Code, code, r.body)
	}
	if e.Error.Message == "" || e.Error.Details == nil || e.Error.RequestID == "" || e.Error.RequestID != r.header.Get("X-Request-Id") {
		t.Errorf("an error lacks message, details or the id of its request %q: %s", r.header.Get("X-Request-Id"), r.body)
	}
	if strings.Contains(r.body, "goroutine") || strings.Contains(r.body, ".go:") {
		t.Errorf("a stack trace: %s", r.body)
	}
	return e
}

func TestAPI(t *testing.T) {
	h := newHouse(t, true)
	t.Run("parameters that would not be read are noticed", func(t *testing.T) { hiddenParameters(t, h) })
	t.Run("every refusal has one shape", func(t *testing.T) { t.Parallel(); refusals(t, h) })
	t.Run("every problem is listed", func(t *testing.T) { t.Parallel(); everyProblem(t, h) })
	t.Run("nesting ends at 32", func(t *testing.T) { t.Parallel(); nesting(t, h) })
	t.Run("versions", func(t *testing.T) { t.Parallel(); versions(t, h) })
	t.Run("a hasty caller is told when to come back", func(t *testing.T) { t.Parallel(); limits(t, h) })
	t.Run("the document describes every route", func(t *testing.T) { t.Parallel(); document(t, h) })
	t.Run("a creation answers with its address", func(t *testing.T) {
		t.Parallel()
		r := call{method: "POST", path: "/things", body: `{"name":"a"}`}.do(t, h)
		if r.status != http.StatusCreated || r.header.Get("Location") != "/ws/acme/api/v1/things/1" || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v %s", r.status, r.header, r.body)
		}
	})
}

// hidden holds a parameter that huma would not read.
type hidden struct {
	ID string `path:"id"`
}

func hiddenParameters(t *testing.T, h *house) {
	defer func() {
		if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "hidden") {
			t.Errorf("recovered %v", v)
		}
	}()
	api.Register(h.api.Module("things"), api.Op{Method: http.MethodGet, Path: "/hidden/{id}", Permission: "thing.read", ID: "hidden"},
		func(context.Context, *struct{ hidden }) (*struct{}, error) { return &struct{}{}, nil })
}

func refusals(t *testing.T, h *house) {
	big := `{"name":"` + strings.Repeat("x", 1<<20) + `"}`
	post := call{method: "POST", path: "/things"}
	with := func(c call, change func(c *call)) call { change(&c); return c }
	tests := []struct {
		name   string
		call   call
		status int
		code   string
		field  string // of one detail, empty for none
		detail string // its code
	}{
		{"body that is no JSON", with(post, func(c *call) { c.body = `{"name":` }), 400, "malformed", "", ""},
		{"body with two values", with(post, func(c *call) { c.body = `{"name":"a"} {}` }), 400, "malformed", "", ""},
		{"no body", post, 400, "malformed", "", ""},
		{"form", with(post, func(c *call) { c.body, c.contentType = "name=a", "application/x-www-form-urlencoded" }), 415, "unsupported_media_type", "", ""},
		{"no media type", with(post, func(c *call) { c.body, c.contentType = `{"name":"a"}`, "none" }), 415, "unsupported_media_type", "", ""},
		{"CSV where JSON belongs", with(post, func(c *call) { c.body, c.contentType = "name\na\n", "text/csv" }), 415, "unsupported_media_type", "", ""},
		{"multipart where JSON belongs", with(post, func(c *call) { c.body, c.contentType = "--x--\r\n", "multipart/form-data; boundary=x" }), 415, "unsupported_media_type", "", ""},
		{"body above 1 MiB", with(post, func(c *call) { c.body = big }), 413, "too_large", "", ""},
		{"body above 1 MiB under a key", with(post, func(c *call) { c.body, c.key = big, "big" }), 413, "too_large", "", ""},
		{"unknown field", with(post, func(c *call) { c.body = `{"name":"a","colour":"red"}` }), 422, "validation_failed", "colour", "unknown_field"},
		{"unknown field inside", with(post, func(c *call) {
			c.body = `{"name":"a","owner":{"id":"0199b6a0-0000-7000-8000-000000000000","x":1}}`
		}), 422, "validation_failed", "owner.x", "unknown_field"},
		{"unknown parameter", with(post, func(c *call) { c.path, c.body = "/things?colour=red", `{"name":"a"}` }), 422, "validation_failed", "colour", "unknown_parameter"},
		{"missing field", with(post, func(c *call) { c.body = `{}` }), 422, "validation_failed", "name", "required"},
		{"missing field inside", with(post, func(c *call) { c.body = `{"name":"a","owner":{}}` }), 422, "validation_failed", "owner.id", "required"},
		{"field of another type", with(post, func(c *call) { c.body = `{"name":1}` }), 422, "validation_failed", "name", "invalid"},
		{"array where an object belongs", with(post, func(c *call) { c.body = `[]` }), 422, "validation_failed", "", ""},
		{"time that is none", with(post, func(c *call) { c.body = `{"name":"a","when":"tomorrow"}` }), 422, "validation_failed", "when", "invalid"},
		{"parameter outside its values", with(post, func(c *call) { c.path, c.body = "/things?mode=loud", `{"name":"a"}` }), 422, "validation_failed", "mode", "invalid"},
		{"page that is too large", call{method: "GET", path: "/things?limit=201"}, 422, "validation_failed", "limit", "invalid"},
		{"id that is none", call{method: "GET", path: "/things?owner=x"}, 422, "validation_failed", "owner", "invalid"},
		{"nobody", with(post, func(c *call) { c.anonymous, c.body = true, `{"name":"a"}` }), 401, "unauthenticated", "", ""},
		{"wrong token", with(post, func(c *call) { c.token, c.body = "wrong", `{"name":"a"}` }), 401, "unauthenticated", "", ""},
		{"role that is too low", with(post, func(c *call) { c.token, c.body = "viewer", `{"name":"a"}` }), 403, "forbidden", "", ""},
		{"other workspace", with(post, func(c *call) { c.workspace, c.body = "globex", `{"name":"a"}` }), 404, "not_found", "", ""},
		{"no such record", call{method: "PATCH", path: "/things/2", body: "{}"}, 404, "not_found", "", ""},
		{"no such endpoint", call{method: "GET", path: "/nothing"}, 404, "not_found", "", ""},
		{"method that is not offered", call{method: "DELETE", path: "/things"}, 405, "method_not_allowed", "", ""},
		{"state that does not allow it", with(post, func(c *call) { c.body = `{"name":"taken"}` }), 409, "taken", "", ""},
		{"version that moved on", call{method: "PATCH", path: "/things/1", body: `{"version":6}`}, 409, "version_conflict", "version", "current_version"},
		{"panic", with(post, func(c *call) { c.body = `{"name":"boom"}` }), 500, "internal", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := tt.call.do(t, h).refused(t, tt.status, tt.code)
			if tt.field == "" {
				return
			}
			if !slices.ContainsFunc(e.Error.Details, func(d web.ErrorDetail) bool { return d.Field == tt.field && d.Code == tt.detail && d.Message != "" }) {
				t.Errorf("no detail %s for %s: %+v", tt.detail, tt.field, e.Error.Details)
			}
		})
	}
}

func everyProblem(t *testing.T, h *house) {
	e := call{method: "POST", path: "/things", body: `{"count":101,"colour":"red","tags":["a","b","c","d","e","f"]}`}.do(t, h).refused(t, 422, "validation_failed")
	var fields []string
	for _, d := range e.Error.Details {
		fields = append(fields, d.Field)
	}
	slices.Sort(fields)
	if diff := cmp.Diff([]string{"colour", "count", "name", "tags"}, fields); diff != "" {
		t.Errorf("not every problem: %s in %+v", diff, e.Error.Details)
	}
}

// nested returns an object of the given depth whose innermost text could be mistaken for
// more of it.
func nested(depth int) string {
	return strings.Repeat(`{"a":`, depth) + `"[[\"{{"` + strings.Repeat("}", depth)
}

func nesting(t *testing.T, h *house) {
	if r := (call{method: "POST", path: "/deep", body: nested(32)}).do(t, h); r.status >= 300 {
		t.Errorf("32 levels: %d %s", r.status, r.body)
	}
	call{method: "POST", path: "/deep", body: nested(33)}.do(t, h).refused(t, 422, "too_deep")
	call{method: "POST", path: "/deep", body: nested(33), key: "deep"}.do(t, h).refused(t, 422, "too_deep")
	call{method: "POST", path: "/things", body: strings.Repeat("[", 500_000)}.do(t, h).refused(t, 422, "too_deep")
}

func versions(t *testing.T, h *house) {
	patch := call{method: "PATCH", path: "/things/1", body: "{}"}
	for _, tt := range []struct {
		ifMatch, body string
		status        int
	}{
		{"", "{}", 204}, {"", `{"version":7}`, 204}, {`"7"`, "{}", 204}, {`W/"7"`, "{}", 204}, {`"6"`, "{}", 409}, {"", `{"version":8}`, 409},
	} {
		patch.ifMatch, patch.body = tt.ifMatch, tt.body
		r := patch.do(t, h)
		if r.status != tt.status {
			t.Errorf("If-Match %s with %s: %d, want %d: %s", tt.ifMatch, tt.body, r.status, tt.status, r.body)
		}
		if tt.status == 409 {
			if e := r.refused(t, 409, "version_conflict"); len(e.Error.Details) != 1 || e.Error.Details[0].Message != "7" {
				t.Errorf("the current version is not named: %s", r.body)
			}
		}
	}
}

func limits(t *testing.T, h *house) {
	get := call{method: "GET", path: "/things", token: "hasty"}
	for i, reset := range []string{"20", "40", "60"} {
		r := get.do(t, h)
		got := []string{r.header.Get("RateLimit-Limit"), r.header.Get("RateLimit-Remaining"), r.header.Get("RateLimit-Reset")}
		if diff := cmp.Diff([]string{"3", fmt.Sprint(2 - i), reset}, got); diff != "" || r.status != 200 {
			t.Errorf("call %d: %d %s", i, r.status, diff)
		}
	}
	r := get.do(t, h)
	r.refused(t, 429, "rate_limited")
	if r.header.Get("Retry-After") != "20" || r.header.Get("RateLimit-Remaining") != "0" || r.header.Get("RateLimit-Reset") != "60" {
		t.Errorf("headers %v", r.header)
	}
}

// document checks the OpenAPI document of the small server; archtest holds that of the
// whole program against its routes.
func document(t *testing.T, h *house) {
	r := call{method: "GET", path: "/openapi.json", token: "viewer"}.do(t, h)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	var doc struct {
		OpenAPI string `json:"openapi"`
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]struct {
			OperationID string                     `json:"operationId"`
			Description string                     `json:"description"`
			Permission  string                     `json:"x-permission"`
			Responses   map[string]json.RawMessage `json:"responses"`
		} `json:"paths"`
	}
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title != "Vigilo" || doc.Info.Version != "test" {
		t.Errorf("head %q %+v", doc.OpenAPI, doc.Info)
	}
	documented := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			documented[strings.ToUpper(method)+" "+path] = op.Permission
			if !strings.Contains(op.Description, "`"+op.Permission+"`") {
				t.Errorf("%s %s: %q does not name the permission", method, path, op.Description)
			}
			for _, status := range []string{"401", "403", "404", "422", "429"} {
				if op.Responses[status] == nil {
					t.Errorf("%s %s does not describe the answer %s", method, path, status)
				}
			}
		}
	}
	served := map[string]string{}
	for _, route := range h.web.Routes() {
		if path, ok := strings.CutPrefix(route.Pattern, web.APIPrefix); ok && path != "/openapi.json" {
			served[route.Method+" "+path] = string(route.Permission)
		}
	}
	if diff := cmp.Diff(served, documented); diff != "" {
		t.Errorf("routes and document differ: %s", diff)
	}
	// The schema of errors is the one shape that they have.
	if !strings.Contains(r.body, `"request_id"`) {
		t.Error("the document does not describe errors")
	}
}

// FuzzAnyInputGetsAnAnswerInJSON sends anything as body and query of operations with many
// kinds of fields: an answer is JSON, and never our failure.
func FuzzAnyInputGetsAnAnswerInJSON(f *testing.F) {
	for _, seed := range []struct{ body, query string }{
		{`{"name":"a"}`, "mode=plain"},
		{`{"name":"a","when":"2026-10-01T08:00:00Z","tags":["x"],"owner":{"id":"0199b6a0-0000-7000-8000-000000000000"}}`, ""},
		{`{`, "limit=1&cursor=%00&sort=-x"},
		{`[]`, "limit=-1"},
		{`null`, "since=2026-10-01"},
		{"\xff\xfe", "%zz"},
		{`{"name":"\ud800"}`, "mode=%ff"},
		{`{"name":1e999}`, "limit=99999999999999999999"},
		{`{"count":1.5,"name":"a"}`, "tags=a,b&tags=c"},
		{`{"name":"a","name":"b"}`, ";;"},
		{nested(40), "owner=00000000-0000-0000-0000-000000000000"},
		{`"x"`, "=&&="},
		{`{"extra":{"a":{}}}`, "unknown=1"},
		{"", ""},
	} {
		f.Add([]byte(seed.body), seed.query)
	}
	h := newHouse(f, false)
	h.calm = true
	handler := h.web.Handler()
	f.Fuzz(func(t *testing.T, body []byte, query string) {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			req := httptest.NewRequest(method, "/ws/acme/api/v1/things", bytes.NewReader(body))
			req.URL.RawQuery = query
			req.Header.Set("Authorization", "Bearer mara")
			req.Header.Set("Content-Type", "application/json")
			rec := httptest.NewRecorder()
			handler.ServeHTTP(rec, req)
			if rec.Code >= 500 {
				t.Errorf("%s: %d %s", method, rec.Code, rec.Body)
			}
			if !json.Valid(rec.Body.Bytes()) || rec.Header().Get("Content-Type") != "application/json" {
				t.Errorf("%s: %d %s: %s", method, rec.Code, rec.Header().Get("Content-Type"), rec.Body)
			}
			if rec.Code >= 400 {
				reply{rec.Code, rec.Header(), rec.Body.String()}.shape(t)
			}
		}
	})
}

// shape holds an error against the one shape, whatever its code.
func (r reply) shape(t testing.TB) {
	t.Helper()
	var e refusal
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	r.refused(t, r.status, e.Error.Code)
	if e.Error.Code == "" {
		t.Errorf("no code: %s", r.body)
	}
}
