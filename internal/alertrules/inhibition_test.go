package alertrules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// muted lists the alerts that fire and what mutes each, as "rule: by", in the order of rules.
func (b *bench) muted(t *testing.T) map[string]string {
	t.Helper()
	rows, err := b.Admin(t).Query(context.Background(), `
		SELECT a.rule_name, a.muted_by || coalesce(' ' || r.name, '') FROM alerts a
		LEFT JOIN alert_rules r ON r.workspace_id = a.workspace_id AND r.id = a.muted_id
		WHERE a.workspace_id = $1 AND a.state = 'firing'`, b.ws)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, by string
		if err := rows.Scan(&name, &by); err != nil {
			t.Fatal(err)
		}
		out[name] = by
	}
	return out
}

// thresholds adds rules of some days, named after them.
func (b *bench) thresholds(t *testing.T, days ...int) {
	t.Helper()
	for _, n := range days {
		b.rule(t, fmt.Sprint(n), func(r *Rule) { r.ThresholdDays = n })
	}
}

func TestAHostFirstSeenLateIsToldOnceByTheTightestRule(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.thresholds(t, 30, 14, 7, 1)
	h := b.host("shop.example.com", 5)
	b.happen(t, "cert.observed", h)
	if diff := cmp.Diff(map[string]string{"30": "rule 7", "14": "rule 7", "7": ""}, b.muted(t)); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{"shop.example.com:443 expires in 5 days"}, b.out.titles()); diff != "" {
		t.Fatal(diff)
	}
	if n := b.audited(t, eventHeldBack); n != 2 || b.events(t, eventFired) != 1 {
		t.Errorf("held back %d, fired %d", n, b.events(t, eventFired))
	}
	renewed := h
	renewed.NotBefore, renewed.NotAfter = b.clk.Now(), b.clk.Now().Add(90*day)
	b.inv.put(b.ws, renewed)
	b.happen(t, certChanged, renewed)
	if n := b.count(t, `SELECT count(*) FROM alerts WHERE state = 'resolved'`); n != 3 {
		t.Errorf("%d ended, want all three", n)
	}
	// What was never told does not end with a notice.
	if got := b.out.titles(); len(got) != 2 || got[1] != "Resolved: shop.example.com:443" {
		t.Errorf("told %v", got)
	}
	if b.events(t, eventResolved) != 1 || b.audited(t, eventCleared) != 2 {
		t.Errorf("resolved %d, cleared %d", b.events(t, eventResolved), b.audited(t, eventCleared))
	}
}

func TestEachThresholdThatPassesIsToldOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.inWorkspace(t, b.admin, b.svc.SeedDefaults)
	h := b.host("shop.example.com", 31)
	b.happen(t, "cert.observed", h)
	const shop = "shop.example.com:443 "
	var want []string
	for _, step := range []struct {
		wait time.Duration
		told string
	}{
		{0, ""}, // 31 days left
		{day + time.Second, "expires in 29 days"},
		{16 * day, "expires in 13 days"},
		{7 * day, "expires in 6 days"},
		{6 * day, "expires today"},
		{day, "has expired"},
	} {
		b.clk.Advance(step.wait)
		b.sweep(t)
		b.look(t, h)
		if step.told != "" {
			want = append(want, shop+step.told)
		}
		if diff := cmp.Diff(want, b.out.titles()); diff != "" {
			t.Fatalf("after %s:\n%s", step.wait, diff)
		}
	}
	// Days of the cooldown bring nothing back: each was told, and the worst speaks.
	b.clk.Advance(10 * day)
	b.look(t, h)
	if diff := cmp.Diff(want, b.out.titles()); diff != "" {
		t.Error(diff)
	}
	muted := b.muted(t)
	if len(muted) != 5 || muted["Certificate expired"] != "" || muted["Certificate expires within 1 day"] != "rule Certificate expired" {
		t.Errorf("muted %v", muted)
	}
}

func TestOnlyRulesForTheSameHostsAndPeopleInhibitEachOther(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	h := b.host("shop.example.com", 5, "shop")
	b.thresholds(t, 7)
	b.rule(t, "another target", func(r *Rule) { r.ThresholdDays, r.Target, r.TargetTags = 30, TaggedHosts, []string{"shop"} })
	b.rule(t, "another address", func(r *Rule) { r.ThresholdDays, r.Emails = 30, []string{"team@example.com"} })
	b.rule(t, "not the owner", func(r *Rule) { r.ThresholdDays, r.NotifyOwner = 30, false })
	b.rule(t, "one more member", func(r *Rule) { r.ThresholdDays, r.MemberIDs = 30, []uuid.UUID{b.memberID(t, b.viewer)} })
	b.rule(t, "the same days", func(r *Rule) { r.ThresholdDays = 7 })
	b.look(t, h)
	want := map[string]string{
		"7": "", "another target": "", "another address": "", "not the owner": "", "one more member": "", "the same days": "rule 7",
	}
	if diff := cmp.Diff(want, b.muted(t)); diff != "" {
		t.Error(diff)
	}
}

func TestAMutedRuleSpeaksWhenTheTighterOneIsSwitchedOff(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.thresholds(t, 30, 14)
	tight := b.rule(t, "7", func(r *Rule) { r.ThresholdDays = 7 })
	h := b.host("shop.example.com", 5)
	b.look(t, h)
	if _, err := b.svc.ChangeRule(context.Background(), b.admin, tight.ID, RuleChange{Edit: func(r *Rule) { r.Enabled = false }}); err != nil {
		t.Fatal(err)
	}
	b.work(t)
	if diff := cmp.Diff(map[string]string{"30": "rule 14", "14": ""}, b.muted(t)); diff != "" {
		t.Error(diff)
	}
	if got := b.out.titles(); len(got) != 2 {
		t.Errorf("told %v", got)
	}
}

func TestSetsAreEqualWhateverTheirOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		a, b []string
		want bool
	}{
		{nil, []string{}, true},
		{[]string{"a", "b"}, []string{"b", "a"}, true},
		{[]string{"a"}, []string{"a", "b"}, false},
		{[]string{"a", "b"}, []string{"a", "c"}, false},
	} {
		if got := sameSet(tt.a, tt.b); got != tt.want {
			t.Errorf("%v and %v: %v", tt.a, tt.b, got)
		}
	}
}
