package auditlog

import (
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// The permissions of the module.
const (
	canRead       access.Permission = "audit.read"
	canExport     access.Permission = "audit.export"
	canShare      access.Permission = "audit.share"
	canReadEvents access.Permission = "event.read"
)

// Module describes the module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "auditlog",
		Tables: []string{"audit_filters"},
		Permissions: []access.Grant{
			{Permission: canRead, Label: "View the audit log", Min: access.Viewer},
			{Permission: canExport, Label: "Export the audit log", Min: access.Admin},
			{Permission: canShare, Label: "Share saved filters of the audit log", Min: access.Admin},
			{Permission: canReadEvents, Label: "Read events over the API", Min: access.Viewer},
		},
		Nav: []web.NavEntry{{
			Bucket: web.Governance, Label: "Audit log", Path: "/governance/audit", Icon: "scroll-text", Weight: 30, Permission: canRead,
		}},
		Events:    events(),
		Workers:   func(w *river.Workers) { river.AddWorker(w, &partitionsWorker{s: s}) },
		Schedules: schedules(),
		Routes: func(r *web.Router) {
			r.Get(pathLog, canRead, s.showList)
			r.Get(pathLog+"/news", canRead, s.showNews)
			r.Get(pathLog+"/export", canExport, s.export)
			r.Get(pathLog+"/filters/new", canRead, s.showFilterForm)
			r.Post(pathLog+"/filters", canRead, s.saveFilter)
			r.Get(pathLog+"/filters/{filter}/remove", canRead, s.confirmRemoval)
			r.Post(pathLog+"/filters/{filter}/remove", canRead, s.removeFilter)
			r.Get(pathLog+"/{id}", canRead, s.showEntry)
			r.Get(pathLog+"/{id}/target", canRead, s.goToTarget)
		},
		API: func(m *api.Module) { s.registerAPI(m) },
	}
}

const pathLog = "/governance/audit"
