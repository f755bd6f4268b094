package activity_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/templates/ui"
)

func TestTheHistoryOfAThingHoldsWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	d := dbtest.New(t)
	jobs, err := job.New(d.DB, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := event.NewCatalogue(
		event.Type{Name: "host.created", Label: "Host added", Severity: event.Info, Category: event.CategoryActivity},
		event.Type{Name: "scan.finished", Label: "Scan finished", Severity: event.Info, Category: event.CategoryActivity},
	)
	if err != nil {
		t.Fatal(err)
	}
	l := ledger.New(catalogue, jobs, dbtest.Keyring(t))
	ws := d.Workspace(t, "acme")
	mara := d.Member(t, ws, "Mara Lind", "member")
	thing := event.Subject{Type: "host", ID: uuid.New(), Key: "H-1", Title: "One"}
	record := func(a db.Actor, e ledger.Entry) {
		t.Helper()
		err := d.InWorkspace(ctx, a, func(tx *db.Tx) error {
			_, err := l.Record(ctx, tx, e)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	record(mara, ledger.Entry{Action: "host.created", Subject: thing, Changes: []ledger.Change{{Field: "scan_interval", From: nil, To: "1h"}}})
	record(db.System(ws, "scheduled scan"), ledger.Entry{Action: "scan.finished", Subject: event.Subject{Type: "scan", ID: uuid.New()}, Parent: &thing})
	record(mara, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host", ID: uuid.New()}})

	reader := activity.New(l)
	var direct []activity.Entry
	err = d.InWorkspace(ctx, mara, func(tx *db.Tx) error {
		var err error
		direct, err = reader.Of(ctx, tx, "host", thing.ID, 10)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var pending *activity.Pending
	if err := d.ReadBatch(ctx, mara, func(b *db.Batch) { pending = reader.Queue(b, "host", thing.ID, 10) }); err != nil {
		t.Fatal(err)
	}
	queued, err := pending.Entries()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(direct, queued); diff != "" {
		t.Errorf("asked in a transaction and in a batch: %s", diff)
	}
	if len(direct) != 2 || direct[0].Action != "scan.finished" || direct[1].Action != "host.created" {
		t.Fatalf("entries %+v", direct)
	}
	if direct[1].Actor.Name != "Mara Lind" || direct[0].Actor.Name != "Vigilo" || direct[1].Target != thing || direct[0].Parent.ID != thing.ID {
		t.Errorf("entries %+v", direct)
	}

	line := activity.Timeline(direct, time.UTC, time.Now())
	if line[0].Actor != "Mara Lind" || line[0].Person == nil || line[0].Text != "Host added: H-1 One" || line[1].Person != nil || line[1].Text != "Scan finished (scheduled scan)" {
		t.Errorf("timeline %+v", line)
	}
	if diff := cmp.Diff([]ui.Change{{Field: "Scan interval", To: "1h"}}, line[0].Changes); diff != "" {
		t.Error(diff)
	}

	stranger := d.Member(t, d.Workspace(t, "globex"), "Gus", "owner")
	err = d.InWorkspace(ctx, stranger, func(tx *db.Tx) error {
		got, err := reader.Of(ctx, tx, "host", thing.ID, 10)
		if len(got) != 0 {
			t.Errorf("another workspace sees %d entries", len(got))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordedValuesAreReadable(t *testing.T) {
	t.Parallel()
	oslo, err := time.LoadLocation("Europe/Oslo")
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		`null`: "", `"text"`: "text", `true`: "yes", `false`: "no", `12`: "12", `9007199254740993`: "9007199254740993",
		`["a","b"]`: "a, b", `[]`: "", `{"b":1,"a":"x"}`: "a: x; b: 1", `"2026-07-01T10:00:00Z"`: "1 Jul 2026, 12:00:00 CEST",
		`{"length":4096,"sha256":"ab12"}`: "4096 bytes, SHA-256 ab12",
	} {
		if got := activity.Value(json.RawMessage(raw), oslo); got != want {
			t.Errorf("%s reads %q, want %q", raw, got, want)
		}
	}
	now := time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)
	if m := activity.Moment(now, oslo, now.Add(time.Hour)); m.ISO != "2026-07-01T10:00:00Z" || m.Text != "1 Jul 2026, 12:00:00" ||
		m.Title != "Wednesday, 1 July 2026, 12:00:00 CEST, Europe/Oslo (1 hour ago)" {
		t.Errorf("%+v", m)
	}
}
