package integrations

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
)

// verified asks the independent library whether a request is Vigilo's.
func verified(t *testing.T, secret string, a arrived) error {
	t.Helper()
	receiver, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	return receiver.Verify(a.body, a.header)
}

func (b *bench) inState(t testing.TB, s State) int {
	t.Helper()
	return b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE state = $1`, string(s))
}

func TestAnEventArrivesSignedAndIsKept(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	s := newSink(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte("thanks" + strings.Repeat("!", 5000)))
	})
	_, secret := b.add(t, s.URL, "thing.*")
	b.work(t, nil)
	id := b.happen(t, "thing.made")
	wait(t, "it is delivered", func() bool { return b.inState(t, Delivered) == 1 })

	got := s.all()
	if len(got) != 1 {
		t.Fatalf("%d requests, want 1", len(got))
	}
	if err := verified(t, secret, got[0]); err != nil {
		t.Error(err)
	}
	if got[0].header.Get("webhook-id") != id.String() || got[0].header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", got[0].header)
	}
	var ev event.Event
	if err := json.Unmarshal(got[0].body, &ev); err != nil {
		t.Fatal(err)
	}
	if ev.ID != id || ev.Name != "thing.made" || ev.WorkspaceID != b.ws || ev.Actor.Name != "Mia Member" || string(ev.Payload) != `{"size":3}` {
		t.Errorf("body %s", got[0].body)
	}
	var answer []byte
	var code int
	var signature string
	err := b.Admin(t).QueryRow(context.Background(), `SELECT status, answer, signature FROM webhook_attempts WHERE latency_us >= 0`).Scan(&code, &answer, &signature)
	if err != nil || code != 202 || len(answer) != 4096 || !strings.HasPrefix(string(answer), "thanks!") || signature != got[0].header.Get("webhook-signature") {
		t.Errorf("kept %d, %d bytes, %q, %v", code, len(answer), signature, err)
	}
	if strings.Contains(b.log.String(), strings.TrimPrefix(secret, "whsec_")) {
		t.Error("the log holds the secret")
	}
}

func TestBothSecretsVerifyDuringARotation(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	s := newSink(t, nil)
	e, first := b.add(t, s.URL, "thing.*")
	second, _, err := b.svc.RotateSecret(context.Background(), b.admin, e.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.work(t, nil)
	b.happen(t, "thing.made")
	wait(t, "it is delivered", func() bool { return b.inState(t, Delivered) == 1 })
	for name, secret := range map[string]string{"first": first, "second": second} {
		if err := verified(t, secret, s.all()[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verified(t, "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3", s.all()[0]); err == nil {
		t.Error("a third secret verifies")
	}
}

// due makes waiting deliveries due now, in place of waiting for minutes.
func (b *bench) due(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE webhook_deliveries SET next_attempt_at = now() - interval '1 minute' WHERE state = 'pending'`,
		`UPDATE river.river_job SET state = 'available', scheduled_at = now() - interval '1 minute' WHERE kind = 'webhook.deliver' AND state IN ('scheduled', 'available')`,
	} {
		if _, err := b.Admin(t).Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFailedAttemptIsRepeatedWithTheSameBytes(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	s := newSink(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(map[bool]int{true: http.StatusServiceUnavailable, false: http.StatusOK}[n == 1])
	})
	e, secret := b.add(t, s.URL, "thing.*")
	b.work(t, nil)
	b.happen(t, "thing.made")
	wait(t, "the first attempt failed", func() bool {
		return b.count(t, `SELECT count(*) FROM webhook_endpoints WHERE id = $1 AND failing_since IS NOT NULL`, e.ID) == 1
	})
	// The second attempt comes by itself after 5 seconds.
	wait(t, "it is delivered", func() bool { return b.inState(t, Delivered) == 1 })
	got := s.all()
	if len(got) != 2 || string(got[0].body) != string(got[1].body) || got[0].header.Get("webhook-id") != got[1].header.Get("webhook-id") {
		t.Fatalf("%d requests, or the second differs", len(got))
	}
	if err := verified(t, secret, got[1]); err != nil {
		t.Error(err)
	}
	if got[0].header.Get("webhook-timestamp") == got[1].header.Get("webhook-timestamp") {
		t.Error("both attempts carry one time")
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_endpoints WHERE failing_since IS NULL`); n != 1 {
		t.Error("the endpoint still counts as failing after a success")
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_attempts WHERE (number, status, outcome) IN ((1, 503, 'retry'), (2, 200, 'success'))`); n != 2 {
		t.Error("the attempts are not kept as they were")
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	s := newSink(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	b.add(t, s.URL, "thing.*")
	b.work(t, nil)
	b.happen(t, "thing.made")
	wait(t, "an attempt was made", func() bool { return b.count(t, `SELECT count(*) FROM webhook_attempts`) == 1 })
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE next_attempt_at - last_attempt_at BETWEEN interval '60 minutes' AND interval '61 minutes'`); n != 1 {
		t.Error("the next attempt is not an hour later")
	}
	wait(t, "the job is put back as late", func() bool {
		return b.count(t, `SELECT count(*) FROM river.river_job WHERE kind = 'webhook.deliver' AND state = 'scheduled' AND scheduled_at > now() + interval '59 minutes'`) == 1
	})
}

func TestGoneDisablesTheEndpoint(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	gone, other := newSink(t, status(http.StatusGone)), newSink(t, nil)
	e, _ := b.add(t, gone.URL, "thing.made", EventDisabled)
	b.add(t, other.URL, EventDisabled)
	b.work(t, nil)
	b.happen(t, "thing.made")
	wait(t, "the others are told", func() bool { return len(other.all()) == 1 })
	after, err := b.svc.Endpoint(ctx, b.admin, e.ID)
	if err != nil || after.Enabled || *after.DisabledReason != DisabledGone {
		t.Errorf("%+v, %v", after, err)
	}
	var ev event.Event
	if err := json.Unmarshal(other.all()[0].body, &ev); err != nil || ev.Name != EventDisabled || ev.Actor.Kind != "system" || ev.Subject.ID != e.ID {
		t.Errorf("told %s, %v", other.all()[0].body, err)
	}
	if b.inState(t, Failed) != 1 || b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE endpoint_id = $1 AND event_name LIKE 'webhook.%'`, e.ID) != 0 {
		t.Error("the endpoint was told about itself, or its delivery did not fail")
	}
	var reason string
	if err := b.Admin(t).QueryRow(ctx, `SELECT reason FROM audit.event WHERE action = $1`, EventDisabled).Scan(&reason); err != nil || !strings.Contains(reason, "410") {
		t.Errorf("reason %q, %v", reason, err)
	}
}

func TestFiveDaysOfFailureDisableTheEndpoint(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	s := newSink(t, status(http.StatusInternalServerError))
	e, _ := b.add(t, s.URL, "thing.*")
	if _, err := b.Admin(t).Exec(ctx, `UPDATE webhook_endpoints SET failing_since = now() - interval '5 days 1 minute'`); err != nil {
		t.Fatal(err)
	}
	b.work(t, nil)
	b.happen(t, "thing.made")
	wait(t, "it is disabled", func() bool {
		return b.count(t, `SELECT count(*) FROM webhook_endpoints WHERE disabled_reason = 'failing'`) == 1
	})
	if b.inState(t, Failed) != 1 {
		t.Error("the delivery did not become a dead letter")
	}
	// Nothing is queued for it while it is disabled, and what waited is given up.
	if _, err := b.svc.Replay(ctx, b.admin, b.delivery(t)); !fault.Is(err, fault.Conflict) {
		t.Errorf("replayed to a disabled endpoint: %v", err)
	}
	if back, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Enabled: ptr(true)}); err != nil || back.FailingSince != nil {
		t.Errorf("enabled as %+v, %v", back, err)
	}
}

