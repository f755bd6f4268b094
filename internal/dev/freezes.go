package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/freezes"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// seedFreezes adds the windows of a small web shop: the weeks in which nothing moves, the
// nights in which databases may be touched, and the hours in which servers are patched.
func (w *world) seedFreezes(ctx context.Context, a db.Actor) error {
	service := w.app.Services.Freezes
	named := func(names ...string) ([]uuid.UUID, error) {
		var ids []uuid.UUID
		err := w.app.DB().InWorkspace(ctx, a, func(tx *db.Tx) error {
			for _, name := range names {
				found, err := w.app.Services.Assets.Find(ctx, tx, name, 1)
				if err != nil {
					return err
				}
				for _, f := range found {
					ids = append(ids, f.ID)
				}
			}
			return nil
		})
		return ids, err
	}
	databases, err := named("db-orders-01", "db-orders-02", "db-billing-01")
	if err != nil {
		return fmt.Errorf("find databases of the demo: %w", err)
	}
	servers, err := named("srv-app-01", "srv-app-02", "srv-db-01", "srv-db-02")
	if err != nil {
		return fmt.Errorf("find servers of the demo: %w", err)
	}
	now := w.clock.Now()
	year := now.Year()
	if now.Month() == time.December && now.Day() > 10 {
		year++
	}
	day := func(month time.Month, d, hour int, years int) *time.Time {
		t := time.Date(year+years, month, d, hour, 0, 0, 0, time.UTC)
		return &t
	}
	first := now.Format(time.DateOnly)
	weekly := func(rule, start, end string, days int) freezes.Schedule {
		return freezes.Schedule{Recurring: true, Zone: "Europe/Oslo", FirstDate: first, LocalStart: start, LocalEnd: end, EndDays: days, RRule: rule}
	}
	for _, f := range []freezes.Freeze{
		{
			Name: "Year-end freeze", Kind: freezes.Hard, State: freezes.Active, Scope: freezes.Scope{Environments: []string{"prod"}},
			Reason:   "The shop earns a third of its year in these weeks. Nothing in production moves unless two people agree.",
			Schedule: freezes.Schedule{Zone: "Europe/Oslo", StartsAt: day(time.December, 14, 17, 0), EndsAt: day(time.January, 5, 7, 1)},
		},
		{
			Name: "No changes on Friday evenings", Kind: freezes.Soft, State: freezes.Active,
			Reason: "Nobody wants to be called in over the weekend.", Schedule: weekly("FREQ=WEEKLY;BYDAY=FR", "15:00", "07:00", 3),
		},
		{
			Name: "Database nights", Kind: freezes.MaintenanceOnly, State: freezes.Active, Scope: freezes.Scope{AssetIDs: databases},
			Reason: "Orders stop for seconds when a database switches over.", Schedule: weekly("FREQ=WEEKLY;BYDAY=TU,TH", "22:00", "04:00", 1),
		},
		{
			Name: "Server patches", Kind: freezes.Maintenance, State: freezes.Active, Scope: freezes.Scope{AssetIDs: servers},
			PreapprovesStandard: true, Reason: "Servers restart one after the other.", Schedule: weekly("FREQ=MONTHLY;BYDAY=2SU", "02:00", "05:00", 0),
		},
		{
			Name: "Move to the new data centre", Kind: freezes.Hard, State: freezes.Draft,
			Reason:   "Cables are moved; what runs must not change at the same time.",
			Schedule: freezes.Schedule{Zone: "Europe/Oslo", StartsAt: day(time.March, 6, 20, 1), EndsAt: day(time.March, 8, 6, 1)},
		},
	} {
		if _, err := service.CreateFreeze(ctx, a, f); err != nil {
			return fmt.Errorf("add %s: %w", f.Name, err)
		}
	}
	return nil
}
