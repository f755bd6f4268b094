package app

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/telemetry"
	"github.com/vigilo/vigilo/internal/kernel/web"
	gallery "github.com/vigilo/vigilo/templates/gallery"
	views "github.com/vigilo/vigilo/templates/help"
	"github.com/vigilo/vigilo/templates/ui"
)

// operations puts the addresses for machines beside the program: health, metrics, and
// what crawlers and security researchers ask for.
func (a *App) operations(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.Handle("GET /metrics", a.k.metrics.Handler(a.k.cfg.MetricsToken))
	mux.HandleFunc("GET /robots.txt", func(w http.ResponseWriter, _ *http.Request) {
		// Everything but the help and what is published needs a session, so there is nothing
		// else to keep crawlers from.
		plain(w, http.StatusOK, "User-agent: *\nDisallow: /login\n")
	})
	mux.Handle("/", a.k.tracing.Middleware(next, a.throughProxy, tracedAs))
	served := func(r *http.Request) string { return web.RoutePattern(r) }
	return web.TrackRoute(a.k.metrics.Middleware(a.k.clock, served)(mux))
}

// throughProxy reports whether a request comes from a reverse proxy of the installation.
func (a *App) throughProxy(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && slices.ContainsFunc(a.k.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer.Addr().Unmap()) })
}

// tracedAs is what a trace says of a request.
func tracedAs(w http.ResponseWriter, r *http.Request) telemetry.Served {
	s := telemetry.Served{Route: web.RoutePattern(r), RequestID: w.Header().Get("X-Request-Id")}
	if id := web.ServedWorkspace(r); id != uuid.Nil {
		s.Workspace = id.String()
	}
	return s
}

// ready tells a load balancer whether pages can be served: the database answers.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := a.k.db.Ping(ctx); err != nil {
		w.Header().Set("Retry-After", "5")
		plain(w, http.StatusServiceUnavailable, "the database is not answering\n")
		return
	}
	plain(w, http.StatusOK, "ready\n")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := io.WriteString(w, text); err != nil {
		return // the reader went away
	}
}

// kernelRoutes adds the pages that belong to no module: the Help Center, the page about
// the API and, with the development login, the gallery of components.
func (a *App) kernelRoutes() {
	r := a.k.web.Module("help")
	r.Public(http.MethodGet, "/help", a.showHelp)
	r.Public(http.MethodGet, "/help/{slug}", a.showArticle)
	a.k.web.Module("kernel").Get("/api", web.LivePermission, a.showAPI)
	if a.k.cfg.Auth == devAuth {
		r.Public(http.MethodGet, "/gallery/{page}", a.showGallery)
	}
}

func (a *App) showHelp(r *web.Request) error {
	v := views.Index{Query: r.URL.Query().Get("q")}
	if v.Query != "" {
		for _, h := range a.k.help.Search(v.Query) {
			v.Hits = append(v.Hits, views.Hit{Title: h.Article.Title, Href: "/help/" + h.Article.Slug, Text: h.Excerpt})
		}
	} else {
		for _, s := range a.k.help.Sections() {
			v.Sections = append(v.Sections, helpSection(s))
		}
	}
	return r.Bare(web.Page{Title: "Help Center"}, views.IndexPage(v))
}

func helpSection(s help.Section) views.Section {
	out := views.Section{ID: sectionID(s.Name), Name: s.Name}
	for _, art := range s.Articles {
		out.Articles = append(out.Articles, views.Hit{Title: art.Title, Href: "/help/" + art.Slug, Text: art.Summary})
	}
	return out
}

func sectionID(name string) string {
	out := []byte("section-")
	for _, c := range []byte(name) {
		switch {
		case c >= 'A' && c <= 'Z':
			out = append(out, c+'a'-'A')
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			out = append(out, c)
		default:
			out = append(out, '-')
		}
	}
	return string(out)
}

func (a *App) showArticle(r *web.Request) error {
	art, ok := a.k.help.Article(r.Param("slug"))
	if !ok {
		return fault.NewNotFound("help article")
	}
	v := views.Article{
		Title: art.Title, Summary: art.Summary, Section: art.Section, Href: "/help/" + art.Slug, Text: art.HTML,
	}
	for _, rel := range art.Related {
		v.Related = append(v.Related, ui.Link{Text: rel.Title, Href: "/help/" + rel.Slug})
	}
	if r.HTMX() {
		return r.Fragment(http.StatusOK, views.ArticleFragment(v))
	}
	return r.Bare(web.Page{Title: art.Title}, views.ArticlePage(v))
}

func (a *App) showGallery(r *web.Request) error {
	for _, p := range gallery.Pages(web.Assets(), r.URL.Query().Get("theme")) {
		if p.Name == r.Param("page") {
			return r.Fragment(http.StatusOK, p.Component)
		}
	}
	return fault.NewNotFound("gallery page")
}