// delivery returns the only delivery.
func (b *bench) delivery(t *testing.T) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := b.Admin(t).QueryRow(context.Background(), `SELECT id FROM webhook_deliveries`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestWhatWaitsWhenAnEndpointIsDisabledFails(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	s := newSink(t, nil)
	e, _ := b.add(t, s.URL, "thing.*")
	if err := b.svc.fanOut(ctx, event.Event{ID: uuid.New(), WorkspaceID: b.ws, Name: "thing.made", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Change(ctx, b.admin, e.ID, EndpointChange{Enabled: ptr(false)}); err != nil {
		t.Fatal(err)
	}
	b.work(t, nil)
	wait(t, "it failed", func() bool { return b.inState(t, Failed) == 1 })
	if len(s.all()) != 0 || b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE last_error = 'disabled'`) != 1 {
		t.Error("it was sent, or does not say why not")
	}
}

func TestDeadLettersAreReplayed(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	var broken atomic.Bool
	broken.Store(true)
	s := newSink(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(map[bool]int{true: 500, false: 200}[broken.Load()])
	})
	e, secret := b.add(t, s.URL, "thing.*")
	b.work(t, nil)
	for range 3 {
		b.happen(t, "thing.made")
	}
	wait(t, "all were tried", func() bool { return b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE attempts = 1`) == 3 })
	if _, err := b.svc.Replay(ctx, b.admin, b.deliveryIn(t, Pending)); !fault.Is(err, fault.Conflict) {
		t.Errorf("replayed what is under way: %v", err)
	}
	if _, err := b.Admin(t).Exec(ctx, `UPDATE webhook_deliveries SET tries = 9`); err != nil {
		t.Fatal(err)
	}
	b.due(t)
	wait(t, "all are dead letters", func() bool { return b.inState(t, Failed) == 3 })
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE attempts = 2 AND next_attempt_at IS NULL`); n != 3 {
		t.Errorf("%d of 3 are over after the last attempt", n)
	}

	broken.Store(false)
	before := s.all()
	one := b.deliveryIn(t, Failed)
	if d, err := b.svc.Replay(ctx, b.admin, one); err != nil || d.State != Pending || d.Run != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	wait(t, "one is delivered", func() bool { return b.inState(t, Delivered) == 1 })
	if n, err := b.svc.ReplaySince(ctx, b.admin, e.ID, b.Clock.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d replayed that are younger than now, %v", n, err)
	}
	if n, err := b.svc.ReplaySince(ctx, b.admin, e.ID, b.Clock.Now().Add(-time.Hour)); n != 2 || err != nil {
		t.Errorf("%d of 2 replayed, %v", n, err)
	}
	wait(t, "all are delivered", func() bool { return b.inState(t, Delivered) == 3 })
	ids := map[string]int{}
	for _, a := range s.all()[len(before):] {
		ids[a.header.Get("webhook-id")]++
		if err := verified(t, secret, a); err != nil {
			t.Error(err)
		}
	}
	for _, a := range before {
		if ids[a.header.Get("webhook-id")] != 1 {
			t.Errorf("%s was replayed %d times under its own id", a.header.Get("webhook-id"), ids[a.header.Get("webhook-id")])
		}
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE action = $1`, EventReplayed); n != 2 {
		t.Errorf("%d entries for 2 replays", n)
	}
}

