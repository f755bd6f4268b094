package dev

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/assets"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/tasks"
)

// demoAsset is an asset of the demo with what it depends on, by name.
type demoAsset struct {
	assets.NewAsset
	on []demoEdge
}

type demoEdge struct {
	to, kind  string
	exclusive bool
	port      int
}

// demoAssets are what a small web shop runs.
func demoAssets() []demoAsset {
	const priya, tomas, mara, aiko = "priya@acme.example", "tomas@acme.example", "mara@acme.example", "aiko@acme.example"
	asset := func(name, kind, criticality, owner, team string, on ...demoEdge) demoAsset {
		return demoAsset{NewAsset: assets.NewAsset{Name: name, Type: kind, Criticality: criticality, Owner: owner, Team: team}, on: on}
	}
	needs := func(to string) demoEdge { return demoEdge{to: to} }
	rests := func(to string) demoEdge { return demoEdge{to: to, exclusive: true} }
	runs := func(to string) demoEdge { return demoEdge{to: to, kind: "hosts"} }
	uses := func(to string, port int) demoEdge { return demoEdge{to: to, kind: "connects_to", port: port} }
	list := []demoAsset{
		asset("Web shop", "service", "critical", mara, "storefront", rests("Orders API"), needs("Search"), needs("shop.acme.example")),
		asset("Back office", "service", "high", tomas, "operations", needs("Orders API"), needs("Billing API")),
		asset("Orders API", "application", "critical", aiko, "payments", rests("db-orders-01"), uses("cache-01", 6379), uses("Billing API", 443), runs("k8s-prod")),
		asset("Billing API", "application", "critical", aiko, "payments", rests("db-billing-01"), uses("Card gateway", 443), runs("k8s-prod")),
		asset("Search", "application", "medium", mara, "storefront", uses("cache-01", 6379), runs("k8s-prod")),
		asset("Nightly reports", "application", "low", tomas, "operations", uses("db-orders-02", 5432), runs("vm-batch-01")),
		asset("db-orders-01", "database", "critical", tomas, "platform", runs("srv-db-01")),
		asset("db-orders-02", "database", "high", tomas, "platform", needs("db-orders-01"), runs("srv-db-02")),
		asset("db-billing-01", "database", "critical", tomas, "platform", runs("srv-db-02")),
		asset("cache-01", "container", "medium", "", "platform", runs("k8s-prod")),
		asset("k8s-prod", "other", "critical", tomas, "platform", runs("srv-app-01"), runs("srv-app-02")),
		asset("vm-batch-01", "vm", "low", "", "operations", runs("srv-app-02")),
		asset("srv-app-01", "server", "high", tomas, "platform", uses("core-switch", 0)),
		asset("srv-app-02", "server", "high", tomas, "platform", uses("core-switch", 0)),
		asset("srv-db-01", "server", "critical", tomas, "platform", uses("core-switch", 0)),
		asset("srv-db-02", "server", "critical", tomas, "platform", uses("core-switch", 0)),
		asset("core-switch", "network", "critical", priya, "platform"),
		asset("shop.acme.example", "domain", "critical", mara, "storefront"),
		asset("Card gateway", "service", "high", "", "payments"),
		asset("Orders API staging", "application", "low", aiko, "payments", runs("vm-batch-01")),
		asset("srv-app-03", "server", "medium", tomas, "platform"),
		asset("srv-app-00", "server", "low", "", "platform"),
	}
	for i := range list {
		a := &list[i]
		a.Tags = []string{a.Team, "demo"}
		switch a.Name {
		case "db-orders-01", "db-billing-01":
			a.OneChangeAtATime, a.LeadMinutes, a.TrailMinutes = true, 30, 60
			a.Hostname, a.Custom = a.Name+".acme.example", map[string]string{"Engine": "PostgreSQL 15", "Rack": "B7"}
			a.Description = "Primary. Take a backup before any change; a replica follows within seconds."
		case "Orders API staging":
			a.Environment = "staging"
		case "srv-app-03":
			a.Lifecycle = "planned"
		case "srv-app-00":
			a.Lifecycle = "retired"
		}
	}
	return list
}

// seedWork adds the demo's assets, what depends on what, and some tasks.
func (w *world) seedWork(ctx context.Context, a db.Actor) error {
	ids := map[string]uuid.UUID{}
	for _, d := range demoAssets() {
		made, err := w.app.Services.Assets.AddAsset(ctx, a, d.NewAsset)
		if err != nil {
			return fmt.Errorf("add asset %s: %w", d.Name, err)
		}
		ids[d.Name] = made.ID
	}
	for _, d := range demoAssets() {
		for _, e := range d.on {
			_, err := w.app.Services.Assets.Relate(ctx, a, assets.NewRelationship{
				From: ids[d.Name], To: ids[e.to], Type: e.kind, Exclusive: e.exclusive, Port: e.port,
			})
			if err != nil {
				return fmt.Errorf("relate %s to %s: %w", d.Name, e.to, err)
			}
		}
	}
	return w.seedTasks(ctx, a, ids)
}

func (w *world) seedTasks(ctx context.Context, a db.Actor, ids map[string]uuid.UUID) error {
	const priya, tomas, mara, aiko = "priya@acme.example", "tomas@acme.example", "mara@acme.example", "aiko@acme.example"
	now := w.app.DB().Clock().Now().Truncate(time.Hour)
	keys := map[string]string{}
	for _, d := range []struct {
		title, about, asset, assignee string
		due                           time.Duration
		estimate                      int
		after                         string
	}{
		{"Test the restore of db-orders-01", "Restore last night's backup beside production and compare counts.", "db-orders-01", tomas, 26 * time.Hour, 120, ""},
		{"Move db-orders-01 to the new rack", "", "db-orders-01", tomas, 5 * 24 * time.Hour, 240, "Test the restore of db-orders-01"},
		{"Say who owns cache-01", "Nobody is asked when it fails.", "cache-01", priya, -20 * time.Hour, 15, ""},
		{"Renew the contract of the card gateway", "", "Card gateway", aiko, 12 * 24 * time.Hour, 60, ""},
		{"Order memory for srv-app-03", "", "srv-app-03", mara, 3 * 24 * time.Hour, 0, ""},
		{"Write down how the shop is taken offline", "One page: who decides, which switch, what customers see.", "", mara, 0, 90, ""},
		{"Clean up staging databases", "", "", "", 0, 0, ""},
	} {
		in := tasks.NewTask{Title: d.title, Description: d.about, Assignee: d.assignee, EstimateMinutes: d.estimate}
		if d.due != 0 {
			in.Due = now.Add(d.due)
		}
		if d.asset != "" {
			in.ParentType, in.ParentID = assets.SubjectAsset, ids[d.asset]
		}
		made, err := w.app.Services.Tasks.AddTask(ctx, a, in)
		if err != nil {
			return fmt.Errorf("add task %s: %w", d.title, err)
		}
		keys[d.title] = made.Key
		if d.after != "" {
			if _, err := w.app.Services.Tasks.DependOn(ctx, a, made.Key, keys[d.after], 0); err != nil {
				return fmt.Errorf("order task %s: %w", d.title, err)
			}
		}
	}
	return nil
}
