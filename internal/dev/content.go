package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals"
	"github.com/vigilo/vigilo/internal/certificates"
	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/integrations"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// seedContent fills the demo workspace: every TLS server of the farm is watched, and the
// webhook catcher hears of everything about hosts, certificates and alerts.
func (w *world) seedContent(ctx context.Context, ws uuid.UUID, users map[string]identity.User) error {
	a := actor(ws, users["priya@acme.example"], access.Owner)
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
	if err := w.seedFreezes(ctx, a); err != nil {
		return err
	}
	if err := w.seedChanges(ctx, a); err != nil {
		return err
	}
	return w.seedAway(ctx, ws, users)
}

// seedAway lets one approver be away soon, and another decide for them.
func (w *world) seedAway(ctx context.Context, ws uuid.UUID, users map[string]identity.User) error {
	aiko := actor(ws, users["aiko@acme.example"], access.Approver)
	start := w.app.DB().Clock().Now().Add(48 * time.Hour).Truncate(24 * time.Hour)
	end := start.Add(10 * 24 * time.Hour)
	if _, err := w.app.Services.Approvals.CreateAbsence(ctx, aiko, approvals.NewAbsence{Start: start, End: end, Reason: "Family visit in Kyoto"}); err != nil {
		return fmt.Errorf("add absence: %w", err)
	}
	_, err := w.app.Services.Approvals.CreateDelegation(ctx, aiko, approvals.NewDelegation{
		Delegate: users["ben@acme.example"].ID, Kind: "out", Scope: "all", Start: start, End: end, Reason: "Ben knows the payment services",
	})
	if err != nil {
		return fmt.Errorf("add delegation: %w", err)
	}
	return nil
}
