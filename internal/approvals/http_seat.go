package approvals

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/approvals"
	"github.com/vigilo/vigilo/templates/ui"
)

// readSeat reads everything about a seat in one round trip.
func (s *Service) readSeat(ctx context.Context, a db.Actor, id uuid.UUID) (*seatPage, error) {
	args := db.Args{"seat": id}
	var req *db.Result[requestRow]
	var stages *db.Result[stageRow]
	var places *db.Result[seatRow]
	var routes *db.Result[routeRow]
	var decisions *db.Result[decisionRow]
	var names *db.Result[nameRow]
	var keys *db.Result[keyRow]
	var shown *db.Result[shownRow]
	if err := s.db.ReadBatch(ctx, a, func(b *db.Batch) {
		req, stages, places, routes = requestOfSeat.Queue(b, args), stagesOfSeat.Queue(b, args), seatsOfSeat.Queue(b, args), routesOfSeat.Queue(b, args)
		decisions, names, keys = decisionsOfSeat.Queue(b, args), namesOfSeat.Queue(b, args), delegationsOfSeat.Queue(b, args)
		shown = shownOfSeat.Queue(b, args)
	}); err != nil {
		return nil, err
	}
	p := &seatPage{labels: labels{}, keys: map[uuid.UUID]string{}}
	var ok bool
	if p.r.req, ok = req.First(); !ok {
		return nil, fault.NewNotFound("approval")
	}
	p.r.stages, p.r.seats, p.r.routes = stages.Rows, places.Rows, routes.Rows
	texts := map[uuid.UUID]string{}
	for _, t := range shown.Rows {
		texts[t.ID] = t.Shown
	}
	for _, d := range decisions.Rows {
		if d.RequestID == p.r.req.ID {
			p.r.decisions = append(p.r.decisions, d)
		}
		p.records = append(p.records, d.record(texts[d.RequestID]))
	}
	for _, n := range names.Rows {
		p.labels[n.ID] = n.Name
	}
	for _, k := range keys.Rows {
		p.keys[k.ID] = k.Key
	}
	if p.at = slices.IndexFunc(p.r.seats, func(x seatRow) bool { return x.ID == id }); p.at < 0 {
		return nil, fault.NewNotFound("approval")
	}
	return p, nil
}

func (p *seatPage) seat() seatRow { return p.r.seats[p.at] }

func (p *seatPage) stage() stageRow {
	return p.r.stages[slices.IndexFunc(p.r.stages, func(st stageRow) bool { return st.ID == p.seat().StageID })]
}

// mine finds how the reader came to the seat; false when it is not for them.
func (p *seatPage) mine(me uuid.UUID) (routeRow, bool) {
	best, found := routeRow{}, false
	for _, e := range p.r.routes {
		if e.SeatID != p.seat().ID || !e.Open || e.Principal != me && e.Assignee.UUID != me {
			continue
		}
		if !found || e.Principal == me {
			best, found = e, true
		}
	}
	return best, found
}

type decideForm struct {
	Decision string `form:"decision"`
	Revision int64  `form:"revision"`
	Comment  string `form:"comment"`
	Key      string `form:"key"`
}

func (s *Service) showSeat(r *web.Request) error {
	id, err := r.UUID("seat", "approval")
	if err != nil {
		return err
	}
	p, err := s.readSeat(r.Context(), r.Actor, id)
	if err != nil {
		return err
	}
	key, err := newID()
	if err != nil {
		return err
	}
	f := decideForm{Revision: p.r.req.Revision, Key: key.String()}
	return r.Page(seatPageOf(r, p), views.SeatPage(s.seatView(r, p, f, nil)))
}

func seatPageOf(r *web.Request, p *seatPage) web.Page {
	return web.Page{Title: "Approval of " + p.r.req.named(), Crumbs: []web.Crumb{
		{Text: "Work"}, {Text: "Approvals", Href: r.Path("/approvals")}, {Text: p.r.req.SubjectKey},
	}}
}

func (s *Service) seatView(r *web.Request, p *seatPage, f decideForm, err error) views.Seat {
	req, st := p.r.req, p.stage()
	badge := stateBadge(req.request())
	v := views.Seat{
		Head:    ui.PageHead{Title: req.Title, Key: req.SubjectKey, Badge: &badge, Lede: fmt.Sprintf("Stage “%s”, revision %d.", st.Name, req.Revision)},
		Subject: &ui.LinkButton{Text: "Open " + req.SubjectKey, Href: r.Path(req.Path), Icon: "external-link"},
		Shown:   req.Shown, CanGive: req.Kind != Retro,
		Comment: web.WithError(ui.Field{
			Name: "comment", Label: "Comment", Value: f.Comment, Rows: 4, MaxLength: maxComment, Unmarked: true,
			Hint: "Needed when you reject or return it. It is kept with the decision for good.",
		}, err),
		Facts: seatFacts(r, p), Entries: decisionEntries(r, p), Proof: proofFacts(p),
	}
	v.Notices = s.seatNotices(r, p)
	status := Status{Request: req.request()}
	for _, x := range p.r.stages {
		status.Stages = append(status.Stages, p.r.stageStatus(x, p.labels, p.keys))
	}
	v.Stages = stageViews(status.Stages, r.Now(), r.Zone(), r.Actor.UserID, func(id uuid.UUID) string { return r.Path("/approvals/" + id.String()) })
	if p.decidable(r) == "" {
		v.Form = &ui.Form{
			Action: r.Path("/approvals/" + p.seat().ID.String()), Guard: true, Errors: web.FormErrors(err, map[string]string{"comment": "Comment"}),
			Hidden: []ui.Hidden{{Name: "revision", Value: strconv.FormatInt(f.Revision, 10)}, {Name: "key", Value: f.Key}},
		}
	} else if e := fault.Find(err); e != nil {
		v.Notices = append([]ui.Notice{{Title: "Your decision was not taken.", Text: e.Message, Tone: ui.Crit, Alert: true}}, v.Notices...)
	}
	return v
}

