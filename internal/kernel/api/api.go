// Package api serves the JSON API: typed operations of the modules, described by an
// OpenAPI 3.1 document that is generated from the same types, with one shape of error,
// idempotent writes and the same permission check as the pages.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// API collects the operations of the program.
type API struct {
	s      *web.Server
	db     *db.DB
	sealer ledger.Sealer
	huma   huma.API
}

// Module is the API as one module sees it.
type Module struct {
	a    *API
	name string
}

// Op describes an operation. Path starts below /ws/{slug}/api/v1.
type Op struct {
	Method     string
	Path       string
	Permission access.Permission
	// ID names the operation for generated clients, such as list-hosts.
	ID      string
	Summary string
	Tag     string
	// Status is the success status; 0 means 200, 201 for POST that creates is said here.
	Status int
}

type requestKey struct{}

// Request returns the request that an operation answers.
func Request(ctx context.Context) *web.Request {
	r, _ := ctx.Value(requestKey{}).(*web.Request)
	return r
}

// Actor returns who calls an operation.
func Actor(ctx context.Context) db.Actor { return Request(ctx).Actor }

// shapeErrors gives huma, which makes its own errors through two variables, our shape of
// them. They know no API, so once serves every API of the process; tests run several at once.
var shapeErrors = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError { return fromHuma(nil, status, msg, errs) }
	huma.NewErrorWithContext = func(c huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(c, status, msg, errs)
	}
})

// New returns an API without operations. Version is the program's.
func New(s *web.Server, d *db.DB, sealer ledger.Sealer, version string) *API {
	a := &API{s: s, db: d, sealer: sealer}
	shapeErrors()
	cfg := huma.DefaultConfig("Vigilo", version)
	cfg.Info.Description = "Certificates, changes and controls of one workspace. Send Authorization: Bearer vgl_… with a token of your account page."
	cfg.CreateHooks = nil // no $schema field in bodies
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.RejectUnknownQueryParameters = true
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token": {Type: "http", Scheme: "bearer", BearerFormat: "vgl_…"},
	}
	cfg.Security = []map[string][]string{{"token": {}}}
	cfg.Servers = []*huma.Server{{
		URL: "/ws/{slug}/api/v1", Variables: map[string]*huma.ServerVariable{"slug": {Default: "acme", Description: "The workspace."}},
	}}
	a.huma = huma.NewAPI(cfg, adapter{a: a})
	s.AddAPI("kernel", http.MethodGet, "/openapi.json", web.LivePermission, func(r *web.Request) error {
		return r.JSON(http.StatusOK, a.huma.OpenAPI())
	})
	return a
}

var modulePath = regexp.MustCompile(`/internal/(?:kernel/)?([a-z]+)`)

// schemaName names the schema of a type after its module too, because two modules may
// each have a type of the same name.
func schemaName(t reflect.Type, hint string) string {
	name := strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "Body", "")
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	// The name of a generic type holds the package of its argument, which says more.
	m := modulePath.FindStringSubmatch(t.Name())
	if m == nil {
		m = modulePath.FindStringSubmatch(t.PkgPath())
	}
	if m == nil || t.Name() == "" {
		return huma.DefaultSchemaNamer(t, hint)
	}
	module := strings.ToUpper(m[1][:1]) + m[1][1:]
	if strings.HasPrefix(name, module) {
		return name
	}
	return module + name
}

// Document returns the OpenAPI document.
func (a *API) Document() *huma.OpenAPI { return a.huma.OpenAPI() }

// Module returns the API of a module.
func (a *API) Module(name string) *Module { return &Module{a: a, name: name} }

// ExtPermission is where an operation of the document names its permission for programs.
const ExtPermission = "x-permission"

const (
	metaModule     = "vigilo.module"
	metaPermission = "vigilo.permission"
)

