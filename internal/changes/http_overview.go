package changes

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

// overviewData is what the first page reads besides.
type overviewData struct {
	steps    []Step
	links    []Link
	refs     map[search.Key]search.Ref
	evidence []Evidence
	children []Item
	assets   []ui.Row
	parent   *Change
}

// shownActivity is how many lines of the audit log the first page shows.
const shownActivity = 6

func (s *Service) showOverview(r *web.Request) error {
	var d overviewData
	p, err := s.readPage(r, func(tx *db.Tx, p *pageData) error { return s.readOverview(r, tx, p, &d) })
	if err != nil {
		return err
	}
	v := views.Overview{
		Header: s.header(r, p, tabOverview), Edited: "Edited " + relative(p.c.UpdatedAt, r.Now()), WhatMore: "Nobody has written down yet why this is done.",
		ApprHref: r.Path(p.c.Path()) + tabApprovals, Zone: "Times in " + r.Zone().String(), Tags: p.c.Tags, Acts: acts(r, p),
	}
	if s.activity != nil {
		if v.Activity, err = s.timeline(r, p.c, shownActivity); err != nil {
			return err
		}
		for i := range v.Activity {
			v.Activity[i].Changes = nil // the tab shows them
		}
		v.ActivityRef = r.Path(p.c.Path()) + tabActivity
	}
	s.fillMain(r, p, d, &v)
	s.fillRail(r, p, d, &v)
	return r.Page(p.page(r, ""), views.OverviewPage(v))
}

func (s *Service) readOverview(r *web.Request, tx *db.Tx, p *pageData, d *overviewData) error {
	var err error
	args := db.Args{"id": p.c.ID}
	if d.steps, err = stepsOf.All(r.Context(), tx, args); err != nil {
		return err
	}
	if d.links, err = linksOf.All(r.Context(), tx, args); err != nil {
		return err
	}
	if d.evidence, err = evidenceOf.All(r.Context(), tx, args); err != nil {
		return err
	}
	if d.children, err = childrenOf.All(r.Context(), tx, args); err != nil {
		return err
	}
	var keys []search.Key
	for _, l := range d.links {
		if l.TargetID.Valid {
			keys = append(keys, search.Key{Type: l.Kind, ID: l.TargetID.UUID})
		}
	}
	if len(keys) > 0 {
		if d.refs, err = s.index.Resolve(r.Context(), tx, keys); err != nil {
			return fmt.Errorf("name what %s links to: %w", p.c.Key, err)
		}
	}
	if p.c.ParentID.Valid {
		parent, ok, err := changeByID.Maybe(r.Context(), tx, db.Args{"id": p.c.ParentID.UUID})
		if err != nil {
			return err
		}
		if ok {
			d.parent = &parent
		}
	}
	briefs, err := s.assets.Briefs(r.Context(), tx, p.c.AssetIDs)
	if err != nil {
		return fmt.Errorf("read assets: %w", err)
	}
	for _, b := range briefs {
		row := ui.Row{Icon: "boxes", Title: b.Name, Href: r.Path(b.Path()), Sub: upperFirst(b.Type) + ", " + environmentLabel(b.Environment)}
		if b.Criticality == "high" || b.Criticality == "critical" {
			row.Badge = &ui.Badge{Text: upperFirst(b.Criticality), Tone: ui.Warn}
		}
		d.assets = append(d.assets, row)
	}
	return nil
}

// timeline reads the newest lines of the audit log of a change, oldest first. That they are
// about this change goes without saying.
func (s *Service) timeline(r *web.Request, c Change, limit int) ([]ui.Entry, error) {
	var entries func(*time.Location, time.Time) ([]ui.Entry, error)
	err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { entries = s.activity(b, SubjectChange, c.ID, limit) })
	if err != nil {
		return nil, err
	}
	out, err := entries(r.Zone(), r.Now())
	for i := range out {
		if at := strings.LastIndex(out[i].Text, ": "+c.Key+" "); at > 0 {
			out[i].Text = out[i].Text[:at]
		}
	}
	return out, err
}

