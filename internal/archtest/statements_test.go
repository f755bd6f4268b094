package archtest

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/dbtest"
)

// TestStatements prepares every statement as the role that runs it, against the migrated
// schema: a misspelt column, a missing grant, or a field that no column fills is found
// here and not on a page.
func TestStatements(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	ctx := context.Background()
	conns := map[db.Role]*pgx.Conn{}
	for _, role := range []db.Role{db.AppRole, db.SystemRole} {
		conn, err := pgx.Connect(ctx, d.URL(string(role)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		conns[role] = conn
	}
	for _, s := range db.Statements() {
		if strings.HasPrefix(s.Name, "dbtest.") {
			continue
		}
		args := pgx.StrictNamedArgs{}
		for _, name := range db.ArgNames(s.SQL) {
			args[name] = nil
		}
		conn := conns[s.Role]
		sql, _, err := args.RewriteQuery(ctx, conn, s.SQL, nil)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		desc, err := conn.Prepare(ctx, "", sql)
		if err != nil {
			t.Errorf("%s as %s: %v", s.Name, s.Role, err)
			continue
		}
		if s.Row == nil {
			continue
		}
		if s.Row.Kind() != reflect.Struct || s.Row == reflect.TypeFor[time.Time]() || s.Row == reflect.TypeFor[uuid.NullUUID]() {
			if len(desc.Fields) != 1 {
				t.Errorf("%s returns %d columns for a scalar", s.Name, len(desc.Fields))
			}
			continue
		}
		compareColumns(t, s, desc)
	}
}

func compareColumns(t *testing.T, s db.Declared, desc *pgconn.StatementDescription) {
	t.Helper()
	var columns []string
	for _, f := range desc.Fields {
		columns = append(columns, f.Name)
	}
	fields := fieldNames(s.Row)
	for _, c := range columns {
		if !slices.Contains(fields, c) {
			t.Errorf("%s: column %s has no field in %s", s.Name, c, s.Row)
		}
	}
	for _, f := range fields {
		if !slices.Contains(columns, f) {
			t.Errorf("%s: field %s of %s has no column", s.Name, f, s.Row)
		}
	}
}

// fieldNames returns the columns that pgx.RowToStructByName wants for a struct.
func fieldNames(row reflect.Type) []string {
	var out []string
	for i := range row.NumField() {
		f := row.Field(i)
		tag := f.Tag.Get("db")
		switch {
		case tag == "-" || (!f.IsExported() && !f.Anonymous):
		case f.Anonymous && f.Type.Kind() == reflect.Struct && tag == "":
			out = append(out, fieldNames(f.Type)...)
		case tag != "":
			out = append(out, strings.Split(tag, ",")[0])
		default:
			out = append(out, strings.ToLower(f.Name))
		}
	}
	return out
}
