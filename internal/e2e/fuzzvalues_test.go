package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/net/html"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// nasty returns a text that something somewhere may not expect.
func (f *fuzzer) nasty() string {
	return pick(f,
		"", " ", "\x00", "a\x00b", "\xff\xfe", "\xc3\x28", "ok\xed\xa0\x80", strings.Repeat("x", 10_000), strings.Repeat("é", 10_000), "😀👩‍👩‍👧‍👦",
		"\u202Eevil\u202C", "\u200F\u2067right\u2069", "e\u0301", "\ufeff", "\u2028", "-1", "0", "1", "2147483648", "-2147483649", "9223372036854775808",
		"99999999999999999999999999", "1e309", "NaN", "-0", "0x10", "1.5", "'; DROP TABLE workspaces; --", `\'; SELECT pg_sleep(9); --`, "{{7*7}}",
		"${7*7}", "%s%n%x", "%00", "%ZZ", "<script>window.fuzzed=1</script>", `"><img src=x onerror=fuzzed()>`, "javascript:alert(1)",
		"../../../../etc/passwd", "//evil.example/", `\\evil.example`, "http://127.0.0.1:1/", "https://[::1]:99999/", "http://a b/", "a\r\nX-Fuzz: 1", "\nSet-Cookie: fuzz=1",
		"=HYPERLINK(1)", "null", "true", "[]", "{}", "2026-13-45", "0000-00-00", "24:00", "12:00:00", "a@b", "@", "<a@b.example>", "*", "*.", "**", "host.*",
		"xn--a", "-", ".", "..", "/", "%", "_", "\\", "'", `"`, "`", "Ⅷ", "İ", "ß", "example.com.", strings.Repeat("a.", 200), f.uuid(),
	)
}

// likely returns a text that a field of this name could hold.
func (f *fuzzer) likely(name string) string {
	switch {
	case name == "hostname":
		return fmt.Sprintf("fuzz-%d.example.test", f.n)
	case name == "url":
		return fmt.Sprintf("https://hook-%d.example.test/in", f.n)
	case strings.Contains(name, "email") || name == "from" && f.chance(50):
		return fmt.Sprintf("fuzz-%d@example.test", f.n)
	case name == "time_zone":
		return pick(f, "Europe/Oslo", "UTC", "Asia/Kathmandu")
	case name == "slug":
		return fmt.Sprintf("fuzz-%d", f.n)
	case name == "role":
		return pick(f, "viewer", "member", "admin")
	case name == "trigger":
		return pick(f, "expiring_soon", "expired", "cert_changed")
	case name == "target":
		return "workspace"
	case name == "severity" || name == "severity_floor":
		return pick(f, "low", "high")
	case strings.HasSuffix(name, "_days") || strings.HasSuffix(name, "_minutes"):
		return pick(f, "5", "30")
	case name == "port":
		return pick(f, "443", "8443", "65535")
	case name == "scan_interval":
		return pick(f, "1h", "24h")
	case name == "digest":
		return pick(f, "none", "daily")
	case name == "digest_at" || name == "from" || name == "to" || name == "quiet_from" || name == "quiet_to":
		return pick(f, "07:00", "22:30")
	case name == "patterns":
		return "host.*"
	case name == "tags" || name == "target_tags":
		return pick(f, "one", "two")
	case name == "starttls" || name == "family" || name == "server_name" || name == "password":
		return ""
	case name == "theme":
		return pick(f, "dark", "light", "system")
	case name == "pem":
		return f.pem()
	case name == "rows":
		return fmt.Sprintf("fuzz-%d@example.test,viewer", f.n)
	case name == "networks":
		return "10.20.0.0/16"
	case name == "host":
		return "127.0.0.1"
	case name == "predecessor" || name == "other" || name == "choice" || name == "focus" || name == "open":
		table := map[bool]string{true: "tasks", false: "assets"}[name == "predecessor"]
		if ids := f.ids[table]; len(ids) > 0 {
			return pick(f, ids...)
		}
		return f.uuid()
	case name == "ci_type":
		return pick(f, "server", "service", "database")
	case name == "environment":
		return pick(f, "prod", "dev")
	case name == "criticality":
		return pick(f, "low", "critical")
	case name == "lifecycle":
		return pick(f, "active", "planned")
	case name == "parent_type":
		return "asset"
	case name == "due":
		return "2030-01-02T03:04"
	case name == "direction":
		return pick(f, "below depends_on", "above hosts")
	case name == "expires" || name == "expires_at":
		return "2030-01-02"
	default:
		return fmt.Sprintf("Fuzz %d", f.n)
	}
}

// pem is a certificate. Its serial number and key do not follow from the seed; nothing
// that is judged depends on them.
func (f *fuzzer) pem() string {
	f.t.Helper()
	now := time.Now()
	c, err := certtest.SelfSigned(certtest.Spec{CommonName: fmt.Sprintf("fuzz-%d.example.test", f.n), NotBefore: now, NotAfter: now.Add(24 * time.Hour)})
	if err != nil {
		f.t.Fatal(err)
	}
	return string(c.PEM())
}

