package dev

import (
	"html/template"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// received is one webhook as it arrived.
type received struct {
	At        time.Time
	ID        string
	Timestamp string
	Signature string
	Body      string
}

// hookCatcher takes any webhook on loopback and shows the newest, so that a person who
// tries Vigilo sees one arrive with its signature.
type hookCatcher struct {
	clock clock.Clock
	mu    sync.Mutex
	kept  []received
}

const keptHooks = 200

func (c *hookCatcher) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hook", c.take)
	mux.HandleFunc("GET /{$}", c.show)
	return mux
}

func (c *hookCatcher) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, received{
		At: c.clock.Now(), ID: r.Header.Get("webhook-id"), Timestamp: r.Header.Get("webhook-timestamp"),
		Signature: r.Header.Get("webhook-signature"), Body: string(body),
	})
	if len(c.kept) > keptHooks {
		c.kept = c.kept[len(c.kept)-keptHooks:]
	}
	w.WriteHeader(http.StatusNoContent)
}

var hookPage = template.Must(template.New("hooks").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Webhooks that arrived</title></head>
<body><main><h1>Webhooks that arrived</h1>
<p>This page of vigilo dev takes any webhook and shows the newest first. Reload it to see more.</p>
{{range .}}<article><h2>{{.At.Format "15:04:05"}} UTC</h2>
<p>webhook-id: <code>{{.ID}}</code><br>webhook-timestamp: <code>{{.Timestamp}}</code><br>webhook-signature: <code>{{.Signature}}</code></p>
<pre>{{.Body}}</pre></article>{{else}}<p>None yet. Events that match the pattern of the endpoint arrive here.</p>{{end}}
</main></body></html>`))

func (c *hookCatcher) show(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	kept := slices.Clone(c.kept)
	c.mu.Unlock()
	slices.Reverse(kept)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	if err := hookPage.Execute(w, kept); err != nil {
		return // the reader went away
	}
}
