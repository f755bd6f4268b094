package changes

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestMentionsFindPeople(t *testing.T) {
	t.Parallel()
	priya, ann := uuid.New(), uuid.New()
	people := roster{{UserID: priya, Name: "Priya Nair", Email: "priya.nair@acme.example"}, {UserID: ann, Name: "Ann", Email: "ann@acme.example"}}
	for text, want := range map[string][]uuid.UUID{
		"@priya.nair please look": {priya}, "hello @Priya Nair!": {priya}, "@priya.nair@acme.example": {priya}, "mail ann@acme.example": {},
		"@anna is somebody else": {}, "@ann, @ann and @priya.nair": {ann, priya}, "nobody": {}, "@": {}, "": {},
	} {
		if got := people.mentioned(text); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestACommentTellsWhomItMentions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.file()
	made, err := w.AddComment(w.ctx(), w.mara, c.Key, "@aiko.tanaka please look.")
	w.must(err)
	if got := w.out.told(w.aiko.UserID); !slices.Equal(got, []string{"Mara Lind mentioned you on CHG-00001"}) {
		t.Errorf("aiko was told %v", got)
	}
	// Who was mentioned watches from then on.
	_, err = w.AddComment(w.ctx(), w.tomas, c.Key, "On it.")
	w.must(err)
	if got := w.out.told(w.aiko.UserID); len(got) != 2 || got[1] != "Tomas Ferreira commented on CHG-00001" {
		t.Errorf("aiko was told %v", got)
	}
	if got := w.out.told(w.tomas.UserID); len(got) != 1 {
		t.Errorf("tomas was told %v of his own comment", got)
	}
	_, err = w.AddComment(w.ctx(), w.mara, c.Key, "  ")
	refused(t, err, fault.Invalid, "required")
	_, err = w.AddComment(w.ctx(), w.viewer, c.Key, "hello")
	refused(t, err, fault.Denied, "forbidden")
	refused(t, w.DeleteComment(w.ctx(), w.tomas, c.Key, made.ID), fault.Denied, "forbidden")
	w.must(w.DeleteComment(w.ctx(), w.mara, c.Key, made.ID))
	refused(t, w.DeleteComment(w.ctx(), w.mara, c.Key, made.ID), fault.Conflict, "deleted")
	if n := w.count(`SELECT count(*) FROM change_comments WHERE id = $1 AND body = ''`, made.ID); n != 1 {
		t.Error("the words are still there")
	}
}

func TestStepsAreCheckedOffWhileTheChangeRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.file()
	w.must(w.AddStep(w.ctx(), w.mara, c.Key, NewStep{Title: "Drain", Minutes: 5}))
	w.must(w.AddStep(w.ctx(), w.mara, c.Key, NewStep{Title: "Reload", Minutes: 5, Destructive: true}))
	refused(t, w.AddStep(w.ctx(), w.mara, c.Key, NewStep{Title: "x", Minutes: 10_081}), fault.Invalid, "out_of_range")
	steps := w.steps(c)
	w.must(w.MoveStep(w.ctx(), w.mara, c.Key, steps[1].ID, -1))
	if got := w.steps(c); got[0].Title != "Reload" || got[0].ID != steps[1].ID {
		t.Fatalf("%+v", got)
	}
	w.must(w.EditStep(w.ctx(), w.mara, c.Key, NewStep{ID: steps[1].ID, Title: "Reload nginx"}))
	c = w.move(w.mara, w.read(c), lifecycle.Submit)
	w.must(w.decide(w.aiko, c, "approve"))
	c = w.move(w.mara, w.read(c), lifecycle.Schedule)
	_, err := w.CheckStep(w.ctx(), w.tomas, c.Key, steps[0].ID, "done", "")
	refused(t, err, fault.Conflict, "not_running")
	w.clk.Advance(2 * day)
	c = w.move(w.tomas, c, lifecycle.Start)
	_, err = w.CheckStep(w.ctx(), w.mara, c.Key, steps[0].ID, "done", "")
	refused(t, err, fault.Denied, "forbidden")
	_, err = w.CheckStep(w.ctx(), w.tomas, c.Key, steps[0].ID, "skipped", "")
	refused(t, err, fault.Invalid, lifecycle.CodeReason)
	done, err := w.CheckStep(w.ctx(), w.tomas, c.Key, steps[0].ID, "done", "Went well.")
	if err != nil || done.DoneBy.UUID != w.tomas.UserID || done.DoneAt == nil {
		t.Errorf("%v %+v", err, done)
	}
	refused(t, w.AddStep(w.ctx(), w.mara, c.Key, NewStep{Title: "late"}), fault.Conflict, "not_editable")
	if c = w.read(c); c.Revision != 1 || c.State != lifecycle.InProgress {
		t.Errorf("checking off made it %s revision %d", c.State, c.Revision)
	}
}

