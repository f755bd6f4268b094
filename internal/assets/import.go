package assets

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
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
)

// Limits of one import.
const (
	MaxImportRows  = 5000
	MaxImportBytes = 512 << 10
)

// Import is a list of assets as CSV, with what holds for rows that say nothing else.
type Import struct {
	Text              string
	Type, Environment string
	Tags              []string
}

// RowState says what an import would do with a row.
type RowState string

// The states of a row.
const (
	RowNew    RowState = "new"
	RowExists RowState = "exists"
	RowWrong  RowState = "wrong"
)

// ImportRow is one row of an import.
type ImportRow struct {
	// Line counts from 1, the header included.
	Line  int
	Text  string
	State RowState
	Asset Asset
	// ExistingID is the asset that is there already.
	ExistingID uuid.UUID
	Problems   []fault.Detail
}

// Preview is what an import would do.
type Preview struct {
	Rows               []ImportRow
	New, Exists, Wrong int
}

// PreviewImport says what an import would do, row by row, and changes nothing.
func (s *Service) PreviewImport(ctx context.Context, a db.Actor, in Import) (Preview, error) {
	var p Preview
	if err := s.policy.Check(a, CanImport); err != nil {
		return p, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		p, err = s.preview(ctx, tx, in)
		return err
	})
	return p, err
}

// ImportAssets adds every asset of the list that does not exist yet, or none: a single
// wrong row refuses the whole. Those that exist stay as they are.
func (s *Service) ImportAssets(ctx context.Context, a db.Actor, in Import) (Preview, error) {
	var p Preview
	if err := s.policy.Check(a, CanImport); err != nil {
		return p, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if p, err = s.preview(ctx, tx, in); err != nil {
			return err
		}
		if err := p.refused(); err != nil || p.New == 0 {
			return err
		}
		var list []Asset
		for _, r := range p.Rows {
			if r.State == RowNew {
				list = append(list, r.Asset)
			}
		}
		if err := addAssets(ctx, tx, list); err != nil {
			return named(err, list[0])
		}
		return s.recordImport(ctx, tx, list, p)
	})
	return p, err
}

// recordImport records each asset, and the import as a whole.
func (s *Service) recordImport(ctx context.Context, tx *db.Tx, list []Asset, p Preview) error {
	id, err := newID()
	if err != nil {
		return err
	}
	entries := make([]ledger.Entry, 0, len(list)+1)
	for _, a := range list {
		entries = append(entries, created(a))
	}
	_, err = s.ledger.RecordAll(ctx, tx, append(entries, ledger.Entry{
		Action: EventImported, Payload: ImportPayload{Created: p.New, Existed: p.Exists},
		Subject: event.Subject{Type: "asset_import", ID: id, Title: counted(int64(p.New), "asset", "assets")},
		Detail:  map[string]any{"created": p.New, "existed": p.Exists},
	})...)
	return err
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

type identity struct{ kind, key string }

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
	firstLine, externalLine := map[identity]int{}, map[identity]int{}
	var names, externals []string
	for _, rec := range records {
		row := rec.row(in, people, tx)
		if row.State != RowWrong {
			id := identity{row.Asset.Type, nameKey(row.Asset.Name)}
			if line, twice := firstLine[id]; twice {
				row.wrong("name", "twice", fmt.Sprintf("Line %d has the same name and type.", line))
			}
			firstLine[id] = row.Line
			names = append(names, id.key)
			if row.Asset.ExternalID != "" {
				ext := identity{row.Asset.Provider, row.Asset.ExternalID}
				if line, twice := externalLine[ext]; twice {
					row.wrong("external_id", "twice", fmt.Sprintf("Line %d has the same external id.", line))
				}
				externalLine[ext] = row.Line
				externals = append(externals, ext.key)
			}
		}
		p.Rows = append(p.Rows, row)
	}
	if err := p.compare(ctx, tx, names, externals); err != nil {
		return p, err
	}
	for _, r := range p.Rows {
		switch r.State {
		case RowNew:
			p.New++
		case RowExists:
			p.Exists++
		case RowWrong:
			p.Wrong++
		}
	}
	return p, nil
}

// compare marks rows whose asset is there already.
func (p *Preview) compare(ctx context.Context, tx *db.Tx, names, externals []string) error {
	same, err := assetsByNames.All(ctx, tx, db.Args{"names": names})
	if err != nil {
		return err
	}
	known := make(map[identity]uuid.UUID, len(same))
	for _, row := range same {
		known[identity{row.Type, row.NameKey}] = row.ID
	}
	taken, err := externalIDs.All(ctx, tx, db.Args{"ids": externals})
	if err != nil {
		return err
	}
	owned := make(map[identity]uuid.UUID, len(taken))
	for _, row := range taken {
		owned[identity{row.Provider, row.ExternalID}] = row.ID
	}
	for i := range p.Rows {
		r := &p.Rows[i]
		if r.State != RowNew {
			continue
		}
		id, exists := known[identity{r.Asset.Type, nameKey(r.Asset.Name)}]
		if exists {
			r.State, r.ExistingID = RowExists, id
		}
		if other, ok := owned[identity{r.Asset.Provider, r.Asset.ExternalID}]; ok && r.Asset.ExternalID != "" && other != id {
			r.wrong("external_id", "asset_exists", "Another asset of this provider has this external id.")
		}
	}
	return nil
}

