package alertrules

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/event"
)

func TestAnAlertFiresOnTheEdgeAndEndsByItself(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "soon", nil)
	h := b.host("shop.example.com", 40)
	b.happen(t, "cert.observed", h)
	if got := b.alerts(t); len(got) != 0 {
		t.Fatalf("fired early: %v", got)
	}
	b.clk.Advance(10*day + time.Second)
	b.sweep(t)
	b.sweep(t)
	b.clk.Advance(time.Hour)
	b.look(t, h)
	if diff := cmp.Diff([]string{"firing shop.example.com:443: soon"}, b.alerts(t)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{"shop.example.com:443 expires in 29 days"}, b.out.titles()); diff != "" {
		t.Error(diff)
	}
	renewed := h
	renewed.NotBefore, renewed.NotAfter = b.clk.Now(), b.clk.Now().Add(90*day)
	b.inv.put(b.ws, renewed)
	b.happen(t, certChanged, renewed)
	if diff := cmp.Diff([]string{"resolved shop.example.com:443: soon"}, b.alerts(t)); diff != "" {
		t.Error(diff)
	}
	if got := b.out.titles(); len(got) != 2 || got[1] != "Resolved: shop.example.com:443" {
		t.Errorf("told %v", got)
	}
	for name, want := range map[string]int{eventFired: 1, eventResolved: 1, eventHeldBack: 0, eventCleared: 0} {
		if n := b.audited(t, name); n != want {
			t.Errorf("%s audited %d times, want %d", name, n, want)
		}
	}
	if n := b.events(t, eventFired) + b.events(t, eventResolved); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestARefireWithinTheCooldownIsKeptButNotTold(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "chain", func(r *Rule) { r.Trigger, r.CooldownMinutes = ChainInvalid, 30 })
	h := b.host("shop.example.com", 60)
	set := func(status string) {
		h.Status = status
		b.inv.put(b.ws, h)
		b.happen(t, "host.status_changed", h)
	}
	for _, step := range []struct {
		wait   time.Duration
		status string
	}{{0, "untrusted"}, {5, "valid"}, {5, "untrusted"}, {2, "valid"}, {13, "untrusted"}} {
		b.clk.Advance(step.wait * time.Minute)
		set(step.status)
	}
	if got := b.out.titles(); len(got) != 2 {
		t.Fatalf("told %v", got)
	}
	b.clk.Advance(4 * time.Minute)
	b.sweep(t)
	if got := b.out.titles(); len(got) != 2 {
		t.Fatalf("told within the cooldown: %v", got)
	}
	b.clk.Advance(time.Minute)
	b.sweep(t)
	b.sweep(t)
	b.clk.Advance(10 * time.Minute)
	set("valid")
	want := []string{
		"shop.example.com:443 has a chain that is not valid", "Resolved: shop.example.com:443",
		"shop.example.com:443 has a chain that is not valid", "Resolved: shop.example.com:443",
	}
	if diff := cmp.Diff(want, b.out.titles()); diff != "" {
		t.Error(diff)
	}
	if body := b.out.notices[2].Body; body != "The certificate chain is not valid. It fired 2 more times since the last notice.\nRule: chain." {
		t.Errorf("third notice %q", body)
	}
	if got := b.alerts(t); len(got) != 3 {
		t.Errorf("alerts %v", got)
	}
	if b.events(t, eventFired) != 2 || b.audited(t, eventHeldBack) != 2 || b.audited(t, eventCleared) != 1 {
		t.Errorf("events %d, held back %d, cleared %d", b.events(t, eventFired), b.audited(t, eventHeldBack), b.audited(t, eventCleared))
	}
}

func TestAfterAStandstillOnlyTheWorstOfWhatPassedIsTold(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.inWorkspace(t, b.admin, b.svc.SeedDefaults)
	h := b.host("shop.example.com", 60)
	b.happen(t, "cert.observed", h)
	// The process was down while four thresholds passed.
	b.clk.Advance(59*day + 12*time.Hour)
	for range 5 {
		b.sweep(t)
		b.clk.Advance(time.Minute)
	}
	if got := b.out.titles(); len(got) != 1 || got[0] != "shop.example.com:443 expires today" {
		t.Fatalf("told %v", got)
	}
	if b.out.notices[0].Severity != event.Critical {
		t.Errorf("first told %s, not the worst", b.out.notices[0].Severity)
	}
	b.clk.Advance(day)
	b.sweep(t)
	if got := b.out.titles(); len(got) != 2 || got[1] != "shop.example.com:443 has expired" {
		t.Errorf("after the end: %v", got)
	}
}