// decidable says why the reader cannot decide the seat now, as far as the page knows; empty
// when they can. The decision itself looks again.
func (p *seatPage) decidable(r *web.Request) string {
	me, st := r.Actor.UserID, p.stage()
	_, mine := p.mine(me)
	switch {
	case !r.Can(DecideApprovals) || me == uuid.Nil:
		return "Deciding needs the role Approver or higher."
	case p.r.req.State != StateOpen:
		return stateText(p.r.req.State) + "."
	case p.seat().Kind == seats.BoardSeat:
		return "A board decides this seat."
	case p.seat().Status == SeatApproved || p.seat().Status == SeatRejected:
		return "This seat is decided."
	case st.State != StageOpen || p.seat().Status != SeatOpen:
		return "This seat is not open."
	}
	for _, x := range p.r.req.Excluded {
		if x.UserID == me {
			return "Nobody approves their own work: you are its " + x.Why + "."
		}
	}
	switch {
	case p.r.decidedIn(st.ID)[me]:
		return oneVoiceNotice
	case !mine:
		return "You are not asked for this seat."
	default:
		return ""
	}
}

func (s *Service) seatNotices(r *web.Request, p *seatPage) []ui.Notice {
	var out []ui.Notice
	req, st := p.r.req, p.stage()
	why := p.decidable(r)
	route, mine := p.mine(r.Actor.UserID)
	switch {
	case req.State == StateApproved && req.ValidUntil != nil:
		out = append(out, ui.Notice{Title: "Approved.", Text: "It counts until " + timetext.Prose(*req.ValidUntil, r.Zone()) + ".", Tone: ui.OK})
	case req.State != StateOpen:
		out = append(out, ui.Notice{Title: stateText(req.State) + ".", Text: req.Reason, Tone: ui.Warn})
	case why != "":
		out = append(out, ui.Notice{Title: why, Tone: ui.Mute})
	case mine && route.Escalated:
		out = append(out, ui.Notice{Title: "Nobody decided in time, so you are asked.", Tone: ui.Warn})
	case mine && route.Principal != r.Actor.UserID:
		out = append(out, ui.Notice{Title: "You decide for " + p.labels.name(route.Principal) + ".", Text: "By delegation " + listWords(p.delegationKeys(route)) + ". They may still decide themselves; the first decision counts.", Tone: ui.Info})
	case mine && route.Assignee.UUID != r.Actor.UserID && route.Assignee.Valid:
		out = append(out, ui.Notice{Title: p.labels.name(route.Assignee.UUID) + " is asked in your place.", Text: "You may still decide yourself; the first decision counts.", Tone: ui.Info})
	}
	if why == "" && st.Spec.Reauth && !fresh(r) {
		out = append(out, ui.Notice{
			Title: "This stage asks you to sign in again.", Text: "Your sign-in is older than five minutes. Sign in again, then decide.", Tone: ui.Warn, Icon: "key-round",
			Action: &ui.Link{Text: "Sign in again", Href: signInAgain(r)},
		})
	}
	if req.Kind == Retro && req.State == StateOpen {
		out = append(out, ui.Notice{Title: "This emergency has already happened.", Text: "Say whether it was right. A rejection undoes nothing; it opens a finding and a review.", Tone: ui.Warn})
	}
	return out
}

func fresh(r *web.Request) bool {
	return !r.Actor.SignedInAt.IsZero() && r.Now().Sub(r.Actor.SignedInAt) <= recentSignIn
}

// signInAgain leads to the sign-in page even though somebody is signed in, and back here.
func signInAgain(r *web.Request) string {
	return "/login?again=act&return_to=" + url.QueryEscape(r.URL.Path)
}

func (p *seatPage) delegationKeys(route routeRow) []string {
	var out []string
	for _, id := range route.Delegations {
		out = append(out, p.keys[id])
	}
	return out
}

