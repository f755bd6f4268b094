package mailcatcher

import (
	"bytes"
	"embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed page.html style.css
var files embed.FS

// pagePolicy lets a page load its own stylesheet and show a mail in a frame.
const pagePolicy = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mailPolicy keeps the HTML of a mail from running, loading or reaching anything. Mail
// is styled inline by custom, so styles are allowed.
const mailPolicy = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// pages is parsed once and never changed.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"join": func(list []string) string { return strings.Join(list, ", ") },
	"time": func(t time.Time) string { return t.Format("2006-01-02 15:04:05") },
	"iso":  func(t time.Time) string { return t.Format(time.RFC3339) },
}).ParseFS(files, "page.html"))

type headerField struct{ Name, Value string }

type messageView struct {
	Root string // relative address of the list
	Message
	View    string // text, html or source
	Fields  []headerField
	Source  string
	HasText bool
}

// Handler shows the mails: / is the list, /messages/{id} one mail, /messages.json
// everything for programs. Links are relative, so it can stand below any prefix that
// is stripped before and ends in a slash.
func (c *Catcher) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", c.showList)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	mux.HandleFunc("GET /messages.json", c.showJSON)
	mux.HandleFunc("GET /messages/{id}", c.showMessage)
	mux.HandleFunc("GET /messages/{id}/body", c.showBody)
	mux.HandleFunc("GET /messages/{id}/source", c.showSource)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func (c *Catcher) showList(w http.ResponseWriter, _ *http.Request) {
	c.render(w, "list", map[string]any{"Root": "./", "Messages": c.Messages(), "Addr": c.addr})
}

func (c *Catcher) showMessage(w http.ResponseWriter, r *http.Request) {
	m, ok := c.Message(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	view := messageView{Root: "../", Message: m, View: r.FormValue("view"), Source: string(m.Raw), HasText: m.Text != ""}
	if !slices.Contains([]string{"text", "html", "source"}, view.View) {
		view.View = "text"
		if m.Text == "" && m.HTML != "" {
			view.View = "html"
		}
	}
	for _, name := range []string{"From", "To", "Date", "Message-Id", "List-Unsubscribe"} {
		if value := m.Header.Get(name); value != "" {
			view.Fields = append(view.Fields, headerField{Name: name, Value: value})
		}
	}
	c.render(w, "message", view)
}

func (c *Catcher) render(w http.ResponseWriter, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		c.opts.Logger.Error("mail page failed", "error", err)
		http.Error(w, "The page could not be drawn.", http.StatusInternalServerError)
		return
	}
	c.send(w, "text/html; charset=utf-8", page.Bytes())
}

// showBody sends the HTML of a mail for the sandboxed frame.
func (c *Catcher) showBody(w http.ResponseWriter, r *http.Request) {
	m, ok := c.Message(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	c.send(w, "text/html; charset=utf-8", []byte(m.HTML))
}

// showSource sends the mail as it came, for saving.
func (c *Catcher) showSource(w http.ResponseWriter, r *http.Request) {
	m, ok := c.Message(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+m.ID+`.eml"`)
	c.send(w, "message/rfc822", m.Raw)
}

func (c *Catcher) showJSON(w http.ResponseWriter, _ *http.Request) {
	body, err := json.Marshal(map[string]any{"messages": c.Messages()})
	if err != nil {
		c.opts.Logger.Error("mail list failed", "error", err)
		http.Error(w, "The list could not be encoded.", http.StatusInternalServerError)
		return
	}
	c.send(w, "application/json", body)
}

func (c *Catcher) send(w http.ResponseWriter, mediaType string, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	if _, err := w.Write(body); err != nil {
		c.opts.Logger.Debug("mail page was not taken", "error", err)
	}
}
