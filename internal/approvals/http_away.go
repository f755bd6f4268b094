package approvals

import (
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

const (
	awayPath        = "/account/away"
	delegationsPath = "/settings/delegations"
	dateLayout      = "2006-01-02"
)

// span of days, as people write it: from the first day to the last one, both included, in
// their own zone.
type daysForm struct {
	From   string `form:"from"`
	Until  string `form:"until"`
	Reason string `form:"reason"`
}

// times turns days into moments: midnight before the first day, midnight after the last.
func (f daysForm) times(zone *time.Location) (start, end time.Time, err error) {
	var c form.Check
	read := func(field, text string, add int) time.Time {
		if text == "" {
			c.Add(field, "required", "Choose a day.")
			return time.Time{}
		}
		t, err := time.Parse(dateLayout, text)
		if err != nil || t.Year() < 2000 || t.Year() > 2200 {
			c.Add(field, "invalid_date", "Use a date, such as 2026-07-06.")
			return time.Time{}
		}
		return time.Date(t.Year(), t.Month(), t.Day()+add, 0, 0, 0, 0, zone)
	}
	start, end = read("from", f.From, 0), read("until", f.Until, 1)
	return start, end, c.Err()
}

// lastDay writes the last day before an end.
func lastDay(end time.Time, zone *time.Location) string {
	return end.In(zone).Add(-time.Nanosecond).Format(dateLayout)
}

// dayErrors gives problems of moments to the inputs of days.
func dayErrors(err error) error {
	return renamed(err, map[string]string{"start": "from", "end": "until"})
}

func daysText(start, end time.Time, zone *time.Location) string {
	a, b := start.In(zone), end.In(zone).Add(-time.Nanosecond)
	if a.Format(dateLayout) == b.Format(dateLayout) {
		return a.Format("2 January 2006")
	}
	return a.Format("2 January 2006") + " to " + b.Format("2 January 2006")
}

func dayFields(f daysForm, err error) (from, until, reason ui.Field) {
	from = web.WithError(ui.Field{Name: "from", Label: "First day", Value: f.From, Type: "date", Required: true, Short: true}, err)
	until = web.WithError(ui.Field{Name: "until", Label: "Last day", Value: f.Until, Type: "date", Required: true, Short: true}, err)
	reason = web.WithError(ui.Field{Name: "reason", Label: "Reason", Value: f.Reason, MaxLength: maxReason, Placeholder: "Holiday", Autocomplete: "off"}, err)
	return from, until, reason
}

func awayLabels() map[string]string {
	return map[string]string{
		"from": "First day", "until": "Last day", "reason": "Reason", "delegate": "Who decides", "kind": "Kind", "scope": "Covers",
		"principal": "For", "change_type": "Change type", "tag": "Tag", "policy": "Policy",
	}
}

func (s *Service) showAway(r *web.Request) error {
	v, err := s.awayView(r, daysForm{}, nil)
	if err != nil {
		return err
	}
	return r.Page(awayPage(), views.AwayPage(v))
}

func awayPage() web.Page {
	return web.Page{Title: "Away and delegations", Crumbs: []web.Crumb{{Text: "Account"}, {Text: "Away and delegations"}}}
}

func (s *Service) awayView(r *web.Request, f daysForm, err error) (views.Away, error) {
	var given *db.Result[Delegation]
	var absences *db.Result[Absence]
	me := r.Actor.UserID
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		given, absences = currentDelegations.Queue(b, db.Args{"user": me}), currentAbsences.Queue(b, db.Args{"user": me})
	}); err != nil {
		return views.Away{}, err
	}
	v := views.Away{
		Head:      ui.PageHead{Title: "Away and delegations", Lede: "Say when you are away and who decides approvals in your place. Days are those of your time zone, " + r.Zone().String() + "."},
		Delegates: r.Can(ManageDelegations), NewHref: r.Path(awayPath + "/delegations/new"),
		NoDelegation: "Delegating is for those who decide approvals: the role Approver or higher. Your absences are still heeded when changes are planned.",
		AbsenceForm:  ui.Form{Action: r.Path(awayPath + "/absences"), Errors: web.FormErrors(err, awayLabels())},
	}
	v.From, v.Until, v.Reason = dayFields(f, err)
	if v.Delegates {
		v.Actions = []ui.LinkButton{{Text: "Delegate approvals", Href: v.NewHref, Icon: "plus", Kind: ui.Primary}}
	}
	if r.Can(AdminDelegations) {
		v.Actions = append([]ui.LinkButton{{Text: "All delegations", Href: r.Path(delegationsPath), Icon: "users"}}, v.Actions...)
	}
	for _, d := range given.Rows {
		badge := delegationBadge(d, r.Now())
		row := ui.Row{Icon: "user-check", Key: d.Key, Sub: scopeText(d) + ", " + daysText(d.Start, d.End, r.Zone()), Badge: &badge, Href: r.Path(awayPath + "/delegations/" + d.ID.String())}
		if d.Principal == me {
			row.Title = nameOr(d.DelegateName)
			v.Given = append(v.Given, row)
			continue
		}
		row.Title = nameOr(d.PrincipalName)
		v.Received = append(v.Received, row)
	}
	for _, a := range absences.Rows {
		row := views.AbsenceRow{
			Text: daysText(a.Start, a.End, r.Zone()), Sub: a.Reason, Remove: r.Path(awayPath + "/absences/" + a.ID.String() + "/delete"), Label: "Remove",
		}
		if !a.Start.After(r.Now()) {
			row.Badge, row.Label = &ui.Badge{Text: "Now", Tone: ui.Info}, "I am back"
		}
		v.Absences = append(v.Absences, row)
	}
	return v, nil
}

