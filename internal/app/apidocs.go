package app

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/apidocs"
	"github.com/vigilo/vigilo/templates/ui"
)

// apiNav is the entry of the page about the API in the sidebar.
var apiNav = web.NavEntry{Bucket: web.Knowledge, Label: "API", Path: "/api", Icon: "plug", Weight: 90, Permission: web.LivePermission}

// showAPI draws the OpenAPI document for people.
func (a *App) showAPI(r *web.Request) error {
	base := r.Server().BaseURL(r.Path("/api/v1"))
	v := views.Reference{
		Base: base, Example: "curl -H \"Authorization: Bearer $VIGILO_API_TOKEN\" " + base + "/me",
		DocumentHref: r.Path("/api/v1/openapi.json"), TokensHref: "/account/tokens", HelpHref: "/help/api",
		Groups: apiReader{doc: a.k.api.Document(), r: r}.groups(),
	}
	return r.Page(web.Page{Title: "API", Crumbs: []web.Crumb{{Text: "API"}}}, views.ReferencePage(v))
}

// apiReader puts an OpenAPI document into words for the reader of a page.
type apiReader struct {
	doc *huma.OpenAPI
	r   *web.Request
}

// methods is the order in which the endpoints of a path are read, with their colours.
var methods = []struct {
	name string
	tone ui.Tone
}{
	{http.MethodGet, ui.Info},
	{http.MethodPost, ui.OK},
	{http.MethodPut, ui.Warn},
	{http.MethodPatch, ui.Warn},
	{http.MethodDelete, ui.Crit},
}