func (r *ImportRow) wrong(field, code, message string) {
	r.State = RowWrong
	r.Problems = append(r.Problems, fault.Detail{Field: field, Code: code, Message: message})
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
	if r.broken != "" {
		out.wrong("row", "malformed", r.broken)
		return out
	}
	v := r.values
	n := NewAsset{
		Name: v["name"], Hostname: v["hostname"], Type: cmp.Or(v["ci_type"], in.Type), Environment: cmp.Or(v["environment"], in.Environment),
		Criticality: v["criticality"], Lifecycle: v["lifecycle"], Team: v["team"], Provider: v["provider"], ExternalID: v["external_id"],
		Description: v["description"], Tags: slices.Concat(in.Tags, SplitTags(v["tags"])),
	}
	n.LeadMinutes, n.TrailMinutes = out.number("lead_minutes", v), out.number("trail_minutes", v)
	switch strings.ToLower(v["one_change_at_a_time"]) {
	case "", "false", "no", "0":
	case "true", "yes", "1":
		n.OneChangeAtATime = true
	default:
		out.wrong("one_change_at_a_time", "not_allowed", "One change at a time must be true or false.")
	}
	if text := v["owner"]; text != "" {
		p, ok := findPerson(people, text)
		if !ok {
			out.wrong("owner", "unknown_member", "This person is not an active member of the workspace.")
		}
		n.OwnerID = db.NullID(p.UserID)
	}
	custom, err := parseCustom(v["custom"], ";")
	if err != nil {
		out.wrong("custom", "malformed", "Write custom fields as name: value, separated by semicolons.")
	}
	n.Custom = custom
	a, err := n.asset(uuid.Must(uuid.NewV7()), tx.Now)
	if e := fault.Find(err); e != nil {
		out.State, out.Problems = RowWrong, append(out.Problems, e.Details...)
	}
	out.Asset = a
	return out
}

func (r *ImportRow) number(field string, values map[string]string) int {
	text := values[field]
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		r.wrong(field, "not_a_number", "Use whole minutes, such as 30.")
	}
	return n
}

// importColumns maps the words that may stand in a header to our names.
func importColumns() map[string]string {
	return map[string]string{
		"name": "name", "ci_type": "ci_type", "type": "ci_type", "hostname": "hostname", "host": "hostname", "address": "hostname",
		"environment": "environment", "env": "environment", "criticality": "criticality", "lifecycle": "lifecycle", "owner": "owner",
		"team": "team", "tags": "tags", "provider": "provider", "external_id": "external_id", "description": "description",
		"lead_minutes": "lead_minutes", "trail_minutes": "trail_minutes", "one_change_at_a_time": "one_change_at_a_time",
		"custom": "custom",
	}
}

// ignoredColumns stand in our own exports.
func ignoredColumns() []string { return []string{"id", "version", "updated_at"} }

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
		return nil, fault.InvalidField("text", "required", "Paste a header and at least one asset, or choose a file.")
	}
	comma, ok := headerComma(lines[first])
	if !ok {
		return nil, fault.InvalidField("text", "no_header", "The first line must be a header that names the column name, such as: name,ci_type,environment.")
	}
	out, err := readCSV(strings.Join(lines[first:], "\n"), comma, first)
	switch {
	case err != nil:
		return nil, err
	case len(out) == 0:
		return nil, fault.InvalidField("text", "required", "There is no asset below the header.")
	case len(out) > MaxImportRows:
		return nil, fault.InvalidField("text", "too_many", fmt.Sprintf("At most %d rows fit in one import.", MaxImportRows))
	}
	return out, nil
}

// headerComma reports whether a line is a CSV header, and what separates its columns.
func headerComma(line string) (rune, bool) {
	for _, comma := range []rune{',', ';', '\t'} {
		for _, name := range strings.Split(strings.ToLower(line), string(comma)) {
			if strings.Trim(strings.TrimSpace(name), `"`) == "name" {
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
				"The column %q is not known. Known are: %s.", clip(name, 40), strings.Join(csvHeader()[1:len(csvHeader())-2], ", ")))
		}
	}
	var out []record
	for len(out) <= MaxImportRows {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		out = append(out, newRecord(r, fields, err, columns, comma, skipped))
	}
	return out, nil
}

func newRecord(r *csv.Reader, fields []string, err error, columns []string, comma rune, skipped int) record {
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
	return rec
}
