package certificates

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
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

// importForm is sent by all three steps: the list, its check and the confirmation. Step is
// empty for the check, "confirm" to import, "change" to go back.
type importForm struct {
	Text     string `form:"text,raw"`
	Interval string `form:"scan_interval"`
	Tags     string `form:"tags"`
	Owner    string `form:"owner"`
	Step     string `form:"step"`
}

func (f importForm) input() Import {
	return Import{Text: f.Text, Interval: Interval(f.Interval), Tags: SplitTags(f.Tags), Owner: f.Owner}
}

func (s *Service) showImport(r *web.Request) error { return s.answerImport(r, importForm{}, nil) }

func (s *Service) answerImport(r *web.Request, f importForm, err error) error {
	people, readErr := s.readPeople(r.Context(), r.Actor)
	if readErr != nil {
		return readErr
	}
	page, body := importPage(r, f, people, err)
	if err != nil {
		return r.InvalidPage(err, page, body)
	}
	return r.Page(page, body)
}

func importPage(r *web.Request, f importForm, people []Person, err error) (web.Page, templ.Component) {
	m := form.Messages(err)
	v := views.ImportForm{
		Form: ui.Form{Action: r.Path("/certificates/import"), Upload: true, Errors: formErrors(err)},
		Text: ui.Field{
			Name: "text", Label: "Hosts", Value: f.Text, Rows: 12, Code: true, Error: m["text"],
			Placeholder: "www.example.com\nmail.example.com:993\nsmtp://mx.example.com",
			Hint:        "One name, address or URL a line. Or CSV with a header: hostname, port, server_name, starttls, scan_interval, tags, owner, active.",
		},
		File:     ui.Field{Name: "file", Label: "CSV file", Type: "file", Hint: fmt.Sprintf("At most %s rows; used instead of the text.", group(MaxImportRows)), Attrs: templ.Attributes{"accept": ".csv,text/csv,text/plain"}},
		Interval: intervalField(f.Interval, m["scan_interval"]),
		Tags:     ui.Field{Name: "tags", Label: "Tags for all", Value: f.Tags, Error: m["tags"], Hint: "Separated by commas."},
		Owner:    ownerField(people, f.Owner, m["owner"]),
		Cancel:   r.Path("/certificates"),
	}
	return web.Page{Title: "Import hosts", Crumbs: crumbs(r, web.Crumb{Text: "Import"})}, views.ImportPage(v)
}

func (s *Service) importHosts(r *web.Request) error {
	var f importForm
	if err := r.Form(&f); err != nil {
		return s.answerImport(r, f, err)
	}
	text, err := uploaded(r, "file")
	if err != nil {
		return s.answerImport(r, f, err)
	}
	if text != "" {
		f.Text = text
	}
	switch f.Step {
	case "change":
		return s.answerImport(r, f, nil)
	case "confirm":
		p, err := s.ImportHosts(r.Context(), r.Actor, f.input())
		if err != nil {
			return s.answerImport(r, f, err)
		}
		r.Flash(count(p.New, "host") + " added. Their first scans have begun.")
		return r.SeeOther(r.Path("/certificates?sort=-created"))
	}
	p, err := s.PreviewImport(r.Context(), r.Actor, f.input())
	if err != nil {
		return s.answerImport(r, f, err)
	}
	return r.Page(web.Page{
		Title:  "Check the import",
		Crumbs: crumbs(r, web.Crumb{Text: "Import", Href: r.Path("/certificates/import")}, web.Crumb{Text: "Check"}),
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
		Lede: count(len(p.Rows), "row") + " read. Nothing is saved yet.", Caption: "Rows of the import",
		Stats: []ui.Stat{
			{Label: "New", Value: group(int64(p.New)), Detail: "will be added", Tone: ui.OK, Icon: "plus"},
			{Label: "Exist", Value: group(int64(p.Exists)), Detail: "stay as they are", Tone: ui.Mute, Icon: "check"},
			{Label: "Repeated", Value: group(int64(p.Twice)), Detail: "counted once", Tone: ui.Mute, Icon: "copy"},
			{Label: "Wrong", Value: group(int64(p.Wrong)), Detail: "must be fixed", Tone: ui.Mute, Icon: "circle-x"},
		},
		Submit: "Add " + count(p.New, "host"), MayConfirm: p.New > 0 && p.Wrong == 0,
		Confirm: ui.Form{Action: r.Path("/certificates/import"), Hidden: f.hidden("confirm")},
		Back:    ui.Form{Action: r.Path("/certificates/import"), Hidden: f.hidden("change")},
	}
	switch {
	case p.Wrong > 0:
		v.Stats[3].Tone = ui.Crit
		v.Notice = &ui.Notice{
			Tone: ui.Crit, Title: count(p.Wrong, "row") + " cannot be imported.", Alert: true,
			Text: "An import adds all hosts or none, so that nothing is half done. Change the list and check it again.",
		}
	case p.New == 0:
		v.Notice = &ui.Notice{Title: "There is nothing to add.", Text: "Every row is watched already."}
	}
	for _, wrong := range []bool{true, false} {
		for _, row := range p.Rows {
			if (row.State == RowWrong) == wrong && len(v.Rows) < rowsShown {
				v.Rows = append(v.Rows, previewRow(r, row))
			}
		}
	}
	if n := len(p.Rows) - len(v.Rows); n > 0 {
		v.Foot = count(n, "more row") + " not listed here."
	}
	return v
}

func (f importForm) hidden(step string) []ui.Hidden {
	return []ui.Hidden{
		{Name: "text", Value: f.Text},
		{Name: "scan_interval", Value: f.Interval},
		{Name: "tags", Value: f.Tags},
		{Name: "owner", Value: f.Owner},
		{Name: "step", Value: step},
	}
}

func previewRow(r *web.Request, row ImportRow) views.ImportRow {
	out := views.ImportRow{Line: strconv.Itoa(row.Line), Text: row.Text}
	switch row.State {
	case RowNew:
		out.Badge, out.Text = ui.Badge{Text: "New", Tone: ui.OK, Icon: "plus"}, row.Host.Title()
		out.Note = strings.Join(row.Host.Tags, ", ")
	case RowExists:
		out.Badge, out.Text, out.Href = ui.Badge{Text: "Exists", Tone: ui.Mute}, row.Host.Title(), r.Path(hostPath(row.ExistingID))
		out.Note = "It stays as it is."
	case RowTwice:
		out.Badge, out.Note = ui.Badge{Text: "Repeated", Tone: ui.Mute}, "An earlier row says the same."
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