func (s *Service) fillMain(r *web.Request, p *pageData, d overviewData, v *views.Overview) {
	c, path := p.c, r.Path(p.c.Path())
	for _, t := range []struct{ title, text string }{
		{"", c.Description}, {"Implementation", c.ImplementationPlan}, {"Going back", c.BackoutPlan}, {"How we know it works", c.TestPlan},
	} {
		if t.text != "" {
			v.What = append(v.What, views.Prose{Title: t.title, HTML: help.Text(t.text)})
		}
	}
	if r.Can(CanUpdate) && c.State.Open() {
		v.EditHref = path + "/edit"
	}
	v.Steps = stepRows(r, p, d.steps)
	v.StepsFoot = stepsAside(d.steps)
	if r.Can(CanUpdate) && c.State.Open() && c.State != lifecycle.InProgress {
		v.StepsHref = path + "/steps"
	}
	v.ChecksTitle, v.Checks = checks(p)
	done := 0
	for _, ch := range v.Checks {
		if ch.Done {
			done++
		}
	}
	v.ChecksAside = fmt.Sprintf("%d of %d done", done, len(v.Checks))
	fillOutcome(r, p, v)
	for _, e := range d.evidence {
		row := ui.Row{Icon: "circle-check", Tone: ui.OK, Title: e.Summary, Href: e.URL, Sub: e.AuthorName + ", " + relative(e.CreatedAt, r.Now()), Aside: "it works"}
		if e.Kind == "backout" {
			row.Icon, row.Tone, row.Aside = "undo-2", ui.Warn, "undone"
		}
		v.Evidence = append(v.Evidence, row)
	}
	if r.Can(CanComplete) && (c.State == lifecycle.InProgress || c.State == lifecycle.Completed || c.State == lifecycle.Failed || c.State == lifecycle.RolledBack) {
		v.EvHref = path + "/evidence"
	}
	if r.Can(CanComment) {
		v.Comment = &views.CommentForm{Action: path + "/comments"}
	}
}

func stepsAside(steps []Step) string {
	minutes, done := 0, 0
	for _, s := range steps {
		minutes += int(s.Minutes)
		if s.State != "todo" {
			done++
		}
	}
	text := ""
	if minutes > 0 {
		text = span(time.Duration(minutes)*time.Minute) + " planned"
	}
	if done > 0 {
		text = strings.TrimPrefix(text+fmt.Sprintf(", %d of %d done", done, len(steps)), ", ")
	}
	return text
}

// stepRows draws the order of work; while the change runs its steps can be checked off.
func stepRows(r *web.Request, p *pageData, steps []Step) []views.StepRow {
	running := p.c.State == lifecycle.InProgress || p.c.State == lifecycle.Failed
	mine := slices.Contains(p.c.Implementers, r.Actor.UserID) || r.Can(CanManage)
	var out []views.StepRow
	for _, s := range steps {
		row := views.StepRow{
			Number: fmt.Sprintf("%d.", s.Position), Title: s.Title, Meta: stepMeta(s), HTML: help.Text(s.Description), Check: s.Verification, Back: s.RollbackNote, Note: s.Note,
		}
		switch s.State {
		case "done":
			row.Badge = &ui.Badge{Text: "Done", Tone: ui.OK, Icon: "check"}
		case "skipped":
			row.Badge = &ui.Badge{Text: "Skipped", Tone: ui.Warn}
		default:
			if s.Destructive {
				row.Badge = &ui.Badge{Text: "Cannot be undone", Tone: ui.Crit, Icon: "triangle-alert"}
			}
		}
		if s.DoneAt != nil {
			row.Note = strings.TrimSpace(row.Note + " " + p.f.people.name(s.DoneBy.UUID) + ", " + s.DoneAt.In(r.Zone()).Format("15:04"))
		}
		if running && mine && r.Can(CanComplete) {
			base := r.Path(p.c.Path()) + "/steps/" + s.ID.String()
			row.Action, row.Undo = base+"/check", s.State != "todo"
			if !row.Undo {
				row.Skip = base + "/skip"
			}
		}
		out = append(out, row)
	}
	return out
}

