// Package web holds the style sheets, scripts, icons and font of the interface and
// serves them. Names carry a hash of their content, so browsers may keep them for
// a year; nothing is built before `go build`.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed css/*.css js/*.js vendor/*.js vendor/*.svg vendor/*.woff2 mark.svg
var files embed.FS

// Prefix is the path under which Handler expects to be mounted.
const Prefix = "/static/"

// Names that Asset knows.
const (
	Stylesheet = "app.css"
	Script     = "app.js"
	Htmx       = "htmx.js"
	Icons      = "icons.svg"
	Mark       = "mark.svg"
	Font       = "inter-latin.woff2"
)

// layers lists the style sheets in the order of the cascade: later wins.
var layers = [...]string{"tokens", "base", "layout", "components", "data", "utilities", "print"}

// behaviours lists the scripts in the order in which they run. They share the scope
// of one module; core.js declares what the others use.
var behaviours = [...]string{
	"core", "dialogs", "theme", "palette", "shortcuts", "tables", "forms", "live", "account", "graph",
}

type asset struct {
	body, packed []byte // packed is body under gzip, nil where that would not help
	contentType  string
	etag         string
}

type catalogue struct {
	hashed map[string]string // name → name with hash
	served map[string]asset  // name with hash → content
}

// build runs once. Its inputs are compiled in, so a failure is a defect of the build
// and stops the program at its first use.
var build = sync.OnceValue(func() catalogue {
	c := catalogue{hashed: map[string]string{}, served: map[string]asset{}}

	c.add(Font, read("vendor/inter-latin.woff2"))
	c.add(Icons, read("vendor/icons.svg"))
	c.add(Mark, read("mark.svg"))
	c.add(Htmx, join("vendor/htmx.min.js", "vendor/hx-sse.min.js"))

	var scripts []string
	for _, name := range behaviours {
		scripts = append(scripts, "js/"+name+".js")
	}
	c.add(Script, join(scripts...))
	c.add(Stylesheet, c.stylesheet())
	return c
})

// Asset returns the address of a file for a page, such as "/static/app.1f0c….css".
// It panics on a name that is not one of the constants above.
func Asset(name string) string {
	hashed, ok := build().hashed[name]
	if !ok {
		panic("web: no asset is called " + strconv.Quote(name))
	}
	return Prefix + hashed
}

// Handler serves the assets under Prefix. A name with a hash is immutable; a plain
// name, which a page of an older release may still ask for, is checked each time.
func Handler() http.Handler {
	c := build()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, Prefix)
		caching := "public, max-age=31536000, immutable"
		if hashed, ok := c.hashed[name]; ok {
			name, caching = hashed, "no-cache"
		}
		a, ok := c.served[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		a.serve(w, r, caching)
	})
}

func (a asset) serve(w http.ResponseWriter, r *http.Request, caching string) {
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	h.Set("Cache-Control", caching)
	h.Set("X-Content-Type-Options", "nosniff")
	body, etag := a.body, a.etag
	if a.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body, etag = a.packed, strings.TrimSuffix(a.etag, `"`)+`-gzip"`
		}
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	// A failed write means that the browser went away: there is nobody to tell.
	_, _ = w.Write(body)
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110, 12.5.3) as far as needed:
// gzip is named and not refused with a weight of zero.
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		if !found {
			return true
		}
		value, err := strconv.ParseFloat(q, 64)
		return err == nil && value > 0
	}
	return false
}

func (c catalogue) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:8])
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hash + ext

	a := asset{body: body, etag: `"` + hash + `"`}
	switch ext {
	case ".css":
		a.contentType = "text/css; charset=utf-8"
	case ".js":
		a.contentType = "text/javascript; charset=utf-8"
	case ".svg":
		a.contentType = "image/svg+xml"
	case ".woff2":
		a.contentType = "font/woff2" // already compressed inside (Brotli)
	default:
		panic("web: no content type for " + name)
	}
	if ext != ".woff2" {
		a.packed = pack(body)
	}
	c.hashed[name] = hashed
	c.served[hashed] = a
}

// stylesheet joins the layers into one response, so that the order of the cascade
// does not depend on the order in which files arrive.
func (c catalogue) stylesheet() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "@layer %s;\n", strings.Join(layers[:], ", "))
	for _, layer := range layers {
		css := read("css/" + layer + ".css")
		css = bytes.ReplaceAll(css, []byte("../vendor/"+Font), []byte(c.hashed[Font]))
		if layer == "print" {
			fmt.Fprintf(&b, "@media print {\n@layer %s {\n%s}\n}\n", layer, css)
			continue
		}
		fmt.Fprintf(&b, "@layer %s {\n%s}\n", layer, css)
	}
	return b.Bytes()
}

func read(name string) []byte {
	body, err := files.ReadFile(name)
	if err != nil {
		panic("web: " + err.Error())
	}
	return body
}

func join(names ...string) []byte {
	var b bytes.Buffer
	for _, name := range names {
		b.Write(read(name))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	// The level is a constant in range and a buffer does not fail.
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		panic("web: " + err.Error())
	}
	if _, err := w.Write(body); err != nil {
		panic("web: " + err.Error())
	}
	if err := w.Close(); err != nil {
		panic("web: " + err.Error())
	}
	return b.Bytes()
}
