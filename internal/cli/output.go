package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// maxCell is the longest text of a cell, in characters; --json has all of it.
const maxCell = 60

// printJSON writes a value for programs.
func (c *call) printJSON(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// show prints one object: its fields below each other, in the order of the answer.
func (c *call) show(body []byte) error {
	if c.json {
		return c.printJSON(json.RawMessage(body))
	}
	fields, err := flatten("", body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		fmt.Fprintf(w, "%s\t%s\n", printable(f.name), printable(cell(f.value)))
	}
	return flush(w)
}

func flush(w *tabwriter.Writer) error {
	if err := w.Flush(); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// table prints items as rows.
func (c *call) table(items []json.RawMessage) error {
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	var line []string
	for _, col := range c.cmd.columns {
		line = append(line, col.head)
	}
	fmt.Fprintln(w, strings.Join(line, "\t"))
	for _, raw := range items {
		cells, err := c.cells(raw)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return flush(w)
}

// cells returns the columns of one item.
func (c *call) cells(raw json.RawMessage) ([]string, error) {
	item, err := decode(raw)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, col := range c.cmd.columns {
		out = append(out, clip(printable(cell(lookup(item, col.path)))))
	}
	return out, nil
}

func decode(raw []byte) (any, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return v, nil
}

// lookup finds a value in an item. The path may hold several places, separated by bars:
// the first that holds something counts.
func lookup(item any, path string) any {
	for place := range strings.SplitSeq(path, "|") {
		v := item
		for name := range strings.SplitSeq(place, ".") {
			object, _ := v.(map[string]any)
			v = object[name]
		}
		if _, isObject := v.(map[string]any); v != nil && v != "" && !isObject {
			return v
		}
	}
	return nil
}

// cell writes a value for a person: times to the second in UTC, "-" for nothing.
func cell(v any) string {
	switch v := v.(type) {
	case nil:
		return "-"
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case json.Number:
		return v.String()
	case string:
		if v == "" {
			return "-"
		}
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC().Format("2006-01-02 15:04:05Z")
		}
		return v
	case []any:
		var parts []string
		for _, x := range v {
			parts = append(parts, cell(x))
		}
		if len(parts) == 0 {
			return "-"
		}
		return strings.Join(parts, ", ")
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			return "-"
		}
		return string(raw)
	}
}

type field struct {
	name  string
	value any
}

// flatten returns the fields of an object in the order in which they stand, those of
// objects inside it with the name in front.
func flatten(prefix string, raw []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	first, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if first != json.Delim('{') {
		v, err := decode(raw)
		return []field{{name: prefix, value: v}}, err
	}
	var out []field
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		name := fmt.Sprint(key)
		if prefix != "" {
			name = prefix + "." + name
		}
		inner, err := flatten(name, value)
		if err != nil {
			return nil, err
		}
		out = append(out, inner...)
	}
	return out, nil
}

// printable replaces what could steer a terminal: names of certificates and hosts come
// from machines that anybody may run.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func clip(s string) string {
	runes := []rune(s)
	if len(runes) <= maxCell {
		return s
	}
	return string(runes[:maxCell-1]) + "…"
}

// printError writes an error to where errors go: as the API sent it for programs, as a
// sentence and one line for each detail for people.
func (c *call) printError(err error) {
	e, ok := errors.AsType[*apiError](err)
	switch {
	case !ok:
		fmt.Fprintln(c.errOut, "vigilo:", printable(err.Error()))
	case c.json:
		fmt.Fprintln(c.errOut, string(bytes.TrimSpace(e.raw)))
	default:
		e.print(c.errOut)
	}
}

func (e *apiError) print(out io.Writer) {
	fmt.Fprintf(out, "vigilo: %s (%s)\n", printable(e.Info.Message), printable(e.Info.Code))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, d := range e.Info.Details {
		field := d.Field
		if field == "" {
			field = "-"
		}
		fmt.Fprintf(w, "  %s\t%s (%s)\n", printable(field), printable(d.Message), printable(d.Code))
	}
	if err := flush(w); err != nil {
		return // nobody is left to tell
	}
	if e.status >= 500 {
		fmt.Fprintf(out, "  request id %s\n", printable(e.Info.RequestID))
	}
}
