package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/web"
)

var (
	fuzzSeed = flag.Uint64("fuzzseed", 1, "seed of the values that TestNoRequestBreaksTheProgram sends")
	fuzzTime = flag.Duration("fuzzfor", time.Minute, "how long it sends them after every route had its turn")
)

// fuzzer sends requests of every kind to a program in which nothing else happens.
type fuzzer struct {
	*program
	t    *testing.T
	rng  *rand.Rand
	n    int // numbers requests, and names that must be unique
	who  string
	tok  string
	ids  map[string][]string
	acts []pageForm
	sql  string
	then map[string]string // the state before the next request
	seen map[string]map[int]int
}

// request is one attempt.
type request struct {
	route            web.Route
	path, kind, body string
	mayRecord        bool // a refusal of it is recorded by intention
}

func (r request) String() string {
	body := r.body
	if len(body) > 1500 {
		body = body[:1500] + "…"
	}
	return fmt.Sprintf("%s %s [%s] %q", r.route.Method, r.path, r.kind, body)
}

// TestNoRequestBreaksTheProgram sends forms and bodies, regular and not, to every route
// that takes them, as an owner. None is answered with a failure of the program, errors of
// the API have their shape, and what was refused left nothing behind.
func TestNoRequestBreaksTheProgram(t *testing.T) {
	t.Parallel()
	working := start(t)
	working.workspace(t, "acme")
	working.furnish(t, "acme")
	working.settle(t)
	// Nothing that is sent may reach another machine.
	p := working.onlyServe(t, "VIGILO_NETWORK_DENY=0.0.0.0/0,::/0", "VIGILO_RATE_SIGN_IN=100000")
	f := &fuzzer{
		program: p, t: t, rng: rand.New(rand.NewPCG(*fuzzSeed, 0)), who: "owner@acme.test", seen: map[string]map[int]int{},
	}
	f.sql = f.stateQuery()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with -fuzzseed=%d", *fuzzSeed)
		}
	})
	end := time.Now().Add(*fuzzTime)
	rounds := 0
	for ; rounds == 0 || time.Now().Before(end); rounds++ {
		f.prepare()
		routes := sortedRoutes(p)
		f.rng.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
		for _, r := range routes {
			if strings.HasSuffix(r.Pattern, "/live") {
				continue
			}
			if rounds > 0 && time.Now().After(end) {
				break
			}
			f.try(f.request(r))
		}
	}
	taken, refused := 0, []string{}
	for _, r := range sortedRoutes(p) {
		if r.Method == http.MethodGet {
			continue
		}
		key := r.Method + " " + r.Pattern
		if slices.ContainsFunc(slices.Collect(maps.Keys(f.seen[key])), func(status int) bool { return status < 400 }) {
			taken++
		} else {
			refused = append(refused, fmt.Sprintf("%s %v", key, f.seen[key]))
		}
	}
	// What is always refused proves little about what half a change leaves behind.
	if taken < 20 {
		t.Errorf("only %d routes took a request; the values are too wild to mean anything", taken)
	}
	t.Logf("seed %d: %d requests in %d rounds, %d changing routes took one; always refused by: %s", *fuzzSeed, f.n, rounds, taken, strings.Join(refused, ", "))
}

// prepare signs in, looks for ids and collects the forms of all pages.
func (f *fuzzer) prepare() {
	f.t.Helper()
	f.signIn()
	f.replace()
	f.ids = f.idsOf(f.t, "acme")
	f.acts = f.collectForms()
	f.then = f.state()
}

// replace adds what earlier requests have deleted, so that later ones find something.
func (f *fuzzer) replace() {
	f.t.Helper()
	ids := f.idsOf(f.t, "acme")
	for _, thing := range []struct{ table, path, body string }{
		{"monitored_hosts", "/hosts", `{"hostname":"%s.example.test"}`},
		{"people_groups", "/groups", `{"name":"%s"}`},
		{"webhook_endpoints", "/webhooks", `{"url":"https://%s.example.test","patterns":["*"]}`},
		{"alert_rules", "/alert-rules", `{"name":"%s","trigger":"expired","severity":"high"}`},
		{"invitations", "/invitations", `{"email":"%s@example.test","role":"viewer"}`},
		{"group_mappings", "/group-mappings", `{"claim_value":"%s","role":"viewer"}`},
		{"assets", "/assets", `{"name":"%s","ci_type":"server"}`},
		{"tasks", "/tasks", `{"title":"%s"}`},
	} {
		for i := len(ids[thing.table]); i < 2; i++ {
			f.create(f.t, f.tok, "acme", thing.path, fmt.Sprintf(thing.body, fmt.Sprintf("again-%d-%d", f.n, i)))
		}
	}
}

