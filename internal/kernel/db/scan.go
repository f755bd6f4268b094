package db

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// rowReader reads rows of one statement into values of T: a struct by the names of its
// columns, with none missing and none left over, or a scalar. pgx does the same and finds
// the fields again for each row, which was a fifth of the work of reading a page.
type rowReader[T any] struct {
	// fields are the paths of the fields by column, nil for a scalar.
	fields map[string][]int
}

func newRowReader[T any]() rowReader[T] {
	t := reflect.TypeFor[T]()
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[uuid.NullUUID]() {
		return rowReader[T]{}
	}
	r := rowReader[T]{fields: map[string][]int{}}
	collectFields(t, nil, r.fields)
	return r
}

// match finds the field of each column.
func (r rowReader[T]) match(columns []pgconn.FieldDescription) ([][]int, error) {
	if r.fields == nil {
		if len(columns) != 1 {
			return nil, fmt.Errorf("%d columns for a scalar", len(columns))
		}
		return nil, nil
	}
	if len(columns) != len(r.fields) {
		return nil, fmt.Errorf("%d columns for %d fields of %s", len(columns), len(r.fields), reflect.TypeFor[T]())
	}
	out := make([][]int, len(columns))
	for i, c := range columns {
		path, ok := r.fields[c.Name]
		if !ok {
			return nil, fmt.Errorf("column %s has no field in %s", c.Name, reflect.TypeFor[T]())
		}
		out[i] = path
	}
	return out, nil
}

func collectFields(t reflect.Type, at []int, into map[string][]int) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("db")
		path := append(append([]int(nil), at...), i)
		switch {
		case tag == "-" || (!f.IsExported() && !f.Anonymous):
		case f.Anonymous && f.Type.Kind() == reflect.Struct && tag == "":
			collectFields(f.Type, path, into)
		case tag != "":
			into[strings.Split(tag, ",")[0]] = path
		default:
			into[strings.ToLower(f.Name)] = path
		}
	}
}

// all reads every row and closes rows. size is how many are expected, 0 for few.
func (r rowReader[T]) all(rows pgx.Rows, size int) ([]T, error) {
	defer rows.Close()
	var out []T
	var fields [][]int
	var targets []any
	for rows.Next() {
		if targets == nil {
			var err error
			if fields, err = r.match(rows.FieldDescriptions()); err != nil {
				return nil, err
			}
			targets, out = make([]any, max(len(fields), 1)), make([]T, 0, size)
		}
		var value T
		out = append(out, value)
		row := &out[len(out)-1]
		targets[0] = row
		if fields != nil {
			v := reflect.ValueOf(row).Elem()
			for i, path := range fields {
				targets[i] = v.FieldByIndex(path).Addr().Interface()
			}
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
	}
	return out, rows.Err()
}