func delegationBadge(d Delegation, now time.Time) ui.Badge {
	switch {
	case d.RevokedAt != nil:
		return ui.Badge{Text: "Revoked", Tone: ui.Mute, Icon: "ban"}
	case !d.End.After(now):
		return ui.Badge{Text: "Ended", Tone: ui.Mute, Icon: "history"}
	case d.Start.After(now):
		return ui.Badge{Text: "Starts " + timetext.Relative(d.Start, now), Tone: ui.Info, Icon: "clock"}
	default:
		return ui.Badge{Text: "Running", Tone: ui.OK, Icon: "circle-check"}
	}
}

func (s *Service) createAbsencePage(r *web.Request) error {
	var f daysForm
	err := r.Form(&f)
	if err == nil {
		var start, end time.Time
		if start, end, err = f.times(r.Zone()); err == nil {
			_, err = s.CreateAbsence(r.Context(), r.Actor, NewAbsence{Start: start, End: end, Reason: f.Reason})
		}
	}
	if err == nil {
		r.Flash("Absence entered")
		return r.SeeOther(r.Path(awayPath))
	}
	v, viewErr := s.awayView(r, f, dayErrors(err))
	if viewErr != nil {
		return viewErr
	}
	return r.InvalidPage(err, awayPage(), views.AwayPage(v))
}

func (s *Service) deleteAbsencePage(r *web.Request) error {
	id, err := r.UUID("id", "absence")
	if err != nil {
		return err
	}
	if err := s.DeleteAbsence(r.Context(), r.Actor, id); err != nil {
		return err
	}
	r.Flash("Absence removed. Approvals come to you again.")
	return r.SeeOther(r.Path(awayPath))
}

type delegationForm struct {
	daysForm
	Principal string
	Delegate  string
	Kind      string
	Scope     string
	Type      string
	Tag       string
	Policy    string
	Version   int64
}