// signIn takes a session and a token anew; some request may have ended the last ones.
func (f *fuzzer) signIn() {
	f.t.Helper()
	f.mu.Lock()
	delete(f.sessions, f.who)
	f.mu.Unlock()
	f.tok = f.token(f.t, "acme", "owner")
	if a := f.get(f.t, f.tok, "/ws/acme/api/v1/me"); !strings.Contains(a.body, `"owner"`) {
		f.t.Fatalf("the owner lost their role: %s", clip(a.body))
	}
}

// try sends a request and judges the answer.
func (f *fuzzer) try(r request) {
	f.t.Helper()
	f.n++
	who := f.who
	if r.route.API {
		who = f.tok
	}
	session := ""
	if !r.route.API {
		session = f.session(f.t, f.who)
	}
	a, err := f.send(who, session, r.route.Method, r.path, r.kind, r.body)
	if err != nil {
		f.t.Errorf("%s: the connection broke: %v", r, err)
		return
	}
	key := r.route.Method + " " + r.route.Pattern
	if f.seen[key] == nil {
		f.seen[key] = map[int]int{}
	}
	f.seen[key][a.status]++
	if a.status >= 500 {
		f.t.Errorf("%s: status %d: %s", r, a.status, clip(a.body))
	}
	f.checkBody(r, a)
	now := f.state()
	// Some reading is recorded, such as an export.
	if a.status >= 400 && r.route.Method != http.MethodGet && !r.mayRecord {
		for table, sum := range now {
			// An owner is refused what only platform admins may do, and refusals are recorded.
			refusal := a.status == http.StatusForbidden && strings.HasPrefix(table, "audit.")
			if f.then[table] != sum && !refusal {
				f.t.Errorf("%s: status %d, but %s changed", r, a.status, table)
			}
		}
	}
	f.then = now
	if a.status == http.StatusUnauthorized || strings.HasPrefix(a.header.Get("Location"), "/login") || key == "POST /logout" {
		f.signIn()
		f.then = f.state()
	}
}

// checkBody looks at the form of an answer, and for markup that was sent and came back.
func (f *fuzzer) checkBody(r request, a answer) {
	f.t.Helper()
	kind := a.header.Get("Content-Type")
	if strings.HasPrefix(kind, "text/html") {
		for _, markup := range []string{"<script>window.fuzzed", "<img src=x onerror=fuzzed"} {
			if strings.Contains(a.body, markup) {
				f.t.Errorf("%s: the page holds %s", r, markup)
			}
		}
	}
	if strings.Contains(a.header.Get("Set-Cookie"), "fuzz=1") || a.header.Get("X-Fuzz") != "" {
		f.t.Errorf("%s: a value became a header", r)
	}
	if !r.route.API || a.status < 400 && (a.body == "" || strings.HasPrefix(kind, "text/csv") || strings.HasPrefix(kind, "application/x-ndjson")) {
		return
	}
	if !strings.HasPrefix(kind, "application/json") || !json.Valid([]byte(a.body)) {
		f.t.Errorf("%s: status %d with a body that is no JSON (%s): %s", r, a.status, kind, clip(a.body))
		return
	}
	if a.status < 400 {
		return
	}
	var e struct {
		Error *web.ErrorInfo `json:"error"`
	}
	if err := json.Unmarshal([]byte(a.body), &e); err != nil || e.Error == nil || e.Error.Code == "" || e.Error.Message == "" || e.Error.Details == nil {
		f.t.Errorf("%s: the error is not in its shape: %s", r, clip(a.body))
		return
	}
	if _, err := uuid.Parse(e.Error.RequestID); err != nil || e.Error.RequestID == uuid.Nil.String() {
		f.t.Errorf("%s: the error names no request: %s", r, clip(a.body))
	}
	if a.status == http.StatusUnprocessableEntity && e.Error.Code == "validation_failed" && len(e.Error.Details) == 0 {
		f.t.Errorf("%s: refused without saying why: %s", r, clip(a.body))
	}
	for _, d := range e.Error.Details {
		if d.Code == "" || d.Message == "" {
			f.t.Errorf("%s: a detail says nothing: %s", r, clip(a.body))
		}
	}
}

// stateQuery makes the statement that sums up every row of every table that people change.
func (f *fuzzer) stateQuery() string {
	f.t.Helper()
	tables := append(f.tenantTables(f.t), "workspaces", "users")
	parts := make([]string, len(tables))
	for i, table := range tables {
		parts[i] = fmt.Sprintf(`SELECT '%s', count(*)::text || ' ' || coalesce(sum(hashtextextended(
			regexp_replace(to_jsonb(x)::text, '"(%s|last_workspace)": ("[^"]*"|null|[0-9.]+),?', '', 'g'), 0)), 0)::text FROM %s x`, table, volatile, table)
	}
	return strings.Join(parts, " UNION ALL ")
}

