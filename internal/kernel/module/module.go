// Package module is how a module describes itself to the program: one value, from which
// routes, sidebar, permissions, events, jobs and search follow.
package module

import (
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/reseal"
	"github.com/vigilo/vigilo/internal/kernel/search"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes one module.
type Module struct {
	// Name is the package name and the help folder.
	Name string
	// Tables are the tables that the module owns: nobody else writes them.
	Tables []string
	// Needs are the modules that it calls.
	Needs       []string
	Permissions []access.Grant
	Nav         []web.NavEntry
	Events      []event.Type
	On          []event.Subscription
	Workers     func(w *river.Workers)
	Schedules   []job.Schedule
	Search      []search.Source
	Refs        []search.Resolver
	// Sealed are the columns that hold sealed secrets.
	Sealed []reseal.Store
	Routes func(r *web.Router)
	API    func(m *api.Module)
}
