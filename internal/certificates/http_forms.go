package certificates

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/certificates"
	"github.com/vigilo/vigilo/templates/ui"
)

// hostForm is what the pages "Add host" and "Edit" send.
type hostForm struct {
	Hostname   string `form:"hostname"`
	Port       string `form:"port"`
	ServerName string `form:"server_name"`
	STARTTLS   string `form:"starttls"`
	Family     string `form:"family"`
	Interval   string `form:"scan_interval"`
	Tags       string `form:"tags"`
	Owner      string `form:"owner"`
	Warn       string `form:"warn_days"`
	Critical   string `form:"critical_days"`
	Version    int64  `form:"version"`
}

// numbers reads the fields that hold one; empty is 0.
func (f hostForm) numbers() (port, warn, critical int, err error) {
	var c form.Check
	read := func(field, text string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			c.Add(field, "not_a_number", "Use a whole number, such as 30.")
		}
		return n
	}
	port, warn, critical = read("port", f.Port), read("warn_days", f.Warn), read("critical_days", f.Critical)
	if f.Port == "0" {
		c.Add("port", "out_of_range", "Port must be between 1 and 65535.")
	}
	return port, warn, critical, c.Err()
}

func (f hostForm) host() (NewHost, error) {
	port, warn, critical, err := f.numbers()
	return NewHost{
		Hostname: f.Hostname, Port: port, ServerName: f.ServerName, STARTTLS: f.STARTTLS, Family: f.Family,
		Interval: Interval(f.Interval), Tags: SplitTags(f.Tags), Owner: f.Owner, WarnDays: warn, CriticalDays: critical,
	}, err
}

func (f hostForm) edit() (HostEdit, error) {
	n, err := f.host()
	e := HostEdit{
		Hostname: &n.Hostname, ServerName: &n.ServerName, STARTTLS: &n.STARTTLS, Family: &n.Family, Interval: &n.Interval,
		Tags: &n.Tags, Owner: &n.Owner, WarnDays: &n.WarnDays, CriticalDays: &n.CriticalDays, Version: &f.Version,
	}
	if n.Port != 0 {
		e.Port = &n.Port
	}
	return e, err
}

func formOf(h Host) hostForm {
	f := hostForm{
		Hostname: h.DisplayName, Port: portText(h.Port), ServerName: h.ServerName, STARTTLS: h.STARTTLS, Family: h.Family,
		Interval: string(h.Interval), Tags: strings.Join(h.Tags, ", "), Version: h.Version,
	}
	if h.OwnerID.Valid {
		f.Owner = h.OwnerID.UUID.String()
	}
	if h.WarnDays != nil {
		f.Warn = strconv.Itoa(int(*h.WarnDays))
	}
	if h.CriticalDays != nil {
		f.Critical = strconv.Itoa(int(*h.CriticalDays))
	}
	return f
}

// readPeople returns who may own a host, in a transaction of its own.
func (s *Service) readPeople(ctx context.Context, a db.Actor) ([]Person, error) {
	var people []Person
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		people, err = s.people(ctx, tx)
		return err
	})
	return people, err
}

