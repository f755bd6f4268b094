package certificates

import (
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program. What scans by itself is Run, which every
// process that works jobs starts beside them.
func (s *Service) Module() module.Module {
	return module.Module{
		Name: "certificates",
		Tables: []string{
			"monitored_hosts", "host_counts", "host_tags", "host_tokens", "host_schedule", "scan_cursors", "certificates", "certificate_names",
			"tls_snapshots", "scan_observations", "scans",
		},
		Permissions: []access.Grant{
			{Permission: canReadHosts, Label: "See monitored hosts", Min: access.Viewer},
			{Permission: canCreateHost, Label: "Add hosts", Min: access.Member},
			{Permission: canUpdateHost, Label: "Change hosts, pause and resume their scans", Min: access.Member},
			{Permission: canDeleteHost, Label: "Remove hosts", Min: access.Member},
			{Permission: canScanHost, Label: "Scan hosts now", Min: access.Member},
			{Permission: canReadCerts, Label: "See certificates", Min: access.Viewer},
			{Permission: canCreateCert, Label: "Upload certificates", Min: access.Member},
		},
		Nav: []web.NavEntry{{
			Bucket: web.Reliability, Label: "Certificates", Path: "/certificates", Icon: "lock", Key: "c", Weight: 10, Permission: canReadHosts,
		}},
		Events: eventTypes(),
		Workers: func(w *river.Workers) {
			river.AddWorker(w, &scanWorker{s: s})
			river.AddWorker(w, &expireWorker{s: s})
			river.AddWorker(w, &expireByPlanWorker{s: s})
			river.AddWorker(w, &mergeWorker{s: s})
		},
		Schedules: []job.Schedule{
			{Every: 24 * time.Hour, AtStart: true, Job: func() river.JobArgs { return ExpireArgs{} }},
			{Every: 24 * time.Hour, AtStart: true, Job: func() river.JobArgs { return ExpireByPlanArgs{} }},
			{Every: mergeEvery, Job: func() river.JobArgs { return MergeArgs{} }},
		},
		Search: s.searchSources(),
		Refs:   s.resolvers(),
		Routes: s.routes,
		API:    s.operations,
	}
}
