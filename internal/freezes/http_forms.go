package freezes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/freezes"
	"github.com/vigilo/vigilo/templates/ui"
)

// freezeForm is a window as people write it: times on the clock of its zone, assets by name.
// Its fields are named like those of the API, so that messages find their place.
type freezeForm struct {
	Name        string   `form:"name"`
	Kind        string   `form:"kind"`
	Outside     string   `form:"blocks_outside"` // warn or refuse
	Reason      string   `form:"reason"`
	Owner       string   `form:"owner"`
	Schedule    string   `form:"schedule"` // once or recurring
	StartsAt    string   `form:"starts_at"`
	EndsAt      string   `form:"ends_at"`
	Zone        string   `form:"time_zone"`
	FirstDate   string   `form:"first_date"`
	LocalStart  string   `form:"local_start"`
	LocalEnd    string   `form:"local_end"`
	EndDays     string   `form:"end_days"`
	Repeats     string   `form:"repeats"` // a rule of the list, or custom
	RRule       string   `form:"rrule"`
	ExDates     string   `form:"exdates"`
	RDates      string   `form:"rdates"`
	Envs        []string `form:"environments"`
	Types       []string `form:"asset_types"`
	Tags        string   `form:"asset_tags"`
	Assets      string   `form:"asset_ids"`
	Services    string   `form:"service_ids"`
	ChangeTypes []string `form:"change_types"`
	MinRisk     string   `form:"min_risk"`
	Downstream  bool     `form:"include_downstream"`
	Preapproves bool     `form:"preapproves_standard"`
	Version     int64    `form:"version"`
	Confirmed   bool     `form:"confirmed"`
}

// formLabels are the fields as the summary of problems names them.
func formLabels() map[string]string {
	return map[string]string{
		"name": "Name", "kind": "Kind", "reason": "Reason", "owner": "Owner", "starts_at": "Begins", "ends_at": "Ends", "time_zone": "Time zone",
		"first_date": "First day", "local_start": "From", "local_end": "To", "end_days": "Days until the end", "rrule": "Rule",
		"exdates": "Days left out", "rdates": "Extra days", "asset_tags": "Tags", "asset_ids": "Assets", "service_ids": "Services",
		"min_risk": "Risk",
	}
}