func (w *world) steps(c Change) []Step {
	w.t.Helper()
	var out []Step
	w.in(w.mara, func(tx *db.Tx) error {
		var err error
		out, err = stepsOf.All(w.ctx(), tx, db.Args{"id": c.ID})
		return err
	})
	return out
}

func TestLinksLeadOnlyToWhatExists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, other := w.file(), w.file()
	for target, code := range map[string]string{"javascript:alert(1)": "invalid_url", "ftp://x": "invalid_url", "": "required"} {
		_, err := w.AddLink(w.ctx(), w.mara, c.Key, NewLink{Kind: "url", Target: target})
		refused(t, err, fault.Invalid, code)
	}
	_, err := w.AddLink(w.ctx(), w.mara, c.Key, NewLink{Kind: "change", Target: c.Key})
	refused(t, err, fault.Invalid, "self")
	_, err = w.AddLink(w.ctx(), w.mara, c.Key, NewLink{Kind: "certificate", Target: uuid.NewString()})
	refused(t, err, fault.Invalid, "unknown_target")
	l, err := w.AddLink(w.ctx(), w.mara, c.Key, NewLink{Kind: "change", Target: other.Key})
	if err != nil || l.Title != other.Title {
		t.Fatalf("%v %+v", err, l)
	}
	_, err = w.AddLink(w.ctx(), w.mara, c.Key, NewLink{Kind: "change", Target: other.ID.String()})
	refused(t, err, fault.Invalid, "linked")
	w.must(w.RemoveLink(w.ctx(), w.mara, c.Key, l.ID))
	refused(t, w.RemoveLink(w.ctx(), w.mara, c.Key, l.ID), fault.NotFound, "not_found")
}

func TestAParentIsNoCircle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	top := w.file()
	mid := w.file(func(e *Edit) { e.Parent = &top.Key })
	low := w.file(func(e *Edit) { e.Parent = ptr(mid.ID.String()) })
	_, err := w.Update(w.ctx(), w.mara, top.Key, Edit{Parent: &low.Key})
	refused(t, err, fault.Invalid, "circle")
	_, err = w.Update(w.ctx(), w.mara, top.Key, Edit{Parent: &top.Key})
	refused(t, err, fault.Invalid, "self")
	low, err = w.Update(w.ctx(), w.mara, low.Key, Edit{Parent: ptr("")})
	if err != nil || low.ParentID.Valid {
		t.Errorf("%v %+v", err, low.ParentID)
	}
}

func TestEvidenceIsAskedForFromHighRiskOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.running(func(e *Edit) { e.EvidenceRequired = ptr(true) })
	_, err := w.try(w.tomas, c, lifecycle.Complete)
	refused(t, err, fault.Invalid, lifecycle.CodeEvidence)
	_, err = w.AddEvidence(w.ctx(), w.tomas, c.Key, NewEvidence{Kind: "proof", Summary: "", URL: "javascript:x", Attachment: uuid.NewString()})
	refused(t, err, fault.Invalid, "not_allowed", "required", "invalid_url", "unknown_attachment")
	_, err = w.AddEvidence(w.ctx(), w.tomas, c.Key, NewEvidence{Kind: "validation", Summary: "It answers."})
	w.must(err)
	w.move(w.tomas, c, lifecycle.Complete)
}

func TestATolerantWindowIsMeasuredFromWhatWasApproved(t *testing.T) {
	t.Parallel()
	start := monday.Add(2 * day)
	at := func(shift, length time.Duration) (*time.Time, *time.Time) {
		a := start.Add(shift)
		b := a.Add(length)
		return &a, &b
	}
	for _, c := range []struct {
		name   string
		state  State
		shift  time.Duration
		length time.Duration
		meets  bool
		kept   bool
	}{
		{"the same", lifecycle.Approved, 0, time.Hour, false, true},
		{"half an hour later", lifecycle.Approved, 30 * time.Minute, time.Hour, false, true},
		{"half an hour earlier", lifecycle.Scheduled, -30 * time.Minute, time.Hour, false, true},
		{"31 minutes later", lifecycle.Approved, 31 * time.Minute, time.Hour, false, false},
		{"shorter", lifecycle.Approved, 10 * time.Minute, 30 * time.Minute, false, true},
		{"a minute longer", lifecycle.Approved, 0, 61 * time.Minute, false, false},
		{"into a freeze", lifecycle.Approved, 10 * time.Minute, time.Hour, true, false},
		{"a draft", lifecycle.Draft, 10 * time.Minute, time.Hour, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ch := Change{State: c.state}
			ch.RefStart, ch.RefEnd = at(0, time.Hour)
			ch.Start, ch.End = at(c.shift, c.length)
			ch.rewindow(30*time.Minute, c.meets)
			if kept := ch.RefStart.Equal(start) && ch.RefEnd.Equal(start.Add(time.Hour)); kept != c.kept {
				t.Errorf("kept %v, want %v", kept, c.kept)
			}
		})
	}
}
