package certificates

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/x509lint"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

func storedCrumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	first := web.Crumb{Text: "Stored certificates"}
	if len(more) > 0 {
		first.Href = r.Path("/certificates/stored")
	}
	return crumbs(r, append([]web.Crumb{first}, more...)...)
}

// storedFilter reads the filter of the page. What a person types is a fingerprint, a
// serial number or the beginning of a name.
func storedFilter(v url.Values) certFilter {
	f := certFilter{Source: v.Get("source"), LeavesOnly: v.Get("kind") != "all"}
	text := strings.TrimSpace(v.Get("q"))
	bare := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	switch {
	case len(bare) == 64 && strings.Trim(bare, "0123456789abcdef") == "":
		f.Fingerprint, f.LeavesOnly = bare, false
	case len(bare) >= 8 && strings.Trim(bare, "0123456789abcdef") == "":
		f.Serial, f.LeavesOnly = bare, false
	default:
		f.Name = text
	}
	if f.Source != "" && f.Source != "scan" && f.Source != "manual" {
		f.Source = ""
	}
	return f
}

func (s *Service) showStored(r *web.Request) error {
	params := r.URL.Query()
	q, err := storedFilter(params).query()
	if err != nil {
		return err
	}
	if q, err = q.Sort(params.Get("sort")).After(params.Get("cursor")); err != nil {
		return err
	}
	var page *db.PageResult[Cert]
	var total *db.Result[int64]
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page, total = q.Queue(b), q.QueueCount(b) })
	if err != nil {
		return err
	}
	n, _ := total.First()
	v := newStored(r, params, q.SortInUse(), page.Page, n)
	return r.Page(web.Page{Title: "Stored certificates", Crumbs: storedCrumbs(r)}, views.StoredPage(v))
}

func newStored(r *web.Request, params url.Values, sort string, p db.Page[Cert], total int64) views.Stored {
	base := r.Path("/certificates/stored")
	link := func(name, value string) string {
		out := url.Values{}
		for _, keep := range []string{"q", "source", "kind", "sort"} {
			if text := params.Get(keep); text != "" {
				out.Set(keep, text)
			}
		}
		out.Set(name, value)
		return base + "?" + out.Encode()
	}
	column := func(text, name string, leaves ui.Leaves) ui.Column {
		c := ui.Column{Text: text, Leaves: leaves}
		if name == "" {
			return c
		}
		next := name
		switch sort {
		case name:
			c.Sort, next = ui.Ascending, "-"+name
		case "-" + name:
			c.Sort = ui.Descending
		}
		c.Href = link("sort", next)
		return c
	}
	v := views.Stored{
		Lede:    "Every certificate that a host of this workspace showed, and those that were uploaded.",
		Caption: "Certificates", UploadHref: base + "/upload", MayUpload: r.Can(canCreateCert),
		Columns: []ui.Column{
			column("Certificate", "label", ""), column("Expires", "not_after", ""), column("Issuer", "issuer", ui.LeavesThird),
			column("Key", "", ui.LeavesNext), column("Source", "", ui.LeavesNext), column("First seen", "", ui.LeavesFirst),
		},
		Filters: ui.Filters{
			Action: base, Results: "results",
			Search: ui.Search{Name: "q", Value: params.Get("q"), Label: "Filter certificates", Placeholder: "Name, serial number or fingerprint"},
		},
		Source: ui.Field{Name: "source", Label: "Source", Options: []ui.Option{
			{Text: "Any"},
			{Value: "scan", Text: "Seen by a scan", Selected: params.Get("source") == "scan"},
			{Value: "manual", Text: "Uploaded", Selected: params.Get("source") == "manual"},
		}},
		Kind: ui.Field{Name: "kind", Label: "Kind", Options: []ui.Option{
			{Text: "Of servers"}, {Value: "all", Text: "Authorities too", Selected: params.Get("kind") == "all"},
		}},
		Pager: ui.Pager{Label: group(int64(len(p.Items))) + " of " + cappedCount(total)},
	}
	if p.Next != "" {
		v.Pager.Next = link("cursor", p.Next)
	}
	if p.Prev != "" {
		v.Pager.Prev = link("cursor", p.Prev)
	}
	now, zone := r.Now(), r.Zone()
	for _, c := range p.Items {
		row := views.StoredRow{
			Link:   ui.RowLink{Text: c.Label, Href: r.Path(certPath(c.ID)), Sub: c.IssuerLabel},
			Issuer: c.IssuerLabel, Key: c.Key, Source: sourceLabel(c.Source), Seen: timetext.Date(c.FirstSeenAt, zone),
		}
		if c.NotBefore != nil {
			row.Expiry = &ui.Expiry{
				Text: inDays(c.NotAfter, now), Time: timetext.Date(c.NotAfter, zone),
				Tone: periodTone(*c.NotBefore, c.NotAfter, x509lint.ExpiryPolicy{}, now), Percent: lifetimeUsed(*c.NotBefore, c.NotAfter, now),
			}
		}
		v.Rows = append(v.Rows, row)
	}
	if len(v.Rows) == 0 {
		v.Empty = &ui.Empty{Icon: "archive", Title: "No certificate here", Text: "Certificates appear with the first scan of a host."}
		if params.Get("q") != "" || params.Get("source") != "" {
			v.Empty = &ui.Empty{Icon: "search", Title: "No certificate matches", Text: "Nothing fits the search and the source.", Actions: []ui.LinkButton{{Text: "Clear all", Href: base}}}
		}
	}
	return v
}

