package assets

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/assets"
	"github.com/vigilo/vigilo/templates/ui"
)

// assetForm is what the pages "Add asset" and "Edit" send.
type assetForm struct {
	Name        string `form:"name"`
	Type        string `form:"ci_type"`
	Hostname    string `form:"hostname"`
	Environment string `form:"environment"`
	Criticality string `form:"criticality"`
	Lifecycle   string `form:"lifecycle"`
	Owner       string `form:"owner"`
	Team        string `form:"team"`
	Tags        string `form:"tags"`
	Description string `form:"description"`
	Lead        string `form:"lead_minutes"`
	Trail       string `form:"trail_minutes"`
	OneChange   bool   `form:"one_change_at_a_time"`
	Provider    string `form:"provider"`
	ExternalID  string `form:"external_id"`
	Custom      string `form:"custom,raw"`
	Version     int64  `form:"version"`
}

// asset reads the fields that are no plain text, and reports what is wrong with them.
func (f assetForm) asset() (NewAsset, error) {
	var c form.Check
	number := func(field, text string) int {
		if text == "" {
			return 0
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			c.Add(field, "not_a_number", "Use whole minutes, such as 30.")
		}
		return n
	}
	n := NewAsset{
		Name: f.Name, Type: f.Type, Hostname: f.Hostname, Environment: f.Environment, Criticality: f.Criticality, Lifecycle: f.Lifecycle,
		Owner: f.Owner, Team: f.Team, Tags: SplitTags(f.Tags), Description: f.Description, OneChangeAtATime: f.OneChange,
		Provider: f.Provider, ExternalID: f.ExternalID,
		LeadMinutes: number("lead_minutes", f.Lead), TrailMinutes: number("trail_minutes", f.Trail),
	}
	custom, err := parseCustom(strings.ReplaceAll(f.Custom, "\r\n", "\n"), "\n")
	if err := c.Merge(err); err != nil {
		return n, err
	}
	n.Custom = custom
	if c.Err() != nil {
		// What else is wrong is said with it, so that nobody is sent back twice.
		if _, err := n.asset(uuid.Nil, time.Time{}); err != nil {
			if err := c.Merge(err); err != nil {
				return n, err
			}
		}
	}
	return n, c.Err()
}

func (f assetForm) edit() (AssetEdit, error) {
	n, err := f.asset()
	return AssetEdit{
		Name: &n.Name, Hostname: &n.Hostname, Type: &n.Type, Environment: &n.Environment, Criticality: &n.Criticality,
		Lifecycle: &n.Lifecycle, Owner: &n.Owner, Team: &n.Team, Provider: &n.Provider, ExternalID: &n.ExternalID,
		Description: &n.Description, Custom: &n.Custom, LeadMinutes: &n.LeadMinutes, TrailMinutes: &n.TrailMinutes,
		OneChangeAtATime: &n.OneChangeAtATime, Tags: &n.Tags, Version: &f.Version,
	}, err
}

func formOf(a Asset) assetForm {
	f := assetForm{
		Name: a.Name, Type: a.Type, Hostname: a.Hostname, Environment: a.Environment, Criticality: a.Criticality,
		Lifecycle: string(a.Lifecycle), Team: a.Team, Tags: strings.Join(a.Tags, ", "), Description: a.Description,
		OneChange: a.OneChangeAtATime, Provider: a.Provider, ExternalID: a.ExternalID, Custom: customText(a.Custom, "\n"), Version: a.Version,
	}
	if a.OwnerID.Valid {
		f.Owner = a.OwnerID.UUID.String()
	}
	if a.LeadMinutes > 0 {
		f.Lead = strconv.Itoa(int(a.LeadMinutes))
	}
	if a.TrailMinutes > 0 {
		f.Trail = strconv.Itoa(int(a.TrailMinutes))
	}
	return f
}

// readPeople returns who may own an asset, in a transaction of its own.
func (s *Service) readPeople(r *web.Request) ([]Person, error) {
	var people []Person
	err := s.db.View(r.Context(), r.Actor, func(tx *db.Tx) error {
		var err error
		people, err = s.people(r.Context(), tx)
		return err
	})
	return people, err
}

func (s *Service) showNew(r *web.Request) error {
	q := r.URL.Query()
	f := assetForm{Name: q.Get("name"), Type: q.Get("ci_type"), Hostname: q.Get("hostname"), Environment: "prod", Criticality: "medium", Lifecycle: string(Active)}
	return s.answerNew(r, f, nil)
}