func (d apiReader) groups() []views.Group {
	byTag := map[string][]views.Operation{}
	paths := make([]string, 0, len(d.doc.Paths))
	for path := range d.doc.Paths {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		item := d.doc.Paths[path]
		for i, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			v := d.operation(op)
			v.Method = ui.Badge{Text: methods[i].name, Tone: methods[i].tone}
			tag := cmp.Or(strings.Join(op.Tags, ", "), "Other")
			tag = strings.ToUpper(tag[:1]) + tag[1:]
			byTag[tag] = append(byTag[tag], v)
		}
	}
	var out []views.Group
	for tag, ops := range byTag {
		g := views.Group{ID: sectionID(strings.ToLower(tag)), Name: tag, Count: strconv.Itoa(len(ops)) + " endpoints", Operations: ops}
		if len(ops) == 1 {
			g.Count = "1 endpoint"
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b views.Group) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (d apiReader) operation(op *huma.Operation) views.Operation {
	perm, _ := op.Extensions[api.ExtPermission].(string)
	v := views.Operation{Path: op.Path, Summary: op.Summary, Permission: perm}
	if g, ok := d.r.Server().Policy().Grant(access.Permission(perm)); ok {
		v.Needs = fmt.Sprintf("is needed; the role %s and higher have it. The answer is %d.", g.Min.Label(), cmp.Or(op.DefaultStatus, http.StatusOK))
	}
	if !d.r.Can(access.Permission(perm)) {
		v.Refused = "Your role may not."
	}
	for _, place := range []struct{ in, title string }{{"path", "In the path"}, {"query", "Parameters"}, {"header", "Headers"}} {
		in := views.Inputs{Title: place.title}
		for _, p := range op.Parameters {
			if p.In == place.in {
				in.Fields = append(in.Fields, views.Field{
					Name: p.Name, Kind: d.kind(p.Schema), Text: sentence(cmp.Or(p.Description, description(p.Schema))), Required: p.Required,
				})
			}
		}
		if len(in.Fields) > 0 {
			v.Inputs = append(v.Inputs, in)
		}
	}
	if op.RequestBody != nil {
		v.Inputs = append(v.Inputs, d.body(op.RequestBody)...)
	}
	return v
}

// body describes what a request carries: the fields of a JSON object, or its media type.
func (d apiReader) body(b *huma.RequestBody) []views.Inputs {
	kinds := make([]string, 0, len(b.Content))
	for kind := range b.Content {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	var out []views.Inputs
	for _, kind := range kinds {
		in := views.Inputs{Title: "Body, " + kind}
		if schema := d.resolve(b.Content[kind].Schema); schema != nil && schema.Type == huma.TypeObject {
			in.Fields = d.fields("", schema, 0)
		}
		if len(in.Fields) == 0 {
			in.Fields = []views.Field{{Name: "body", Kind: kind, Text: sentence(b.Description), Required: b.Required}}
		}
		out = append(out, in)
	}
	return out
}

// maxNesting is how far fields of fields are listed.
const maxNesting = 3

// fields lists the fields of an object, the required ones first, those of objects inside
// it under their way.
func (d apiReader) fields(prefix string, object *huma.Schema, depth int) []views.Field {
	names := make([]string, 0, len(object.Properties))
	for name := range object.Properties {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if ra, rb := slices.Contains(object.Required, a), slices.Contains(object.Required, b); ra != rb {
			if ra {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	var out []views.Field
	for _, name := range names {
		s := object.Properties[name]
		out = append(out, views.Field{
			Name: prefix + name, Kind: d.kind(s), Text: sentence(description(s)), Required: slices.Contains(object.Required, name),
		})
		inner, way := d.resolve(s), prefix+name+"."
		if inner != nil && inner.Type == huma.TypeArray {
			inner, way = d.resolve(inner.Items), prefix+name+"[]."
		}
		if inner != nil && len(inner.Properties) > 0 && depth < maxNesting {
			out = append(out, d.fields(way, inner, depth+1)...)
		}
	}
	return out
}

func (d apiReader) resolve(s *huma.Schema) *huma.Schema {
	if s != nil && s.Ref != "" {
		return d.doc.Components.Schemas.SchemaFromRef(s.Ref)
	}
	return s
}

func description(s *huma.Schema) string {
	if s == nil {
		return ""
	}
	return s.Description
}

// kind describes the values that a schema accepts.
func (d apiReader) kind(s *huma.Schema) string {
	s = d.resolve(s)
	if s == nil {
		return "anything"
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		return "one of " + strings.Join(values, ", ")
	}
	kind := map[string]string{
		huma.TypeString: "text", huma.TypeInteger: "whole number", huma.TypeNumber: "number", huma.TypeBoolean: "true or false",
		huma.TypeObject: "object",
	}[s.Type]
	switch {
	case s.Type == huma.TypeArray:
		kind = "list of " + d.kind(s.Items)
	case s.Format == "uuid":
		kind = "id"
	case s.Format == "date-time":
		kind = "time"
	case kind == "":
		kind = "anything"
	}
	return kind + limits(s)
}

// limits names the bounds of a schema, after a comma.
func limits(s *huma.Schema) string {
	var out []string
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		out = append(out, fmt.Sprintf("%v to %v", *s.Minimum, *s.Maximum))
	case s.Minimum != nil:
		out = append(out, fmt.Sprintf("at least %v", *s.Minimum))
	case s.Maximum != nil:
		out = append(out, fmt.Sprintf("at most %v", *s.Maximum))
	}
	if s.MaxLength != nil {
		out = append(out, fmt.Sprintf("at most %d characters", *s.MaxLength))
	}
	if s.MaxItems != nil {
		out = append(out, fmt.Sprintf("at most %d", *s.MaxItems))
	}
	if s.Default != nil {
		out = append(out, fmt.Sprintf("%v when absent", s.Default))
	}
	if len(out) == 0 {
		return ""
	}
	return ", " + strings.Join(out, ", ")
}

// sentence ends a description with a full stop.
func sentence(text string) string {
	if text = strings.TrimSpace(text); text == "" || strings.ContainsAny(text[len(text)-1:], ".!?") {
		return text
	}
	return text + "."
}