func readDelegationForm(r *web.Request) (delegationForm, error) {
	var days daysForm
	if err := r.Form(&days); err != nil {
		return delegationForm{}, err
	}
	var rest struct {
		Principal string `form:"principal"`
		Delegate  string `form:"delegate"`
		Kind      string `form:"kind"`
		Scope     string `form:"scope"`
		Type      string `form:"change_type"`
		Tag       string `form:"tag"`
		Policy    string `form:"policy"`
		Version   int64  `form:"version"`
	}
	err := r.Form(&rest)
	return delegationForm{
		daysForm: days, Principal: rest.Principal, Delegate: rest.Delegate, Kind: rest.Kind, Scope: rest.Scope, Type: rest.Type, Tag: rest.Tag,
		Policy: rest.Policy, Version: rest.Version,
	}, err
}

func (f delegationForm) value() string {
	switch seats.ScopeKind(f.Scope) {
	case seats.ScopeChangeType:
		return f.Type
	case seats.ScopeAssetGroup:
		return f.Tag
	case seats.ScopePolicy:
		return f.Policy
	default:
		return ""
	}
}

// formErrors gives the problems of a delegation to the inputs of the form.
func (f delegationForm) formErrors(err error) error {
	field := map[seats.ScopeKind]string{seats.ScopeChangeType: "change_type", seats.ScopeAssetGroup: "tag", seats.ScopePolicy: "policy"}[seats.ScopeKind(f.Scope)]
	return renamed(dayErrors(err), map[string]string{"scope_value": field})
}

func delegationFormOf(d Delegation, zone *time.Location) delegationForm {
	f := delegationForm{
		daysForm:  daysForm{From: d.Start.In(zone).Format(dateLayout), Until: lastDay(d.End, zone), Reason: d.Reason},
		Principal: d.Principal.String(), Delegate: d.Delegate.String(), Kind: d.Kind, Scope: d.Scope, Version: d.Version,
	}
	switch seats.ScopeKind(d.Scope) {
	case seats.ScopeChangeType:
		f.Type = d.ScopeValue
	case seats.ScopeAssetGroup:
		f.Tag = d.ScopeValue
	case seats.ScopePolicy:
		f.Policy = d.ScopeValue
	default:
	}
	return f
}

// offer is what the form of a delegation lets people choose from.
type offer struct {
	people   []personRow
	policies []nameRow
}

func (s *Service) offer(r *web.Request) (offer, error) {
	var people *db.Result[personRow]
	var policies *db.Result[nameRow]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) {
		people, policies = decidersByName.Queue(b, nil), policyChoices.Queue(b, nil)
	}); err != nil {
		return offer{}, err
	}
	return offer{people.Rows, policies.Rows}, nil
}