func (s *Service) answerNew(r *web.Request, f assetForm, err error) error {
	people, readErr := s.readPeople(r)
	if readErr != nil {
		return readErr
	}
	v := fields(r, f, people, err)
	v.Title, v.Submit = "Add asset", "Add asset"
	v.Lede = "A name and a type are enough to begin with."
	v.Form.Action, v.CancelHref = r.Path("/assets"), r.Path("/assets")
	page := web.Page{Title: "Add asset", Crumbs: crumbs(r, web.Crumb{Text: "Add asset"})}
	if err != nil {
		return r.InvalidPage(err, page, views.FormPage(v))
	}
	return r.Page(page, views.FormPage(v))
}

func (s *Service) createAsset(r *web.Request) error {
	var f assetForm
	err := r.Form(&f)
	if err != nil {
		return s.answerNew(r, f, err)
	}
	in, err := f.asset()
	if err != nil {
		return s.answerNew(r, f, err)
	}
	a, err := s.AddAsset(r.Context(), r.Actor, in)
	if err != nil {
		return s.answerNew(r, f, err)
	}
	r.Flash(a.Name + " is added.")
	return r.SeeOther(r.Path(a.Path()))
}

func (s *Service) showEdit(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	a, err := s.Asset(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	page, body, err := s.editPage(r, a, formOf(a), nil)
	if err != nil {
		return err
	}
	return r.Page(page, body)
}

func (s *Service) editPage(r *web.Request, a Asset, f assetForm, problem error) (web.Page, templ.Component, error) {
	people, err := s.readPeople(r)
	if err != nil {
		return web.Page{}, nil, err
	}
	v := fields(r, f, people, problem)
	v.Title, v.Submit = "Edit "+a.Name, "Save"
	v.Form.Action, v.CancelHref = r.Path(a.Path()), r.Path(a.Path())
	v.Form.Hidden = []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}}
	page := web.Page{Title: v.Title, Crumbs: crumbs(r, web.Crumb{Text: a.Name, Href: r.Path(a.Path())}, web.Crumb{Text: "Edit"})}
	return page, views.FormPage(v), nil
}

func (s *Service) updateAsset(r *web.Request) error {
	id, err := r.UUID("id", "asset")
	if err != nil {
		return err
	}
	var f assetForm
	err = r.Form(&f)
	var e AssetEdit
	if err == nil {
		e, err = f.edit()
	}
	if err == nil {
		var a Asset
		if a, err = s.UpdateAsset(r.Context(), r.Actor, id, e); err == nil {
			r.Flash("Saved.")
			return r.SeeOther(r.Path(a.Path()))
		}
	}
	current, readErr := s.Asset(r.Context(), r.Actor, id)
	if readErr != nil {
		return readErr
	}
	if stale := fault.Find(err); stale != nil && stale.Code == "version_conflict" {
		// What is sent next is compared with what the page says now.
		f.Version = current.Version
		err = s.staleForm(r, current, err)
	}
	page, body, pageErr := s.editPage(r, current, f, err)
	if pageErr != nil {
		return pageErr
	}
	return r.InvalidPage(err, page, body)
}

// staleForm says who holds what now, beside the values that were typed.
func (s *Service) staleForm(r *web.Request, current Asset, err error) error {
	e := fault.Find(err)
	now := formOf(current)
	return &fault.Error{
		Kind: fault.Conflict, Code: e.Code, Details: e.Details,
		Message: fmt.Sprintf("Somebody saved version %d meanwhile: name %s, %s, %s, %s. Your values are kept below; save again to replace theirs.",
			current.Version, now.Name, typeLabel(now.Type), environmentLabel(now.Environment), strings.ToLower(criticalityLabel(now.Criticality))+" criticality"),
	}
}