func TestExpiredMutesExpiringAndFailingMutesBoth(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.inWorkspace(t, b.admin, b.svc.SeedDefaults)
	h := b.host("old.example.com", -3)
	h.Status = "expired"
	b.inv.put(b.ws, h)
	b.happen(t, "cert.observed", h)
	if diff := cmp.Diff([]string{"old.example.com:443 has expired"}, b.out.titles()); diff != "" {
		t.Error(diff)
	}
	down := b.host("down.example.com", -3)
	down.Status = "unreachable"
	b.inv.put(b.ws, down)
	b.happen(t, hostScanFailed, down)
	if got := b.out.titles(); len(got) != 2 || got[1] != "down.example.com:443 cannot be scanned" {
		t.Errorf("told %v", got)
	}
	down.Status = "expired"
	b.inv.put(b.ws, down)
	b.happen(t, hostScanRecovered, down)
	got := b.out.titles()[2:]
	slices.Sort(got)
	if diff := cmp.Diff([]string{"Resolved: down.example.com:443", "down.example.com:443 has expired"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOneFailedScanIsNoAlertAndOldNewsDoNotCount(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "down", trigger(ScanFailed))
	h := b.host("shop.example.com", 60)
	h.Status = "unreachable"
	b.inv.put(b.ws, h)
	b.happen(t, "host.status_changed", h)
	if got := b.alerts(t); len(got) != 0 {
		t.Fatalf("one failure fired: %v", got)
	}
	failed := b.happen(t, hostScanFailed, h)
	recovered := b.happen(t, hostScanRecovered, h)
	// Jobs have no order: the older event arrives again, and last.
	b.deliver(t, failed)
	if diff := cmp.Diff([]string{"resolved shop.example.com:443: down"}, b.alerts(t)); diff != "" {
		t.Error(diff)
	}
	b.deliver(t, recovered)
	b.happen(t, hostScanFailed, h)
	if n := len(b.alerts(t)); n != 2 {
		t.Errorf("%d alerts, want 2", n)
	}
}

func TestAChangeIsOneAlertHoweverOftenItArrives(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "changed", func(r *Rule) { r.Trigger, r.CooldownMinutes = CertChanged, 60 })
	b.rule(t, "issuer", trigger(IssuerChanged))
	h := b.host("shop.example.com", 60)
	ev := b.happen(t, certChanged, h)
	b.deliver(t, ev)
	b.deliver(t, ev)
	if diff := cmp.Diff([]string{"resolved shop.example.com:443: changed"}, b.alerts(t)); diff != "" {
		t.Error(diff)
	}
	b.happen(t, certChanged, h)
	if len(b.alerts(t)) != 2 || len(b.out.titles()) != 1 {
		t.Errorf("within the cooldown: %v, told %v", b.alerts(t), b.out.titles())
	}
	b.clk.Advance(time.Hour)
	b.happen(t, certChanged, h)
	b.happen(t, certIssuerChanged, h)
	if got := b.out.titles(); len(got) != 3 {
		t.Errorf("told %v", got)
	}
	if n := b.events(t, eventResolved); n != 0 {
		t.Errorf("a change made %d events of its end", n)
	}
}

func TestTwoAtOnceMakeOneAlert(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "soon", nil)
	b.rule(t, "changed", trigger(CertChanged))
	var hosts []Host
	for i := range 20 {
		hosts = append(hosts, b.host(fmt.Sprintf("h%02d.example.com", i), 20))
	}
	ev := event.Event{
		ID: uuid.Must(uuid.NewV7()), WorkspaceID: b.ws, Name: certChanged, Payload: []byte(`{}`),
		Subject: event.Subject{Type: "host", ID: hosts[0].ID},
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			order := slices.Clone(hosts)
			if i%2 == 1 {
				slices.Reverse(order)
			}
			b.look(t, order...)
			b.deliver(t, ev)
		}()
	}
	wg.Wait()
	if n := len(b.alerts(t)); n != 21 {
		t.Errorf("%d alerts, want 21", n)
	}
	if n := b.events(t, eventFired); n != 21 {
		t.Errorf("%d events, want 21", n)
	}
	if got := b.out.titles(); len(got) != 2 {
		t.Errorf("told %v: one notice for all hosts of a rule, one for the change", got)
	}
}