// delegationFormView draws the form; admin says that it is for anybody's delegation.
func delegationFormView(r *web.Request, f delegationForm, o offer, admin, fresh bool, err error) views.DelegationForm {
	people := func(chosen string, without uuid.UUID) []ui.Option {
		out := []ui.Option{{Text: "Choose somebody"}}
		for _, p := range o.people {
			if p.UserID != without {
				out = append(out, ui.Option{Value: p.UserID.String(), Text: p.Name + ", " + p.Role.Label(), Selected: p.UserID.String() == chosen})
			}
		}
		return out
	}
	me := r.Actor.UserID
	v := views.DelegationForm{
		Form: ui.Form{Guard: true, Errors: web.FormErrors(err, awayLabels()), Hidden: []ui.Hidden{{Name: "version", Value: strconv.FormatInt(f.Version, 10)}}},
		Kind: web.WithError(ui.Field{Name: "kind", Label: "Kind", Required: true, Options: []ui.Option{
			{Value: string(seats.Out), Text: "I am away", Hint: "Approvals go to the other person from the start. You may still decide yourself.", Selected: f.Kind == string(seats.Out)},
			{Value: string(seats.Assist), Text: "Only when I cannot decide", Hint: "Approvals stay with you; the other person helps when you are absent or already hold a seat.", Selected: f.Kind == string(seats.Assist)},
		}}, err),
		Scope: web.WithError(ui.Field{Name: "scope", Label: "Covers", Required: true, Options: []ui.Option{
			{Value: string(seats.ScopeAll), Text: "Everything", Selected: f.Scope == string(seats.ScopeAll)},
			{Value: string(seats.ScopeChangeType), Text: "A change type", Selected: f.Scope == string(seats.ScopeChangeType)},
			{Value: string(seats.ScopeAssetGroup), Text: "Assets with a tag", Selected: f.Scope == string(seats.ScopeAssetGroup)},
			{Value: string(seats.ScopePolicy), Text: "A policy", Selected: f.Scope == string(seats.ScopePolicy)},
		}}, err),
		Type: web.WithError(ui.Field{Name: "change_type", Label: "Change type", Unmarked: true, Options: []ui.Option{{Text: "None"}}, Hint: "For “A change type”."}, err),
		Tag: web.WithError(ui.Field{
			Name: "tag", Label: "Tag", Value: f.Tag, Unmarked: true, MaxLength: maxValue, Autocomplete: "off", Hint: "For “Assets with a tag”.",
		}, err),
		Policy: web.WithError(ui.Field{Name: "policy", Label: "Policy", Unmarked: true, Options: []ui.Option{{Text: "None"}}, Hint: "For “A policy”."}, err),
	}
	if admin {
		v.Principal = ptr(web.WithError(ui.Field{Name: "principal", Label: "For", Required: true, Options: people(f.Principal, uuid.Nil), ReadOnly: !fresh}, err))
		me = uuid.Nil
	}
	v.Delegate = web.WithError(ui.Field{Name: "delegate", Label: "Who decides", Required: true, Options: people(f.Delegate, me), Hint: "They need the role Approver or higher, and are told."}, err)
	for _, t := range ChangeTypes() {
		v.Type.Options = append(v.Type.Options, ui.Option{Value: t, Text: title(t), Selected: t == f.Type})
	}
	for _, p := range o.policies {
		v.Policy.Options = append(v.Policy.Options, ui.Option{Value: p.ID.String(), Text: p.Name, Selected: p.ID.String() == f.Policy})
	}
	v.From, v.Until, v.Reason = dayFields(f.daysForm, err)
	v.Until.Hint = "At most 90 days."
	return v
}

func delegationHome(admin bool) string {
	if admin {
		return delegationsPath
	}
	return awayPath
}

func delegationBase(admin bool) string {
	if admin {
		return delegationsPath
	}
	return awayPath + "/delegations"
}

func delegationCrumbs(r *web.Request, admin bool, steps ...web.Crumb) []web.Crumb {
	crumbs := []web.Crumb{{Text: "Account"}, {Text: "Away and delegations", Href: r.Path(awayPath)}}
	if admin {
		crumbs = []web.Crumb{{Text: "Admin"}, {Text: "Delegations", Href: r.Path(delegationsPath)}}
	}
	return append(crumbs, steps...)
}

func (s *Service) showNewDelegation(admin bool) web.Handler {
	return func(r *web.Request) error {
		o, err := s.offer(r)
		if err != nil {
			return err
		}
		today := r.Now().In(r.Zone()).Format(dateLayout)
		f := delegationForm{daysForm: daysForm{From: today}, Kind: string(seats.Out), Scope: string(seats.ScopeAll)}
		return r.Page(newDelegationPage(r, admin), views.DelegationFormPage(newDelegationView(r, f, o, admin, nil)))
	}
}

func newDelegationPage(r *web.Request, admin bool) web.Page {
	return web.Page{Title: "Delegate approvals", Crumbs: delegationCrumbs(r, admin, web.Crumb{Text: "New"})}
}

func newDelegationView(r *web.Request, f delegationForm, o offer, admin bool, err error) views.DelegationForm {
	v := delegationFormView(r, f, o, admin, true, err)
	v.Head = ui.PageHead{Title: "Delegate approvals", Lede: "Somebody else decides for a time. It ends by itself; what they decided stays."}
	v.Form.Action, v.Submit, v.Back = r.Path(delegationBase(admin)+"/new"), "Delegate", r.Path(delegationHome(admin))
	return v
}

