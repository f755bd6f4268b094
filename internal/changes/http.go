package changes

import (
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/changes/lifecycle"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/export"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/web"
	views "github.com/vigilo/vigilo/templates/changes"
	"github.com/vigilo/vigilo/templates/ui"
)

func (s *Service) routes(r *web.Router) {
	r.Get("/changes", CanRead, s.showList)
	r.Post("/changes", CanCreate, s.createChange)
	r.Get("/changes/new", CanCreate, s.showNew)
	r.Post("/changes/preview", CanCreate, s.previewChange)
	r.Post("/changes/bulk", CanUpdate, s.actOnChanges)
	r.Get("/changes/cancel", CanUpdate, s.showCancelMany)
	r.Post("/changes/cancel", CanUpdate, s.cancelMany)
	r.Get("/changes/tag", CanUpdate, s.showTagMany)
	r.Post("/changes/tag", CanUpdate, s.tagMany)

	r.Get("/changes/templates", CanRead, s.showTemplates)
	r.Post("/changes/templates", CanManage, s.createTemplate)
	r.Get("/changes/templates/new", CanManage, s.showNewTemplate)
	r.Get("/changes/templates/{id}", CanRead, s.showTemplate)
	r.Post("/changes/templates/{id}", CanManage, s.changeTemplate)
	r.Get("/changes/templates/{id}/edit", CanManage, s.showEditTemplate)
	r.Post("/changes/templates/{id}/reinstate", CanManage, s.reinstateTemplate)
	r.Get("/changes/templates/{id}/{end}", CanManage, s.showEndTemplate)
	r.Post("/changes/templates/{id}/{end}", CanManage, s.endTemplatePage)

	r.Get("/changes/{key}", CanRead, s.showOverview)
	r.Post("/changes/{key}", CanUpdate, s.updateChange)
	r.Get("/changes/{key}/edit", CanUpdate, s.showEdit)
	r.Get("/changes/{key}/approvals", CanRead, s.showApprovals)
	r.Get("/changes/{key}/decide/{seat}", approvals.DecideApprovals, s.showDecide)
	r.Post("/changes/{key}/decide/{seat}", approvals.DecideApprovals, s.decideSeat)
	r.Get("/changes/{key}/tasks", CanRead, s.showTasks)
	r.Get("/changes/{key}/comments", CanRead, s.showComments)
	r.Post("/changes/{key}/comments", CanComment, s.createComment)
	r.Post("/changes/{key}/comments/{id}/delete", CanComment, s.deleteComment)
	r.Get("/changes/{key}/attachments", CanRead, s.showAttachments)
	r.Post("/changes/{key}/attachments", CanComment, s.createAttachment)
	r.Get("/changes/{key}/attachments/{id}", CanRead, s.downloadAttachment)
	r.Get("/changes/{key}/attachments/{id}/remove", CanUpdate, s.showRemoveAttachment)
	r.Post("/changes/{key}/attachments/{id}/remove", CanUpdate, s.removeAttachment)
	if s.activity != nil {
		r.Get("/changes/{key}/activity", CanRead, s.showActivity)
	}
	r.Get("/changes/{key}/proof", CanRead, s.showProof)
	r.Get("/changes/{key}/proof.json", CanRead, s.downloadProof)
	r.Get("/changes/{key}/evidence-pack.zip", CanRead, s.downloadPack)
	s.actionRoutes(r)
}

// actionRoutes adds what moves a change and what is done to its parts.
func (s *Service) actionRoutes(r *web.Router) {
	r.Get("/changes/{key}/act/{action}", CanUpdate, s.showAct)
	r.Post("/changes/{key}/act/{action}", CanUpdate, s.act)
	r.Get("/changes/{key}/hold", CanUpdate, s.showHold)
	r.Post("/changes/{key}/hold", CanUpdate, s.hold)
	r.Post("/changes/{key}/holds/{id}/release", CanUpdate, s.releaseHold)
	r.Post("/changes/{key}/watch", CanRead, s.watchChange(true))
	r.Post("/changes/{key}/unwatch", CanRead, s.watchChange(false))
	r.Get("/changes/{key}/steps", CanUpdate, s.showSteps)
	r.Post("/changes/{key}/steps", CanUpdate, s.addStep)
	r.Post("/changes/{key}/steps/{id}", CanUpdate, s.editStep)
	r.Post("/changes/{key}/steps/{id}/move", CanUpdate, s.moveStep)
	r.Get("/changes/{key}/steps/{id}/skip", CanComplete, s.showSkipStep)
	r.Post("/changes/{key}/steps/{id}/check", CanComplete, s.checkStep)
	r.Get("/changes/{key}/links", CanUpdate, s.showAddLink)
	r.Post("/changes/{key}/links", CanUpdate, s.addLink)
	r.Post("/changes/{key}/links/{id}/remove", CanUpdate, s.removeLink)
	r.Get("/changes/{key}/evidence", CanComplete, s.showAddEvidence)
	r.Post("/changes/{key}/evidence", CanComplete, s.addEvidence)
	r.Get("/changes/{key}/review", CanRead, s.showReview)
	r.Post("/changes/{key}/review", CanUpdate, s.completeReview)
}

