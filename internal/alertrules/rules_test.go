package alertrules

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestANewWorkspaceGetsTheDefaultRules(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.inWorkspace(t, b.admin, b.svc.SeedDefaults)
	rules, _, err := b.svc.Rules(context.Background(), b.viewer)
	if err != nil || len(rules) != 10 {
		t.Fatalf("%d rules, %v", len(rules), err)
	}
	days := map[int]bool{}
	for _, r := range rules {
		days[r.ThresholdDays] = true
		if !r.Enabled || !r.NotifyAdmins || !r.NotifyOwner || r.Target != WholeWorkspace {
			t.Errorf("%+v", r)
		}
	}
	if diff := cmp.Diff(map[int]bool{0: true, 1: true, 7: true, 14: true, 30: true}, days); diff != "" {
		t.Error(diff)
	}
	if n := b.audited(t, eventRuleCreated); n != 10 {
		t.Errorf("%d audited", n)
	}
}

func TestARuleSaysEverythingThatIsWrongWithIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	b.rule(t, "Taken", nil)
	foreign := uuid.Must(uuid.NewV7())
	b.inv.put(b.other, Host{ID: foreign, Title: "theirs.example.com:443"})
	var theirs uuid.UUID
	if err := b.Admin(t).QueryRow(context.Background(), `SELECT id FROM members WHERE workspace_id = $1`, b.other).Scan(&theirs); err != nil {
		t.Fatal(err)
	}
	many := func(n int) (out []string) {
		for i := range n {
			out = append(out, strings.Repeat("x", i+1))
		}
		return out
	}
	tests := map[string]struct {
		edit func(*Rule)
		want string
	}{
		"no name":           {func(r *Rule) { r.Name = "  " }, "name required"},
		"a long name":       {func(r *Rule) { r.Name = strings.Repeat("é", 81) }, "name too_long"},
		"a NUL":             {func(r *Rule) { r.Name = "a\x00b" }, "name invalid_text"},
		"a taken name":      {func(r *Rule) { r.Name = " Taken " }, "name name_taken"},
		"a foreign trigger": {func(r *Rule) { r.Trigger = "grade_below" }, "trigger not_allowed"},
		"no days":           {func(r *Rule) { r.ThresholdDays = 0 }, "threshold_days out_of_range"},
		"too many days":     {func(r *Rule) { r.ThresholdDays = 366 }, "threshold_days out_of_range"},
		"a severity":        {func(r *Rule) { r.Severity = "urgent" }, "severity not_allowed"},
		"a negative wait":   {func(r *Rule) { r.CooldownMinutes = -1 }, "cooldown_minutes out_of_range"},
		"a long wait":       {func(r *Rule) { r.CooldownMinutes = 43201 }, "cooldown_minutes out_of_range"},
		"a target":          {func(r *Rule) { r.Target = "planet" }, "target not_allowed"},
		"no hosts":          {func(r *Rule) { r.Target = SomeHosts }, "target_host_ids required"},
		"a foreign host":    {func(r *Rule) { r.Target, r.TargetHosts = SomeHosts, []uuid.UUID{foreign} }, "target_host_ids not_found"},
		"no tags":           {func(r *Rule) { r.Target = TaggedHosts }, "target_tags required"},
		"a long tag":        {func(r *Rule) { r.Target, r.TargetTags = TaggedHosts, []string{strings.Repeat("x", 41)} }, "target_tags too_long"},
		"many tags":         {func(r *Rule) { r.Target, r.TargetTags = TaggedHosts, many(21) }, "target_tags too_many"},
		"a foreign member":  {func(r *Rule) { r.MemberIDs = []uuid.UUID{theirs} }, "member_ids not_found"},
		"a foreign group":   {func(r *Rule) { r.GroupIDs = []uuid.UUID{uuid.New()} }, "group_ids not_found"},
		"a foreign webhook": {func(r *Rule) { r.WebhookIDs = []uuid.UUID{uuid.New()} }, "webhook_ids not_found"},
		"no address":        {func(r *Rule) { r.Emails = []string{"team"} }, "emails invalid_email"},
		"two problems":      {func(r *Rule) { r.Name, r.Severity = "", "" }, "name required, severity not_allowed"},
	}
	for name, tt := range tests {
		r := NewRule()
		r.Name = name
		tt.edit(&r)
		if _, err := b.svc.CreateRule(context.Background(), b.admin, r); problems(err) != tt.want {
			t.Errorf("%s: %q, want %q", name, problems(err), tt.want)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM alert_rules`); n != 1 {
		t.Errorf("%d rules", n)
	}
}

func TestARuleIsSavedOverTheVersionThatWasSeen(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	r := b.rule(t, "soon", nil)
	one := int64(1)
	rename := func(to string, version *int64, ifMatch string) error {
		_, err := b.svc.ChangeRule(ctx, b.admin, r.ID, RuleChange{Edit: func(r *Rule) { r.Name = to }, Version: version, IfMatch: ifMatch})
		return err
	}
	if err := rename("sooner", &one, ""); err != nil {
		t.Fatal(err)
	}
	if err := rename("late", &one, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old version was saved: %v", err)
	}
	if err := rename("late", nil, `"1"`); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old If-Match was saved: %v", err)
	}
	if err := rename("sooner", nil, ""); err != nil || b.audited(t, eventRuleUpdated) != 1 {
		t.Errorf("saving the same was recorded, %v", err)
	}
	var diff string
	if err := b.Admin(t).QueryRow(ctx, `SELECT diff::text FROM audit.event WHERE action = $1`, eventRuleUpdated).Scan(&diff); err != nil {
		t.Fatal(err)
	}
	if want := `[{"to": "sooner", "from": "soon", "field": "name"}]`; diff != want {
		t.Errorf("audited %s", diff)
	}
	if err := b.svc.DeleteRule(ctx, b.admin, r.ID, &one, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old version was deleted: %v", err)
	}
}

func TestRightsAndWallsHold(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	r := b.rule(t, "soon", nil)
	h := b.host("shop.example.com", 5)
	b.look(t, h)
	var alert uuid.UUID
	if err := b.Admin(t).QueryRow(ctx, `SELECT id FROM alerts`).Scan(&alert); err != nil {
		t.Fatal(err)
	}
	change := func(a db.Actor) error {
		_, err := b.svc.ChangeRule(ctx, a, r.ID, RuleChange{Edit: func(r *Rule) { r.Enabled = false }})
		return err
	}
	create := func(a db.Actor) error {
		n := NewRule()
		n.Name = "mine"
		_, err := b.svc.CreateRule(ctx, a, n)
		return err
	}
	remove := func(a db.Actor) error { return b.svc.DeleteRule(ctx, a, r.ID, nil, "") }
	test := func(a db.Actor) error { _, err := b.svc.SendTest(ctx, a, r.ID); return err }
	ack := func(a db.Actor) error { _, err := b.svc.Acknowledge(ctx, a, alert); return err }
	read := func(a db.Actor) error { _, err := b.svc.Rule(ctx, a, r.ID); return err }
	look := func(a db.Actor) error { _, err := b.svc.Alert(ctx, a, alert); return err }
	tests := []struct {
		name string
		do   func(db.Actor) error
		by   db.Actor
		want fault.Kind
	}{
		{"a member changes a rule", change, b.member, fault.Denied},
		{"a member creates a rule", create, b.member, fault.Denied},
		{"a member deletes a rule", remove, b.member, fault.Denied},
		{"a member tests a rule", test, b.member, fault.Denied},
		{"a viewer acknowledges", ack, b.viewer, fault.Denied},
		{"a stranger changes a rule", change, b.stranger, fault.NotFound},
		{"a stranger deletes a rule", remove, b.stranger, fault.NotFound},
		{"a stranger tests a rule", test, b.stranger, fault.NotFound},
		{"a stranger acknowledges", ack, b.stranger, fault.NotFound},
		{"a stranger reads a rule", read, b.stranger, fault.NotFound},
		{"a stranger reads an alert", look, b.stranger, fault.NotFound},
	}
	for _, tt := range tests {
		if err := tt.do(tt.by); !fault.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if err := look(b.viewer); err != nil {
		t.Errorf("a viewer reads an alert: %v", err)
	}
	// The same host id in another workspace is another host.
	if err := b.svc.Evaluate(ctx, b.other, []uuid.UUID{h.ID}, nil); err != nil {
		t.Fatal(err)
	}
	if got := b.alerts(t); len(got) != 1 || !strings.HasPrefix(got[0], "firing") {
		t.Errorf("another workspace changed %v", got)
	}
}

func TestAcknowledgingIsDoneOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	b.rule(t, "soon", nil)
	hosts := []Host{b.host("a.example.com", 5), b.host("b.example.com", 5), b.host("c.example.com", 5)}
	b.look(t, hosts...)
	var ids []uuid.UUID
	b.inWorkspace(t, b.viewer, func(ctx context.Context, tx *db.Tx) error {
		page, err := Filter{State: Firing}.query().Sort("host").Page(ctx, tx)
		for _, a := range page.Items {
			ids = append(ids, a.ID)
		}
		return err
	})
	a, err := b.svc.Acknowledge(ctx, b.member, ids[0])
	if err != nil || a.Acknowledger != "Mara Member" || a.AcknowledgedAt == nil || a.State != Firing {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := b.svc.Acknowledge(ctx, b.admin, ids[0]); err != nil || b.events(t, eventAcknowledged) != 1 {
		t.Errorf("twice: %v, %d events", err, b.events(t, eventAcknowledged))
	}
	var home func() []HomeItem
	if err := b.ReadBatch(ctx, b.viewer, func(batch *db.Batch) { home = b.svc.QueueHome(batch, b.viewer, 5) }); err != nil {
		t.Fatal(err)
	}
	if items := home(); len(items) != 2 || items[0].Meta != "soon" || items[0].Tone != "warn" {
		t.Errorf("home %+v", items)
	}
	if n, err := b.svc.AcknowledgeMany(ctx, b.member, append(ids, uuid.New())); err != nil || n != 2 {
		t.Errorf("in bulk: %d, %v", n, err)
	}
	renewed := hosts[2]
	renewed.NotAfter = b.clk.Now().Add(80 * day)
	b.inv.put(b.ws, renewed)
	b.look(t, renewed)
	b.look(t, b.host("d.example.com", 5))
	var last uuid.UUID
	if err := b.Admin(t).QueryRow(ctx, `SELECT id FROM alerts WHERE host_title LIKE 'd.%'`).Scan(&last); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(ctx, `UPDATE alerts SET state = 'resolved', resolved_at = now() WHERE id = $1`, last); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Acknowledge(ctx, b.member, last); !fault.Is(err, fault.Conflict) {
		t.Errorf("an ended alert was acknowledged: %v", err)
	}
}

func TestATestSaysHowEachRecipientFared(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	good, off := uuid.New(), uuid.New()
	b.out.endpoints = []Endpoint{{ID: good, Name: "good", Enabled: true}, {ID: off, Name: "off"}}
	b.out.answers[good] = WebhookAnswer{Status: 204}
	b.out.noServer = true
	r := b.rule(t, "soon", func(r *Rule) {
		r.Emails, r.WebhookIDs = []string{"team@example.com"}, []uuid.UUID{good, off}
	})
	trials, err := b.svc.SendTest(ctx, b.admin, r.ID)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tr := range trials {
		got = append(got, tr.Channel+" "+tr.Recipient+" "+string(tr.State))
	}
	want := []string{
		"inbox Adam Admin queued", "inbox Owner of the host skipped", "mail team@example.com failed", "webhook good sent", "webhook off failed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if b.events(t, eventTestSent) != 1 || len(b.alerts(t)) != 0 || b.count(t, `SELECT count(*) FROM alert_tracks`) != 0 {
		t.Error("a test touched alerts, or was not recorded")
	}
	if n := b.out.notices[0]; n.EventName != eventTestSent || n.Severity != event.Medium {
		t.Errorf("notice %+v", n)
	}
}

func TestAlertsAndRulesAreFoundAndNamed(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	r := b.rule(t, "Ending soon", nil)
	b.look(t, b.host("shop.example.com", 5))
	x := index()
	find := func(a db.Actor, text string) (out []string) {
		b.inWorkspace(t, a, func(ctx context.Context, tx *db.Tx) error {
			hits, err := x.Find(ctx, tx, b.policy, text, 10)
			for _, h := range hits {
				out = append(out, h.Title)
			}
			return err
		})
		return out
	}
	if diff := cmp.Diff([]string{"shop.example.com:443"}, find(b.viewer, "Shop")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"Ending soon"}, find(b.viewer, "ending")); diff != "" {
		t.Error(diff)
	}
	if got := append(find(b.stranger, "shop"), find(b.stranger, "ending")...); len(got) != 0 {
		t.Errorf("a stranger finds %v", got)
	}
	b.inWorkspace(t, b.viewer, func(ctx context.Context, tx *db.Tx) error {
		refs, err := resolvers()[0].Resolve(ctx, tx, []uuid.UUID{r.ID, uuid.New()})
		if len(refs) != 1 || refs[r.ID].Title != "Ending soon" {
			t.Errorf("refs %+v", refs)
		}
		return err
	})
}
