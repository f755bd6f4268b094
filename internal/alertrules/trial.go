package alertrules

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// TrialState is how the test of one recipient went.
type TrialState string

// The states of a test.
const (
	TrialQueued  TrialState = "queued"  // handed on, and on its way
	TrialSent    TrialState = "sent"    // arrived: the other side said so
	TrialSkipped TrialState = "skipped" // nothing was sent, and nothing is wrong
	TrialFailed  TrialState = "failed"
)

// Trial is one recipient of a test alert and how it went.
type Trial struct {
	Channel   string // inbox, mail or webhook
	Recipient string
	State     TrialState
	Detail    string
}

// SendTest sends a test alert to every recipient of a rule and says how each went. It
// touches no alert and no cooldown. Webhooks are asked outside the transaction.
func (s *Service) SendTest(ctx context.Context, a db.Actor, id uuid.UUID) ([]Trial, error) {
	if err := s.policy.Check(a, ManageRules); err != nil {
		return nil, err
	}
	if s.testLimit != nil {
		if ok, retry, _ := s.testLimit.Allow(a.WorkspaceID.String() + a.ID.String()); !ok {
			return nil, web.TooMany(retry)
		}
	}
	var trials []Trial
	var ev event.Event
	var endpoints []Endpoint
	var rule Rule
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		trials = nil
		var err error
		if rule, err = loadRule.One(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		if ev, err = s.recordTest(ctx, tx, rule); err != nil {
			return err
		}
		if trials, err = s.testPeople(ctx, tx, rule, ev.ID); err != nil {
			return err
		}
		if len(rule.WebhookIDs) > 0 {
			endpoints, err = s.webhooks.Endpoints(ctx, tx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, endpoint := range rule.WebhookIDs {
		t, err := s.testWebhook(ctx, a, endpoint, endpoints, ev)
		if err != nil {
			return nil, err
		}
		trials = append(trials, t)
	}
	return trials, nil
}

// recordTest makes the event of a test: an alert as the rule would make it, about nothing.
func (s *Service) recordTest(ctx context.Context, tx *db.Tx, r Rule) (event.Event, error) {
	p := AlertPayload{
		State: Firing, RuleID: r.ID, RuleName: r.Name, Trigger: r.Trigger, Severity: string(r.Severity), Host: "test.example.com:443",
		Message: "This is a test. Nothing is wrong.", FiredAt: tx.Now.UTC(),
	}
	id, err := s.ledger.Record(ctx, tx, ledger.Entry{Action: eventTestSent, Subject: r.subject(), Payload: p})
	if err != nil {
		return event.Event{}, err
	}
	return event.Load(ctx, tx, id)
}

func (s *Service) testPeople(ctx context.Context, tx *db.Tx, r Rule, ev uuid.UUID) ([]Trial, error) {
	var out []Trial
	people, err := s.people(ctx, tx, r, nil)
	if err != nil {
		return nil, err
	}
	n := Notice{
		DedupeKey: ev.String(), EventName: eventTestSent, Severity: r.Severity, Title: "Test of the rule “" + r.Name + "”", Icon: "send",
		Body: "This is a test. Nothing is wrong.", Path: "/alert-rules/" + r.ID.String(), Mail: r.Severity != event.Info,
		SubjectType: "alert_rule", SubjectID: r.ID, SubjectTitle: r.Name,
	}
	for _, p := range people {
		n.Recipients = append(n.Recipients, p.UserID)
		out = append(out, Trial{
			Channel: "inbox", Recipient: p.Name, State: TrialQueued,
			Detail: "Handed to the inbox. Their preferences decide whether it is shown there and mailed.",
		})
	}
	if len(people) > 0 {
		if err := s.notifier.Notify(ctx, tx, n); err != nil {
			return nil, fmt.Errorf("notify recipients of test: %w", err)
		}
	}
	if r.NotifyOwner {
		out = append(out, Trial{
			Channel: "inbox", Recipient: "Owner of the host", State: TrialSkipped, Detail: "A test is about no host, so it has no owner.",
		})
	}
	if len(r.Emails) == 0 {
		return out, nil
	}
	queued, err := s.notifier.QueueMailTo(ctx, tx, Mail{
		To: r.Emails, DedupeKey: ev.String(), Severity: r.Severity, Title: n.Title, Body: n.Body, Path: n.Path, Because: because(r),
	})
	if err != nil {
		return nil, fmt.Errorf("queue mail of test: %w", err)
	}
	for _, address := range r.Emails {
		t := Trial{Channel: "mail", Recipient: address, State: TrialQueued, Detail: "The mail is queued."}
		if !queued {
			t.State, t.Detail = TrialFailed, "There is no mail server. An admin enters one in the settings of the workspace."
		}
		out = append(out, t)
	}
	return out, nil
}

func (s *Service) testWebhook(ctx context.Context, a db.Actor, id uuid.UUID, known []Endpoint, ev event.Event) (Trial, error) {
	i := slices.IndexFunc(known, func(e Endpoint) bool { return e.ID == id })
	if i < 0 {
		return Trial{Channel: "webhook", Recipient: id.String(), State: TrialFailed, Detail: "This webhook no longer exists. Take it out of the rule."}, nil
	}
	t := Trial{Channel: "webhook", Recipient: known[i].Name, State: TrialFailed}
	if !known[i].Enabled {
		t.Detail = "This webhook is switched off. Nothing was sent."
		return t, nil
	}
	answer, err := s.webhooks.SendNow(ctx, a, id, ev)
	if err != nil {
		return t, fmt.Errorf("test webhook %s: %w", id, err)
	}
	switch {
	case answer.Status == 0:
		t.Detail = "No answer: " + answer.Problem
	default:
		t.Detail = fmt.Sprintf("Answered %d after %s.", answer.Status, answer.Latency.Round(time.Millisecond))
		if answer.Status/100 == 2 {
			t.State = TrialSent
		}
	}
	return t, nil
}