// jsonBody makes a body for an operation: one that fits the schema, one with something
// else in a place or two, or one that is no JSON at all.
func (f *fuzzer) jsonBody(r web.Route) string {
	op := f.operation(r)
	if op == nil || op.RequestBody == nil {
		return pick(f, "", "", "{}", "[", `{"x":1}`)
	}
	content := op.RequestBody.Content["application/json"]
	if content == nil {
		return f.nasty()
	}
	if f.chance(8) {
		return pick(f, "", "null", "[]", `"text"`, "7", "{", `{"a":`, "\xff", "{\"a\":\"\xff\"}", strings.Repeat("[", 20_000), strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000), `{"a":1}{"b":2}`)
	}
	body, isObject := f.fitting(content.Schema, "", 0).(map[string]any)
	if !isObject {
		body = map[string]any{}
	}
	for range f.rng.IntN(3) {
		f.spoil(body)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		f.t.Fatal(err)
	}
	text := string(raw)
	if f.chance(6) && len(body) > 0 { // the same name twice
		name := pick(f, slices.Sorted(maps.Keys(body))...)
		text = strings.TrimSuffix(text, "}") + fmt.Sprintf(`,%q:%s}`, name, f.wrong())
	}
	return text
}

// fitting returns a value that a schema allows.
func (f *fuzzer) fitting(s *huma.Schema, name string, depth int) any {
	if s.Ref != "" {
		s = f.API().Document().Components.Schemas.SchemaFromRef(s.Ref)
	}
	if len(s.Enum) > 0 {
		return pick(f, s.Enum...)
	}
	switch s.Type {
	case "object":
		out := map[string]any{}
		for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
			p := s.Properties[field]
			if p.ReadOnly || depth > 4 || field == "version" || !slices.Contains(s.Required, field) && f.chance(50) {
				continue
			}
			out[field] = f.fitting(p, field, depth+1)
		}
		return out
	case "array":
		out := []any{}
		for range 1 + f.rng.IntN(2) {
			out = append(out, f.fitting(s.Items, name, depth+1))
		}
		return out
	case "boolean":
		return f.chance(50)
	case "integer", "number":
		if text := f.likely(name); onlyDigits.MatchString(text) {
			return json.Number(text)
		}
		return 1 + f.rng.IntN(20)
	}
	if strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "ids") || s.Format == "uuid" {
		table := map[string]string{
			"member_ids": "members", "members": "members", "group_ids": "people_groups", "webhook_ids": "webhook_endpoints",
			"target_host_ids": "monitored_hosts", "ids": "notifications", "parent_id": "assets",
		}[name]
		if ids := f.ids[table]; len(ids) > 0 && f.chance(80) {
			return pick(f, ids...)
		}
		return f.uuid()
	}
	if s.Format == "date-time" {
		return "2030-01-02T03:04:05Z"
	}
	return f.likely(name)
}

// spoil changes one thing in an object or in what it holds.
func (f *fuzzer) spoil(body map[string]any) {
	names := slices.Sorted(maps.Keys(body))
	if len(names) == 0 || f.chance(8) {
		body[pick(f, "unknown", "workspace_id", "id", "__proto__", "role", "")] = f.wrong()
		return
	}
	name := pick(f, names...)
	if inner, isObject := body[name].(map[string]any); isObject && f.chance(60) {
		f.spoil(inner)
		return
	}
	if list, isList := body[name].([]any); isList && len(list) > 0 && f.chance(60) {
		if inner, isObject := list[0].(map[string]any); isObject && f.chance(70) {
			f.spoil(inner)
			return
		}
		list[0] = f.wrong()
		return
	}
	if f.chance(15) {
		delete(body, name)
		return
	}
	body[name] = f.wrong()
}

// wrong returns a JSON value of any kind, as text, since not all can be written by Go.
func (f *fuzzer) wrong() json.RawMessage {
	if f.chance(70) {
		return rawString(f.nasty())
	}
	return json.RawMessage(pick(f,
		"-1", "0", "1.5", "1e400", "-1e400", "9223372036854775808", "123456789012345678901234567890", "true", "false", "null", "[]", "{}", `[["a"],{"b":1}]`,
		`["a","a","a"]`, `{"a":{"b":{"c":{}}}}`, strings.Repeat("[", 500)+strings.Repeat("]", 500), "["+strings.Repeat(`"x",`, 5000)+`"x"]`, `"\ud800"`, `"\u0000"`, "[null]",
	))
}

// rawString writes a JSON string and leaves bytes that are no UTF-8 as they are.
func rawString(s string) json.RawMessage {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return json.RawMessage(b.String())
}

// pageForm is a form as a page shows it.
type pageForm struct {
	action string // with the ids that it holds
	upload bool
	fields []pageField
}

type pageField struct {
	name, kind, value string
	options           []string
}

