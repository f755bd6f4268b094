package web

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

func TestAPageIsToldWhatCameBetweenDrawingAndConnecting(t *testing.T) {
	t.Parallel()
	ours, theirs, me, you := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	drawn := time.Date(2026, time.November, 10, 12, 0, 0, 0, time.UTC)
	before := event.LiveMessage{WorkspaceID: ours, SubjectType: "host", SubjectID: uuid.New()}
	after := event.LiveMessage{WorkspaceID: ours, SubjectType: "host", SubjectID: uuid.New()}
	h := NewHub()
	h.Publish(before, drawn.Add(-time.Minute))
	h.Publish(after, drawn.Add(time.Second))
	h.Publish(after, drawn.Add(2*time.Second))
	h.Publish(event.LiveMessage{WorkspaceID: theirs, SubjectType: "host"}, drawn.Add(time.Second))
	h.Publish(event.LiveMessage{WorkspaceID: ours, UserID: you, SubjectType: "bell"}, drawn.Add(time.Second))

	_, missed, leave := h.join(listener{workspace: ours, user: me}, drawn)
	defer leave()
	if diff := cmp.Diff([]event.LiveMessage{after}, missed); diff != "" {
		t.Error(diff)
	}
	if _, missed, leave := h.join(listener{workspace: ours, user: me}, time.Time{}); len(missed) > 0 {
		t.Errorf("a page that does not say when it was drawn is told %v", missed)
		leave()
	}
}

func TestAPageThatWasAwayForLongIsToldThatAnythingMayHaveChanged(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.November, 10, 12, 0, 0, 0, time.UTC)
	page := listener{workspace: uuid.New(), user: uuid.New()}
	h := NewHub()
	for i := range remembered + 1 {
		h.Publish(event.LiveMessage{WorkspaceID: uuid.New(), SubjectType: "host"}, now.Add(time.Duration(i)*time.Second))
	}
	if _, missed, _ := h.join(page, now.Add(time.Second)); len(missed) > 0 {
		t.Errorf("all that came since is remembered, but the page is told %v", missed)
	}
	if _, missed, _ := h.join(page, now.Add(-time.Second)); !cmp.Equal(missed, []event.LiveMessage{everything()}) {
		t.Errorf("the page is told %v", missed)
	}

	messages, _, _ := h.join(page, time.Time{})
	h.Restart(now.Add(time.Hour))
	if m := <-messages; m != everything() {
		t.Errorf("when the database comes back, the page is told %v", m)
	}
	if _, missed, _ := h.join(page, now.Add(time.Minute)); !cmp.Equal(missed, []event.LiveMessage{everything()}) {
		t.Errorf("a page from before is told %v", missed)
	}
}