func (s *Service) showNewHost(r *web.Request) error {
	f := hostForm{Interval: string(DefaultInterval), Hostname: r.URL.Query().Get("hostname")}
	people, err := s.readPeople(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	page, body := newHostPage(r, f, people, nil)
	return r.Page(page, body)
}

func newHostPage(r *web.Request, f hostForm, people []Person, err error) (web.Page, templ.Component) {
	v := hostFields(r, f, people, err)
	v.Title, v.Submit = "Add host", "Add host"
	v.Lede = "Vigilo connects from its own network, reads the certificate and shows it within seconds."
	v.Form.Action, v.CancelHref = r.Path("/certificates"), r.Path("/certificates")
	return web.Page{Title: "Add host", Crumbs: crumbs(r, web.Crumb{Text: "Add host"})}, views.FormPage(v)
}

func (s *Service) createHost(r *web.Request) error {
	var f hostForm
	err := r.Form(&f)
	if err == nil {
		var in NewHost
		if in, err = f.host(); err == nil {
			var h Host
			if h, _, err = s.AddHost(r.Context(), r.Actor, in); err == nil {
				r.Flash(h.Title() + " is watched now.")
				return r.SeeOther(r.Path(h.Path()))
			}
		}
	}
	people, peopleErr := s.readPeople(r.Context(), r.Actor)
	if peopleErr != nil {
		return peopleErr
	}
	page, body := newHostPage(r, f, people, err)
	return r.InvalidPage(err, page, body)
}

func (s *Service) showEdit(r *web.Request) error {
	id, err := r.UUID("id", "host")
	if err != nil {
		return err
	}
	h, err := s.Host(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	people, err := s.readPeople(r.Context(), r.Actor)
	if err != nil {
		return err
	}
	page, body := editPage(r, h, formOf(h), people, nil)
	return r.Page(page, body)
}

func editPage(r *web.Request, h Host, f hostForm, people []Person, err error) (web.Page, templ.Component) {
	v := hostFields(r, f, people, err)
	v.Title, v.Submit = "Edit "+h.Title(), "Save"
	v.Lede = "Another name or port is another endpoint: what was seen is forgotten and the new one is scanned at once."
	path := r.Path(h.Path())
	v.Form.Action, v.CancelHref = path, path
	v.Form.Hidden = []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}}
	if e := fault.Find(err); e != nil && e.Code == "version_conflict" {
		v.Existing = &ui.Notice{
			Tone: ui.Warn, Title: "Somebody changed this host meanwhile.",
			Text:   "Your entries are kept below. Look at the present state, then open the form again to repeat your change.",
			Action: &ui.Link{Text: "Open the form again", Href: path + "/edit"},
		}
	}
	return web.Page{
		Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: h.Title(), Href: path}, web.Crumb{Text: "Edit"}),
	}, views.FormPage(v)
}

func (s *Service) updateHost(r *web.Request) error {
	id, err := r.UUID("id", "host")
	if err != nil {
		return err
	}
	var f hostForm
	if err = r.Form(&f); err == nil {
		var e HostEdit
		if e, err = f.edit(); err == nil {
			var h Host
			if h, err = s.UpdateHost(r.Context(), r.Actor, id, e); err == nil {
				r.Flash(h.Title() + " is saved.")
				return r.SeeOther(r.Path(h.Path()))
			}
		}
	}
	h, readErr := s.Host(r.Context(), r.Actor, id)
	if readErr != nil {
		return readErr
	}
	people, readErr := s.readPeople(r.Context(), r.Actor)
	if readErr != nil {
		return readErr
	}
	page, body := editPage(r, h, f, people, err)
	return r.InvalidPage(err, page, body)
}