func TestOnlyWatchedHostsFire(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	shop, test := b.host("shop.example.com", 5, "production"), b.host("test.example.com", 5, "test")
	b.rule(t, "tagged", func(r *Rule) { r.Target, r.TargetTags = TaggedHosts, []string{" Production "} })
	r := b.rule(t, "named", func(r *Rule) { r.Target, r.TargetHosts = SomeHosts, []uuid.UUID{test.ID} })
	b.look(t, shop, test)
	if diff := cmp.Diff([]string{"firing test.example.com:443: named", "firing shop.example.com:443: tagged"}, b.alerts(t)); diff != "" {
		t.Fatal(diff)
	}
	shop.Tags = nil
	b.inv.put(b.ws, shop)
	b.happen(t, "host.updated", shop)
	if _, err := b.svc.ChangeRule(context.Background(), b.admin, r.ID, RuleChange{Edit: func(r *Rule) { r.TargetHosts = []uuid.UUID{shop.ID} }}); err != nil {
		t.Fatal(err)
	}
	b.work(t)
	want := []string{"resolved test.example.com:443: named", "resolved shop.example.com:443: tagged", "firing shop.example.com:443: named"}
	got := b.alerts(t)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := b.out.titles(); len(got) != 3 {
		t.Errorf("told %v: what somebody changed is no news", got)
	}
}

// work does the jobs that wait, as the program would.
func (b *bench) work(t *testing.T) {
	t.Helper()
	ctx := context.Background()
	rows, err := b.Admin(t).Query(ctx, `DELETE FROM river.river_job WHERE kind = 'alertrules.recheck' RETURNING args->>'workspace_id', args->>'rule_id'`)
	if err != nil {
		t.Fatal(err)
	}
	var todo []RecheckArgs
	for rows.Next() {
		var a RecheckArgs
		if err := rows.Scan(&a.WorkspaceID, &a.RuleID); err != nil {
			t.Fatal(err)
		}
		todo = append(todo, a)
	}
	for _, a := range todo {
		if err := b.svc.recheckHosts(ctx, a); err != nil {
			t.Fatal(err)
		}
	}
}

func TestANewRuleFiresForHostsThatAreThereAlready(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.host("shop.example.com", 5)
	b.host("fine.example.com", 80)
	r := b.rule(t, "soon", nil)
	b.work(t)
	if diff := cmp.Diff([]string{"firing shop.example.com:443: soon"}, b.alerts(t)); diff != "" {
		t.Fatal(diff)
	}
	off := func(on bool) {
		if _, err := b.svc.ChangeRule(context.Background(), b.admin, r.ID, RuleChange{Edit: func(r *Rule) { r.Enabled = on }}); err != nil {
			t.Fatal(err)
		}
		b.work(t)
	}
	off(false)
	if diff := cmp.Diff([]string{"resolved shop.example.com:443: soon"}, b.alerts(t)); diff != "" {
		t.Error(diff)
	}
	off(true)
	if err := b.svc.DeleteRule(context.Background(), b.admin, r.ID, nil, ""); err != nil {
		t.Fatal(err)
	}
	b.work(t)
	if n := b.count(t, `SELECT count(*) FROM alerts WHERE state = 'resolved' AND resolved_reason IN ('rule_disabled', 'rule_deleted')`); n != 2 || len(b.alerts(t)) != 2 {
		t.Errorf("%d ended with their reasons of %v", n, b.alerts(t))
	}
	if n := b.count(t, `SELECT count(*) FROM alert_tracks`); n != 0 {
		t.Errorf("%d tracks left", n)
	}
}

