package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// LivePermission is what it takes to hear that something happened in a workspace. The
// message holds no content; what the page then asks for is checked on its own.
const LivePermission access.Permission = "workspace.read"

// Hub hands live messages of the database to the open pages of this process.
type Hub struct {
	mu    sync.Mutex
	pages map[chan event.LiveMessage]listener
}

type listener struct{ workspace, user uuid.UUID }

// NewHub returns a hub that nobody listens to.
func NewHub() *Hub { return &Hub{pages: map[chan event.LiveMessage]listener{}} }

// Publish hands a message to the pages it is for. A page that does not keep up misses it;
// it asks again with the next one.
func (h *Hub) Publish(m event.LiveMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch, l := range h.pages {
		if l.workspace != m.WorkspaceID || (m.UserID != uuid.Nil && m.UserID != l.user) {
			continue
		}
		select {
		case ch <- m:
		default:
		}
	}
}

func (h *Hub) join(workspace, user uuid.UUID) (<-chan event.LiveMessage, func()) {
	ch := make(chan event.LiveMessage, 32)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages[ch] = listener{workspace: workspace, user: user}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.pages, ch)
	}
}

// Close ends every stream, so that a stopping server need not wait for readers.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.pages {
		delete(h.pages, ch)
		close(ch)
	}
}

// topics names what a message is about, as pages subscribe to it: the type, for lists, and
// the thing itself.
func topics(m event.LiveMessage) []string {
	if m.SubjectID == uuid.Nil {
		return []string{m.SubjectType}
	}
	return []string{m.SubjectType, m.SubjectType + "/" + m.SubjectID.String()}
}

// RunLive listens to the database until ctx ends and connects again when it went away.
func (s *Server) RunLive(ctx context.Context) {
	for ctx.Err() == nil {
		err := s.o.DB.Listen(ctx, event.LiveChannel, nil, func(payload string) {
			var m event.LiveMessage
			if err := json.Unmarshal([]byte(payload), &m); err != nil {
				s.o.Log.WarnContext(ctx, "live message not understood", slog.String("error", err.Error()))
				return
			}
			s.hub.Publish(m)
		})
		if ctx.Err() != nil {
			return
		}
		s.o.Log.WarnContext(ctx, "live updates interrupted", slog.String("error", fmt.Sprint(err)))
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// keepAlive is how often an open stream says that it lives, so that proxies keep it.
const keepAlive = 15 * time.Second

// streamLife ends a stream, so that a browser that lost its rights is asked again.
const streamLife = 10 * time.Minute

// live streams server-sent events: the topics of what happened, without content. A page
// that shows a topic asks for it again, and is checked like any other request.
func (s *Server) live(r *Request) error {
	rc := http.NewResponseController(r.W)
	h := r.W.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	messages, leave := s.hub.join(r.Workspace.ID, r.User().ID)
	defer leave()
	r.W.WriteHeader(http.StatusOK)
	r.wrote = true
	if _, err := fmt.Fprint(r.W, "retry: 3000\n\n"); err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamLife)
	defer cancel()
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for {
		if err := rc.SetWriteDeadline(time.Time{}); err != nil {
			return fmt.Errorf("keep stream open: %w", err)
		}
		if err := rc.Flush(); err != nil {
			return nil
		}
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_, err = fmt.Fprint(r.W, ": alive\n\n")
		case m, open := <-messages:
			if !open {
				return nil // the server stops; the browser comes back to another one
			}
			for _, topic := range topics(m) {
				if _, err = fmt.Fprintf(r.W, "event: changed\ndata: %s\n\n", topic); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil // the page was closed
		}
	}
}
