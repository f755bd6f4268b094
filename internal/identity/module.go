package identity

import (
	"time"

	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/reseal"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "identity",
		Tables: []string{"users", "user_identities", "sessions", "used_logout_tokens", "api_tokens"},
		Permissions: []access.Grant{
			{Permission: CanUseTokens, Label: "Keep personal API tokens", Min: access.Viewer},
			{Permission: CanManageTokens, Label: "Keep service tokens and revoke anybody's tokens", Min: access.Admin},
		},
		Nav: []web.NavEntry{{
			Bucket: web.AdminBucket, Label: "API tokens", Path: settingsPath, Icon: "key-round", Weight: 60, Permission: CanManageTokens,
		}},
		Events: events(),
		Workers: func(w *river.Workers) {
			river.AddWorker(w, &recordWorker{s: s})
			river.AddWorker(w, &sweepWorker{s: s})
		},
		Schedules: []job.Schedule{{Every: time.Hour, AtStart: true, Job: func() river.JobArgs { return SweepArgs{} }}},
		Refs:      []search.Resolver{tokenRefs(), sessionRefs()},
		Sealed:    []reseal.Store{sealedIDTokens},
		Routes:    s.routes,
		API:       s.api,
	}
}
