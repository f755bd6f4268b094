package approvals

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// chain makes three decisions about one subject in two requests.
func chain(t *testing.T) (*bench, Subject, []Record) {
	t.Helper()
	b := setUp(t)
	b.stages(t, "P", allOf("All", user(b.ann), user(b.ben)))
	s := b.open(t)
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Ann"))
	if _, err := b.decide(b.ben, b.seatOf(t, s, 1, "Ben"), Reject); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(context.Background(), `UPDATE papers SET state = 'review'`); err != nil {
		t.Fatal(err)
	}
	b.must(t, b.rita, func(ctx context.Context, tx *db.Tx) error {
		_, err := b.svc.Open(ctx, tx, s, Normal)
		return err
	})
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Ann"))
	return b, s, b.records(t, s)
}

func (b *bench) records(t testing.TB, s Subject) []Record {
	t.Helper()
	var out []Record
	b.must(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
		var err error
		out, err = b.svc.Decisions(ctx, tx, s.Type, s.ID)
		return err
	})
	return out
}

func TestTheChainVerifiesAndNamesTheBrokenLink(t *testing.T) {
	t.Parallel()
	b, s, records := chain(t)
	if len(records) != 3 || records[0].ActorName != "Ann Approver" || records[1].Verdict != Reject || records[0].Shown != s.Shown {
		t.Fatalf("%+v", records)
	}
	if err := Verify(records); err != nil {
		t.Fatal(err)
	}
	// What went through JSON, as an export does, still verifies.
	raw, err := json.Marshal(records)
	if err != nil {
		t.Fatal(err)
	}
	var exported []Record
	if err := json.Unmarshal(raw, &exported); err != nil {
		t.Fatal(err)
	}
	if err := Verify(exported); err != nil {
		t.Error(err)
	}
	for name, tt := range map[string]struct {
		edit func([]Record) []Record
		want string
	}{
		"another verdict":    {func(r []Record) []Record { r[1].Verdict = Approve; return r }, "decision 2"},
		"another comment":    {func(r []Record) []Record { r[1].Comment = "Fine"; return r }, "decision 2"},
		"another actor":      {func(r []Record) []Record { r[0].Actor = b.adam.UserID; return r }, "decision 1"},
		"another path":       {func(r []Record) []Record { r[2].Path = nil; return r }, "decision 3"},
		"another text shown": {func(r []Record) []Record { r[0].Shown += "!"; return r }, "decision 1"},
		"one removed":        {func(r []Record) []Record { return slices.Delete(r, 1, 2) }, "decision 2"},
		"two swapped":        {func(r []Record) []Record { r[0], r[1] = r[1], r[0]; return r }, "decision 1"},
		"a link replaced":    {func(r []Record) []Record { r[2].Previous = r[0].Hash; return r }, "decision 3"},
	} {
		if err := Verify(tt.edit(slices.Clone(records))); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM approval_decisions d JOIN audit.event e ON e.event_id = d.audit_id AND e.target_id = d.id`); n != 3 {
		t.Errorf("%d decisions point at their audit entry", n)
	}
}

func TestDecisionsCannotBeChangedOrRemoved(t *testing.T) {
	t.Parallel()
	b, s, _ := chain(t)
	ctx := context.Background()
	for _, sql := range []string{`UPDATE approval_decisions SET comment = 'x'`, `DELETE FROM approval_decisions`} {
		if err := b.in(t, b.adam, func(ctx context.Context, tx *db.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		}); err == nil {
			t.Errorf("the application may: %s", sql)
		}
	}
	for _, sql := range []string{
		`UPDATE approval_decisions SET comment = 'x'`, `DELETE FROM approval_decisions`, `TRUNCATE approval_decisions`,
		`BEGIN; SET LOCAL session_replication_role = replica; DELETE FROM approval_decisions; COMMIT`,
	} {
		if _, err := b.Admin(t).Exec(ctx, sql); err == nil {
			t.Errorf("a superuser may: %s", sql)
		}
	}
	if err := Verify(b.records(t, s)); err != nil {
		t.Error(err)
	}
}

func TestAForeignWorkspaceSeesNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.stages(t, "P", anyOf("Peer", role(access.Approver)))
	s := b.open(t)
	b.approve(t, b.ann, b.seatOf(t, s, 1, "Any"))
	b.must(t, b.stranger, func(ctx context.Context, tx *db.Tx) error {
		st, err := b.svc.Status(ctx, tx, s.Type, s.ID)
		if err != nil || st.Exists {
			t.Errorf("%+v, %v", st, err)
		}
		records, err := b.svc.Decisions(ctx, tx, s.Type, s.ID)
		if err != nil || len(records) != 0 {
			t.Errorf("%+v, %v", records, err)
		}
		return nil
	})
	policies, err := b.svc.Policies(context.Background(), b.stranger)
	if err != nil || cmp.Diff(0, len(policies)) != "" {
		t.Errorf("%v, %v", policies, err)
	}
}
