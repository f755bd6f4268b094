package assets

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/templates/ui"
)

// PanelView is what another module shows of an asset.
type PanelView struct {
	// Rows are records; their Href is below the workspace.
	Rows []ui.Row
	// MoreText and MorePath lead to the whole list; both are empty when it is all here.
	MoreText, MorePath string
}

// Panel is a part of an asset's page that another module fills: its certificates, changes,
// tasks.
type Panel struct {
	// ID is unique among panels, and an anchor on the page.
	ID    string
	Title string
	// Empty is what the card says when there is nothing.
	Empty string
	// Permission is what a reader must hold to see the panel.
	Permission access.Permission
	// Read queues the panel's statements with those of the page, and returns what makes a
	// view of them once the batch has run.
	Read func(b *db.Batch, a db.Actor, asset uuid.UUID) func(zone *time.Location, now time.Time) (PanelView, error)
}

// AddPanel adds a part to the page of each asset, before the program serves. Panels stand in
// the order in which they were added.
func (s *Service) AddPanel(p Panel) { s.panels = append(s.panels, p) }

// queuedPanel is a panel whose statements are in the batch.
type queuedPanel struct {
	Panel
	view func(zone *time.Location, now time.Time) (PanelView, error)
}

// queuePanels queues the panels that the actor may see.
func (s *Service) queuePanels(b *db.Batch, a db.Actor, id uuid.UUID) []queuedPanel {
	var out []queuedPanel
	for _, p := range s.panels {
		if s.policy.Can(a, p.Permission) {
			out = append(out, queuedPanel{Panel: p, view: p.Read(b, a, id)})
		}
	}
	return out
}
