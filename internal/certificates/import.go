package certificates

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// Limits of one import.
const (
	MaxImportRows  = 5000
	MaxImportBytes = 512 << 10
)

// Import is a list of hosts as a person gives it, with what holds for rows that say
// nothing else.
type Import struct {
	// Text holds one address a line, or CSV with a header.
	Text     string
	Interval Interval
	Tags     []string
	Owner    string
}

// RowState says what an import would do with a row.
type RowState string

// The states of a row.
const (
	RowNew    RowState = "new"
	RowExists RowState = "exists"
	RowTwice  RowState = "twice" // the same endpoint stands in an earlier row
	RowWrong  RowState = "wrong"
)

// ImportRow is one row of an import.
type ImportRow struct {
	// Line counts from 1, the header included.
	Line  int
	Text  string
	State RowState
	Host  Host
	// ExistingID is the host that is there already.
	ExistingID uuid.UUID
	Problems   []fault.Detail
}

// Preview is what an import would do.
type Preview struct {
	Rows                      []ImportRow
	New, Exists, Twice, Wrong int
}

// PreviewImport says what an import would do, row by row, and changes nothing.
func (s *Service) PreviewImport(ctx context.Context, a db.Actor, in Import) (Preview, error) {
	var p Preview
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		p, err = s.preview(ctx, tx, in)
		return err
	})
	return p, err
}

// ImportHosts adds every host of the list that does not exist yet, or none: a single
// wrong row refuses the whole. Their first scans follow at once.
func (s *Service) ImportHosts(ctx context.Context, a db.Actor, in Import) (Preview, error) {
	var p Preview
	if err := s.policy.Check(a, canCreateHost); err != nil {
		return p, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if p, err = s.preview(ctx, tx, in); err != nil {
			return err
		}
		if err := p.refused(); err != nil {
			return err
		}
		var hosts []Host
		for _, r := range p.Rows {
			if r.State == RowNew {
				hosts = append(hosts, r.Host)
			}
		}
		if len(hosts) == 0 {
			return nil
		}
		if err := s.checkPlan(ctx, tx, hosts, len(hosts)); err != nil {
			return err
		}
		if err := addHosts(ctx, tx, hosts, tx.Now); err != nil {
			return named(err, hosts[0])
		}
		var j journal
		for _, h := range hosts {
			j.entries = append(j.entries, h.added())
		}
		return s.write(ctx, tx, j)
	})
	return p, err
}

// refused returns every problem of every row, named by its line.
func (p Preview) refused() error {
	var details []fault.Detail
	for _, r := range p.Rows {
		for _, d := range r.Problems {
			d.Field = fmt.Sprintf("line %d: %s", r.Line, d.Field)
			details = append(details, d)
		}
	}
	return fault.InvalidDetails(details)
}

func (s *Service) preview(ctx context.Context, tx *db.Tx, in Import) (Preview, error) {
	var p Preview
	records, err := readImport(in.Text)
	if err != nil {
		return p, err
	}
	people, err := s.people(ctx, tx)
	if err != nil {
		return p, fmt.Errorf("read people: %w", err)
	}
	seen := map[endpoint]bool{}
	var names []string
	for _, rec := range records {
		row := rec.row(in, people, tx)
		switch {
		case row.State == RowWrong:
		case seen[row.Host.endpoint()]:
			row.State = RowTwice
		default:
			seen[row.Host.endpoint()] = true
			names = append(names, row.Host.Hostname)
		}
		p.Rows = append(p.Rows, row)
	}
	existing, err := existingEndpoints.All(ctx, tx, db.Args{"hostnames": names})
	if err != nil {
		return p, err
	}
	known := make(map[endpoint]uuid.UUID, len(existing))
	for _, e := range existing {
		known[endpoint{e.Hostname, e.STARTTLS, e.ServerName, e.Family, e.Port}] = e.ID
	}
	for i := range p.Rows {
		r := &p.Rows[i]
		if id, ok := known[r.Host.endpoint()]; ok && r.State == RowNew {
			r.State, r.ExistingID = RowExists, id
		}
		switch r.State {
		case RowNew:
			p.New++
		case RowExists:
			p.Exists++
		case RowTwice:
			p.Twice++
		case RowWrong:
			p.Wrong++
		}
	}
	return p, nil
}

// record is one row before it is understood: its values by column.
type record struct {
	line   int
	text   string
	values map[string]string
	// broken is what is wrong with the row as such.
	broken string
}

