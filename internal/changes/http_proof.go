package changes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/help"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) showProof(r *web.Request) error {
	p, err := s.Proof(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	path := r.Path(changePath(p.Key))
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, p.Canonical, "", "  "); err != nil {
		return fmt.Errorf("indent canonical form: %w", err)
	}
	badge := stateBadge(p.State)
	v := views.ProofPage{
		Head: ui.PageHead{
			Title: "Proof of " + p.Key, Badge: &badge, Lede: p.Title,
			Printed: fmt.Sprintf("Vigilo, workspace %s. Printed %s by %s. %s, revision %d.", r.Workspace.Name, r.Now().In(r.Zone()).Format("2 January 2006, 15:04 MST"), r.User().Name, p.Key, p.Revision),
		},
		Notice: ui.Notice{Tone: ui.OK, Icon: "shield-check", Title: "The chain holds.", Text: fmt.Sprintf("%s, each with the hash of the one before it.", upperFirst(count(len(p.Decisions), "decision")))},
		Facts: []ui.Fact{
			{Label: "Revision", Text: fmt.Sprint(p.Revision)},
			{Label: "Content hash", Text: p.ContentHash, Copy: "Copy the content hash"},
			{Label: "Form", Text: p.Format, Mono: true},
			{Label: "Filed by", Text: p.Requester},
		},
		Canonical: pretty.String(), JSONHref: path + "/proof.json", PackHref: path + "/evidence-pack.zip", BackHref: path,
	}
	if len(p.Decisions) == 0 {
		v.Notice.Title, v.Notice.Text, v.Notice.Tone = "Nobody has decided yet.", "Decisions appear here with what was decided on.", ui.Info
	}
	if !p.Valid {
		v.Notice = ui.Notice{Tone: ui.Crit, Icon: "shield-alert", Title: "The chain is broken.", Text: p.Problem}
	}
	if p.Submitter != "" {
		v.Facts = append(v.Facts, ui.Fact{Label: "Submitted by", Text: p.Submitter})
	}
	if p.ValidUntil != nil {
		t := moment(*p.ValidUntil, r.Zone())
		v.Facts = append(v.Facts, ui.Fact{Label: "Approval valid until", Time: &t})
	}
	if p.Preauthorisation != nil {
		v.PreAuth = p.Preauthorisation.Text()
	}
	for i, d := range p.Decisions {
		v.Decisions = append(v.Decisions, newDecision(r, i, d))
	}
	for _, o := range p.Overrides {
		row := ui.Row{Icon: "snowflake", Title: o.Freeze + ", revision " + fmt.Sprint(o.Revision), Sub: o.Reason + " Asked for by " + o.RequestedBy + ".", Aside: o.State}
		if o.SelfGranted {
			row.Tone, row.Aside = ui.Warn, "granted by itself"
		}
		v.Overrides = append(v.Overrides, row)
	}
	for _, e := range p.Evidence {
		v.Evidence = append(v.Evidence, ui.Row{Icon: "circle-check", Title: e.Summary, Href: e.URL, Sub: e.By + ", " + e.At.In(r.Zone()).Format("2 January 2006, 15:04"), Aside: e.Kind})
	}
	for _, f := range p.Attachments {
		v.Files = append(v.Files, views.FileRow{Name: f.Name, Href: path + "/attachments/" + f.ID.String(), Size: sizeText(f.Size), SHA256: f.SHA256, Time: moment(p.MadeAt, r.Zone())})
	}
	return r.Page(web.Page{Title: v.Head.Title, Crumbs: crumbs(r, web.Crumb{Text: p.Key, Href: path}, web.Crumb{Text: "Proof"})}, views.ProofView(v))
}

