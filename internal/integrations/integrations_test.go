package integrations

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/integrations/webhooksig"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

func ptr[T any](v T) *T { return &v }

const somewhere = "https://hooks.example.com/in?token=s3cr3t-path"

func TestASecretIsStoredSealedAndShownOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	e, secret, err := b.svc.Create(ctx, b.admin, NewEndpoint{URL: somewhere, Description: "Bot", Patterns: []string{"thing.made", "thing.*"}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(secret, "whsec_") || !slices.Equal(e.Patterns, []string{"thing.*"}) || !e.Enabled {
		t.Errorf("secret %q of %+v", secret, e)
	}
	rotated, _, err := b.svc.RotateSecret(ctx, b.admin, e.ID)
	if err != nil || rotated == secret {
		t.Fatalf("rotated to the same secret, %v", err)
	}
	for _, s := range []string{secret, rotated, strings.TrimPrefix(secret, "whsec_")} {
		for _, table := range []string{"webhook_endpoints", "audit.event", "events", "river.river_job"} {
			if n := b.count(t, `SELECT count(*) FROM `+table+` AS r WHERE strpos(r::text, $1) > 0 OR strpos(r::text, encode($1::text::bytea, 'hex')) > 0`, s); n != 0 {
				t.Errorf("%s holds a secret in the clear", table)
			}
		}
		if strings.Contains(b.log.String(), s) {
			t.Error("the log holds a secret")
		}
	}
	// The token in the address of the receiver is no matter for everybody who reads the log.
	for _, table := range []string{"audit.event", "events"} {
		if n := b.count(t, `SELECT count(*) FROM `+table+` AS r WHERE strpos(r::text, 's3cr3t-path') > 0`); n != 0 {
			t.Errorf("%s holds the whole address", table)
		}
	}
	var sealed []byte
	if err := b.Admin(t).QueryRow(ctx, `SELECT secret_sealed FROM webhook_endpoints`).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.sealer.Open(b.strang.WorkspaceID, purpose, sealed); err == nil {
		t.Error("another workspace opens the secret")
	}
	if plain, err := b.svc.sealer.Open(b.ws, purpose, sealed); err != nil || string(plain) != rotated {
		t.Errorf("the sealed secret is not the one that was shown: %v", err)
	}
}

func TestEachChangeIsRecorded(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	e, _ := b.add(t, somewhere, "thing.made")
	steps := []struct {
		name string
		do   func() error
		want []string
	}{
		{"created", func() error { return nil }, []string{EventCreated}},
		{"described", func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Description: ptr("Bot"), Version: ptr(int64(1))})
			return err
		}, []string{EventUpdated}},
		{"nothing new", func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Description: ptr("Bot"), Enabled: ptr(true)})
			return err
		}, nil},
		{"disabled", func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Enabled: ptr(false)})
			return err
		}, []string{EventDisabled}},
		{"moved and enabled", func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{URL: ptr("https://other.example.com/in"), Enabled: ptr(true)})
			return err
		}, []string{EventUpdated, EventEnabled}},
		{"rotated", func() error {
			_, _, err := b.svc.RotateSecret(ctx, b.admin, e.ID)
			return err
		}, []string{EventSecretRotated}},
		{"deleted", func() error { return b.svc.Delete(ctx, b.admin, e.ID) }, []string{EventDeleted}},
	}
	seen := 0
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		rows, err := b.Admin(t).Query(ctx, `SELECT action FROM audit.event ORDER BY recorded_at, event_id OFFSET $1`, seen)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for rows.Next() {
			var action string
			if err := rows.Scan(&action); err != nil {
				t.Fatal(err)
			}
			got = append(got, action)
		}
		seen += len(got)
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("%s: %s", s.name, diff)
		}
	}
	var diff string
	if err := b.Admin(t).QueryRow(ctx, `SELECT diff::text FROM audit.event WHERE action = 'webhook.updated' ORDER BY recorded_at DESC LIMIT 1`).Scan(&diff); err != nil {
		t.Fatal(err)
	}
	want := `[{"to": "[redacted]", "from": "[redacted]", "field": "url"}, {"to": "other.example.com", "from": "hooks.example.com", "field": "host"}]`
	if diff != want {
		t.Errorf("diff %s", diff)
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_endpoints`); n != 0 {
		t.Error("the endpoint is still there")
	}
}

func TestRefusedChangesChangeNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t, func(d *Deps) { d.Network = outbound.Policy{Mode: outbound.SelfHosted} })
	ctx := context.Background()
	e, _ := b.add(t, somewhere, "thing.made")
	for name, tc := range map[string]struct {
		do   func() error
		want []string
	}{
		"loopback": {func() error {
			_, _, err := b.svc.Create(ctx, b.admin, NewEndpoint{URL: "http://127.0.0.1/x", Patterns: []string{"*"}})
			return err
		}, []string{"url blocked"}},
		"metadata": {func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{URL: ptr("http://169.254.169.254/latest")})
			return err
		}, []string{"url blocked"}},
		"ambiguous": {func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{URL: ptr("http://0x7f000001/")})
			return err
		}, []string{"url blocked"}},
		"no pattern": {func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Patterns: &[]string{}})
			return err
		}, []string{"patterns required"}},
		"old version": {func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Enabled: ptr(false), Version: ptr(int64(7))})
			return err
		}, []string{"version current_version"}},
		"old If-Match": {func() error {
			_, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Enabled: ptr(false), IfMatch: `"7"`})
			return err
		}, []string{"version current_version"}},
		"networks that the operator denies": {func() error {
			_, err := b.svc.SetNetworks(ctx, b.admin, "127.0.0.1", 0)
			return err
		}, []string{"networks not_permitted"}},
	} {
		if diff := cmp.Diff(tc.want, problems(tc.do())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if after, err := b.svc.Endpoint(ctx, b.admin, e.ID); err != nil || cmp.Diff(e, after) != "" {
		t.Errorf("the endpoint changed: %s, %v", cmp.Diff(e, after), err)
	}
}

func TestNetworksOfAWorkspaceOpenPrivateAddresses(t *testing.T) {
	t.Parallel()
	b := setUp(t, func(d *Deps) { d.Network = outbound.Policy{Mode: outbound.SelfHosted} })
	ctx := context.Background()
	private := NewEndpoint{URL: "https://10.1.2.3/hook", Patterns: []string{"*"}}
	if _, _, err := b.svc.Create(ctx, b.admin, private); !slices.Equal(problems(err), []string{"url blocked"}) {
		t.Errorf("a private address was accepted: %v", err)
	}
	n, err := b.svc.SetNetworks(ctx, b.admin, "10.1.0.0/16", 0)
	if err != nil || n.Version != 1 {
		t.Fatalf("%+v, %v", n, err)
	}
	if _, _, err := b.svc.Create(ctx, b.admin, private); err != nil {
		t.Errorf("a named range stays blocked: %v", err)
	}
	if _, _, err := b.svc.Create(ctx, b.strang, private); err == nil {
		t.Error("the range of one workspace opened it for another")
	}
	if _, err := b.svc.SetNetworks(ctx, b.admin, "", 0); !fault.Is(err, fault.Conflict) {
		t.Errorf("an old version was accepted: %v", err)
	}
	if n, err = b.svc.SetNetworks(ctx, b.admin, "", 1); err != nil || n.Text != "" {
		t.Errorf("%+v, %v", n, err)
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE action = $1`, EventNetworks); n != 2 {
		t.Errorf("%d entries for 2 changes", n)
	}
}

func TestAnotherWorkspaceSeesAndChangesNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	e, _ := b.add(t, somewhere, "*")
	if err := b.svc.fanOut(ctx, event.Event{ID: uuid.New(), WorkspaceID: b.ws, Name: "thing.made", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	var delivery uuid.UUID
	if err := b.Admin(t).QueryRow(ctx, `UPDATE webhook_deliveries SET state = 'failed', next_attempt_at = NULL RETURNING id`).Scan(&delivery); err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"read": func() error { _, err := b.svc.Endpoint(ctx, b.strang, e.ID); return err },
		"change": func() error {
			_, err := b.svc.Change(ctx, b.strang, e.ID, EndpointChange{Enabled: ptr(false)})
			return err
		},
		"delete":   func() error { return b.svc.Delete(ctx, b.strang, e.ID) },
		"rotate":   func() error { _, _, err := b.svc.RotateSecret(ctx, b.strang, e.ID); return err },
		"test":     func() error { _, err := b.svc.SendTest(ctx, b.strang, e.ID); return err },
		"replay":   func() error { _, err := b.svc.Replay(ctx, b.strang, delivery); return err },
		"replay n": func() error { _, err := b.svc.ReplaySince(ctx, b.strang, e.ID, time.Time{}); return err },
	} {
		if err := do(); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
	err := b.InWorkspace(ctx, b.strang, func(tx *db.Tx) error {
		all, err := b.svc.Endpoints(ctx, tx)
		if err != nil || len(all) != 0 {
			t.Errorf("%d endpoints listed, %v", len(all), err)
		}
		refs, err := b.svc.resolver().Resolve(ctx, tx, []uuid.UUID{e.ID})
		if err != nil || len(refs) != 0 {
			t.Errorf("named as %v, %v", refs, err)
		}
		return b.svc.Deliver(ctx, tx, []uuid.UUID{e.ID}, event.Event{ID: uuid.New(), WorkspaceID: b.strang.WorkspaceID, Name: "thing.made", Payload: []byte("{}")})
	})
	if err != nil {
		t.Error(err)
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries`); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
}

func TestAnEventIsQueuedOncePerEndpointThatWantsIt(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	wants, _ := b.add(t, somewhere, "thing.*")
	other, _ := b.add(t, somewhere, "other.made")
	off, _ := b.add(t, somewhere, "*")
	if _, err := b.svc.Change(ctx, b.admin, off.ID, EndpointChange{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	ev := event.Event{ID: uuid.New(), WorkspaceID: b.ws, Name: "thing.made", Payload: []byte(`{"size":3}`)}
	for range 2 {
		if err := b.svc.fanOut(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	got := func(e Endpoint) int {
		return b.count(t, `SELECT count(*) FROM webhook_deliveries d WHERE d.endpoint_id = $1 AND event_id = $2 AND state = 'pending'`, e.ID, ev.ID)
	}
	if got(wants) != 1 || got(other) != 0 || got(off) != 0 {
		t.Errorf("queued %d, %d, %d; want 1, 0, 0", got(wants), got(other), got(off))
	}
	// By name it reaches whoever is enabled, but nobody twice.
	err := b.InWorkspace(ctx, b.member, func(tx *db.Tx) error {
		return b.svc.Deliver(ctx, tx, []uuid.UUID{wants.ID, other.ID, off.ID, uuid.New()}, ev)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got(wants) != 1 || got(other) != 1 || got(off) != 0 {
		t.Errorf("queued %d, %d, %d; want 1, 1, 0", got(wants), got(other), got(off))
	}
	if n := b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'webhook.deliver'`); n != 2 {
		t.Errorf("%d jobs for 2 deliveries", n)
	}
}

func TestTwoRequestsCannotBothTakeTheLastPlace(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	if _, err := b.Admin(t).Exec(ctx, `SET session_replication_role = replica; INSERT INTO webhook_endpoints
		(workspace_id, id, url, patterns, enabled, secret_sealed, created_at, updated_at)
		SELECT '`+b.ws.String()+`', gen_random_uuid(), 'https://example.com', '{*}', true, '', now(), now() FROM generate_series(1, 199)`); err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 2)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			_, _, errs[i] = b.svc.Create(ctx, b.admin, NewEndpoint{URL: somewhere, Patterns: []string{"*"}})
		})
	}
	all.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("both or none: %v", errs)
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_endpoints`); n != MaxEndpoints {
		t.Errorf("%d endpoints, want %d", n, MaxEndpoints)
	}
}

func TestEndpointsAreFoundAndNamed(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	e, _, err := b.svc.Create(ctx, b.admin, NewEndpoint{URL: somewhere, Description: "Deploy Bot", Patterns: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	index := search.NewIndex([]search.Source{b.svc.searchSource()}, []search.Resolver{b.svc.resolver()})
	err = b.InWorkspace(ctx, b.admin, func(tx *db.Tx) error {
		hits, err := index.Find(ctx, tx, b.policy, "deploy b", 5)
		if err != nil || len(hits) != 1 || hits[0].Path != "/integrations/webhooks/"+e.ID.String() {
			t.Errorf("found %+v, %v", hits, err)
		}
		refs, err := index.Resolve(ctx, tx, []search.Key{{Type: SubjectType, ID: e.ID}})
		if ref := refs[search.Key{Type: SubjectType, ID: e.ID}]; err != nil || ref.Title != "Deploy Bot" || ref.State != "Enabled" {
			t.Errorf("named %+v, %v", ref, err)
		}
		tx.Actor.Role = "member"
		hits, err = index.Find(ctx, tx, b.policy, "deploy b", 5)
		if err != nil || len(hits) != 0 {
			t.Errorf("a member found %+v, %v", hits, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOldDeliveriesAreForgottenAndOpenOnesKept(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	e, _ := b.add(t, somewhere, "*")
	for range 4 {
		if err := b.svc.fanOut(ctx, event.Event{ID: uuid.New(), WorkspaceID: b.ws, Name: "thing.made", Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Admin(t).Exec(ctx, `
		WITH n AS (SELECT id, row_number() OVER (ORDER BY id) AS k FROM webhook_deliveries)
		UPDATE webhook_deliveries d SET state = CASE WHEN k = 1 THEN 'pending' WHEN k = 2 THEN 'failed' ELSE 'delivered' END,
			next_attempt_at = CASE WHEN k = 1 THEN now() END,
			created_at = now() - CASE WHEN k = 4 THEN interval '29 days' ELSE interval '31 days' END
		FROM n WHERE n.id = d.id`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(ctx, `UPDATE webhook_bodies b SET created_at = d.created_at FROM webhook_deliveries d WHERE d.event_id = b.event_id`); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Admin(t).Exec(ctx, `INSERT INTO webhook_attempts SELECT workspace_id, id, 1, now(), 1, 200, 'success', '', '', '' FROM webhook_deliveries`); err != nil {
		t.Fatal(err)
	}
	if err := b.svc.expire(ctx); err != nil {
		t.Fatal(err)
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = $1`, e.ID); n != 2 {
		t.Errorf("%d deliveries are left, want the open and the young one", n)
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_attempts`); n != 2 {
		t.Errorf("%d attempts are left, want 2", n)
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_bodies`); n != 2 {
		t.Errorf("%d bodies are left, want 2", n)
	}
}

func TestBothSecretsSignWhileARotationLasts(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	e, first := b.add(t, somewhere, "*")
	second, until, err := b.svc.RotateSecret(ctx, b.admin, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	third, _, err := b.svc.RotateSecret(ctx, b.admin, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	if life := until.Sub(b.Clock.Now()); life > webhooksig.RotationPeriod || life < webhooksig.RotationPeriod-time.Hour {
		t.Errorf("the previous secret is valid for %s", life)
	}
	var tgt target
	if err := b.InWorkspace(ctx, b.admin, func(tx *db.Tx) error {
		tgt, err = loadTarget.One(ctx, tx, db.Args{"id": e.ID})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	now := b.Clock.Now()
	if got, err := b.svc.secrets(b.ws, tgt, now); err != nil || !slices.Equal(got, []string{third, second}) {
		t.Errorf("during the rotation %d secrets sign, %v", len(got), err)
	}
	if got, err := b.svc.secrets(b.ws, tgt, now.Add(webhooksig.RotationPeriod+time.Second)); err != nil || !slices.Equal(got, []string{third}) {
		t.Errorf("after the rotation %d secrets sign, %v", len(got), err)
	}
	if first == second || second == third {
		t.Error("secrets repeat")
	}
}
