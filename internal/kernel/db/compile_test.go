package db

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamedArgumentsAreNumberedOutsideOfQuotes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, sql string
		names     []string
	}{
		{`SELECT 1`, `SELECT 1`, nil},
		{`a = @ws AND b = @id AND c = @ws`, `a = $1 AND b = $2 AND c = $1`, []string{"ws", "id"}},
		{`a = ANY(@ids::uuid[])`, `a = ANY($1::uuid[])`, []string{"ids"}},
		{`a ^@ @text AND b @> c AND d @@ e`, `a ^@ $1 AND b @> c AND d @@ e`, []string{"text"}},
		{`a = '@no' AND b = 'it''s @no' AND c = @yes`, `a = '@no' AND b = 'it''s @no' AND c = $1`, []string{"yes"}},
		{`"@no" = @yes -- @no` + "\n" + `/* @no */ AND @x1`, `"@no" = $1 -- @no` + "\n" + `/* @no */ AND $2`, []string{"yes", "x1"}},
	} {
		q := compile(c.text)
		if q.sql != c.sql {
			t.Errorf("%s\n became %s\n want   %s", c.text, q.sql, c.sql)
		}
		if diff := cmp.Diff(c.names, q.names); diff != "" {
			t.Errorf("%s: %s", c.text, diff)
		}
	}
}

func TestArgumentsFitTheStatementExactly(t *testing.T) {
	t.Parallel()
	q := compile(`SELECT @ws, @id, @now`)
	auto := Args{"ws": "w", "now": "n"}
	got, err := q.bind(Args{"id": 7, "now": "mine"}, auto)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"w", 7, "mine"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := q.bind(nil, auto); err == nil || !strings.Contains(err.Error(), "@id is missing") {
		t.Errorf("without id: %v", err)
	}
	if _, err := q.bind(Args{"id": 7, "other": 1}, auto); err == nil || !strings.Contains(err.Error(), "@other is not") {
		t.Errorf("with another one: %v", err)
	}
}