func seatFacts(r *web.Request, p *seatPage) []ui.Fact {
	req, st := p.r.req, p.stage()
	facts := []ui.Fact{{Label: "Subject", Text: req.named(), Href: r.Path(req.Path)}}
	if b := riskBadge(req.Risk); b != nil {
		facts = append(facts, ui.Fact{Label: "Risk", Badge: b})
	}
	if st.DueAt != nil && st.State == StageOpen {
		due, badge := moment(r, *st.DueAt), dueBadge(r.Now(), *st.DueAt)
		facts = append(facts, ui.Fact{Label: "Deadline", Badge: &badge, Sub: due.Title})
	}
	add := func(label, text string) {
		if text != "" {
			facts = append(facts, ui.Fact{Label: label, Text: title(text)})
		}
	}
	add("Kind", kindText(req.Kind))
	add("Type", req.Facts.ChangeType)
	add("Environment", req.Facts.Environment)
	add("Category", req.Facts.Category)
	add("Priority", req.Facts.Priority)
	if req.PlannedEnd != nil {
		end := moment(r, *req.PlannedEnd)
		facts = append(facts, ui.Fact{Label: "Planned end", Time: &end})
	}
	if req.Facts.Requester != uuid.Nil {
		who := person(p.labels.who(req.Facts.Requester))
		facts = append(facts, ui.Fact{Label: "Requester", Person: &who})
	}
	asked := moment(r, req.OpenedAt)
	facts = append(facts, ui.Fact{Label: "Asked", Time: &asked}, ui.Fact{Label: "Revision", Text: strconv.FormatInt(req.Revision, 10)})
	for _, pol := range req.Pinned {
		facts = append(facts, ui.Fact{Label: "Policy", Text: pol.Name, Sub: fmt.Sprintf("version %d", pol.Version), Href: r.Path("/settings/approval-policies/" + pol.ID.String())})
	}
	for _, x := range req.Excluded {
		facts = append(facts, ui.Fact{Label: "Left out", Text: title(p.labels.name(x.UserID)), Sub: x.Why})
	}
	return append(facts, ui.Fact{Label: "Content hash", Text: hex.EncodeToString(req.ContentHash), Copy: "Copy content hash"})
}

// decisionEntries tells the decisions of the request, oldest first.
func decisionEntries(r *web.Request, p *seatPage) []ui.Entry {
	out := make([]ui.Entry, len(p.r.decisions))
	for i, d := range p.r.decisions {
		who := person(Who{d.Actor, d.ActorName})
		badge := verdictBadge(d.Verdict)
		text := lower(badge.Text) + " the seat “" + d.SeatSource + "” of stage " + d.StageName
		if d.Principal != d.Actor && len(d.Delegations) > 0 {
			text += " for " + d.PrincipalName + ", delegation " + listWords(d.Delegations)
		}
		if d.Comment != "" {
			text += ": " + d.Comment
		}
		out[i] = ui.Entry{Person: &who, Tone: badge.Tone, Actor: d.ActorName, Text: text, Time: moment(r, d.DecidedAt)}
	}
	return out
}

// proofFacts show the record of the decision that filled the seat and whether the chain of
// its subject holds.
func proofFacts(p *seatPage) []ui.Fact {
	i := slices.IndexFunc(p.records, func(d Record) bool { return d.SeatID == p.seat().ID })
	if i < 0 {
		return nil
	}
	d := p.records[i]
	state := ui.Badge{Text: "Valid", Tone: ui.OK, Icon: "shield-check"}
	sub := fmt.Sprintf("%s about %s, recomputed now", plural(len(p.records), "record"), d.SubjectKey)
	if err := Verify(p.records); err != nil {
		state, sub = ui.Badge{Text: "Broken", Tone: ui.Crit, Icon: "shield-alert"}, err.Error()
	}
	facts := []ui.Fact{
		{Label: "Chain", Badge: &state, Sub: sub},
		{Label: "Record", Text: strconv.FormatInt(d.Sequence, 10)},
		{Label: "Hash", Text: d.Hash, Copy: "Copy hash"},
	}
	if d.Previous != "" {
		facts = append(facts, ui.Fact{Label: "Previous", Text: d.Previous, Copy: "Copy previous hash"})
	}
	signed := d.AuthMethod
	if d.MFA != "" {
		signed += ", " + d.MFA
	}
	facts = append(facts, ui.Fact{Label: "Signed in by", Text: signed})
	if d.Address != "" {
		facts = append(facts, ui.Fact{Label: "From", Text: d.Address})
	}
	return facts
}

func (s *Service) decideSeat(r *web.Request) error {
	id, err := r.UUID("seat", "approval")
	if err != nil {
		return err
	}
	var f decideForm
	if err = r.Form(&f); err == nil {
		_, err = s.Decide(r.Context(), r.Actor, id, Decision{Verdict: Verdict(f.Decision), Revision: f.Revision, Comment: f.Comment, IdempotencyKey: f.Key})
	}
	if err == nil {
		r.Flash(verdictBadge(Verdict(f.Decision)).Text)
		return r.SeeOther(r.Path("/approvals"))
	}
	if e := fault.Find(err); e != nil && e.Code == codeReauth {
		return r.SeeOther(signInAgain(r))
	}
	p, readErr := s.readSeat(r.Context(), r.Actor, id)
	if readErr != nil {
		return readErr
	}
	return r.InvalidPage(err, seatPageOf(r, p), views.SeatPage(s.seatView(r, p, f, err)))
}