func (s *Service) createDelegationPage(admin bool) web.Handler {
	return func(r *web.Request) error {
		f, err := readDelegationForm(r)
		if err == nil {
			err = s.delegateByForm(r, f, admin)
		}
		if err == nil {
			r.Flash("Delegated")
			return r.SeeOther(r.Path(delegationHome(admin)))
		}
		o, offerErr := s.offer(r)
		if offerErr != nil {
			return offerErr
		}
		return r.InvalidPage(err, newDelegationPage(r, admin), views.DelegationFormPage(newDelegationView(r, f, o, admin, f.formErrors(err))))
	}
}

func (s *Service) delegateByForm(r *web.Request, f delegationForm, admin bool) error {
	start, end, err := f.times(r.Zone())
	if err != nil {
		return err
	}
	in := NewDelegation{Kind: f.Kind, Scope: f.Scope, ScopeValue: f.value(), Start: start, End: end, Reason: f.Reason, Principal: r.Actor.UserID}
	if admin {
		if in.Principal, err = chosen("principal", f.Principal); err != nil {
			return err
		}
	}
	if in.Delegate, err = chosen("delegate", f.Delegate); err != nil {
		return err
	}
	_, err = s.CreateDelegation(r.Context(), r.Actor, in)
	return err
}

// chosen reads the id of a person from a select.
func chosen(field, text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		var c form.Check
		c.Add(field, "required", "Choose somebody.")
		return uuid.Nil, c.Err()
	}
	return id, nil
}

func (s *Service) showDelegation(admin bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "delegation")
		if err != nil {
			return err
		}
		d, err := s.Delegation(r.Context(), r.Actor, id)
		if err != nil {
			return err
		}
		return s.delegationAgain(r, d, delegationFormOf(d, r.Zone()), admin, nil)
	}
}

// delegationAgain shows a delegation: a form for whoever may change it while it runs, the
// same without buttons for everybody else.
func (s *Service) delegationAgain(r *web.Request, d Delegation, f delegationForm, admin bool, err error) error {
	o, offerErr := s.offer(r)
	if offerErr != nil {
		return offerErr
	}
	base := r.Path(delegationBase(admin) + "/" + d.ID.String())
	v := delegationFormView(r, f, o, admin, false, f.formErrors(err))
	badge := delegationBadge(d, r.Now())
	v.Head = ui.PageHead{
		Title: nameOr(d.DelegateName) + " for " + nameOr(d.PrincipalName), Key: d.Key, Badge: &badge,
		Lede: scopeText(d) + ", " + daysText(d.Start, d.End, r.Zone()) + ".",
	}
	v.Form.Action, v.Submit, v.Back = base, "Save delegation", r.Path(delegationHome(admin))
	page := web.Page{Title: v.Head.Title, Crumbs: delegationCrumbs(r, admin, web.Crumb{Text: d.Key})}
	over := d.RevokedAt != nil || !d.End.After(r.Now())
	if over || d.Principal != r.Actor.UserID && !r.Can(AdminDelegations) {
		return r.Page(page, views.DelegationPage(delegationFacts(r, d, v.Head)))
	}
	v.Revoke = &ui.LinkButton{Text: "Revoke", Href: base + "/revoke", Icon: "ban", Kind: ui.Danger}
	if err == nil {
		return r.Page(page, views.DelegationFormPage(v))
	}
	return r.InvalidPage(err, page, views.DelegationFormPage(v))
}

