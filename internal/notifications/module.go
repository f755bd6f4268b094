package notifications

import (
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/module"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name: "notifications",
		Tables: []string{
			"notifications", "notification_settings", "notification_choices", "notification_mutes", "mail_settings", "mails",
		},
		Permissions: []access.Grant{
			{Permission: ReadNotifications, Label: "Have an inbox and choose what arrives", Min: access.Viewer},
			{Permission: ManageMail, Label: "Choose and test the mail server", Min: access.Admin},
		},
		Events: eventTypes(),
		On:     []event.Subscription{{Name: "notifications.inbox", Patterns: []string{"*"}, Handle: s.handleEvent}},
		Workers: func(w *river.Workers) {
			river.AddWorker(w, &sendWorker{s: s})
			river.AddWorker(w, &sweepWorker{s: s})
			river.AddWorker(w, &digestWorker{s: s})
			river.AddWorker(w, &purgeWorker{s: s})
		},
		Schedules: []job.Schedule{
			{Every: time.Minute, Job: func() river.JobArgs { return sweepArgs{} }, AtStart: true},
			{Every: 24 * time.Hour, Job: func() river.JobArgs { return purgeArgs{} }, AtStart: true},
		},
		Sealed: sealedValues,
		Routes: s.routes,
		API:    s.operations,
	}
}