func fields(r *web.Request, f assetForm, people []Person, err error) views.Form {
	m := form.Messages(err)
	v := views.Form{
		Form:        ui.Form{Guard: true, Errors: formErrors(err)},
		Name:        ui.Field{Name: "name", Label: "Name", Value: f.Name, Required: true, Error: m["name"], MaxLength: maxName, Autofocus: f.Name == ""},
		Type:        selectField("ci_type", "Type", orText(f.Type, "server"), m["ci_type"], Types(), typeTitle),
		Hostname:    ui.Field{Name: "hostname", Label: "Host name or address", Value: f.Hostname, Error: m["hostname"], Placeholder: "db-01.example.com"},
		Environment: selectField("environment", "Environment", f.Environment, m["environment"], Environments(), environmentTitle),
		Criticality: selectField("criticality", "Criticality", f.Criticality, m["criticality"], Criticalities(), criticalityLabel),
		Lifecycle:   selectField("lifecycle", "Lifecycle", f.Lifecycle, m["lifecycle"], texts(Lifecycles()), func(s string) string { return lifecycleLabel(Lifecycle(s)) }),
		Owner:       ownerField(people, f.Owner, m["owner"]),
		Team:        ui.Field{Name: "team", Label: "Team", Value: f.Team, Error: m["team"], MaxLength: maxTeam},
		Tags:        ui.Field{Name: "tags", Label: "Tags", Value: f.Tags, Error: m["tags"], Hint: "Separated by commas, such as postgres, payments."},
		Description: ui.Field{Name: "description", Label: "Description", Value: f.Description, Error: m["description"], Rows: 4},
		Lead:        ui.Field{Name: "lead_minutes", Label: "Minutes free before a change", Value: f.Lead, Error: m["lead_minutes"], Type: "number", Min: "0", Max: strconv.Itoa(MaxBuffer), Short: true},
		Trail:       ui.Field{Name: "trail_minutes", Label: "Minutes free after a change", Value: f.Trail, Error: m["trail_minutes"], Type: "number", Min: "0", Max: strconv.Itoa(MaxBuffer), Short: true},
		OneChange:   ui.Choice{Name: "one_change_at_a_time", Label: "One change at a time", Hint: "Two changes whose windows meet on this asset are in conflict.", Checked: f.OneChange},
		Provider:    selectField("provider", "Comes from", orText(f.Provider, "manual"), m["provider"], Providers(), providerLabel),
		ExternalID:  ui.Field{Name: "external_id", Label: "External id", Value: f.ExternalID, Error: m["external_id"], Hint: "What the provider calls it, such as i-0abc1234.", MaxLength: maxExternalID},
		Custom:      ui.Field{Name: "custom", Label: "Custom fields", Value: f.Custom, Error: m["custom"], Rows: 3, Hint: "One a line, as name: value."},
	}
	if e := fault.Find(err); e != nil && e.Code == "asset_exists" && len(e.Details) > 0 {
		switch e.Details[0].Field {
		case "name":
			v.Name.Error = e.Message
		case "external_id":
			v.ExternalID.Error = e.Message
		}
		if id, err := uuid.Parse(e.Details[0].Ref); err == nil {
			v.Existing = &ui.Notice{Tone: ui.Info, Title: e.Message, Action: &ui.Link{Text: "Open it", Href: r.Path(assetPath(id))}}
		}
	}
	return v
}

func orText(value, def string) string {
	if value == "" {
		return def
	}
	return value
}

func selectField(name, label, value, message string, values []string, words func(string) string) ui.Field {
	out := ui.Field{Name: name, Label: label, Required: true, Error: message}
	for _, v := range values {
		out.Options = append(out.Options, ui.Option{Value: v, Text: words(v), Selected: v == value})
	}
	if value != "" && !slices.Contains(values, value) {
		out.Options = append(out.Options, ui.Option{Value: value, Text: value, Selected: true})
	}
	return out
}

func ownerField(people []Person, value, message string) ui.Field {
	out := ui.Field{Name: "owner", Label: "Owner", Error: message, Options: []ui.Option{{Text: "Nobody"}}}
	for _, p := range people {
		out.Options = append(out.Options, ui.Option{Value: p.UserID.String(), Text: p.Name, Selected: p.UserID.String() == value})
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
		"name": "Name", "ci_type": "Type", "hostname": "Host name or address", "environment": "Environment", "criticality": "Criticality",
		"lifecycle": "Lifecycle", "owner": "Owner", "team": "Team", "tags": "Tags", "description": "Description",
		"lead_minutes": "Minutes free before a change", "trail_minutes": "Minutes free after a change", "provider": "Comes from",
		"external_id": "External id", "custom": "Custom fields", "text": "Assets", "other": "Asset", "protocol": "Protocol", "port": "Port",
		"note": "Note", "type": "Relationship",
	}
	var out []ui.FormError
	for _, d := range e.Details {
		field := d.Field
		if label, ok := labels[field]; ok {
			out = append(out, ui.FormError{Field: field, Label: label, Text: d.Message})
		} else {
			out = append(out, ui.FormError{Text: orText(e.Message, d.Message)})
		}
	}
	if len(out) == 0 {
		out = append(out, ui.FormError{Text: e.Message})
	}
	return out
}
