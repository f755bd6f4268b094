package assets

import (
	"fmt"
	"io"
	"mime/multipart"
	"strconv"
	"strings"

	"github.com/a-h/templ"

	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

// importForm is sent by all three steps: the list, its check and the confirmation. Step is
// empty for the check, "confirm" to import, "change" to go back.
type importForm struct {
	Text        string `form:"text,raw"`
	Type        string `form:"ci_type"`
	Environment string `form:"environment"`
	Tags        string `form:"tags"`
	Step        string `form:"step"`
}

func (f importForm) input() Import {
	return Import{Text: f.Text, Type: f.Type, Environment: f.Environment, Tags: SplitTags(f.Tags)}
}

func (s *Service) showImport(r *web.Request) error { return answerImport(r, importForm{}, nil) }

func answerImport(r *web.Request, f importForm, err error) error {
	m := form.Messages(err)
	v := views.ImportForm{
		Form: ui.Form{Action: r.Path("/assets/import"), Upload: true, Errors: formErrors(err)},
		Text: ui.Field{
			Name: "text", Label: "Assets", Value: f.Text, Rows: 12, Code: true, Error: m["text"],
			Placeholder: "name,ci_type,environment,criticality,owner,team,tags\nOrders API,service,prod,critical,mara@example.com,payments,\"api, orders\"\ndb-orders-01,database,prod,critical,,payments,postgres",
			Hint:        "CSV with a header. Columns: " + strings.Join(csvHeader()[1:len(csvHeader())-2], ", ") + ".",
		},
		File:        ui.Field{Name: "file", Label: "CSV file", Type: "file", Hint: "At most " + group(MaxImportRows) + " rows; used instead of the text.", Attrs: templ.Attributes{"accept": ".csv,text/csv,text/plain"}},
		Type:        defaultField("ci_type", "Type of rows that name none", f.Type, m["ci_type"], "other", Types(), typeTitle),
		Environment: defaultField("environment", "Environment of rows that name none", f.Environment, m["environment"], "prod", Environments(), environmentTitle),
		Tags:        ui.Field{Name: "tags", Label: "Tags for all", Value: f.Tags, Error: m["tags"], Hint: "Separated by commas."},
		Cancel:      r.Path("/assets"),
	}
	page := web.Page{Title: "Import assets", Crumbs: crumbs(r, web.Crumb{Text: "Import"})}
	if err != nil {
		return r.InvalidPage(err, page, views.ImportPage(v))
	}
	return r.Page(page, views.ImportPage(v))
}

func defaultField(name, label, value, message, def string, values []string, words func(string) string) ui.Field {
	return selectField(name, label, orText(value, def), message, values, words)
}

func (s *Service) importAssets(r *web.Request) error {
	var f importForm
	if err := r.Form(&f); err != nil {
		return answerImport(r, f, err)
	}
	text, err := uploaded(r, "file")
	if err != nil {
		return answerImport(r, f, err)
	}
	if text != "" {
		f.Text = text
	}
	switch f.Step {
	case "change":
		return answerImport(r, f, nil)
	case "confirm":
		p, err := s.ImportAssets(r.Context(), r.Actor, f.input())
		if err != nil {
			return answerImport(r, f, err)
		}
		r.Flash(counted(int64(p.New), "asset", "assets") + " added.")
		return r.SeeOther(r.Path("/assets?view=" + viewAll + "&sort=-created_at"))
	}
	p, err := s.PreviewImport(r.Context(), r.Actor, f.input())
	if err != nil {
		return answerImport(r, f, err)
	}
	return r.Page(web.Page{
		Title:  "Check the import",
		Crumbs: crumbs(r, web.Crumb{Text: "Import", Href: r.Path("/assets/import")}, web.Crumb{Text: "Check"}),
	}, views.PreviewPage(newPreview(r, f, p)))
}

// uploaded returns the text of a file in the form, empty without one.
func uploaded(r *web.Request, field string) (string, error) {
	if r.MultipartForm == nil || len(r.MultipartForm.File[field]) == 0 {
		return "", nil
	}
	return readUpload(r.MultipartForm.File[field][0])
}

func readUpload(h *multipart.FileHeader) (string, error) {
	f, err := h.Open()
	if err != nil {
		return "", fmt.Errorf("open upload: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, MaxImportBytes+1))
	if err != nil {
		return "", fmt.Errorf("read upload: %w", err)
	}
	if len(raw) > MaxImportBytes {
		return "", fault.InvalidField("text", "too_large", "The file is larger than 512 KiB. Import it in parts.")
	}
	return string(raw), nil
}

// rowsShown is how many rows a preview lists; those that are wrong come first.
const rowsShown = 500

func newPreview(r *web.Request, f importForm, p Preview) views.ImportPreview {
	v := views.ImportPreview{
		Lede: counted(int64(len(p.Rows)), "row", "rows") + " read. Nothing is saved yet.",
		Stats: []ui.Stat{
			{Label: "New", Value: group(int64(p.New)), Detail: "will be added", Tone: ui.OK, Icon: "plus"},
			{Label: "Exist", Value: group(int64(p.Exists)), Detail: "stay as they are", Tone: ui.Mute, Icon: "check"},
			{Label: "Wrong", Value: group(int64(p.Wrong)), Detail: "must be fixed", Tone: ui.Mute, Icon: "circle-x"},
		},
		Submit: "Add " + counted(int64(p.New), "asset", "assets"), MayConfirm: p.New > 0 && p.Wrong == 0,
		Confirm: ui.Form{Action: r.Path("/assets/import"), Hidden: f.hidden("confirm")},
		Back:    ui.Form{Action: r.Path("/assets/import"), Hidden: f.hidden("change")},
	}
	switch {
	case p.Wrong > 0:
		v.Stats[2].Tone = ui.Crit
		v.Notice = &ui.Notice{
			Tone: ui.Crit, Title: counted(int64(p.Wrong), "row", "rows") + " cannot be imported.", Alert: true,
			Text: "An import adds all assets or none, so that nothing is half done. Change the list and check it again.",
		}
	case p.New == 0:
		v.Notice = &ui.Notice{Title: "There is nothing to add.", Text: "Every row is there already."}
	}
	for _, wrong := range []bool{true, false} {
		for _, row := range p.Rows {
			if (row.State == RowWrong) == wrong && len(v.Rows) < rowsShown {
				v.Rows = append(v.Rows, previewRow(r, row))
			}
		}
	}
	if n := len(p.Rows) - len(v.Rows); n > 0 {
		v.Foot = counted(int64(n), "more row is", "more rows are") + " not listed here."
	}
	return v
}

func (f importForm) hidden(step string) []ui.Hidden {
	return []ui.Hidden{
		{Name: "text", Value: f.Text},
		{Name: "ci_type", Value: f.Type},
		{Name: "environment", Value: f.Environment},
		{Name: "tags", Value: f.Tags},
		{Name: "step", Value: step},
	}
}

func previewRow(r *web.Request, row ImportRow) views.ImportRow {
	out := views.ImportRow{Line: strconv.Itoa(row.Line), Text: row.Text}
	switch row.State {
	case RowNew:
		out.Badge, out.Text = ui.Badge{Text: "New", Tone: ui.OK, Icon: "plus"}, row.Asset.Name
		out.Note = typeTitle(row.Asset.Type) + ", " + environmentLabel(row.Asset.Environment) + ", " +
			strings.ToLower(criticalityLabel(row.Asset.Criticality)) + " criticality"
	case RowExists:
		out.Badge, out.Text, out.Href = ui.Badge{Text: "Exists", Tone: ui.Mute}, row.Asset.Name, r.Path(assetPath(row.ExistingID))
		out.Note = "It stays as it is."
	case RowWrong:
		out.Badge = ui.Badge{Text: "Wrong", Tone: ui.Crit, Icon: "circle-x"}
		var notes []string
		for _, d := range row.Problems {
			notes = append(notes, d.Message)
		}
		out.Note = strings.Join(notes, " ")
	}
	return out
}
