package assets

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestEveryFieldOfAnAssetIsChecked(t *testing.T) {
	t.Parallel()
	ok := NewAsset{Name: "db"}
	for _, c := range []struct {
		want   string
		change func(*NewAsset)
	}{
		{"name required", func(n *NewAsset) { n.Name = " \t " }},
		{"name too_long", func(n *NewAsset) { n.Name = strings.Repeat("ö", 121) }},
		{"name invalid_text", func(n *NewAsset) { n.Name = "a\x00b" }},
		{"ci_type not_allowed", func(n *NewAsset) { n.Type = "toaster" }},
		{"environment not_allowed", func(n *NewAsset) { n.Environment = "moon" }},
		{"criticality not_allowed", func(n *NewAsset) { n.Criticality = "very" }},
		{"lifecycle not_allowed", func(n *NewAsset) { n.Lifecycle = "gone" }},
		{"provider not_allowed", func(n *NewAsset) { n.Provider = "dropbox" }},
		{"hostname invalid_hostname", func(n *NewAsset) { n.Hostname = "https://db" }},
		{"hostname invalid_hostname", func(n *NewAsset) { n.Hostname = strings.Repeat("a", 254) }},
		{"team too_long", func(n *NewAsset) { n.Team = strings.Repeat("t", 61) }},
		{"external_id too_long", func(n *NewAsset) { n.ExternalID = strings.Repeat("e", 201) }},
		{"description too_long", func(n *NewAsset) { n.Description = strings.Repeat("d", 5001) }},
		{"custom too_long", func(n *NewAsset) { n.Custom = map[string]string{"rack": strings.Repeat("r", 501)} }},
		{"custom required", func(n *NewAsset) { n.Custom = map[string]string{" ": "x"} }},
		{"lead_minutes out_of_range", func(n *NewAsset) { n.LeadMinutes = -1 }},
		{"trail_minutes out_of_range", func(n *NewAsset) { n.TrailMinutes = MaxBuffer + 1 }},
		{"tags too_long", func(n *NewAsset) { n.Tags = []string{strings.Repeat("t", 41)} }},
		{"tags invalid_text", func(n *NewAsset) { n.Tags = []string{"a,b"} }},
	} {
		n := ok
		c.change(&n)
		_, err := n.asset(uuid.New(), noon)
		refused(t, err, fault.Invalid, c.want)
	}
	a, err := NewAsset{Name: "  Orders   API ", Hostname: "2001:db8::1", Tags: []string{" API", "api", "Orders"}}.asset(uuid.New(), noon)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{a.Name, a.Hostname, a.Type, a.Environment, a.Criticality, string(a.Lifecycle), a.Provider, strings.Join(a.Tags, "|")}
	if diff := cmp.Diff([]string{"Orders API", "2001:db8::1", "other", "prod", "medium", "active", "manual", "api|orders"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnAssetIsAddedChangedRetiredAndTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, err := w.AddAsset(ctx, w.member, NewAsset{
		Name: "db-orders-01", Type: "database", Hostname: "DB-Orders-01.example.com", Owner: w.admin.Email, Team: "payments",
		Tags: []string{"postgres"}, Custom: map[string]string{"Rack": "B7"}, LeadMinutes: 30, OneChangeAtATime: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.Asset(ctx, w.viewer, a.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, got, cmp.Comparer(func(x, y time.Time) bool { return x.Equal(y) })); diff != "" {
		t.Errorf("stored and returned: %s", diff)
	}
	if got.OwnerID.UUID != w.admin.UserID || got.Hostname != "db-orders-01.example.com" || got.Custom["Rack"] != "B7" {
		t.Errorf("%+v", got)
	}
	critical, version := "critical", a.Version
	a, err = w.UpdateAsset(ctx, w.member, a.ID, AssetEdit{Criticality: &critical, Version: &version})
	if err != nil || a.Version != 2 || a.Criticality != "critical" {
		t.Fatalf("%+v, %v", a, err)
	}
	_, err = w.UpdateAsset(ctx, w.member, a.ID, AssetEdit{Criticality: &critical, Version: &version})
	refused(t, err, fault.Conflict, "version_conflict")
	if same, err := w.UpdateAsset(ctx, w.member, a.ID, AssetEdit{Criticality: &critical}); err != nil || same.Version != 2 {
		t.Errorf("an edit that changes nothing: version %d, %v", same.Version, err)
	}
	if n, err := w.RetireAssets(ctx, w.member, []uuid.UUID{a.ID}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
	if n, err := w.RetireAssets(ctx, w.member, []uuid.UUID{a.ID}); err != nil || n != 0 {
		t.Errorf("retired twice: %d, %v", n, err)
	}
	name := "other"
	_, err = w.UpdateAsset(ctx, w.member, a.ID, AssetEdit{Name: &name})
	refused(t, err, fault.Conflict, "asset_retired")
	back, err := w.Reinstate(ctx, w.member, a.ID)
	if err != nil || back.Lifecycle != Active || back.RetiredAt != nil {
		t.Fatalf("%+v, %v", back, err)
	}
	_, err = w.Reinstate(ctx, w.member, a.ID)
	refused(t, err, fault.Conflict, "asset_in_use")
	if err := w.DeleteAsset(ctx, w.admin, a.ID); err != nil {
		t.Fatal(err)
	}
	want := []string{EventCreated, EventUpdated, EventRetired, EventReinstated, EventDeleted}
	if diff := cmp.Diff(want, w.actions(a.ID)); diff != "" {
		t.Error(diff)
	}
}

func TestRolesLimitWhatPeopleDoWithAssets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a := w.add("web-01")
	b := w.add("web-02")
	r := w.relate(a, b)
	name := "x"
	try := map[string]error{}
	_, try["add"] = w.AddAsset(ctx, w.viewer, NewAsset{Name: "x"})
	_, try["update"] = w.UpdateAsset(ctx, w.viewer, a.ID, AssetEdit{Name: &name})
	_, try["retire"] = w.RetireAssets(ctx, w.viewer, []uuid.UUID{a.ID})
	_, try["bulk"] = w.EditAssets(ctx, w.viewer, []uuid.UUID{a.ID}, AssetEdit{Name: &name})
	_, try["relate"] = w.Relate(ctx, w.viewer, NewRelationship{From: b.ID, To: a.ID})
	_, try["unrelate"] = w.Unrelate(ctx, w.viewer, r.ID)
	_, try["import"] = w.ImportAssets(ctx, w.viewer, Import{Text: "name\nx"})
	try["delete as member"] = w.DeleteAsset(ctx, w.member, a.ID)
	for what, err := range try {
		if !fault.Is(err, fault.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestAnotherWorkspaceSeesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b := w.add("web-01"), w.add("web-02")
	r := w.relate(a, b)
	name := "stolen"
	try := map[string]error{}
	_, try["read"] = w.Asset(ctx, w.stranger, a.ID)
	_, try["update"] = w.UpdateAsset(ctx, w.stranger, a.ID, AssetEdit{Name: &name})
	_, try["retire"] = w.RetireAssets(ctx, w.stranger, []uuid.UUID{a.ID})
	_, _, try["impact"] = w.ImpactOf(ctx, w.stranger, a.ID, 3)
	_, try["unrelate"] = w.Unrelate(ctx, w.stranger, r.ID)
	try["delete"] = w.DeleteAsset(ctx, w.stranger, a.ID)
	for what, err := range try {
		if !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := w.Relate(ctx, w.stranger, NewRelationship{From: a.ID, To: b.ID})
	refused(t, err, fault.Invalid, "from unknown_asset")
	if err := w.d.InWorkspace(ctx, w.stranger, func(tx *db.Tx) error {
		found, err := w.Find(ctx, tx, "web", 10)
		if len(found) > 0 {
			t.Errorf("found %v", found)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestNamesAreUniquePerTypeWhateverTheirCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	first := w.add("Orders", kind("database"))
	w.add("orders", kind("service"))
	_, err := w.AddAsset(ctx, w.member, NewAsset{Name: "ORDERS", Type: "database"})
	refused(t, err, fault.Conflict, "asset_exists")
	if e := fault.Find(err); e.Details[0].Ref != first.ID.String() || e.Details[0].Field != "name" {
		t.Errorf("%+v", e.Details)
	}
	w.add("a", func(n *NewAsset) { n.Provider, n.ExternalID = "aws", "i-1" })
	w.add("b", func(n *NewAsset) { n.Provider, n.ExternalID = "gcp", "i-1" })
	_, err = w.AddAsset(ctx, w.member, NewAsset{Name: "c", Provider: "aws", ExternalID: "i-1"})
	refused(t, err, fault.Conflict, "external_id asset_exists")
	_, err = w.AddAsset(ctx, w.member, NewAsset{Name: "d", Owner: "nobody@example.test"})
	refused(t, err, fault.Invalid, "owner unknown_member")
}

func TestTwoWhoAddTheSameAssetAtOnceGetOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() { _, errs[i] = w.AddAsset(t.Context(), w.member, NewAsset{Name: "one", Type: "vm"}) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else {
			refused(t, err, fault.Conflict, "asset_exists")
		}
	}
	if won != 1 {
		t.Errorf("%d were added, want 1", won)
	}
}

func TestWhatIsReferredToIsRetiredNotDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	changes := int64(2)
	w.AddReferrer(Referrer{One: "change", Many: "changes", Count: func(context.Context, *db.Tx, uuid.UUID) (int64, error) { return changes, nil }})
	a, b := w.add("app"), w.add("db")
	r := w.relate(a, b)
	err := w.DeleteAsset(ctx, w.admin, b.ID)
	refused(t, err, fault.Conflict, "asset_referenced")
	if e := fault.Find(err); !strings.Contains(e.Message, "1 relationship and 2 changes") {
		t.Error(e.Message)
	}
	if _, err := w.Unrelate(ctx, w.member, r.ID); err != nil {
		t.Fatal(err)
	}
	changes = 0
	if err := w.DeleteAsset(ctx, w.admin, b.ID); err != nil {
		t.Error(err)
	}
}

func TestRelationshipsRefuseWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a, b := w.add("app"), w.add("db")
	old := w.add("old")
	if _, err := w.RetireAssets(ctx, w.member, []uuid.UUID{old.ID}); err != nil {
		t.Fatal(err)
	}
	r := w.relate(a, b, func(n *NewRelationship) { n.Protocol, n.Port, n.Exclusive = "TCP", 5432, true })
	if r.how() != "tcp/5432" {
		t.Error(r.how())
	}
	for _, c := range []struct {
		in   NewRelationship
		kind fault.Kind
		code string
	}{
		{NewRelationship{From: a.ID, To: a.ID}, fault.Invalid, "to self_relationship"},
		{NewRelationship{From: a.ID, To: b.ID}, fault.Conflict, "relationship_exists"},
		{NewRelationship{From: a.ID, To: uuid.New()}, fault.Invalid, "to unknown_asset"},
		{NewRelationship{From: a.ID}, fault.Invalid, "to required"},
		{NewRelationship{From: old.ID, To: b.ID}, fault.Invalid, "from asset_retired"},
		{NewRelationship{From: a.ID, To: b.ID, Type: "likes"}, fault.Invalid, "type not_allowed"},
		{NewRelationship{From: b.ID, To: a.ID, Port: 70000}, fault.Invalid, "port out_of_range"},
	} {
		_, err := w.Relate(ctx, w.member, c.in)
		refused(t, err, c.kind, c.code)
	}
	w.relate(a, b, func(n *NewRelationship) { n.Type = "connects_to" })
	w.relate(b, a) // a circle is legal
	if got := w.actions(r.ID); !slices.Equal(got, []string{EventRelated}) {
		t.Error(got)
	}
}

func reachedNames(list []Reached) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = fmt.Sprintf("%s@%d", x.Name, x.Depth)
		if x.Exclusive {
			out[i] += "!"
		}
	}
	return out
}

func TestImpactWalksBothWaysAndEndsInCircles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	// shop → api → db → host, api → cache, worker → db, and db → api closes a circle.
	shop, api := w.add("shop", kind("service")), w.add("api", kind("application"))
	dbase, host := w.add("db", kind("database")), w.add("host")
	cache, worker := w.add("cache"), w.add("worker")
	gone := w.add("gone")
	only := func(n *NewRelationship) { n.Exclusive = true }
	w.relate(shop, api)
	w.relate(api, dbase, only)
	w.relate(api, cache)
	w.relate(worker, dbase)
	w.relate(dbase, host, only)
	w.relate(dbase, api)
	w.relate(gone, host, only)
	if _, err := w.RetireAssets(ctx, w.member, []uuid.UUID{gone.ID}); err != nil {
		t.Fatal(err)
	}
	w.in(func(ctx context.Context, tx *db.Tx) error {
		for _, c := range []struct {
			start    []uuid.UUID
			depth    int
			down, up []string
		}{
			{[]uuid.UUID{host.ID}, 1, []string{"db@1!"}, nil},
			{[]uuid.UUID{host.ID}, 0, []string{"db@1!", "api@2!", "worker@2", "shop@3"}, nil},
			{[]uuid.UUID{api.ID}, 6, []string{"db@1", "shop@1", "worker@2"}, []string{"cache@1", "db@1!", "host@2!"}},
			{[]uuid.UUID{cache.ID, host.ID}, 2, []string{"api@1", "db@1!", "shop@2", "worker@2"}, nil},
		} {
			got, err := w.Impact(ctx, tx, c.start, c.depth)
			if err != nil {
				return err
			}
			if diff := cmp.Diff([][]string{c.down, c.up}, [][]string{reachedNames(got.Downstream), reachedNames(got.Upstream)}, cmp.Transformer("nil", func(s []string) string { return strings.Join(s, " ") })); diff != "" {
				t.Errorf("depth %d: %s", c.depth, diff)
			}
		}
		got, err := w.Impact(ctx, tx, []uuid.UUID{cache.ID, host.ID}, 1)
		if err != nil {
			return err
		}
		for _, x := range got.Downstream {
			want := host.ID
			if x.Name == "api" {
				want = cache.ID
			}
			if x.From != want {
				t.Errorf("%s was reached from %s", x.Name, x.From)
			}
		}
		if _, err := w.Impact(ctx, tx, []uuid.UUID{host.ID}, 7); !fault.Is(err, fault.Invalid) {
			t.Errorf("depth 7: %v", err)
		}
		if got, err := w.Impact(ctx, tx, nil, 3); err != nil || len(got.Downstream) != 0 {
			t.Errorf("from nothing: %v, %v", got, err)
		}
		return nil
	})
}

func TestServicesOfAnAsset(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	shop, billing := w.add("Shop", kind("service")), w.add("Billing", kind("application"))
	dbase, node, lonely := w.add("db", kind("database")), w.add("node"), w.add("lonely")
	w.relate(shop, dbase)
	w.relate(billing, dbase, func(n *NewRelationship) { n.Type = "connects_to" })
	w.relate(node, shop, func(n *NewRelationship) { n.Type = "part_of" })
	w.relate(node, billing) // depends on a service without being part of it
	w.in(func(ctx context.Context, tx *db.Tx) error {
		got, err := w.Services(ctx, tx, []uuid.UUID{shop.ID, dbase.ID, node.ID, lonely.ID})
		if err != nil {
			return err
		}
		names := map[string]string{}
		for id, list := range got {
			var s []string
			for _, b := range list {
				s = append(s, b.Name)
			}
			names[map[uuid.UUID]string{shop.ID: "shop", dbase.ID: "db", node.ID: "node", lonely.ID: "lonely"}[id]] = strings.Join(s, ",")
		}
		if diff := cmp.Diff(map[string]string{"shop": "Shop", "db": "Billing,Shop", "node": "Shop"}, names); diff != "" {
			t.Error(diff)
		}
		return nil
	})
}

func TestBriefsAndFindServePickers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.add("Orders API", func(n *NewAsset) {
		n.LeadMinutes, n.TrailMinutes, n.OneChangeAtATime, n.Tags = 30, 90, true, []string{"edge"}
	})
	w.add("db-orders-01", func(n *NewAsset) { n.Criticality = "critical" })
	old := w.add("orders-old")
	if _, err := w.RetireAssets(t.Context(), w.member, []uuid.UUID{old.ID}); err != nil {
		t.Fatal(err)
	}
	w.in(func(ctx context.Context, tx *db.Tx) error {
		got, err := w.Briefs(ctx, tx, []uuid.UUID{a.ID, uuid.New()})
		if err != nil {
			return err
		}
		want := []Brief{{
			ID: a.ID, Name: "Orders API", Type: "server", Environment: "prod", Criticality: "medium", Lifecycle: "active",
			Tags: []string{"edge"}, OneChangeAtATime: true, LeadBuffer: 30 * time.Minute, TrailBuffer: 90 * time.Minute,
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for text, names := range map[string]string{"orders": "db-orders-01 Orders API", "EDGE": "Orders API", "01": "db-orders-01", "": "db-orders-01 Orders API", "x%": ""} {
			found, err := w.Find(ctx, tx, text, 10)
			if err != nil {
				return err
			}
			var s []string
			for _, b := range found {
				s = append(s, b.Name)
			}
			if strings.Join(s, " ") != names {
				t.Errorf("%q finds %v, want %s", text, s, names)
			}
		}
		return nil
	})
}

func TestABulkEditChangesAllOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	a := w.add("a", func(n *NewAsset) { n.Tags = []string{"old", "keep"} })
	b := w.add("b")
	high, team := "high", "platform"
	n, err := w.EditAssets(ctx, w.member, []uuid.UUID{a.ID, b.ID}, AssetEdit{
		Criticality: &high, Team: &team, Owner: &w.admin.Email, AddTags: []string{"New"}, RemoveTags: []string{"old"},
	})
	if err != nil || n != 2 {
		t.Fatal(n, err)
	}
	got, err := w.Asset(ctx, w.viewer, a.ID)
	if err != nil || strings.Join(got.Tags, " ") != "keep new" || got.Team != team || got.OwnerID.UUID != w.admin.UserID {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.RetireAssets(ctx, w.member, []uuid.UUID{b.ID}); err != nil {
		t.Fatal(err)
	}
	low := "low"
	_, err = w.EditAssets(ctx, w.member, []uuid.UUID{a.ID, b.ID}, AssetEdit{Criticality: &low})
	refused(t, err, fault.Conflict, "asset_retired")
	if got, err := w.Asset(ctx, w.viewer, a.ID); err != nil || got.Criticality != "high" {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = w.EditAssets(ctx, w.member, nil, AssetEdit{})
	refused(t, err, fault.Invalid, "id required")
}

func TestAnImportAddsAllOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.add("there", kind("vm"))
	text := "Name;Type;Env;Criticality;Owner;Tags;lead_minutes;custom\n" +
		"shop;service;prod;critical;" + w.admin.Email + ";\"a, b\";30;\"Rack: B7; Row: 2\"\n" +
		"there;vm;;;;;;\n" +
		"Shop;service;;;;;;\n" +
		"x;toaster;;;who@example.test;;soon;\n"
	p, err := w.PreviewImport(ctx, w.member, Import{Text: text, Tags: []string{"imported"}})
	if err != nil {
		t.Fatal(err)
	}
	if p.New != 1 || p.Exists != 1 || p.Wrong != 2 {
		t.Errorf("%d new, %d exist, %d wrong", p.New, p.Exists, p.Wrong)
	}
	var problems []string
	for _, r := range p.Rows {
		for _, d := range r.Problems {
			problems = append(problems, fmt.Sprintf("%d %s %s", r.Line, d.Field, d.Code))
		}
	}
	want := []string{"4 name twice", "5 lead_minutes not_a_number", "5 owner unknown_member", "5 ci_type not_allowed"}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Error(diff)
	}
	_, err = w.ImportAssets(ctx, w.member, Import{Text: text})
	refused(t, err, fault.Invalid, "line 5: ci_type not_allowed")
	good := strings.Join(strings.Split(text, "\n")[:3], "\n")
	if p, err = w.ImportAssets(ctx, w.member, Import{Text: good, Tags: []string{"imported"}}); err != nil || p.New != 1 {
		t.Fatal(p.New, err)
	}
	got, err := w.Asset(ctx, w.viewer, p.Rows[0].Asset.ID)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(got.Tags, " ") != "a b imported" || got.Custom["Rack"] != "B7" || got.LeadMinutes != 30 || got.OwnerID.UUID != w.admin.UserID {
		t.Errorf("%+v", got)
	}
	if p, err = w.ImportAssets(ctx, w.member, Import{Text: good}); err != nil || p.New != 0 || p.Exists != 2 {
		t.Errorf("again: %+v, %v", p, err)
	}
	for text, code := range map[string]string{"": "required", "a,b\n1,2": "no_header", "name,color\nx,red": "unknown_column", "name,name\nx,y": "twice", "name\n": "required", "name\xff": "invalid_text"} {
		_, err := w.PreviewImport(ctx, w.member, Import{Text: text})
		refused(t, err, fault.Invalid, "text "+code)
	}
}

func TestAnExportCanBeImportedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.add("=cmd", func(n *NewAsset) {
		n.Description, n.Custom, n.Owner, n.OneChangeAtATime = "two\nlines", map[string]string{"a": "1", "b": "2"}, w.admin.Email, true
	})
	w.add("plain", kind("service"))
	q, err := filter{View: viewInUse}.query()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := w.writeCSV(ctx, w.viewer, q, &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), ",'=cmd,") {
		t.Errorf("a formula is not defused: %s", out.String())
	}
	p, err := w.PreviewImport(ctx, w.member, Import{Text: out.String()})
	if err != nil || p.Exists != 2 || p.Wrong != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if a := p.Rows[0].Asset; a.Description != "two\nlines" || a.Custom["b"] != "2" || !a.OneChangeAtATime || a.OwnerID.UUID != w.admin.UserID {
		t.Errorf("%+v", a)
	}
}
