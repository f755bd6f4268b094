package auditlog

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

func (b *bench) export(t testing.TB, f Filter, format Format) (*Export, string) {
	t.Helper()
	c, err := f.Parse(time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	x, err := b.s.Export(context.Background(), b.admin, c, format)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := x.Write(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	return x, out.String()
}

func TestACSVExportHoldsWhatIsFilteredAndNoFormulas(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	evil := b.admin
	evil.Name, evil.UserAgent = "=HYPERLINK(\"http://x\")", "+cmd|' /C calc'!A0"
	id := b.record(t, evil, ledger.Entry{
		Action: "host.created", Subject: event.Subject{Type: "host", Key: "@SUM(1)", Title: "-2+3"}, Reason: "=1,\"2\"\nline",
		After: host{Name: "=x"},
	})
	b.record(t, b.viewer, ledger.Entry{Action: "host.removed", Subject: event.Subject{Type: "host"}})
	x, text := b.export(t, Filter{Action: "host.created"}, CSV)
	if x.Count != 1 || !strings.HasSuffix(x.Name(), ".csv") {
		t.Errorf("count %d, name %s", x.Count, x.Name())
	}
	if !strings.Contains(text, "\r\n") {
		t.Error("lines do not end as RFC 4180 says")
	}
	records, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(records) != 2 {
		t.Fatalf("%d records, want a header and one entry", len(records))
	}
	row := map[string]string{}
	for i, name := range records[0] {
		row[name] = records[1][i]
	}
	for name, want := range map[string]string{
		"id": id.String(), "action": "host.created", "outcome": "success", "category": "activity", "severity": "info",
		"actor_kind": "user", "actor_name": "'=HYPERLINK(\"http://x\")", "user_agent": "'+cmd|' /C calc'!A0",
		"target_key": "'@SUM(1)", "target_title": "'-2+3", "reason": "'=1,\"2\"\nline",
		"changes": `[{"field":"name","from":null,"to":"=x"}]`, "detail": "{}",
	} {
		if row[name] != want {
			t.Errorf("%s is %q, want %q", name, row[name], want)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, row["recorded_at"]); err != nil || !strings.HasSuffix(row["recorded_at"], "Z") || time.Since(at) > time.Hour {
		t.Errorf("recorded at %q, %v", row["recorded_at"], err)
	}
	for _, record := range records {
		for _, cell := range record {
			if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
				t.Errorf("the cell %q is a formula", cell)
			}
		}
	}
}

func TestAnExportIsRecordedBeforeItLeavesAndDoesNotHoldItself(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	for range 3 {
		b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host"}})
	}
	_, text := b.export(t, Filter{Window: "7d"}, JSONL)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3", len(lines))
	}
	for _, line := range lines {
		var it item
		if err := json.Unmarshal([]byte(line), &it); err != nil || it.Action != "host.created" || it.Actor.Name != "Ada Admin" {
			t.Errorf("line %s: %v", line, err)
		}
	}
	got := b.list(t, b.viewer, Filter{Action: eventExported}).Entries
	if len(got) != 1 {
		t.Fatalf("%d exports recorded, want 1", len(got))
	}
	d := got[0].Detail
	if d["format"] != "jsonl" || d["count"] != float64(3) || !cmp.Equal(d["filter"], map[string]any{"window": "7d"}) {
		t.Errorf("recorded %v", d)
	}
}

func TestAnExportOfAFrequentWordIsComplete(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	const n = db.CountCap + 600
	b.fill(t, b.ws, n, 60)
	b.record(t, b.admin, ledger.Entry{Action: "host.created", Subject: event.Subject{Type: "host", Title: "other"}})
	x, text := b.export(t, Filter{Text: "routine"}, JSONL)
	seen := map[uuid.UUID]bool{}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		var it item
		if err := json.Unmarshal([]byte(line), &it); err != nil {
			t.Fatal(err)
		}
		seen[it.ID] = true
	}
	if x.Count != n || len(seen) != n {
		t.Errorf("counted %d, wrote %d different entries; want %d", x.Count, len(seen), n)
	}
}

func TestExportsAreForAdminsInAKnownFormat(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	c, err := Filter{}.Parse(time.Now(), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.s.Export(context.Background(), b.viewer, c, CSV); !fault.Is(err, fault.Denied) {
		t.Errorf("viewer: %v, want denied", err)
	}
	if _, err := b.s.Export(context.Background(), b.admin, c, "xlsx"); !fault.Is(err, fault.Invalid) {
		t.Errorf("unknown format: %v, want invalid", err)
	}
	if n := len(b.list(t, b.admin, Filter{}).Entries); n != 0 {
		t.Errorf("%d entries about exports that did not happen", n)
	}
}

func TestComingMonthsGetGuardedPartitions(t *testing.T) {
	t.Parallel()
	// The last day of a month: months after it are shorter.
	d := dbtest.NewAt(t, clock.NewFixed(time.Date(2031, 12, 31, 23, 0, 0, 0, time.UTC)))
	s := New(Deps{DB: d.DB})
	ctx := context.Background()
	for range 2 { // the second run finds them and does nothing
		if err := s.EnsurePartitions(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, month := range []string{"2031_12", "2032_01", "2032_02", "2032_03"} {
		var guarded bool
		err := d.Admin(t).QueryRow(ctx, `SELECT relrowsecurity AND relforcerowsecurity FROM pg_class
			WHERE oid = to_regclass('audit.event_' || $1)`, month).Scan(&guarded)
		if err != nil || !guarded {
			t.Errorf("partition of %s: guarded %v, %v", month, guarded, err)
		}
	}
	var faults int
	if err := d.Admin(t).QueryRow(ctx, `SELECT count(*) FROM audit.faults()`).Scan(&faults); err != nil || faults != 0 {
		t.Errorf("%d faults, %v", faults, err)
	}
	if err := d.InWorkspace(ctx, db.System(uuid.New(), "test"), func(tx *db.Tx) error {
		_, err := tx.Exec(ctx, `SELECT * FROM audit.event_2032_01`)
		return err
	}); err == nil {
		t.Error("the application reads a partition by its name")
	}
}
