package changes

import (
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name: "changes",
		Tables: []string{
			"change_requests", "change_implementers", "change_assets", "change_tags", "change_tokens", "change_steps", "change_holds",
			"change_links", "change_watchers", "change_comments", "change_attachments", "change_attachment_chunks", "change_evidence",
			"change_reviews", "change_templates", "change_template_versions", "change_conflicts", "change_conflict_acceptances",
		},
		Needs: []string{"approvals", "assets", "freezes", "tasks"},
		Permissions: []access.Grant{
			{Permission: CanRead, Label: "See changes", Min: access.Viewer},
			{Permission: CanCreate, Label: "File changes", Min: access.Member},
			{Permission: CanUpdate, Label: "Edit, submit and cancel changes", Min: access.Member},
			{Permission: CanComment, Label: "Comment on changes and attach files", Min: access.Member},
			{Permission: CanSchedule, Label: "Schedule own changes", Min: access.Member},
			{Permission: CanStart, Label: "Start changes that one implements", Min: access.Member},
			{Permission: CanComplete, Label: "Complete or roll back changes that one implements", Min: access.Member},
			{Permission: CanManage, Label: "Manage changes and templates of others", Min: access.Approver},
			{Permission: CanEmergency, Label: "Start emergency changes without approval", Min: access.Approver},
		},
		Nav: []web.NavEntry{{
			Bucket: web.Work, Label: "Changes", Path: "/changes", Icon: "git-pull-request-arrow", Key: "x", Weight: 10, Permission: CanRead,
		}},
		Events: eventTypes(),
		Workers: func(w *river.Workers) {
			river.AddWorker(w, &sweepWorker{s: s})
			river.AddWorker(w, &checkWorker{s: s})
		},
		Schedules: []job.Schedule{{Every: time.Minute, AtStart: true, Job: func() river.JobArgs { return SweepArgs{} }}},
		Search:    s.searchSources(),
		Refs:      s.resolvers(),
		Routes:    s.routes,
		API:       s.operations,
	}
}