// presets are the rules that the form offers by name.
func presets() []struct{ rule, text string } {
	return []struct{ rule, text string }{
		{"FREQ=DAILY", "Every day"},
		{"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "Monday to Friday"},
		{"FREQ=WEEKLY", "Every week, on the weekday of the first day"},
		{"FREQ=MONTHLY", "Every month, on the day of the first day"},
		{"FREQ=MONTHLY;BYDAY=-1FR", "Last Friday of the month"},
		{"FREQ=YEARLY", "Every year"},
	}
}

const (
	customRule = "custom"
	dateTime   = "2006-01-02T15:04"
)

// newForm is what the form of a new window starts with: a day from the coming hour on, in the
// zone of the workspace. A lockdown is nobody's accident.
func newForm(kind Kind, zone *time.Location, now time.Time) freezeForm {
	start := now.In(zone).Truncate(time.Hour).Add(time.Hour)
	return freezeForm{
		Kind: string(kind), Outside: "warn", Schedule: "once", Zone: zone.String(), StartsAt: start.Format(dateTime),
		EndsAt:    start.AddDate(0, 0, 1).Format(dateTime),
		FirstDate: start.Format(time.DateOnly), LocalStart: "22:00", LocalEnd: "06:00", EndDays: "1", Repeats: "FREQ=WEEKLY",
	}
}

// formOf writes a freeze as a form shows it.
func (s *Service) formOf(ctx context.Context, tx *db.Tx, f Freeze, now time.Time) (freezeForm, error) {
	z, err := s.zone(f.Zone)
	if err != nil {
		return freezeForm{}, err
	}
	out := newForm(f.Kind, z.zone, now)
	out.Name, out.Reason, out.Version = f.Name, f.Reason, f.Version
	out.Envs, out.Types, out.Tags = f.Environments, f.AssetTypes, strings.Join(f.AssetTags, ", ")
	out.ChangeTypes, out.MinRisk, out.Downstream, out.Preapproves = f.ChangeTypes, f.MinRisk, f.IncludeDownstream, f.PreapprovesStandard
	if f.OwnerID.Valid {
		out.Owner = f.OwnerID.UUID.String()
	}
	if f.Strict {
		out.Outside = "refuse"
	}
	if f.Recurring {
		out.Schedule, out.StartsAt, out.EndsAt = "recurring", "", ""
		out.FirstDate, out.LocalStart, out.LocalEnd, out.EndDays = f.FirstDate, f.LocalStart, f.LocalEnd, strconv.Itoa(f.EndDays)
		out.Repeats, out.RRule = customRule, f.RRule
		if slices.ContainsFunc(presets(), func(p struct{ rule, text string }) bool { return p.rule == f.RRule }) {
			out.Repeats, out.RRule = f.RRule, ""
		}
		out.ExDates, out.RDates = strings.Join(f.ExDates, "\n"), strings.Join(f.RDates, "\n")
	} else {
		out.StartsAt = f.StartsAt.In(z.zone).Format(dateTime)
		if out.EndsAt = ""; f.EndsAt != nil {
			out.EndsAt = f.EndsAt.In(z.zone).Format(dateTime)
		}
	}
	if out.Assets, err = s.namesOf(ctx, tx, f.AssetIDs); err != nil {
		return out, err
	}
	out.Services, err = s.namesOf(ctx, tx, f.ServiceIDs)
	return out, err
}

func (s *Service) namesOf(ctx context.Context, tx *db.Tx, ids []uuid.UUID) (string, error) {
	briefs, err := s.assets.Briefs(ctx, tx, ids)
	if err != nil {
		return "", fmt.Errorf("read assets of freeze: %w", err)
	}
	lines := make([]string, len(briefs))
	for i, b := range briefs {
		lines[i] = b.Name
	}
	return strings.Join(lines, "\n"), nil
}

// words splits what was typed at commas, semicolons and ends of lines.
func words(text string) []string {
	var out []string
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(",;\n\r", r) }) {
		if w = strings.TrimSpace(w); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// schedule reads the hours of the form.
func (f freezeForm) schedule(c *form.Check, kind Kind) Schedule {
	out := Schedule{Recurring: f.Schedule == "recurring", Zone: f.Zone}
	if !out.Recurring {
		zone, err := time.LoadLocation(f.Zone)
		if err != nil || f.Zone == "" || f.Zone == "Local" {
			return out // the zone is refused by name later
		}
		start, end := resolveEdges(kind)
		out.StartsAt = instantOf(c, "starts_at", f.StartsAt, zone, start)
		out.EndsAt = instantOf(c, "ends_at", f.EndsAt, zone, end)
		return out
	}
	out.FirstDate, out.LocalStart, out.LocalEnd = f.FirstDate, f.LocalStart, f.LocalEnd
	out.RRule = f.Repeats
	if f.Repeats == customRule {
		out.RRule = f.RRule
	}
	if f.EndDays != "" {
		n, err := strconv.Atoi(f.EndDays)
		if err != nil {
			c.Add("end_days", "not_a_number", "Use a whole number: 0 for the same day, 1 for the next.")
		}
		out.EndDays = n
	}
	out.ExDates, out.RDates = words(f.ExDates), words(f.RDates)
	return out
}

// instantOf reads a local date and time; an empty one is nil.
func instantOf(c *form.Check, field, text string, zone *time.Location, e wallclock.Edge) *time.Time {
	if text == "" {
		return nil
	}
	day, hour, _ := strings.Cut(strings.Replace(text, " ", "T", 1), "T")
	d, errDay := wallclock.ParseDate(day)
	h, errHour := wallclock.ParseHour(hour[:min(len(hour), 5)])
	if errDay != nil || errHour != nil {
		c.Add(field, "invalid_time", "Use a date and a time, such as 2027-03-28 22:00.")
		return nil
	}
	t := wallclock.Resolve(d, h, zone, e)
	return &t
}

// edit turns the form into a change of a freeze.
func (s *Service) edit(ctx context.Context, a db.Actor, f freezeForm) (func(*Freeze), error) {
	var c form.Check
	kind := Kind(f.Kind)
	schedule := f.schedule(&c, kind)
	var owner uuid.NullUUID
	if f.Owner != "" {
		id, err := uuid.Parse(f.Owner)
		if err != nil {
			c.Add("owner", "not_found", "Choose an owner from the list.")
		}
		owner = db.NullID(id)
	}
	var things, services []uuid.UUID
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		if things, err = s.named(ctx, tx, &c, "asset_ids", f.Assets, nil); err != nil {
			return err
		}
		services, err = s.named(ctx, tx, &c, "service_ids", f.Services, assets.Brief.IsService)
		return err
	})
	if err != nil {
		return nil, err
	}
	edit := func(z *Freeze) {
		z.Name, z.Kind, z.Reason, z.OwnerID, z.Schedule = f.Name, kind, f.Reason, owner, schedule
		z.Strict, z.PreapprovesStandard = f.Outside == "refuse", f.Preapproves
		z.Scope = Scope{
			Environments: f.Envs, AssetIDs: things, ServiceIDs: services, AssetTags: words(f.Tags), AssetTypes: f.Types,
			ChangeTypes: f.ChangeTypes, MinRisk: f.MinRisk, IncludeDownstream: f.Downstream,
		}
	}
	if c.Err() == nil {
		return edit, nil
	}
	// What else is wrong is said at the same time.
	var draft Freeze
	edit(&draft)
	draft.tidy()
	for field, text := range form.Messages(draft.check().Err()) {
		if !c.Has(field) {
			c.Add(field, "invalid", text)
		}
	}
	return nil, c.Err()
}

