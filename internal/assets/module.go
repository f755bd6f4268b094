package assets

import (
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/module"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// Module describes this module to the program.
func (s *Service) Module() module.Module {
	return module.Module{
		Name:   "assets",
		Tables: []string{"assets", "asset_tags", "asset_tokens", "asset_relationships"},
		Permissions: []access.Grant{
			{Permission: CanRead, Label: "See assets, their relationships and the map", Min: access.Viewer},
			{Permission: CanCreate, Label: "Add assets", Min: access.Member},
			{Permission: CanUpdate, Label: "Change assets and their relationships", Min: access.Member},
			{Permission: CanImport, Label: "Import assets", Min: access.Member},
			{Permission: CanRetire, Label: "Retire assets and take them back into use", Min: access.Member},
			{Permission: CanDelete, Label: "Delete assets that nothing refers to", Min: access.Admin},
		},
		Nav: []web.NavEntry{
			{Bucket: web.Inventory, Label: "Assets", Path: "/assets", Icon: "boxes", Key: "e", Weight: 10, Permission: CanRead},
		},
		Events: eventTypes(),
		Search: s.searchSources(),
		Refs:   s.resolvers(),
		Routes: s.routes,
		API:    s.operations,
	}
}