func crumbs(r *web.Request, more ...web.Crumb) []web.Crumb {
	out := []web.Crumb{{Text: "Changes"}}
	if len(more) > 0 {
		out[0].Href = r.Path("/changes")
	}
	return append(out, more...)
}

// changeCrumbs lead to a part of a change.
func changeCrumbs(r *web.Request, c Change, part string) []web.Crumb {
	if part == "" {
		return crumbs(r, web.Crumb{Text: c.Key})
	}
	return crumbs(r, web.Crumb{Text: c.Key, Href: r.Path(c.Path())}, web.Crumb{Text: part})
}

// MaxBulk is how many changes one action may touch.
const MaxBulk = 200

// bulkForm is what the list sends for the selected rows. Its other fields repeat the filter,
// for "select all that match".
type bulkForm struct {
	Do  string   `form:"do"`
	IDs []string `form:"id"`
	All bool     `form:"all"`
}

func (s *Service) actOnChanges(r *web.Request) error {
	var f bulkForm
	if err := r.Form(&f); err != nil {
		return err
	}
	ids := parseIDs(f.IDs)
	if f.All {
		q, err := filterFrom(r.PostForm).query(r.Actor.UserID, r.Zone())
		if err != nil {
			return err
		}
		var page *db.PageResult[Item]
		if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page = q.Limit(MaxBulk).Queue(b) }); err != nil {
			return err
		}
		if page.Page.Next != "" {
			return fault.InvalidField("all", "too_many", fmt.Sprintf("More than %d changes match. Narrow the filter first.", MaxBulk))
		}
		ids = nil
		for _, c := range page.Page.Items {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 || len(ids) > MaxBulk {
		return fault.NewInvalid("nothing_selected", fmt.Sprintf("Select between 1 and %d changes.", MaxBulk))
	}
	switch f.Do {
	case "cancel", "tag":
		return r.SeeOther(r.Path("/changes/"+f.Do+"?") + idQuery(ids))
	}
	return fault.NewInvalid("unknown_action", "Choose what to do with the selected changes.")
}

