package integrations

import (
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:        "integrations",
		Tables:      []string{"webhook_endpoints", "webhook_bodies", "webhook_deliveries", "webhook_attempts", "webhook_settings"},
		Permissions: []access.Grant{{Permission: ManageWebhooks, Label: "Manage webhooks", Min: access.Admin}},
		Nav: []web.NavEntry{{
			Bucket: web.AdminBucket, Label: "Integrations", Path: "/integrations", Icon: "plug", Key: "i", Weight: 10, Permission: ManageWebhooks,
		}},
		Events: eventTypes(),
		On:     []event.Subscription{{Name: "integrations.webhooks", Patterns: []string{"*"}, Handle: s.fanOut}},
		Workers: func(w *river.Workers) {
			river.AddWorker(w, &deliverWorker{s: s})
			river.AddWorker(w, &expireWorker{s: s})
		},
		Schedules: []job.Schedule{{Every: time.Hour, Job: func() river.JobArgs { return ExpireArgs{} }}},
		Search:    []search.Source{s.searchSource()},
		Refs:      []search.Resolver{s.resolver()},
		Sealed:    sealedSecrets,
		Routes:    s.routes,
		API:       s.operations,
	}
}
