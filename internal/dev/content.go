package dev

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/integrations"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// seedContent fills the demo workspace: every TLS server of the farm is watched, and the
// webhook catcher hears of everything about hosts, certificates and alerts.
func (w *world) seedContent(ctx context.Context, ws uuid.UUID, owner identity.User) error {
	a := actor(ws, owner, access.Owner)
	var there bool
	err := w.app.DB().InWorkspace(ctx, a, func(tx *db.Tx) error {
		var err error
		there, err = w.app.Services.Certificates.HasHost(ctx, tx)
		return err
	})
	if err != nil || there {
		return err
	}
	_, _, err = w.app.Services.Integrations.Create(ctx, a, integrations.NewEndpoint{
		URL: w.hookURL + "hook", Description: "The webhook catcher of vigilo dev", Patterns: []string{"alert.*", "cert.*", "host.*"},
	})
	if err != nil {
		return fmt.Errorf("add webhook: %w", err)
	}
	for i, s := range w.farm.Servers() {
		tag := "production"
		if i%3 == 2 {
			tag = "staging"
		}
		_, _, err := w.app.Services.Certificates.AddHost(ctx, a, certificates.NewHost{
			Hostname: s.Host, Port: s.Port, ServerName: s.ServerName, STARTTLS: s.STARTTLS, Interval: "1h",
			Tags: []string{tag, "demo"}, Owner: []string{"mara@acme.example", "tomas@acme.example", "priya@acme.example"}[i%3],
		})
		if err != nil {
			return fmt.Errorf("add host %s: %w", s.Name, err)
		}
	}
	if err := w.seedWork(ctx, a); err != nil {
		return err
	}
	return w.seedFreezes(ctx, a)
}