func (f *fuzzer) state() map[string]string {
	f.t.Helper()
	rows, err := f.db.Admin(f.t).Query(context.Background(), f.sql)
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var table, sum string
		if err := rows.Scan(&table, &sum); err != nil {
			f.t.Fatal(err)
		}
		out[table] = sum
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return out
}

// request makes an attempt on a route: mostly with an id that exists and a body that could
// be taken, in which a value or two are not what they should be.
func (f *fuzzer) request(r web.Route) request {
	out := request{route: r, path: fill(r.Pattern, "acme", f.param(r)), mayRecord: r.Pattern == "/login/dev"}
	switch {
	case r.Method == http.MethodGet:
		out.path += f.query(r)
	case r.API:
		out.kind = "application/json"
		out.body = f.jsonBody(r)
		if f.chance(3) {
			out.kind = pick(f, "text/plain", "application/xml", "application/json; charset=latin1", "multipart/form-data; boundary=x", "text/csv", "")
		}
	default:
		form := f.formOf(r)
		if form.action != "" && !f.chance(15) {
			out.path = form.action
		}
		out.kind, out.body = f.encode(form)
	}
	return out
}

// param fills the parts of a path.
func (f *fuzzer) param(r web.Route) func(string) string {
	return func(name string) string {
		if f.chance(12) {
			return url.PathEscape(f.nasty())
		}
		if f.chance(12) {
			return f.uuid()
		}
		if ids := f.ids[tableOf(r.Pattern, name)]; len(ids) > 0 {
			return ids[f.rng.IntN(len(ids))]
		}
		return f.uuid()
	}
}

// tableOf says where the ids of a part of a path come from.
func tableOf(pattern, name string) string {
	switch name {
	case "delivery":
		return "webhook_deliveries"
	case "filter":
		return "audit_filters"
	case "dependency":
		return "task_dependencies"
	}
	for _, p := range []struct{ part, table string }{
		{"/certificates/stored/", "certificates"},
		{"/api/v1/certificates/", "certificates"},
		{"/certificates/", "monitored_hosts"},
		{"/hosts/", "monitored_hosts"},
		{"/snapshots/", "tls_snapshots"},
		{"/scans/", "scans"},
		{"/alert-rules/", "alert_rules"},
		{"/alerts/", "alerts"},
		{"/alert-silences/", "alert_silences"},
		{"/audit/", "audit.event"},
		{"/members/groups/", "people_groups"},
		{"/groups/", "people_groups"},
		{"/invitations/", "invitations"},
		{"mappings/", "group_mappings"},
		{"/members/", "members"},
		{"/webhooks/", "webhook_endpoints"},
		{"/deliveries/", "webhook_deliveries"},
		{"/notifications/", "notifications"},
		{"/tokens/", "api_tokens"},
		{"relationships/", "asset_relationships"},
		{"/assets/", "assets"},
		{"/tasks/", "tasks"},
	} {
		if strings.Contains(pattern, p.part+"{"+name+"}") {
			return p.table
		}
	}
	return ""
}

// query makes the part of an address after "?", from what lists understand.
func (f *fuzzer) query(r web.Route) string {
	names := []string{
		"q", "sort", "cursor", "status", "state", "tag", "issuer", "owner", "view", "format", "window", "from", "to", "actor", "action", "target",
		"target_type", "outcome", "category", "rule", "severity", "acknowledged", "host", "show", "month", "id", "scope", "hostname", "name",
		"ci_type", "environment", "criticality", "team", "focus", "depth", "open", "assignee", "gate", "blocked", "parent_type", "parent_id", "direction",
	}
	if op := f.operation(r); op != nil {
		names = nil
		for _, p := range op.Parameters {
			if p.In == "query" {
				names = append(names, p.Name)
			}
		}
	}
	v := url.Values{}
	for range 1 + f.rng.IntN(3) {
		if len(names) == 0 {
			break
		}
		name := names[f.rng.IntN(len(names))]
		if v.Set(name, f.nasty()); f.chance(20) {
			v.Add(name, f.nasty())
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// operation returns how the document describes a route.
func (f *fuzzer) operation(r web.Route) *huma.Operation {
	item := f.API().Document().Paths[strings.TrimPrefix(r.Pattern, web.APIPrefix)]
	if !r.API || item == nil {
		return nil
	}
	switch r.Method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	return nil
}

// chance is true in so many of a hundred cases.
func (f *fuzzer) chance(percent int) bool { return f.rng.IntN(100) < percent }

func pick[T any](f *fuzzer, of ...T) T { return of[f.rng.IntN(len(of))] }

// uuid is an id that follows from the seed and belongs to nothing.
func (f *fuzzer) uuid() string {
	var id uuid.UUID
	for i := range id {
		id[i] = byte(f.rng.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}

var onlyDigits = regexp.MustCompile(`^[0-9]+$`)