func stepMeta(s Step) string {
	var parts []string
	if s.Owner != "" {
		parts = append(parts, s.Owner)
	}
	if s.Minutes > 0 {
		parts = append(parts, count(int(s.Minutes), "minute"))
	}
	return strings.Join(parts, ", ")
}

// checks are what stands before the next step of the change: its gates as the rules see them.
func checks(p *pageData) (string, []ui.Check) {
	title, next := "", lifecycle.Start
	switch p.c.State {
	case lifecycle.Draft:
		title, next = "Before it is submitted", lifecycle.Submit
	case lifecycle.Approved:
		title, next = "Before it is scheduled", lifecycle.Schedule
	case lifecycle.Scheduled:
		title = "Before it starts"
	case lifecycle.InProgress:
		title, next = "Before it is completed", lifecycle.Complete
	case lifecycle.Review:
		title, next = "Before it is scheduled", lifecycle.Schedule
	case lifecycle.Completed, lifecycle.Failed, lifecycle.RolledBack, lifecycle.Cancelled:
		return "", nil
	}
	in := p.f.in
	in.Asking = true
	if in.State == lifecycle.Review {
		in.State = lifecycle.Approved
	}
	in.System = true // the reader's own rights are no check of the change
	in.Actor = uuid.Nil
	failing := map[lifecycle.Guard][]string{}
	for _, f := range lifecycle.Evaluate(in, next) {
		failing[f.Guard] = append(failing[f.Guard], f.Message)
	}
	line, ok := lifecycle.Find(in.State, in.Type, next)
	if !ok {
		return "", nil
	}
	var out []ui.Check
	for _, g := range line.Guards {
		good := guardWords(g)
		if good == "" {
			continue
		}
		if g == lifecycle.GuardTask {
			continue // each task is a line of its own
		}
		if bad, ok := failing[g]; ok {
			for _, text := range bad {
				out = append(out, ui.Check{Text: text})
			}
			continue
		}
		out = append(out, ui.Check{Text: good, Done: true})
	}
	for _, t := range p.f.gates {
		if t.Gate == "before_start" || (t.Gate == "before_complete" && next == lifecycle.Complete) {
			out = append(out, ui.Check{Text: t.Key + " " + t.Title, Done: t.Done})
		}
	}
	return title, out
}

// guardWords says what is well when a guard passes; empty for guards that nobody wonders
// about, and for those whose facts no module gathers yet (conflicts, incidents).
func guardWords(g lifecycle.Guard) string {
	switch g {
	case lifecycle.GuardRequired:
		return "Everything that is needed is filled in"
	case lifecycle.GuardWindow:
		return "The window lies in the future"
	case lifecycle.GuardLead:
		return "There is enough time to decide"
	case lifecycle.GuardPolicy:
		return "Somebody can approve it"
	case lifecycle.GuardTemplate:
		return "It keeps to its template"
	case lifecycle.GuardFresh:
		return "The approval lasts to the end of the window"
	case lifecycle.GuardFreeze:
		return "No freeze stands in its way"
	case lifecycle.GuardImplement:
		return "Who carries it out is there"
	case lifecycle.GuardHold:
		return "Nothing holds it"
	case lifecycle.GuardTime:
		return "Its window is open"
	case lifecycle.GuardEvidence:
		return "Evidence is there, as far as it is asked for"
	}
	return ""
}

func fillOutcome(r *web.Request, p *pageData, v *views.Overview) {
	c := p.c
	if c.ActualStart == nil {
		return
	}
	add := func(label, text string) {
		if text != "" {
			v.Outcome = append(v.Outcome, ui.Fact{Label: label, Text: text})
		}
	}
	start := moment(*c.ActualStart, r.Zone())
	v.Outcome = append(v.Outcome, ui.Fact{Label: "Started", Time: &start, Sub: "by " + p.f.people.name(c.StartedBy.UUID)})
	if c.ActualEnd != nil {
		end := moment(*c.ActualEnd, r.Zone())
		v.Outcome = append(v.Outcome, ui.Fact{Label: "Ended", Time: &end})
		add("Took", span(c.Duration(r.Now())))
	}
	if over := c.Overrun(r.Now()); over > 0 && c.ActualEnd != nil {
		add("Longer than planned by", span(over))
	}
	add("Outcome", outcomeLabel(c.Outcome))
	if d, ok := c.Recovery(); ok {
		add("Recovered after", span(d))
	}
	add("Notes", c.OutcomeNotes)
}

