package tasks

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "tasks",
		Tables: []string{"tasks", "task_dependencies", "task_tokens"},
		Permissions: []access.Grant{
			{Permission: CanRead, Label: "See tasks", Min: access.Viewer},
			{Permission: CanUpdate, Label: "Add, change, assign and delete tasks", Min: access.Member},
		},
		Nav: []web.NavEntry{
			{Bucket: web.Work, Label: "Tasks", Path: "/tasks", Icon: "list-todo", Key: "t", Weight: 30, Permission: CanRead},
		},
		Events: eventTypes(),
		Search: s.searchSources(),
		Refs:   s.resolvers(),
		Routes: s.routes,
		API:    s.operations,
	}
}