// named finds assets by their names.
func (s *Service) named(ctx context.Context, tx *db.Tx, c *form.Check, field, text string, only func(assets.Brief) bool) ([]uuid.UUID, error) {
	var out []uuid.UUID
	var unknown []string
	for _, name := range words(text)[:min(len(words(text)), maxItems+1)] {
		found, err := s.assets.Find(ctx, tx, name, 200)
		if err != nil {
			return nil, fmt.Errorf("look for asset: %w", err)
		}
		n := len(out)
		for _, b := range found {
			if strings.EqualFold(b.Name, name) && (only == nil || only(b)) {
				out = append(out, b.ID)
			}
		}
		if len(out) == n {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		c.Add(field, "not_found", "Nothing in use is named "+strings.Join(unknown[:min(len(unknown), 5)], ", ")+". Write the whole name, as the list of assets shows it.")
	}
	return out, nil
}

// nextView draws the coming occurrences of the form, or what is missing for that.
func (s *Service) nextView(r *web.Request, f freezeForm) views.Next {
	v := views.Next{Title: "Next occurrences", Ask: r.Path(listPath + "/preview")}
	var c form.Check
	z := Freeze{Name: "x", Reason: "x", Kind: Kind(f.Kind), Schedule: f.schedule(&c, Kind(f.Kind))}
	z.tidy()
	if err := cmp.Or(c.Err(), z.check().Err()); err != nil {
		v.Problem = "Fill in when it is; then the next times are shown here. " + firstMessage(err)
		return v
	}
	found, err := s.Next(z, r.Now(), previewOccurrences)
	if err != nil {
		v.Problem = "The next times cannot be told."
		return v
	}
	v.Spans, v.Text = spans(r, z, found), z.ScheduleText()+"."
	return v
}

// firstMessage is the first problem of a schedule, in the order of the form.
func firstMessage(err error) string {
	messages := form.Messages(err)
	for _, field := range []string{"time_zone", "starts_at", "ends_at", "first_date", "local_start", "local_end", "end_days", "rrule", "exdates", "rdates"} {
		if m := messages[field]; m != "" {
			return m
		}
	}
	return ""
}

func formView(r *web.Request, f freezeForm, people []Person, next views.Next, err error) views.Form {
	maintenance := Kind(f.Kind) == Maintenance
	messages := form.Messages(err)
	v := views.Form{
		Preview: r.Path(listPath + "/preview"), Next: next,
		Form: ui.Form{
			Guard: true, Errors: web.FormErrors(err, formLabels()),
			Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}},
		},
		Name: ui.Field{Name: "name", Label: "Name", Value: f.Name, Required: true, MaxLength: maxName, Autocomplete: "off", Placeholder: "Year-end freeze"},
		Reason: ui.Field{
			Name: "reason", Label: "Reason", Value: f.Reason, Rows: 3, Required: !maintenance, MaxLength: maxReason,
			Hint: "Whoever is stopped reads it.",
		},
		Owner: ui.Field{Name: "owner", Label: "Owner", Options: []ui.Option{{Text: "Nobody"}}, Hint: "Whom to ask about it."},
		Once: ui.Field{Name: "schedule", Label: "How often", Required: true, Options: []ui.Option{
			{Value: "once", Text: "Once", Hint: "From one moment to another.", Selected: f.Schedule != "recurring"},
			{Value: "recurring", Text: "Again and again", Hint: "In the same local hours, whatever the clock does in spring and autumn.", Selected: f.Schedule == "recurring"},
		}},
		StartsAt: ui.Field{Name: "starts_at", Label: "Begins", Value: f.StartsAt, Type: "datetime-local", Unmarked: true},
		EndsAt:   ui.Field{Name: "ends_at", Label: "Ends", Value: f.EndsAt, Type: "datetime-local", Unmarked: true},
		Zone: ui.Field{
			Name: "time_zone", Label: "Time zone", Value: f.Zone, Required: true, List: commonZones(), Autocomplete: "off",
			Hint: "All times above are on the clock of this zone.",
		},
		FirstDate:  ui.Field{Name: "first_date", Label: "First day", Value: f.FirstDate, Type: "date", Unmarked: true},
		LocalStart: ui.Field{Name: "local_start", Label: "From", Value: f.LocalStart, Type: "time", Unmarked: true},
		LocalEnd:   ui.Field{Name: "local_end", Label: "To", Value: f.LocalEnd, Type: "time", Unmarked: true},
		EndDays: ui.Field{
			Name: "end_days", Label: "Days until the end", Value: f.EndDays, Type: "number", Min: "0", Max: strconv.Itoa(maxEndDays), Unmarked: true,
			Hint: "0 is the same day, 1 the next.",
		},
		Repeats: ui.Field{Name: "repeats", Label: "Repeats", Unmarked: true},
		RRule: ui.Field{
			Name: "rrule", Label: "Rule", Value: f.RRule, Code: true, Unmarked: true, Autocomplete: "off", Placeholder: "FREQ=MONTHLY;BYDAY=2TU",
			Hint: "For “By a rule”: an RRULE as calendars write it.",
		},
		ExDates: ui.Field{Name: "exdates", Label: "Days left out", Value: f.ExDates, Rows: 2, Code: true, Unmarked: true, Placeholder: "2027-12-24", Hint: "One a line."},
		RDates:  ui.Field{Name: "rdates", Label: "Extra days", Value: f.RDates, Rows: 2, Code: true, Unmarked: true, Placeholder: "2027-12-27", Hint: "One a line."},
		Tags: ui.Field{
			Name: "asset_tags", Label: "Tags of assets", Value: f.Tags, Unmarked: true, Autocomplete: "off", Placeholder: "payments, pci",
			Hint: "One of them is enough. What is left empty is no condition; all that is filled in must hold.",
		},
		Services: ui.Field{Name: "service_ids", Label: "Services", Value: f.Services, Rows: 3, Unmarked: true, Hint: "With everything that belongs to them. One name a line."},
		Assets:   ui.Field{Name: "asset_ids", Label: "Assets", Value: f.Assets, Rows: 3, Unmarked: true, Hint: "One name a line."},
	}
	if !maintenance {
		v.EndsAt.Hint = "Left empty, it is a lockdown: it lasts until somebody lifts it."
	}
	known := false
	for _, p := range presets() {
		v.Repeats.Options = append(v.Repeats.Options, ui.Option{Value: p.rule, Text: p.text, Selected: p.rule == f.Repeats})
		known = known || p.rule == f.Repeats
	}
	v.Repeats.Options = append(v.Repeats.Options, ui.Option{Value: customRule, Text: "By a rule", Selected: !known})
	for _, p := range people {
		id := p.UserID.String()
		v.Owner.Options = append(v.Owner.Options, ui.Option{Value: id, Text: p.Name, Selected: id == f.Owner})
	}
	v.Envs, v.Types = choices("environments", assets.Environments(), f.Envs), choices("asset_types", assets.Types(), f.Types)
	kindFields(&v, f, maintenance)
	for _, field := range []*ui.Field{
		&v.Name, &v.Reason, &v.Owner, &v.StartsAt, &v.EndsAt, &v.Zone, &v.FirstDate, &v.LocalStart, &v.LocalEnd, &v.EndDays, &v.RRule,
		&v.ExDates, &v.RDates, &v.Tags, &v.Services, &v.Assets,
	} {
		field.Error = messages[field.Name]
	}
	return v
}

