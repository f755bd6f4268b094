package web

import (
	"net/http"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/access"
)

// Scope says who can reach a route at all, before its permission is asked.
type Scope string

// The scopes of routes.
const (
	// InWorkspace routes live below /ws/{slug} and need a membership.
	InWorkspace Scope = "workspace"
	// SignedIn routes need a person but no workspace, such as the account page.
	SignedIn Scope = "signed_in"
	// Public routes need nobody, such as the sign-in page.
	Public Scope = "public"
)

// Handler answers a request or returns an error, which the edge logs once and shows by
// its kind. It never does both.
type Handler func(r *Request) error

// Route describes a route for the tests that walk them all, and for the docs.
type Route struct {
	Method     string
	Pattern    string
	Permission access.Permission // empty outside a workspace
	Scope      Scope
	Module     string
	API        bool
}

// Router takes the routes of one module. There is no way to add a workspace route
// without naming its permission.
type Router struct {
	s      *Server
	module string
}

// Get adds a workspace page. The pattern starts below /ws/{slug}.
func (r *Router) Get(pattern string, perm access.Permission, h Handler) {
	r.workspace(http.MethodGet, pattern, perm, h)
}

// Post adds a workspace action.
func (r *Router) Post(pattern string, perm access.Permission, h Handler) {
	r.workspace(http.MethodPost, pattern, perm, h)
}

// Account adds a route for a signed-in person outside a workspace.
func (r *Router) Account(method, pattern string, h Handler) {
	r.s.add(Route{Method: method, Pattern: pattern, Scope: SignedIn, Module: r.module}, h)
}

// Public adds a route that anybody may ask for.
func (r *Router) Public(method, pattern string, h Handler) {
	r.s.add(Route{Method: method, Pattern: pattern, Scope: Public, Module: r.module}, h)
}

func (r *Router) workspace(method, pattern string, perm access.Permission, h Handler) {
	r.s.add(Route{
		Method: method, Pattern: "/ws/{slug}" + strings.TrimSuffix(pattern, "/"), Permission: perm,
		Scope: InWorkspace, Module: r.module,
	}, h)
}

// Module returns the router of a module.
func (s *Server) Module(name string) *Router { return &Router{s: s, module: name} }

// AddAPI adds a workspace route of the JSON API; kernel/api calls it for each operation.
func (s *Server) AddAPI(module, method, pattern string, perm access.Permission, h Handler) {
	s.add(Route{
		Method: method, Pattern: APIPrefix + pattern, Permission: perm, Scope: InWorkspace, Module: module, API: true,
	}, h)
}

// APIPrefix is where the JSON API of a workspace starts.
const APIPrefix = "/ws/{slug}/api/v1"

func (s *Server) add(route Route, h Handler) {
	if route.Scope == InWorkspace {
		if _, ok := s.o.Policy.Grant(route.Permission); !ok {
			panic("web: route " + route.Method + " " + route.Pattern + " names the undeclared permission " + string(route.Permission))
		}
	}
	s.routes = append(s.routes, route)
	s.mux.Method(route.Method, route.Pattern, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		s.serve(w, req, route, h)
	}))
}

// Routes returns every route of the program.
func (s *Server) Routes() []Route { return s.routes }
