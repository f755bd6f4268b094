package archtest

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// described is what an operation of the document says that the rules look at.
type described struct {
	OperationID string `json:"operationId"`
	Summary     string `json:"summary"`
	Tags        []string
	Permission  string `json:"x-permission"`
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   json.RawMessage
	}
	RequestBody *struct {
		Content map[string]struct{ Schema json.RawMessage }
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string
	}
}

var pathParam = regexp.MustCompile(`\{([^}]+)\}`)

// TestTheOpenAPIDocumentIsTrue holds the document against the routes that are served, and
// against what OpenAPI 3.1 asks of a document.
func TestTheOpenAPIDocumentIsTrue(t *testing.T) {
	t.Parallel()
	a := program(t, dbtest.New(t))
	raw, err := json.Marshal(a.API().Document())
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI    string
		Info       struct{ Title, Version string }
		Servers    []struct{ URL string }
		Paths      map[string]map[string]described
		Components struct {
			Schemas         map[string]json.RawMessage
			SecuritySchemes map[string]struct{ Type, Scheme string } `json:"securitySchemes"`
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title == "" || doc.Info.Version == "" {
		t.Errorf("head: openapi %q, info %+v", doc.OpenAPI, doc.Info)
	}
	if len(doc.Servers) != 1 || doc.Servers[0].URL != web.APIPrefix {
		t.Errorf("servers %+v", doc.Servers)
	}
	if s := doc.Components.SecuritySchemes["token"]; s.Type != "http" || s.Scheme != "bearer" {
		t.Errorf("security %+v", doc.Components.SecuritySchemes)
	}
	permissions := map[string]string{}
	ids := map[string]string{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			where := strings.ToUpper(method) + " " + path
			permissions[where] = op.Permission
			if other := ids[op.OperationID]; op.OperationID == "" || other != "" {
				t.Errorf("%s has the id %q, and so has %s", where, op.OperationID, other)
			}
			ids[op.OperationID] = where
			op.check(t, where, path)
		}
	}
	served := map[string]string{}
	for _, r := range a.Web().Routes() {
		if path, ok := strings.CutPrefix(r.Pattern, web.APIPrefix); ok && path != "/openapi.json" {
			served[r.Method+" "+path] = string(r.Permission)
		}
	}
	if diff := cmp.Diff(served, permissions); diff != "" {
		t.Errorf("routes (-) and document (+) differ: %s", diff)
	}
	for _, ref := range regexp.MustCompile(`"\$ref":"([^"]+)"`).FindAllStringSubmatch(string(raw), -1) {
		name, ok := strings.CutPrefix(ref[1], "#/components/schemas/")
		if !ok || doc.Components.Schemas[name] == nil {
			t.Errorf("nothing is at %s", ref[1])
		}
	}
	if api.ExtPermission != "x-permission" {
		t.Errorf("programs look for the permission at x-permission, not %s", api.ExtPermission)
	}
}

// check looks at one operation.
func (op described) check(t *testing.T, where, path string) {
	t.Helper()
	if op.Summary == "" || len(op.Tags) != 1 || op.Permission == "" {
		t.Errorf("%s lacks summary, tag or permission: %+v", where, op)
	}
	var want, got []string
	for _, m := range pathParam.FindAllStringSubmatch(path, -1) {
		want = append(want, m[1])
	}
	for _, p := range op.Parameters {
		if len(p.Schema) == 0 || !slices.Contains([]string{"path", "query", "header"}, p.In) {
			t.Errorf("%s: parameter %s in %q is not described", where, p.Name, p.In)
		}
		if p.In == "path" {
			got = append(got, p.Name)
			if !p.Required {
				t.Errorf("%s: path parameter %s is not required", where, p.Name)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: parameters of the path: %s", where, diff)
	}
	good := 0
	for status, res := range op.Responses {
		if res.Description == "" {
			t.Errorf("%s: answer %s is not described", where, status)
		}
		if status[0] == '2' {
			good++
		}
	}
	if good == 0 {
		t.Errorf("%s describes no success", where)
	}
	if op.RequestBody != nil && len(op.RequestBody.Content) == 0 {
		t.Errorf("%s: body without a media type", where)
	}
}