func TestARemovedHostEndsItsAlerts(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "soon", nil)
	h := b.host("shop.example.com", 5)
	b.look(t, h)
	b.inv.remove(b.ws, h.ID)
	b.happen(t, "host.removed", h)
	if diff := cmp.Diff([]string{"resolved shop.example.com:443: soon"}, b.alerts(t)); diff != "" {
		t.Error(diff)
	}
	if n := b.count(t, `SELECT (SELECT count(*) FROM alert_checks) + (SELECT count(*) FROM alert_tracks)`); n != 0 {
		t.Errorf("%d rows left of it", n)
	}
	if got := b.out.titles(); len(got) != 1 {
		t.Errorf("told %v: whoever removed it knows", got)
	}
}

func TestTheSweepFindsTheWorkspacesWithSomethingDue(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.rule(t, "soon", nil)
	h := b.host("shop.example.com", 31)
	b.look(t, h)
	sweep := func() int {
		if err := b.svc.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		return b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'alertrules.due' AND args->>'workspace_id' = $1::text`, b.ws)
	}
	if n := sweep(); n != 0 {
		t.Fatalf("%d jobs although nothing is due", n)
	}
	b.clk.Advance(2 * day)
	sweep()
	if n := sweep(); n != 1 {
		t.Errorf("%d jobs after two sweeps, want 1", n)
	}
	if n := b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'alertrules.due'`); n != 1 {
		t.Errorf("%d jobs in all", n)
	}
}

func TestRecipientsAreWhoTheyAreWhenItFires(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	group := uuid.Must(uuid.NewV7())
	oncall := b.Member(t, b.ws, "Otto Oncall", "viewer")
	owner := b.Member(t, b.ws, "Olga Owner", "owner")
	for _, sql := range []string{
		`INSERT INTO people_groups (workspace_id, id, name, created_at) VALUES ($1, $2, 'On call', now())`,
		`INSERT INTO people_group_members (workspace_id, group_id, member_id) VALUES ($1, $2, '` + b.memberID(t, oncall).String() + `')`,
	} {
		if _, err := b.Admin(t).Exec(ctx, `SET session_replication_role = replica`); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Admin(t).Exec(ctx, sql, b.ws, group); err != nil {
			t.Fatal(err)
		}
	}
	hook := uuid.New()
	b.out.endpoints = []Endpoint{{ID: hook, Name: "https://hooks.example.com", Enabled: true}}
	b.rule(t, "soon", func(r *Rule) {
		r.MemberIDs, r.GroupIDs, r.Emails = []uuid.UUID{b.memberID(t, b.viewer)}, []uuid.UUID{group}, []string{"Team@Example.com", "team@example.com"}
		r.WebhookIDs = []uuid.UUID{hook}
	})
	h := b.host("shop.example.com", 5)
	h.OwnerMemberID = uuid.NullUUID{UUID: b.memberID(t, b.member), Valid: true}
	b.inv.put(b.ws, h)
	b.look(t, h)
	got := map[uuid.UUID]int{}
	for _, n := range b.out.notices {
		for _, id := range n.Recipients {
			got[id]++
		}
	}
	want := map[uuid.UUID]int{b.admin.UserID: 1, owner.UserID: 1, b.viewer.UserID: 1, oncall.UserID: 1, b.member.UserID: 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(b.out.mails) != 1 || !slices.Equal(b.out.mails[0].To, []string{"team@example.com"}) {
		t.Errorf("mails %+v", b.out.mails)
	}
	if diff := cmp.Diff([]string{"alert.fired " + hook.String()}, b.out.delivered); diff != "" {
		t.Error(diff)
	}
	// Suspended members hear nothing, and roles count as they are now.
	if _, err := b.Admin(t).Exec(ctx, `UPDATE members SET state = CASE WHEN user_id = $1 THEN 'suspended' ELSE state END,
		role = CASE WHEN user_id = $2 THEN 'viewer' ELSE role END WHERE workspace_id = $3`, b.viewer.UserID, b.admin.UserID, b.ws); err != nil {
		t.Fatal(err)
	}
	b.out.notices = nil
	second := b.host("blog.example.com", 5)
	b.look(t, second)
	if len(b.out.notices) != 1 || len(b.out.notices[0].Recipients) != 2 {
		t.Errorf("second time %+v", b.out.notices)
	}
}