// collectForms reads the forms of every page that the owner can open.
func (f *fuzzer) collectForms() []pageForm {
	f.t.Helper()
	paths := append(pagePaths(f.program), "/ws/acme/governance/audit/filters/new?q=host")
	if hosts := f.ids["monitored_hosts"]; len(hosts) > 0 {
		paths = append(paths, "/ws/acme/certificates/remove?id="+hosts[0], "/ws/acme/certificates/tag?id="+hosts[0])
	}
	if assets := f.ids["assets"]; len(assets) > 0 {
		paths = append(paths, "/ws/acme/assets/edit?id="+assets[0], "/ws/acme/assets/retire?id="+assets[0], "/ws/acme/tasks?view=all")
	}
	for _, r := range sortedRoutes(f.program) {
		if r.Method != http.MethodGet || r.API || notAPage(r) || strings.Count(r.Pattern, "{") < 2 {
			continue
		}
		path := fill(r.Pattern, "acme", func(name string) string {
			if ids := f.ids[tableOf(r.Pattern, name)]; len(ids) > 0 {
				return ids[0]
			}
			return f.uuid()
		})
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	var out []pageForm
	for _, path := range paths {
		a := f.get(f.t, f.who, path)
		if a.status >= 500 {
			f.t.Errorf("GET %s: status %d", path, a.status)
		}
		if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
			continue
		}
		root, err := html.Parse(strings.NewReader(a.body))
		if err != nil {
			f.t.Fatalf("%s: %v", path, err)
		}
		for n := range root.Descendants() {
			if n.Data == "form" && attribute(n, "method") == "post" {
				out = append(out, readForm(n, path))
			}
		}
	}
	if len(out) < 50 {
		f.t.Errorf("only %d forms were found", len(out))
	}
	return out
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func readForm(n *html.Node, path string) pageForm {
	out := pageForm{action: attribute(n, "action"), upload: attribute(n, "enctype") == "multipart/form-data"}
	if out.action == "" {
		out.action = path
	}
	for c := range n.Descendants() {
		field := pageField{name: attribute(c, "name"), kind: attribute(c, "type"), value: attribute(c, "value")}
		if field.name == "" {
			continue
		}
		switch c.Data {
		case "input":
		case "button":
			field.kind = "button"
		case "textarea":
			if c.FirstChild != nil {
				field.value = c.FirstChild.Data
			}
		case "select":
			field.kind = "select"
			for o := range c.Descendants() {
				if o.Data == "option" {
					field.options = append(field.options, attribute(o, "value"))
				}
			}
		default:
			continue
		}
		out.fields = append(out.fields, field)
	}
	return out
}

// formOf returns a form of a page that leads to a route, or one with guessed fields.
func (f *fuzzer) formOf(r web.Route) pageForm {
	expr := regexp.MustCompile("^" + regexp.MustCompile(`\\\{[a-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta(r.Pattern), "[^/]+") + `(\?.*)?$`)
	var found []pageForm
	for _, p := range f.acts {
		if expr.MatchString(p.action) {
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		return pick(f, found...)
	}
	var out pageForm
	for _, name := range []string{"id", "name", "email", "version", "role", "do", "tags", "theme", "time_zone", "all", "return_to"} {
		if f.chance(40) {
			out.fields = append(out.fields, pageField{name: name})
		}
	}
	return out
}

// encode fills a form, mostly as somebody would who means it, and writes it as a browser
// does.
func (f *fuzzer) encode(form pageForm) (kind, body string) {
	v := url.Values{}
	spoiled := map[string]bool{}
	for range f.rng.IntN(3) {
		if len(form.fields) > 0 {
			spoiled[pick(f, form.fields...).name] = true
		}
	}
	buttons := 0
	for _, field := range form.fields {
		switch {
		case spoiled[field.name]:
			v.Add(field.name, f.nasty())
			if f.chance(20) {
				v.Add(field.name, f.nasty())
			}
		case field.kind == "button":
			// One of the buttons is pressed.
			if buttons++; f.rng.IntN(buttons) == 0 {
				v.Set(field.name, field.value)
			}
		case field.kind == "radio":
			if !v.Has(field.name) || f.chance(40) {
				v.Set(field.name, field.value)
			}
		case field.kind == "checkbox":
			if f.chance(50) {
				v.Add(field.name, pick(f, field.value, "on"))
			}
		case field.kind == "select" && len(field.options) > 0:
			v.Set(field.name, pick(f, field.options...))
		case field.kind == "hidden" || field.value != "" && f.chance(50):
			v.Add(field.name, field.value)
		default:
			v.Set(field.name, f.likely(field.name))
		}
	}
	if f.chance(5) {
		for i := range 300 {
			v.Set(fmt.Sprintf("more%d", i), "x")
		}
	}
	if f.chance(3) {
		return pick(f, "application/json", "text/plain", "multipart/form-data; boundary=x", ""), f.nasty()
	}
	if !form.upload {
		return "application/x-www-form-urlencoded", v.Encode()
	}
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		for _, value := range v[name] {
			part, err := w.CreateFormField(name)
			if i := slices.IndexFunc(form.fields, func(p pageField) bool { return p.name == name }); i >= 0 && form.fields[i].kind == "file" {
				part, err = w.CreateFormFile(name, "file.csv")
			}
			if err == nil {
				_, err = part.Write([]byte(value))
			}
			if err != nil {
				f.t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		f.t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}