func (b *bench) deliveryIn(t *testing.T, s State) uuid.UUID {
	t.Helper()
	var id uuid.UUID
	if err := b.Admin(t).QueryRow(context.Background(), `SELECT id FROM webhook_deliveries WHERE state = $1 LIMIT 1`, string(s)).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestALateJobOfAnEndedRunSendsNothing(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	s := newSink(t, nil)
	e, _ := b.add(t, s.URL, "thing.*")
	if err := b.svc.fanOut(ctx, event.Event{ID: uuid.New(), WorkspaceID: b.ws, Name: "thing.made", Payload: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	args := DeliverArgs{InWorkspace: job.InWorkspace{WorkspaceID: b.ws}, EndpointID: e.ID, DeliveryID: b.delivery(t), Run: 1}
	if _, err := b.Admin(t).Exec(ctx, `UPDATE webhook_deliveries SET run = 2`); err != nil {
		t.Fatal(err)
	}
	attempt := func() time.Duration {
		tk, _, _ := b.svc.lanes.enter(e.ID)
		defer tk.cancel()
		pause, err := b.svc.attempt(ctx, args, tk)
		if err != nil {
			t.Fatal(err)
		}
		return pause
	}
	if pause := attempt(); pause != 0 || len(s.all()) != 0 {
		t.Errorf("a late job sent %d requests and waits %s", len(s.all()), pause)
	}
	args.Run = 2
	if _, err := b.Admin(t).Exec(ctx, `UPDATE webhook_deliveries SET next_attempt_at = now() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if pause := attempt(); pause < 59*time.Minute || len(s.all()) != 0 {
		t.Errorf("an early job sent %d requests and waits %s", len(s.all()), pause)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	target := newSink(t, nil)
	s := newSink(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
	})
	b.add(t, s.URL, "thing.*")
	b.work(t, nil)
	b.happen(t, "thing.made")
	wait(t, "an attempt was made", func() bool {
		return b.count(t, `SELECT count(*) FROM webhook_attempts WHERE status = 307 AND error_class = 'redirect'`) == 1
	})
	if len(target.all()) != 0 || b.inState(t, Pending) != 1 {
		t.Error("the redirect was followed, or counts as delivered")
	}
}

// names answers every name with one address.
type names netip.Addr

func (n names) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.Addr(n)}, nil
}

func TestAForbiddenAddressIsNeverDialed(t *testing.T) {
	t.Parallel()
	s := newSink(t, nil)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		policy  outbound.Policy
		address string
		reached bool
	}{
		"loopback":                   {outbound.Policy{Mode: outbound.SelfHosted}, "127.0.0.1", false},
		"metadata":                   {outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}, "169.254.169.254", false},
		"private":                    {outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}, "10.255.255.1", false},
		"loopback that is permitted": {outbound.Policy{Mode: outbound.SelfHosted, AllowLoopback: true}, "127.0.0.1", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setUp(t, func(d *Deps) {
				d.Network, d.Resolver = tc.policy, names(netip.MustParseAddr(tc.address))
			})
			// A name is accepted by the form; the dialer judges what it leads to.
			e, _ := b.add(t, "http://hooks.example.com:"+port, "thing.*")
			res, err := b.svc.SendTest(context.Background(), b.admin, e.ID)
			if err != nil {
				t.Fatal(err)
			}
			if tc.reached != (res.Attempt.Status == 204) || (!tc.reached && res.Attempt.ErrorClass != "policy") {
				t.Errorf("test: %+v", res.Attempt)
			}
			b.work(t, nil)
			b.happen(t, "thing.made")
			wait(t, "an attempt was made", func() bool { return b.count(t, `SELECT count(*) FROM webhook_attempts`) == 1 })
			if n := b.count(t, `SELECT count(*) FROM webhook_attempts WHERE error_class = 'policy' AND status IS NULL`); (n == 0) != tc.reached {
				t.Errorf("%d attempts were blocked", n)
			}
		})
	}
}

func TestADeadEndpointDelaysNobody(t *testing.T) {
	t.Parallel()
	const workers, backlog, others, each = 8, 300, 19, 10
	b := setUp(t, func(d *Deps) { d.DeliveryWorkers = workers })
	ctx := context.Background()
	release := make(chan struct{})
	var hanging atomic.Int64
	dead := newSink(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		hanging.Add(1)
		defer hanging.Add(-1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	b.add(t, dead.URL, "thing.broken")
	queue := func(name string) {
		if err := b.svc.fanOut(ctx, event.Event{ID: uuid.New(), WorkspaceID: b.ws, Name: name, Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	// All that the dead endpoint shall get stands in the queue before anything else.
	for range backlog {
		queue("thing.broken")
	}
	sinks := make([]*sink, others)
	for i := range sinks {
		sinks[i] = newSink(t, nil)
		b.add(t, sinks[i].URL, "thing.made")
	}
	for range each {
		queue("thing.made")
	}
	b.work(t, map[string]int{job.QueueDelivery: workers})
	wait(t, "the others have everything", func() bool { return b.inState(t, Delivered) == others*each })
	if hanging.Load() == 0 {
		t.Error("nothing hangs at the dead endpoint, so this proves nothing")
	}
	for i, s := range sinks {
		if n := len(s.all()); n != each {
			t.Errorf("endpoint %d got %d of %d", i, n, each)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries WHERE event_name = 'thing.broken' AND state <> 'pending'`); n != 0 {
		t.Errorf("%d deliveries of the dead endpoint are over", n)
	}
}

func TestADeliveryThatAStopInterruptedIsMadeAgain(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	arrivedFirst := make(chan struct{})
	var once sync.Once
	s := newSink(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			once.Do(func() { close(arrivedFirst) })
			<-r.Context().Done() // until the process that sends has stopped
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	e, secret := b.add(t, s.URL, "thing.*")
	first := b.work(t, nil)
	b.happen(t, "thing.made")
	<-arrivedFirst
	stopNow(t, first)
	if n := b.count(t, `SELECT count(*) FROM webhook_attempts`); n != 0 {
		t.Error("an interrupted attempt counts against the endpoint")
	}
	b.work(t, nil)
	wait(t, "it is delivered", func() bool { return b.inState(t, Delivered) == 1 })
	got := s.all()
	if len(got) != 2 || got[0].header.Get("webhook-id") != got[1].header.Get("webhook-id") {
		t.Fatalf("%d requests, want the same twice", len(got))
	}
	if err := verified(t, secret, got[1]); err != nil {
		t.Error(err)
	}
	if after, err := b.svc.Endpoint(context.Background(), b.admin, e.ID); err != nil || after.FailingSince != nil {
		t.Errorf("the endpoint counts as failing: %+v, %v", after, err)
	}
}

func TestATestEventAnswersAtOnce(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx := context.Background()
	s := newSink(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	e, secret, err := b.svc.Create(ctx, b.admin, NewEndpoint{URL: s.URL, Patterns: []string{"*"}, Disabled: true})
	if err != nil {
		t.Fatal(err)
	}
	res, err := b.svc.SendTest(ctx, b.admin, e.ID)
	if err != nil || res.Attempt.Status != http.StatusTeapot || string(res.Attempt.Body) != "short and stout" {
		t.Fatalf("%+v, %v", res, err)
	}
	got := s.all()
	if len(got) != 1 || got[0].header.Get("webhook-id") != res.EventID.String() {
		t.Fatalf("%d requests", len(got))
	}
	if err := verified(t, secret, got[0]); err != nil {
		t.Error(err)
	}
	var ev event.Event
	if err := json.Unmarshal(got[0].body, &ev); err != nil || ev.Name != TestEvent {
		t.Errorf("sent %s, %v", got[0].body, err)
	}
	if n := b.count(t, `SELECT count(*) FROM audit.event WHERE action = 'webhook.tested' AND detail->>'status' = '418'`); n != 1 {
		t.Error("the test is not in the audit log")
	}
	if n := b.count(t, `SELECT count(*) FROM webhook_deliveries`); n != 0 {
		t.Error("a test is no delivery")
	}
	if after, err := b.svc.Endpoint(ctx, b.admin, e.ID); err != nil || after.FailingSince != nil {
		t.Errorf("a test counts as a failure: %+v, %v", after, err)
	}
}