// hostFields makes the fields of both forms, with what is wrong beside them.
func hostFields(r *web.Request, f hostForm, people []Person, err error) views.HostForm {
	m := form.Messages(err)
	v := views.HostForm{
		Form: ui.Form{Guard: true},
		Hostname: ui.Field{
			Name: "hostname", Label: "Host", Value: f.Hostname, Required: true, Code: true, Error: m["hostname"], Autofocus: true,
			Placeholder: "www.example.com", Hint: "A name, an address, either with a port, or a whole URL.", MaxLength: 2048,
		},
		Port: ui.Field{
			Name: "port", Label: "Port", Value: f.Port, Type: "number", Min: "1", Max: "65535", Error: m["port"], Short: true,
			Placeholder: "443", Hint: "Usual for the protocol when empty.",
		},
		ServerName: ui.Field{
			Name: "server_name", Label: "Server name", Value: f.ServerName, Code: true, Error: m["server_name"],
			Hint: "Sent in the handshake and compared with the certificate, when it is not the host.",
		},
		Tags: ui.Field{Name: "tags", Label: "Tags", Value: f.Tags, Error: m["tags"], Placeholder: "production, payments", Hint: "Separated by commas."},
		Warn: ui.Field{
			Name: "warn_days", Label: "Warn, days before the end", Value: f.Warn, Type: "number", Min: "1", Max: "3650", Short: true,
			Error: m["warn_days"], Hint: "Empty: 30 days, or a third of the lifetime if that is less.",
		},
		Critical: ui.Field{
			Name: "critical_days", Label: "Critical, days before the end", Value: f.Critical, Type: "number", Min: "1", Max: "3650", Short: true,
			Error: m["critical_days"], Hint: "Empty: 7 days, or a sixth of the lifetime if that is less.",
		},
		STARTTLS: ui.Field{
			Name: "starttls", Label: "Protocol", Required: true, Error: m["starttls"],
			Options: []ui.Option{{Value: "", Text: starttlsLabel(""), Selected: f.STARTTLS == ""}},
		},
		Family:   ui.Field{Name: "family", Label: "Address family", Required: true, Error: m["family"]},
		Interval: intervalField(f.Interval, m["scan_interval"]),
		Owner:    ownerField(people, f.Owner, m["owner"]),
	}
	for _, kind := range tlsscan.STARTTLSKinds() {
		v.STARTTLS.Options = append(v.STARTTLS.Options, ui.Option{
			Value: kind, Text: starttlsLabel(kind), Group: "STARTTLS", Selected: f.STARTTLS == kind,
		})
	}
	for _, fam := range []string{"", "ip4", "ip6"} {
		v.Family.Options = append(v.Family.Options, ui.Option{Value: fam, Text: familyLabel(fam), Selected: f.Family == fam})
	}
	v.Form.Errors = formErrors(err)
	if e := fault.Find(err); e != nil && e.Code == "host_exists" {
		v.Hostname.Error = "This endpoint is watched already."
		if len(e.Details) > 0 {
			if id, err := uuid.Parse(e.Details[0].Ref); err == nil {
				v.Existing = &ui.Notice{Tone: ui.Info, Title: e.Message, Action: &ui.Link{Text: "Open it", Href: r.Path(hostPath(id))}}
			}
		}
	}
	return v
}

func intervalField(value, message string) ui.Field {
	out := ui.Field{Name: "scan_interval", Label: "Scan", Required: true, Error: message}
	for _, i := range Intervals() {
		text := intervalLabel(i)
		out.Options = append(out.Options, ui.Option{
			Value: string(i), Text: strings.ToUpper(text[:1]) + text[1:], Selected: cmp.Or(value, string(DefaultInterval)) == string(i),
		})
	}
	return out
}

func ownerField(people []Person, value, message string) ui.Field {
	out := ui.Field{Name: "owner", Label: "Owner", Error: message, Options: []ui.Option{{Text: "Nobody"}}}
	for _, p := range people {
		out.Options = append(out.Options, ui.Option{Value: p.ID.String(), Text: p.Name, Selected: p.ID.String() == value})
	}
	return out
}

// formErrors is the summary above a refused form.
func formErrors(err error) []ui.FormError {
	e := fault.Find(err)
	if e == nil {
		return nil
	}
	labels := map[string]string{
		"hostname": "Host", "port": "Port", "server_name": "Server name", "starttls": "Protocol", "family": "Address family",
		"scan_interval": "Scan", "tags": "Tags", "owner": "Owner", "warn_days": "Warn", "critical_days": "Critical", "text": "Hosts",
		"pem": "Certificates",
	}
	var out []ui.FormError
	for _, d := range e.Details {
		if label, ok := labels[d.Field]; ok {
			out = append(out, ui.FormError{Field: d.Field, Label: label, Text: d.Message})
		} else {
			out = append(out, ui.FormError{Text: e.Message})
		}
	}
	if len(out) == 0 {
		out = append(out, ui.FormError{Text: e.Message})
	}
	return out
}