func (r record) row(in Import, people []Person, tx *db.Tx) ImportRow {
	out := ImportRow{Line: r.line, Text: clip(r.text, 200), State: RowNew}
	wrong := func(field, code, message string) {
		out.Problems = append(out.Problems, fault.Detail{Field: field, Code: code, Message: message})
	}
	if r.broken != "" {
		wrong("row", "malformed", r.broken)
		out.State = RowWrong
		return out
	}
	n := NewHost{
		Hostname: r.values["hostname"], ServerName: r.values["server_name"], STARTTLS: r.values["starttls"], Family: r.values["family"],
		Interval: cmp.Or(Interval(r.values["scan_interval"]), in.Interval),
		Tags:     slices.Concat(in.Tags, SplitTags(r.values["tags"])),
	}
	if text := r.values["port"]; text != "" {
		port, err := strconv.Atoi(text)
		if err != nil || port == 0 {
			wrong("port", "not_a_number", "Port must be a number between 1 and 65535.")
		} else {
			n.Port = port
		}
	}
	switch strings.ToLower(r.values["active"]) {
	case "", "true", "yes", "1", "active":
	case "false", "no", "0", "paused":
		n.Paused = true
	default:
		wrong("active", "not_allowed", "Active must be true or false.")
	}
	if text := cmp.Or(r.values["owner"], in.Owner); text != "" {
		p, ok := findPerson(people, text)
		if !ok {
			wrong("owner", "unknown_member", "This person is not a member of the workspace.")
		}
		n.OwnerID = db.NullID(p.ID)
	}
	h, err := n.host(uuid.Must(uuid.NewV7()), tx.Now)
	if e := fault.Find(err); e != nil {
		out.Problems = append(out.Problems, e.Details...)
	}
	out.Host = h
	if len(out.Problems) > 0 {
		out.State = RowWrong
	}
	return out
}

// importColumns maps the words that may stand in a header to our names.
func importColumns() map[string]string {
	return map[string]string{
		"hostname": "hostname", "host": "hostname", "address": "hostname", "endpoint": "hostname", "url": "hostname",
		"port": "port", "server_name": "server_name", "sni": "server_name", "starttls": "starttls", "family": "family",
		"scan_interval": "scan_interval", "interval": "scan_interval", "tags": "tags", "owner": "owner", "active": "active",
	}
}

// ignoredColumns stand in our own exports and say what a scan saw.
func ignoredColumns() []string {
	return []string{"id", "status", "status_detail", "not_before", "not_after", "days_left", "issuer", "subject", "key", "last_scan_at", "last_error", "state"}
}

// readImport cuts the text into rows. What is wrong with one row is kept with it; what is
// wrong with the whole is fault.Invalid of the field text.
func readImport(text string) ([]record, error) {
	text = strings.TrimPrefix(text, "\uFEFF")
	switch {
	case len(text) > MaxImportBytes:
		return nil, fault.InvalidField("text", "too_large", "This is larger than 512 KiB. Import it in parts.")
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		return nil, fault.InvalidField("text", "invalid_text", "This is not text in UTF-8. Save the file as CSV UTF-8.")
	}
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(text, "\n")
	first := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) != "" })
	if first < 0 {
		return nil, fault.InvalidField("text", "required", "Paste at least one host, or choose a file.")
	}
	var out []record
	var err error
	if comma, ok := headerComma(lines[first]); ok {
		out, err = readCSV(strings.Join(lines[first:], "\n"), comma, first)
	} else {
		for i, l := range lines {
			if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") {
				out = append(out, record{line: i + 1, text: l, values: map[string]string{"hostname": strings.TrimRight(l, ",;")}})
			}
		}
	}
	switch {
	case err != nil:
		return nil, err
	case len(out) == 0:
		return nil, fault.InvalidField("text", "required", "There is no host below the header.")
	case len(out) > MaxImportRows:
		return nil, fault.InvalidField("text", "too_many", fmt.Sprintf("This has %d rows; at most %d fit in one import.", len(out), MaxImportRows))
	}
	return out, nil
}

// headerComma reports whether a line is a CSV header, and what separates its columns.
func headerComma(line string) (rune, bool) {
	for _, comma := range []rune{',', ';', '\t'} {
		for _, name := range strings.Split(strings.ToLower(line), string(comma)) {
			if importColumns()[strings.Trim(strings.TrimSpace(name), `"`)] == "hostname" {
				return comma, true
			}
		}
	}
	return 0, false
}

func readCSV(text string, comma rune, skipped int) ([]record, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = comma, -1, true, true
	header, err := r.Read()
	if err != nil {
		return nil, fault.InvalidField("text", "malformed", "The header cannot be read.")
	}
	columns := make([]string, len(header))
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(name))
		known, ok := importColumns()[name]
		switch {
		case ok && slices.Contains(columns, known):
			return nil, fault.InvalidField("text", "twice", fmt.Sprintf("The header names %s twice.", known))
		case ok:
			columns[i] = known
		case name != "" && !slices.Contains(ignoredColumns(), name):
			return nil, fault.InvalidField("text", "unknown_column", fmt.Sprintf(
				"The column %q is not known. Known are: hostname, port, server_name, starttls, family, scan_interval, tags, owner, active.", clip(name, 40)))
		}
	}
	var out []record
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		line := 0
		if len(fields) > 0 {
			line, _ = r.FieldPos(0)
		} else if p, ok := errors.AsType[*csv.ParseError](err); ok {
			line = p.Line
		}
		rec := record{line: line + skipped, text: strings.Join(fields, string(comma)), values: map[string]string{}}
		switch {
		case err != nil:
			rec.broken = "The row cannot be read as CSV."
		case len(fields) > len(columns):
			rec.broken = fmt.Sprintf("The row has %d values; the header names %d columns.", len(fields), len(columns))
		}
		for i, v := range fields[:min(len(fields), len(columns))] {
			if columns[i] != "" {
				// Spreadsheets that read our export keep the apostrophe that defuses formulas.
				rec.values[columns[i]] = strings.TrimPrefix(strings.TrimSpace(v), "'")
			}
		}
		out = append(out, rec)
		if len(out) > MaxImportRows {
			return out, nil
		}
	}
}
