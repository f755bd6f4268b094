package web

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// LivePermission is what it takes to hear that something happened in a workspace. The
// message holds no content; what the page then asks for is checked on its own.
const LivePermission access.Permission = "workspace.read"

// remembered is how many messages the hub keeps for pages that connect after they were
// drawn, or again after a break.
const remembered = 1024

// clockSkew is how much the clocks of two processes may differ: one may draw the page and
// the other stream to it.
const clockSkew = 500 * time.Millisecond

// Hub hands live messages of the database to the open pages of this process.
type Hub struct {
	mu     sync.Mutex
	pages  map[chan event.LiveMessage]listener
	recent []stamped // oldest first
	whole  time.Time // recent lacks nothing that came later
}

type listener struct{ workspace, user uuid.UUID }

type stamped struct {
	event.LiveMessage
	at time.Time
}

// everything stands for messages that were missed: whatever a page shows may have changed.
func everything() event.LiveMessage { return event.LiveMessage{SubjectType: "*"} }

// NewHub returns a hub that nobody listens to.
func NewHub() *Hub { return &Hub{pages: map[chan event.LiveMessage]listener{}} }

// Publish hands a message that came at a time to the pages it is for. A page that does not
// keep up misses it; it asks again with the next one.
func (h *Hub) Publish(m event.LiveMessage, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.recent) == remembered {
		h.whole, h.recent = h.recent[0].at, h.recent[1:]
	}
	h.recent = append(h.recent, stamped{LiveMessage: m, at: at})
	for ch, l := range h.pages {
		if l.wants(m) {
			offer(ch, m)
		}
	}
}

// Restart forgets everything before now, which the hub may have missed in part, and says so
// to the pages.
func (h *Hub) Restart(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent, h.whole = nil, now
	for ch := range h.pages {
		offer(ch, everything())
	}
}

func (l listener) wants(m event.LiveMessage) bool {
	return l.workspace == m.WorkspaceID && (m.UserID == uuid.Nil || m.UserID == l.user)
}

func offer(ch chan<- event.LiveMessage, m event.LiveMessage) {
	select {
	case ch <- m:
	default:
	}
}

// join adds a page. missed is what came for it since it was drawn; the zero time means that
// it missed nothing.
func (h *Hub) join(l listener, drawn time.Time) (messages <-chan event.LiveMessage, missed []event.LiveMessage, leave func()) {
	ch := make(chan event.LiveMessage, 32)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages[ch] = l
	switch {
	case drawn.IsZero():
	case drawn.Before(h.whole):
		missed = []event.LiveMessage{everything()}
	default:
		for _, m := range h.recent {
			if l.wants(m.LiveMessage) && !m.at.Before(drawn.Add(-clockSkew)) && !slices.Contains(missed, m.LiveMessage) {
				missed = append(missed, m.LiveMessage)
			}
		}
	}
	return ch, missed, func() {
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
		ready := func() { s.hub.Restart(s.o.Clock.Now()) }
		err := s.o.DB.Listen(ctx, event.LiveChannel, ready, func(payload string) {
			var m event.LiveMessage
			if err := json.Unmarshal([]byte(payload), &m); err != nil {
				s.o.Log.WarnContext(ctx, "live message not understood", slog.String("error", err.Error()))
				return
			}
			s.hub.Publish(m, s.o.Clock.Now())
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
	messages, missed, leave := s.hub.join(listener{workspace: r.Workspace.ID, user: r.User().ID}, r.drawn())
	defer leave()
	r.W.WriteHeader(http.StatusOK)
	r.wrote = true
	if _, err := fmt.Fprint(r.W, "retry: 3000\n\n"); err != nil {
		return nil
	}
	for _, m := range missed {
		if err := s.tell(r, m); err != nil {
			return nil
		}
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
			err = s.tell(r, m)
		}
		if err != nil {
			return nil // the page was closed
		}
	}
}

// tell writes the topics of a message. The id is the time, so that a page which connects
// again says up to when it heard everything.
func (s *Server) tell(r *Request, m event.LiveMessage) error {
	for _, topic := range topics(m) {
		if _, err := fmt.Fprintf(r.W, "event: changed\nid: %d\ndata: %s\n\n", s.o.Clock.Now().UnixMilli(), topic); err != nil {
			return fmt.Errorf("tell the page: %w", err)
		}
	}
	return nil
}

// liveHref is the address of the stream for a page that is about to be drawn. What changed
// since the request came may be missing on the page, and is told again.
func (r *Request) liveHref() string {
	return r.Path("/live") + "?drawn=" + strconv.FormatInt(r.began.UnixMilli(), 10)
}

// drawn returns up to when a page knows what happened, the zero time when it does not say.
func (r *Request) drawn() time.Time {
	for _, text := range []string{r.Header.Get("Last-Event-ID"), r.URL.Query().Get("drawn")} {
		if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
			return time.UnixMilli(ms)
		}
	}
	return time.Time{}
}