func sourceLabel(source string) string {
	if source == "manual" {
		return "Uploaded"
	}
	return "Scan"
}

func (s *Service) showCert(r *web.Request) error {
	id, err := r.UUID("id", "certificate")
	if err != nil {
		return err
	}
	var cert *db.Result[Cert]
	var names *db.Result[string]
	var hosts *db.Result[Host]
	args := db.Args{"id": id}
	err = s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		cert, names, hosts = certByID.Queue(b, args), namesOfCert.Queue(b, args), hostsOfCert.Queue(b, args)
	})
	if err != nil {
		return err
	}
	c, ok := cert.First()
	if !ok {
		return fault.NewNotFound("certificate")
	}
	now, zone := r.Now(), r.Zone()
	v := views.StoredCert{
		Head: ui.PageHead{Title: c.Label, Lede: certLede(c, now)}, PEMHref: r.Path(certPath(id)) + "/pem",
		Identity: []ui.Fact{
			{Label: "Subject", Text: clip(c.Subject, 300)},
			{Label: "Issuer", Text: clip(c.Issuer, 300)},
			{Label: "Key", Text: c.Key},
			{Label: "Signature", Text: c.Signature},
			{Label: "Serial", Text: spacedHex(c.Serial), Copy: "Copy serial number"},
			{Label: "SHA-256", Text: spacedHex(c.Hex()), Copy: "Copy fingerprint"},
			{Label: "Source", Text: sourceLabel(c.Source)},
		},
	}
	if c.NotBefore != nil {
		used := lifetimeUsed(*c.NotBefore, c.NotAfter, now)
		v.Validity = &ui.Meter{
			Percent: used, Tone: periodTone(*c.NotBefore, c.NotAfter, x509lint.ExpiryPolicy{}, now), Wide: true,
			Label: fmt.Sprintf("%d percent of the lifetime has passed", used),
		}
		v.Period = periodFacts(*c.NotBefore, c.NotAfter, now, zone)
	}
	first := timetext.Date(c.FirstSeenAt, zone)
	v.Identity = append(v.Identity, ui.Fact{Label: "First seen", Time: &first})
	if len(hosts.Rows) == 0 {
		last := timetext.Date(c.LastSeenAt, zone)
		v.Identity = append(v.Identity, ui.Fact{Label: "Last seen", Time: &last})
		v.NoHosts = &ui.Empty{Icon: "globe", Title: "No host serves it now", Text: "As its own certificate, that is; authorities stand in the chains of others."}
	}
	for _, h := range hosts.Rows {
		badge := statusBadge(h, now)
		v.Hosts = append(v.Hosts, ui.Row{Icon: statusIcon(h.Status), Tone: expiryTone(h, now), Title: h.Title(), Href: r.Path(h.Path()), Sub: strings.Join(h.Tags, ", "), Badge: &badge})
	}
	for _, n := range names.Rows {
		v.Names = append(v.Names, views.NameRow{Name: n, Kind: nameKind(n)})
	}
	return r.Page(web.Page{Title: c.Label, Crumbs: storedCrumbs(r, web.Crumb{Text: c.Label})}, views.CertPage(v))
}