// Register adds an operation. In and Out follow huma: fields tagged path, query and
// header, and a field Body. Errors keep their kind. It panics when In embeds a struct that
// is not exported: huma would not read its parameters and refuse them as unknown.
func Register[In, Out any](m *Module, op Op, fn func(ctx context.Context, in *In) (*Out, error)) {
	if name, ok := hiddenEmbed(reflect.TypeFor[In]()); ok {
		panic("api: operation " + op.ID + " embeds " + name + ", which must be exported to be read")
	}
	hop := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path, Summary: op.Summary, Tags: []string{op.Tag},
		DefaultStatus: op.Status, Description: "Needs the permission `" + string(op.Permission) + "`.",
		Metadata:   map[string]any{metaModule: m.name, metaPermission: op.Permission},
		Extensions: map[string]any{ExtPermission: string(op.Permission)},
		Errors: []int{
			http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusTooManyRequests,
		},
	}
	if op.Method != http.MethodGet {
		hop.Errors = append(hop.Errors, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	huma.Register(m.a.huma, hop, func(ctx context.Context, in *In) (*Out, error) {
		out, err := fn(ctx, in)
		if err != nil {
			r := Request(ctx)
			r.LogFailure(err)
			status, body := web.DescribeError(err, r.ID)
			return nil, &statusError{ErrorBody: body, status: status}
		}
		return out, nil
	})
}

// hiddenEmbed returns the name of an embedded struct that reflection cannot see.
func hiddenEmbed(in reflect.Type) (name string, found bool) {
	if in.Kind() != reflect.Struct {
		return "", false
	}
	for i := range in.NumField() {
		f := in.Field(i)
		if !f.Anonymous {
			continue
		}
		if !f.IsExported() {
			return f.Type.String(), true
		}
		if name, found = hiddenEmbed(f.Type); found {
			return name, true
		}
	}
	return "", false
}

// statusError is an error in the shape of the API that huma can write.
type statusError struct {
	web.ErrorBody
	status int
}

func (e *statusError) Error() string  { return e.ErrorBody.Error.Message }
func (e *statusError) GetStatus() int { return e.status }

// MarshalJSON leaves out what only huma needs.
func (e *statusError) MarshalJSON() ([]byte, error) { return json.Marshal(e.ErrorBody) }

// fromHuma shapes an error that huma made: bodies that do not parse, values that do not
// fit the schema.
func fromHuma(c huma.Context, status int, msg string, errs []error) huma.StatusError {
	e := &statusError{status: status}
	info := &e.ErrorBody.Error
	info.Details = []web.ErrorDetail{}
	if c != nil {
		info.RequestID = web.RequestID(c.Context()).String()
	}
	switch status {
	case http.StatusUnprocessableEntity:
		info.Code, info.Message = "validation_failed", "Some fields need your attention."
	case http.StatusBadRequest:
		info.Code, info.Message = "malformed", "The request could not be read: "+msg+"."
	case http.StatusRequestEntityTooLarge:
		info.Code, info.Message = "too_large", "The body is larger than 1 MiB; send less at once."
	case http.StatusUnsupportedMediaType:
		info.Code, info.Message = "unsupported_media_type", "Send JSON (application/json)."
	default:
		info.Code, info.Message = strings.ToLower(strings.ReplaceAll(http.StatusText(status), " ", "_")), msg
	}
	for _, err := range errs {
		d := web.ErrorDetail{Code: "invalid", Message: err.Error()}
		if h, ok := errors.AsType[*huma.ErrorDetail](err); ok {
			d = detail(h)
		}
		info.Details = append(info.Details, d)
	}
	return e
}

// detail shapes one problem that huma found; its messages tell which kind it is.
func detail(h *huma.ErrorDetail) web.ErrorDetail {
	// A location is body, query or path, and then the way to the field.
	_, field, _ := strings.Cut(h.Location, ".")
	missing, isMissing := strings.CutPrefix(h.Message, "expected required property ")
	switch {
	case isMissing:
		name, _, _ := strings.Cut(missing, " ")
		return web.ErrorDetail{Code: "required", Field: strings.TrimPrefix(field+"."+name, "."), Message: "This field is required."}
	case h.Message == "unexpected property":
		return web.ErrorDetail{Code: "unknown_field", Field: field, Message: "There is no such field."}
	case h.Message == "unknown query parameter":
		return web.ErrorDetail{Code: "unknown_parameter", Field: field, Message: "There is no such parameter."}
	}
	return web.ErrorDetail{Code: "invalid", Field: field, Message: h.Message}
}

// adapter gives huma's operations to the router, which knows about people and rights.
type adapter struct{ a *API }

// ServeHTTP implements huma.Adapter; the server itself serves.
func (ad adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { ad.a.s.Handler().ServeHTTP(w, r) }

// Handle implements huma.Adapter.
func (ad adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	module, _ := op.Metadata[metaModule].(string)
	perm, _ := op.Metadata[metaPermission].(access.Permission)
	ad.a.s.AddAPI(module, op.Method, op.Path, perm, func(r *web.Request) error {
		ctx := context.WithValue(r.Context(), requestKey{}, r)
		r.Request = r.WithContext(ctx)
		if err := readBody(r); err != nil {
			return err
		}
		serve := func(w http.ResponseWriter) { handler(humachi.NewContext(op, r.Request, w)) }
		if key := r.Header.Get("Idempotency-Key"); key != "" && r.Method != http.MethodGet {
			return ad.a.once(r, key, serve)
		}
		r.W.Header().Set("Cache-Control", "no-store")
		serve(r.W)
		return nil
	})
}

// List is the shape of every list answer.
type List[T any] struct {
	Items      []T     `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Pass it as cursor to get the next page; null on the last page."`
}

// NewList shapes a page of the database, converting each row.
func NewList[R, T any](p db.Page[R], convert func(R) T) List[T] {
	out := List[T]{Items: make([]T, len(p.Items))}
	for i, row := range p.Items {
		out.Items[i] = convert(row)
	}
	if p.Next != "" {
		out.NextCursor = &p.Next
	}
	return out
}

// ListIn holds what every list operation takes.
type ListIn struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
	Sort   string `query:"sort" doc:"Field to sort by; a leading minus means descending."`
}

// Apply puts the place, order and size on a query. An order that the list does not offer is
// refused with its names.
func Apply[T any](in ListIn, l db.List[T], q *db.ListQuery[T]) (*db.ListQuery[T], error) {
	if in.Sort != "" && !l.HasSort(in.Sort) {
		return nil, fault.InvalidField("sort", "not_allowed", fmt.Sprintf("This list sorts by: %s.", strings.Join(l.SortNames(), ", ")))
	}
	return q.Sort(in.Sort).Limit(in.Limit).After(in.Cursor)
}

// CheckVersion compares the version that the caller saw, from If-Match or the body, with
// the current one. None given means that the caller does not care.
func CheckVersion(ifMatch string, body *int64, current int64) error {
	seen := fmt.Sprint(current)
	if body != nil {
		seen = fmt.Sprint(*body)
	}
	if ifMatch != "" {
		seen = strings.Trim(strings.TrimPrefix(ifMatch, "W/"), `"`)
	}
	if seen == fmt.Sprint(current) {
		return nil
	}
	return &fault.Error{
		Kind: fault.Conflict, Code: "version_conflict", Message: "Somebody changed this meanwhile. Read it again and repeat your change.",
		Details: []fault.Detail{{Code: "current_version", Field: "version", Message: fmt.Sprint(current)}},
	}
}