// kindFields adds what only freezes, or only maintenance windows, ask for.
func kindFields(v *views.Form, f freezeForm, maintenance bool) {
	if maintenance {
		v.Form.Hidden = append(v.Form.Hidden, ui.Hidden{Name: "kind", Value: string(Maintenance)})
		v.Preapproves = &ui.Choice{
			Name: "preapproves_standard", Label: "Standard changes inside need no approval of their own", Checked: f.Preapproves,
			Hint: "Standard changes come from a template that was approved once.",
		}
		return
	}
	kind := ui.Field{Name: "kind", Label: "Kind", Required: true}
	for _, k := range FreezeKinds() {
		kind.Options = append(kind.Options, ui.Option{Value: string(k), Text: k.Label(), Hint: k.hint(), Selected: string(k) == f.Kind})
	}
	v.Kind = &kind
	v.Outside = &ui.Field{Name: "blocks_outside", Label: "Outside allowed hours", Unmarked: true, Options: []ui.Option{
		{Value: "warn", Text: "People are warned", Selected: f.Outside != "refuse"},
		{Value: "refuse", Text: "Changes are refused", Selected: f.Outside == "refuse"},
	}, Hint: "For “Allowed hours” only."}
	v.ChangeTypes = choices("change_types", ChangeTypes(), f.ChangeTypes)
	risk := ui.Field{Name: "min_risk", Label: "Risk", Unmarked: true, Options: []ui.Option{{Text: "Any risk"}}}
	for _, level := range Risks() {
		risk.Options = append(risk.Options, ui.Option{Value: level, Text: capital(level) + " and above", Selected: level == f.MinRisk})
	}
	v.MinRisk = &risk
	v.Downstream = &ui.Choice{
		Name: "include_downstream", Label: "Also stop changes that reach this only through what depends on their assets", Checked: f.Downstream,
		Hint: "Otherwise people are warned of those.",
	}
}

func choices(name string, all, chosen []string) []ui.Choice {
	out := make([]ui.Choice, len(all))
	for i, v := range all {
		out[i] = ui.Choice{ID: name + "-" + v, Name: name, Value: v, Label: capital(label(v)), Checked: slices.Contains(chosen, v)}
	}
	return out
}

func capital(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// commonZones are suggestions; any IANA name can be written.
func commonZones() []string {
	return []string{
		"UTC", "Europe/London", "Europe/Oslo", "Europe/Berlin", "Europe/Paris", "Europe/Madrid", "Europe/Helsinki", "America/New_York",
		"America/Chicago", "America/Denver", "America/Los_Angeles", "America/Sao_Paulo", "Africa/Johannesburg", "Asia/Dubai",
		"Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney", "Pacific/Auckland",
	}
}