func (s *Service) fillRail(r *web.Request, p *pageData, d overviewData, v *views.Overview) {
	c, path := p.c, r.Path(p.c.Path())
	v.Approvals, v.ApprAside = approvalPeople(r, p)
	zone := r.Zone()
	if c.HasWindow() {
		v.Schedule = append(v.Schedule,
			ui.Fact{Label: "Starts", Text: c.Start.In(zone).Format("Mon 2 Jan 2006, 15:04"), Sub: c.Start.UTC().Format("15:04 UTC") + ", " + relative(*c.Start, r.Now())},
			ui.Fact{Label: "Ends", Text: c.End.In(zone).Format("Mon 2 Jan 2006, 15:04"), Sub: c.End.UTC().Format("15:04 UTC") + ", " + span(c.End.Sub(*c.Start))})
	} else {
		v.Schedule = append(v.Schedule, ui.Fact{Label: "Window", Text: "not planned yet"})
	}
	downtime := "None expected"
	if c.Downtime {
		downtime = "Users will notice"
	}
	v.Schedule = append(v.Schedule, ui.Fact{Label: "Downtime", Text: downtime})
	if c.ApprovalValidUntil != nil && (c.State == lifecycle.Approved || c.State == lifecycle.Scheduled) {
		v.Schedule = append(v.Schedule, ui.Fact{Label: "Approved until", Text: c.ApprovalValidUntil.In(zone).Format("Mon 2 Jan 2006, 15:04")})
	}
	if c.Owner.Valid {
		v.People = append(v.People, ui.PersonState{Person: person(c.Owner.UUID, p.f.people.name(c.Owner.UUID)), Sub: "Owner"})
	}
	for _, i := range p.f.in.Implementers {
		st := ui.PersonState{Person: person(i.ID, i.Name), Sub: "Carries it out"}
		switch {
		case !i.Active:
			st.Badge = &ui.Badge{Text: "Left", Tone: ui.Crit}
		case !i.AbsentUntil.IsZero():
			st.Badge = &ui.Badge{Text: "Away", Tone: ui.Warn}
		}
		v.People = append(v.People, st)
	}
	risk := riskBadge(c.Risk)
	v.Risk = []ui.Fact{{Label: "Risk", Badge: &risk}, {Label: "Priority", Text: upperFirst(string(c.Priority))}, {Label: "Category", Text: upperFirst(c.Category)}, {Label: "Environment", Text: environmentLabel(c.Environment)}}
	if c.RiskScore > 0 {
		v.Risk[0].Sub = fmt.Sprintf("%d of 100", c.RiskScore)
	}
	if c.Vendor != "" {
		v.Risk = append(v.Risk, ui.Fact{Label: "Vendor", Text: c.Vendor})
	}
	if c.TemplateID.Valid && c.TemplateVersion != nil {
		v.Risk = append(v.Risk, ui.Fact{Label: "Template", Text: fmt.Sprintf("version %d", *c.TemplateVersion), Href: r.Path("/changes/templates/" + c.TemplateID.UUID.String())})
	}
	if d.parent != nil {
		v.Risk = append(v.Risk, ui.Fact{Label: "Part of", Text: d.parent.Key, Href: r.Path(d.parent.Path()), Sub: d.parent.Title})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Custom)) {
		v.Risk = append(v.Risk, ui.Fact{Label: name, Text: c.Custom[name]})
	}
	v.Assets = d.assets
	if len(v.Assets) > 8 {
		v.Assets = v.Assets[:8]
		v.AssetsAll = &ui.Link{Text: count(len(d.assets), "asset"), Href: path + "/edit"}
	}
	for _, ch := range d.children {
		badge := stateBadge(ch.State)
		v.Children = append(v.Children, ui.Row{Icon: "git-branch", Key: ch.Key, Title: ch.Title, Href: r.Path(ch.Path()), Badge: &badge})
	}
	for _, l := range d.links {
		v.Links = append(v.Links, linkRow(r, p.c, l, d.refs))
	}
	if r.Can(CanUpdate) {
		v.LinksHref = path + "/links"
	}
}