// parseIDs reads ids and leaves out what is none: it could match nothing.
func parseIDs(list []string) []uuid.UUID {
	var out []uuid.UUID
	for _, text := range list {
		if id, err := uuid.Parse(text); err == nil && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func idQuery(ids []uuid.UUID) string {
	q := url.Values{}
	for _, id := range ids {
		q.Add("id", id.String())
	}
	return q.Encode()
}

// chosen reads the changes that a page asks about.
func (s *Service) chosen(r *web.Request, ids []uuid.UUID) ([]Item, error) {
	if len(ids) == 0 || len(ids) > MaxBulk {
		return nil, fault.NewInvalid("nothing_selected", fmt.Sprintf("Select between 1 and %d changes.", MaxBulk))
	}
	var rows *db.Result[Item]
	if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { rows = itemsByIDs.Queue(b, db.Args{"ids": ids}) }); err != nil {
		return nil, err
	}
	if len(rows.Rows) == 0 {
		return nil, fault.NewNotFound("change")
	}
	return rows.Rows, nil
}

func titles(items []Item) []string {
	const shown = 12
	var out []string
	for i, c := range items {
		if i == shown && len(items) > shown+1 {
			return append(out, "and "+count(len(items)-shown, "more change"))
		}
		out = append(out, c.Key+" "+c.Title)
	}
	return out
}

func hiddenIDs(items []Item) []ui.Hidden {
	out := make([]ui.Hidden, len(items))
	for i, c := range items {
		out[i] = ui.Hidden{Name: "id", Value: c.ID.String()}
	}
	return out
}

type manyForm struct {
	IDs    []string `form:"id"`
	Reason string   `form:"reason"`
	Tags   string   `form:"tags"`
}

func (s *Service) showCancelMany(r *web.Request) error {
	items, err := s.chosen(r, parseIDs(r.URL.Query()["id"]))
	if err != nil {
		return err
	}
	return s.confirmMany(r, items, cancelQuestion(r, items, "", nil), nil)
}

func (s *Service) confirmMany(r *web.Request, _ []Item, c ui.ConfirmForm, err error) error {
	page := web.Page{Title: c.Title, Crumbs: crumbs(r, web.Crumb{Text: c.Confirm})}
	if err != nil {
		return r.InvalidPage(err, page, views.ConfirmPage(c.Title, c))
	}
	return r.Page(page, views.ConfirmPage(c.Title, c))
}

func cancelQuestion(r *web.Request, items []Item, reason string, err error) ui.ConfirmForm {
	return ui.ConfirmForm{
		Action: r.Path("/changes/cancel"), Title: "Cancel " + count(len(items), "change"), Confirm: "Cancel changes", Danger: true,
		CancelHref: r.Path("/changes"), Text: "Cancelled changes cannot be taken up again. Those that you may not cancel stay as they are.",
		Points: titles(items), Hidden: hiddenIDs(items),
		Type: &ui.Field{Name: "reason", Label: "Reason", Value: reason, Required: true, Error: form.Messages(err)["reason"]},
	}
}

func (s *Service) cancelMany(r *web.Request) error {
	var f manyForm
	if err := r.Form(&f); err != nil {
		return err
	}
	items, err := s.chosen(r, parseIDs(f.IDs))
	if err != nil {
		return err
	}
	if f.Reason == "" {
		err := fault.InvalidField("reason", lifecycle.CodeReason, "Say why; this is kept in the audit log.")
		return s.confirmMany(r, items, cancelQuestion(r, items, f.Reason, err), err)
	}
	done, kept := 0, []string{}
	for _, c := range items {
		_, err := s.Move(r.Context(), r.Actor, c.Key, Act{Action: lifecycle.Cancel, Reason: f.Reason})
		switch e := fault.Find(err); {
		case err == nil:
			done++
		case e != nil && e.Kind != fault.Internal && e.Kind != fault.Unavailable:
			kept = append(kept, c.Key)
		default:
			return err
		}
	}
	text := count(done, "change") + " cancelled."
	if len(kept) > 0 {
		text += " Left as they are: " + strings.Join(kept[:min(len(kept), 8)], ", ") + "."
	}
	r.Flash(text)
	return r.SeeOther(r.Path("/changes"))
}

func (s *Service) showTagMany(r *web.Request) error {
	items, err := s.chosen(r, parseIDs(r.URL.Query()["id"]))
	if err != nil {
		return err
	}
	return s.confirmMany(r, items, tagQuestion(r, items, "", nil), nil)
}

func tagQuestion(r *web.Request, items []Item, tags string, err error) ui.ConfirmForm {
	return ui.ConfirmForm{
		Action: r.Path("/changes/tag"), Title: "Add tags to " + count(len(items), "change"), Confirm: "Add tags", CancelHref: r.Path("/changes"),
		Text: "The tags are added to those that each change has.", Points: titles(items), Hidden: hiddenIDs(items),
		Type: &ui.Field{
			Name: "tags", Label: "Tags", Value: tags, Hint: "Separated by commas, such as release, payments.", Required: true, Error: form.Messages(err)["tags"],
		},
	}
}

func (s *Service) tagMany(r *web.Request) error {
	var f manyForm
	if err := r.Form(&f); err != nil {
		return err
	}
	items, err := s.chosen(r, parseIDs(f.IDs))
	if err != nil {
		return err
	}
	add := SplitTags(f.Tags)
	err = fault.InvalidField("tags", "required", "Write at least one tag.")
	if len(add) > 0 {
		for _, c := range items {
			tags := append(slices.Clone(c.Tags), add...)
			if _, err = s.Update(r.Context(), r.Actor, c.Key, Edit{Tags: &tags}); err != nil {
				break
			}
		}
	}
	if err != nil {
		return s.confirmMany(r, items, tagQuestion(r, items, f.Tags, err), err)
	}
	r.Flash(count(len(items), "change") + " tagged.")
	return r.SeeOther(r.Path("/changes"))
}

// sendCSV answers a list as a file.
func (s *Service) sendCSV(r *web.Request, q *db.ListQuery[Item]) error {
	w := r.Download("changes.csv", "text/csv; charset=utf-8")
	if r.Method == http.MethodHead {
		return nil
	}
	out := csv.NewWriter(w)
	head := []string{
		"key", "title", "type", "state", "risk", "priority", "category", "environment", "planned_start", "planned_end", "actual_start", "actual_end",
		"outcome", "owner", "on_hold", "review", "tags",
	}
	if err := out.Write(head); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	q.Chunk()
	for {
		var page *db.PageResult[Item]
		if err := s.db.ReadBatch(r.Context(), r.Actor, func(b *db.Batch) { page = q.Queue(b) }); err != nil {
			return err
		}
		for _, c := range page.Page.Items {
			row := []string{
				c.Key, c.Title, string(c.Type), string(c.State), string(c.Risk), string(c.Priority), c.Category, c.Environment, csvTime(c.Start), csvTime(c.End),
				csvTime(c.ActualStart), csvTime(c.ActualEnd), c.Outcome, c.OwnerName, fmt.Sprint(c.Held), c.PIR, strings.Join(c.Tags, " "),
			}
			for i := range row {
				row[i] = export.Cell(row[i])
			}
			if err := out.Write(row); err != nil {
				return fmt.Errorf("write csv: %w", err)
			}
		}
		out.Flush()
		if err := out.Error(); err != nil || page.Page.Next == "" {
			return err
		}
		var err error
		if q, err = q.After(page.Page.Next); err != nil {
			return err
		}
	}
}

func csvTime(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
