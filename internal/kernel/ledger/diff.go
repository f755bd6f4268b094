package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Change is one field that changed. From and To are JSON values; nil means absent.
type Change struct {
	Field string `json:"field"`
	From  any    `json:"from"`
	To    any    `json:"to"`
}

// Diff compares two structs of one type by the fields tagged audit:"name". A field tagged
// audit:"name,secret" shows only that it changed. Either side may be nil: a creation lists
// what was set, a deletion what was lost.
func Diff(before, after any) ([]Change, error) {
	b, a := deref(before), deref(after)
	if !b.IsValid() && !a.IsValid() {
		return nil, nil
	}
	t := a
	if !t.IsValid() {
		t = b
	}
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("ledger: cannot compare values of %s", t.Type())
	}
	if b.IsValid() && a.IsValid() && b.Type() != a.Type() {
		return nil, fmt.Errorf("ledger: cannot compare %s with %s", b.Type(), a.Type())
	}
	var out []Change
	for i := range t.NumField() {
		name, opt, _ := strings.Cut(t.Type().Field(i).Tag.Get("audit"), ",")
		if name == "" {
			continue
		}
		from, err := value(b, i)
		if err != nil {
			return nil, err
		}
		to, err := value(a, i)
		if err != nil {
			return nil, err
		}
		if string(from) == string(to) || (!b.IsValid() && empty(to)) || (!a.IsValid() && empty(from)) {
			continue
		}
		c := Change{Field: name, From: from, To: to}
		if opt == "secret" {
			c.From, c.To = hidden(from), hidden(to)
		}
		out = append(out, c)
	}
	return out, nil
}

func deref(v any) reflect.Value {
	r := reflect.ValueOf(v)
	for r.IsValid() && r.Kind() == reflect.Pointer {
		r = r.Elem()
	}
	return r
}

func value(s reflect.Value, i int) (json.RawMessage, error) {
	if !s.IsValid() {
		return json.RawMessage("null"), nil
	}
	raw, err := json.Marshal(s.Field(i).Interface())
	if err != nil {
		return nil, fmt.Errorf("ledger: encode field %s: %w", s.Type().Field(i).Name, err)
	}
	return raw, nil
}

func empty(raw json.RawMessage) bool {
	switch string(raw) {
	case "null", `""`, "0", "false", "[]", "{}":
		return true
	default:
		return false
	}
}

func hidden(raw json.RawMessage) any {
	if empty(raw) {
		return nil
	}
	return "[redacted]"
}

// maxValue is the longest value kept whole (governance.md 2.1, diff).
const maxValue = 2048

// limit replaces long values by their length and digest, so that an entry stays small and
// still proves what the value was.
func limit(changes []Change) []Change {
	if changes == nil {
		return []Change{}
	}
	for i := range changes {
		changes[i].From = short(changes[i].From)
		changes[i].To = short(changes[i].To)
	}
	return changes
}

func short(v any) any {
	raw, err := json.Marshal(v)
	if err != nil || len(raw) <= maxValue {
		return v
	}
	sum := sha256.Sum256(raw)
	return map[string]any{"length": len(raw), "sha256": hex.EncodeToString(sum[:])}
}