func certLede(c Cert, now time.Time) string {
	kind := "Certificate of a server"
	if c.IsCA {
		kind = "Certificate of an authority"
	}
	if c.NotBefore == nil {
		return kind + ", not readable."
	}
	if x509lint.Period(*c.NotBefore, c.NotAfter, now) == x509lint.TimeExpired {
		return kind + ", expired " + inDays(c.NotAfter, now) + "."
	}
	return kind + ", expires " + inDays(c.NotAfter, now) + "."
}

func (s *Service) downloadCert(r *web.Request) error {
	id, err := r.UUID("id", "certificate")
	if err != nil {
		return err
	}
	var der *db.Result[[]byte]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { der = certDER.Queue(b, db.Args{"id": id}) }); err != nil {
		return err
	}
	raw, ok := der.First()
	if !ok {
		return fault.NewNotFound("certificate")
	}
	w := r.Download("certificate-"+id.String()+".pem", "application/x-pem-file")
	if r.Method == http.MethodHead {
		return nil
	}
	return pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

type uploadForm struct {
	PEM string `form:"pem,raw"`
}

func (s *Service) showUpload(r *web.Request) error {
	page, body := uploadPage(r, uploadForm{}, nil)
	return r.Page(page, body)
}

func uploadPage(r *web.Request, f uploadForm, err error) (web.Page, templ.Component) {
	m := form.Messages(err)
	message := m["pem"]
	if message == "" {
		message = m["text"]
	}
	v := views.Upload{
		Form: ui.Form{Action: r.Path("/certificates/stored"), Upload: true, Errors: formErrors(err)},
		PEM: ui.Field{
			Name: "pem", Label: "Certificates", Value: f.PEM, Rows: 14, Code: true, Error: message,
			Placeholder: "-----BEGIN CERTIFICATE-----", Hint: fmt.Sprintf("One or more in PEM form, at most %d.", maxUploaded),
		},
		File: ui.Field{Name: "file", Label: "File", Type: "file", Hint: "Used instead of the text.", Attrs: templ.Attributes{"accept": ".pem,.crt,.cer"}},
	}
	v.Cancel = r.Path("/certificates/stored")
	return web.Page{Title: "Upload certificates", Crumbs: storedCrumbs(r, web.Crumb{Text: "Upload"})}, views.UploadPage(v)
}

func (s *Service) uploadCerts(r *web.Request) error {
	var f uploadForm
	err := r.Form(&f)
	if err == nil {
		var text string
		if text, err = uploaded(r, "file"); err == nil {
			if text == "" {
				text = f.PEM
			}
			var certs []Cert
			if certs, err = s.UploadCertificates(r.Context(), r.Actor, []byte(text)); err == nil {
				r.Flash(count(len(certs), "certificate") + " stored.")
				return r.SeeOther(r.Path(certPath(firstLeaf(certs))))
			}
		}
	}
	// A private key that was pasted by mistake is not shown again.
	if e := fault.Find(err); e != nil && len(e.Details) > 0 && e.Details[0].Code == "private_key" {
		f.PEM = ""
	}
	page, body := uploadPage(r, f, err)
	return r.InvalidPage(err, page, body)
}

// firstLeaf returns the certificate of an upload to show: that of a server, if there is one.
func firstLeaf(certs []Cert) uuid.UUID {
	for _, c := range certs {
		if !c.IsCA {
			return c.ID
		}
	}
	return certs[0].ID
}