func newDecision(r *web.Request, i int, d approvals.Record) views.Decision {
	at := moment(d.DecidedAt, r.Zone())
	v := views.Decision{
		ID: fmt.Sprintf("decision-%d", i+1), Title: fmt.Sprintf("%d. %s, %s", d.Sequence, d.ActorName, d.StageName), Shown: d.Shown,
		Badge: ui.Badge{Text: "Approved", Tone: ui.OK, Icon: "check"},
		Facts: []ui.Fact{
			{Label: "When", Time: &at},
			{Label: "Revision", Text: fmt.Sprint(d.Revision)},
			{Label: "Seat of", Text: d.PrincipalName},
			{Label: "Decided by", Text: d.ActorName, Sub: d.ActorRole},
			{Label: "Signed in", Text: strings.TrimSpace(d.AuthMethod + " " + d.MFA)},
			{Label: "Address", Text: d.Address},
			{Label: "Content hash", Text: d.ContentHash, Mono: true},
			{Label: "Hash before", Text: d.Previous, Mono: true},
			{Label: "Hash", Text: d.Hash, Copy: "Copy the hash"},
		},
	}
	switch d.Verdict {
	case approvals.Reject:
		v.Badge = ui.Badge{Text: "Rejected", Tone: ui.Crit, Icon: "x"}
	case approvals.Return:
		v.Badge = ui.Badge{Text: "Returned", Tone: ui.Warn, Icon: "undo-2"}
	case approvals.Approve:
	}
	if d.Comment != "" {
		v.Comment = help.Text(d.Comment)
	}
	if len(d.Delegations) > 0 {
		v.Facts = append(v.Facts, ui.Fact{Label: "Delegations", Text: strings.Join(d.Delegations, ", ")})
	}
	var policies []string
	for _, p := range d.Policies {
		policies = append(policies, fmt.Sprintf("%s, version %d", p.Name, p.Version))
	}
	v.Facts = append(v.Facts, ui.Fact{Label: "Policies", Text: strings.Join(policies, "; ")})
	return v
}

func (s *Service) downloadProof(r *web.Request) error {
	p, err := s.Proof(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	w := r.Download(p.Key+"-proof.json", "application/json")
	if r.Method == http.MethodHead {
		return nil
	}
	return writeJSON(w, p)
}

func (s *Service) downloadPack(r *web.Request) error {
	if r.Method == http.MethodHead {
		_, err := s.Change(r.Context(), r.Actor, r.Param("key"))
		return err
	}
	p, err := s.ReadPack(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	return s.WritePack(r.Context(), p, r.Download(p.Change.Key+"-evidence.zip", "application/zip"))
}

func (s *Service) createAttachment(r *web.Request) error {
	if err := r.ParseBody(); err != nil {
		return err
	}
	src, head, err := r.FormFile("file")
	if err != nil {
		return s.attachmentsPage(r, fault.InvalidField("file", "required", "Choose a file."))
	}
	defer src.Close()
	f, err := s.Attach(r.Context(), r.Actor, r.Param("key"), head.Filename, src)
	if err != nil {
		if fault.Is(err, fault.Invalid) {
			return s.attachmentsPage(r, err)
		}
		return err
	}
	r.Flash(f.Name + " is attached.")
	return r.SeeOther(r.Path(changePath(r.Param("key"))) + "/attachments")
}

// downloadAttachment streams a file. Only images are shown by the browser itself; whatever is
// in a file, it can do nothing on our pages.
func (s *Service) downloadAttachment(r *web.Request) error {
	id, err := r.UUID("id", "file")
	if err != nil {
		return err
	}
	f, err := s.Attachment(r.Context(), r.Actor, r.Param("key"), id)
	if err != nil {
		return err
	}
	w := r.Download(f.Name, f.ContentType)
	h := w.Header()
	h.Set("Content-Disposition", disposition(f, true))
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Content-Length", fmt.Sprint(f.Size))
	if r.Method == http.MethodHead {
		return nil
	}
	return s.WriteAttachment(r.Context(), r.Actor, f.ID, w)
}

func (s *Service) showRemoveAttachment(r *web.Request) error {
	id, err := r.UUID("id", "file")
	if err != nil {
		return err
	}
	c, err := s.Change(r.Context(), r.Actor, r.Param("key"))
	if err != nil {
		return err
	}
	f, err := s.Attachment(r.Context(), r.Actor, r.Param("key"), id)
	if err != nil {
		return err
	}
	q := ui.ConfirmForm{
		Action: r.Path(c.Path()) + "/attachments/" + id.String() + "/remove", Title: "Remove " + f.Name, Confirm: "Remove", Danger: true,
		CancelHref: r.Path(c.Path()) + "/attachments", Text: "Its name and digest stay in the record; its content goes.",
	}
	if c.SubmittedAt != nil && c.State != "draft" {
		q.Points = []string{"Whoever decided may have read it: the change must be approved again."}
	}
	return r.Page(web.Page{Title: q.Title, Crumbs: changeCrumbs(r, c, "Remove a file")}, views.ConfirmPage(q.Title, q))
}

func (s *Service) removeAttachment(r *web.Request) error {
	id, err := r.UUID("id", "file")
	if err != nil {
		return err
	}
	if _, err := s.RemoveAttachment(r.Context(), r.Actor, r.Param("key"), id); err != nil {
		return err
	}
	r.Flash("The file is removed.")
	return r.SeeOther(r.Path(changePath(r.Param("key"))) + "/attachments")
}