func delegationFacts(r *web.Request, d Delegation, head ui.PageHead) views.DelegationFacts {
	from, until := moment(r, d.Start), moment(r, d.End)
	kind := map[string]string{string(seats.Out): "Away: approvals go to the other person", string(seats.Assist): "Help when the person cannot decide"}[d.Kind]
	facts := []ui.Fact{{Label: "Covers", Text: scopeText(d)}, {Label: "Kind", Text: kind}, {Label: "Starts", Time: &from}, {Label: "Ends", Time: &until}}
	if d.Reason != "" {
		facts = append(facts, ui.Fact{Label: "Reason", Text: d.Reason})
	}
	if d.RevokedAt != nil {
		at := moment(r, *d.RevokedAt)
		facts = append(facts, ui.Fact{Label: "Revoked", Time: &at})
	}
	return views.DelegationFacts{Head: head, Facts: facts}
}

func (s *Service) saveDelegationPage(admin bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "delegation")
		if err != nil {
			return err
		}
		d, err := s.Delegation(r.Context(), r.Actor, id)
		if err != nil {
			return err
		}
		f, err := readDelegationForm(r)
		if err == nil {
			err = s.changeByForm(r, d, f)
		}
		if err != nil {
			return s.delegationAgain(r, d, f, admin, err)
		}
		r.Flash("Delegation saved")
		return r.SeeOther(r.Path(delegationHome(admin)))
	}
}

func (s *Service) changeByForm(r *web.Request, d Delegation, f delegationForm) error {
	start, end, err := f.times(r.Zone())
	if err != nil {
		return err
	}
	delegate, err := chosen("delegate", f.Delegate)
	if err != nil {
		return err
	}
	// Days that were not touched keep the moments behind them, which the API may have set.
	shown := delegationFormOf(d, r.Zone())
	if f.From == shown.From {
		start = d.Start
	}
	if f.Until == shown.Until {
		end = d.End
	}
	_, err = s.ChangeDelegation(r.Context(), r.Actor, d.ID, DelegationChange{Version: &f.Version, Edit: func(d *Delegation) {
		d.Delegate, d.Kind, d.Scope, d.ScopeValue, d.Start, d.End, d.Reason = delegate, f.Kind, f.Scope, f.value(), start, end, f.Reason
	}})
	return err
}

func (s *Service) showRevoke(admin bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "delegation")
		if err != nil {
			return err
		}
		d, err := s.Delegation(r.Context(), r.Actor, id)
		if err != nil {
			return err
		}
		base := r.Path(delegationBase(admin) + "/" + d.ID.String())
		return r.Page(web.Page{Title: "Revoke " + d.Key, Crumbs: delegationCrumbs(r, admin, web.Crumb{Text: d.Key, Href: base}, web.Crumb{Text: "Revoke"})},
			views.ConfirmPage(views.Confirm{
				Head: ui.PageHead{Title: "Revoke " + d.Key},
				Form: ui.ConfirmForm{
					Action: base + "/revoke", Title: "Revoke this delegation?", Danger: true, Confirm: "Revoke delegation", CancelHref: base,
					Text: nameOr(d.DelegateName) + " will no longer decide for " + nameOr(d.PrincipalName) + ".",
					Points: []string{
						"What is not decided yet goes back to " + nameOr(d.PrincipalName) + " at once.", "What was decided stays decided.", nameOr(d.DelegateName) + " is told.",
					},
				},
			}))
	}
}

func (s *Service) revokePage(admin bool) web.Handler {
	return func(r *web.Request) error {
		id, err := r.UUID("id", "delegation")
		if err != nil {
			return err
		}
		d, err := s.RevokeDelegation(r.Context(), r.Actor, id)
		if err != nil {
			return err
		}
		r.Flash(d.Key + " is revoked")
		return r.SeeOther(r.Path(delegationHome(admin)))
	}
}

// renamed gives the problems of an error to other fields.
func renamed(err error, to map[string]string) error {
	e := fault.Find(err)
	if e == nil || len(e.Details) == 0 {
		return err
	}
	out := *e
	out.Details = slices.Clone(e.Details)
	for i := range out.Details {
		if name := to[out.Details[i].Field]; name != "" {
			out.Details[i].Field = name
		}
	}
	return &out
}