func linkRow(r *web.Request, c Change, l Link, refs map[search.Key]search.Ref) views.LinkRow {
	row := views.LinkRow{Icon: "link", Kind: "Address", Title: cmp.Or(l.Title, l.URL), Href: l.URL, External: true}
	if l.Kind != "url" {
		ref, ok := refs[search.Key{Type: l.Kind, ID: l.TargetID.UUID}]
		row.Kind, row.External, row.Href = upperFirst(l.Kind), false, ""
		if ok {
			row.Title = strings.TrimSpace(ref.Key + " " + ref.Title)
			if ref.Path != "" {
				row.Href = r.Path(ref.Path)
			}
		} else {
			row.Kind += ", gone"
		}
		row.Icon = map[string]string{"certificate": "shield-check", "host": "lock", "change": "git-pull-request-arrow", "incident": "siren"}[l.Kind]
	}
	if r.Can(CanUpdate) {
		row.RemoveAction = r.Path(c.Path()) + "/links/" + l.ID.String() + "/remove"
	}
	return row
}

// approvalPeople are those who decide, each once, with what they said.
func approvalPeople(r *web.Request, p *pageData) ([]ui.PersonState, string) {
	if p.c.Preauthorisation != nil {
		return []ui.PersonState{{
			Person: ui.Person{Name: "Template " + p.c.Preauthorisation.Template, Initials: "T"}, Sub: "approved by " + p.c.Preauthorisation.ApprovedBy,
			Badge: &ui.Badge{Text: "Approved", Tone: ui.OK, Icon: "check"},
		}}, "Pre-authorised"
	}
	stages, lead := p.f.status.Stages, ""
	if !p.f.status.Exists {
		stages = p.f.preview.Stages
		lead = "Who will be asked"
	}
	var out []ui.PersonState
	done, all := 0, 0
	for _, st := range stages {
		for _, b := range st.Blocks {
			for _, seat := range b.Seats {
				all++
				if seat.Status == approvals.SeatApproved {
					done++
				}
				list := seatRail(r, st, seat, p.f.status.Exists)
				out = append(out, list...)
			}
		}
	}
	if lead == "" {
		lead = fmt.Sprintf("%d of %d", done, all)
	}
	if len(out) > 8 {
		out = out[:8]
	}
	return out, lead
}

func seatRail(r *web.Request, st approvals.StageStatus, seat approvals.SeatStatus, asked bool) []ui.PersonState {
	// A seat that several share may hold refusals before the decision that filled it.
	if n := len(seat.Decisions); n > 0 {
		d := seat.Decisions[n-1]
		b := ui.Badge{Text: "Approved", Tone: ui.OK, Icon: "check"}
		switch d.Verdict {
		case approvals.Reject:
			b = ui.Badge{Text: "Rejected", Tone: ui.Crit, Icon: "x"}
		case approvals.Return:
			b = ui.Badge{Text: "Returned", Tone: ui.Warn, Icon: "undo-2"}
		case approvals.Approve:
		}
		sub := st.Name
		if d.Principal.UserID != d.Actor.UserID && d.Principal.Name != "" {
			sub += ", for " + d.Principal.Name
		}
		return []ui.PersonState{{Person: person(d.Actor.UserID, d.Actor.Name), Sub: sub, Badge: &b}}
	}
	list := seatPeople(seat)
	if len(list) > 3 {
		list = list[:3]
	}
	for i := range list {
		list[i].Sub = st.Name
		if !asked {
			continue
		}
		switch {
		case st.State == approvals.StageWaiting:
			list[i].Badge = &ui.Badge{Text: "Later", Tone: ui.Mute}
		case st.State == approvals.StageOpen && seat.Status == approvals.SeatOpen && list[i].Badge == nil:
			list[i].Badge = &ui.Badge{Text: "Asked", Tone: ui.Warn, Icon: "clock"}
			if list[i].Person.Name == r.User().Name {
				list[i].Badge.Text = "Your turn"
			}
		}
	}
	return list
}
