// Package integrations tells other programs what happens in a workspace: webhook
// endpoints, their secrets, and the deliveries of events to them.
//
// A delivery is made at least once. Attempts at one endpoint run side by side and failed
// ones are repeated later, so events of one subject may arrive out of order: putting them
// in order would let one refused event hold back all that follow. Receivers order by
// occurred_at, and drop repetitions by webhook-id.
package integrations

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/integrations/webhooksig"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/job"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/outbound"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

// ManageWebhooks is the permission for everything about webhooks.
const ManageWebhooks access.Permission = "webhook.manage"

// ReadEvents opens the catalogue of events. The audit log, which serves events over the
// API, declares it.
const ReadEvents access.Permission = "event.read"

// SubjectType is what an endpoint is called in events, the audit log and references.
const SubjectType = "webhook"

// purpose separates signing secrets from other sealed ones.
const purpose = "webhooks.signing_key"

// Deps are what the module works with.
type Deps struct {
	DB     *db.DB
	Ledger *ledger.Ledger
	Jobs   *job.Engine
	Clock  clock.Clock
	Log    *slog.Logger
	Sealer ledger.Sealer
	// Network is the installation's policy for outbound connections; webhooks are confined
	// further, see webhookPolicy.
	Network outbound.Policy
	// Resolver looks names up; nil means the one of package outbound.
	Resolver outbound.Resolver
	// Roots are trusted for https; nil means those of the machine.
	Roots *x509.CertPool
	// TestLimit bounds test events by person; nil means no limit.
	TestLimit web.Limiter
	// DeliveryWorkers is how many deliveries this process works at once; 0 means the
	// default of the queue.
	DeliveryWorkers int
}

// Service holds the use cases of webhooks.
type Service struct {
	db        *db.DB
	ledger    *ledger.Ledger
	jobs      *job.Engine
	clock     clock.Clock
	log       *slog.Logger
	sealer    ledger.Sealer
	network   outbound.Policy
	testLimit web.Limiter
	lanes     *lanes
	sender    *sender
	loads     *coalescer[uuid.UUID, *work]
	saves     *coalescer[settled, struct{}]
}

// New returns the service.
func New(d Deps) *Service {
	if d.DeliveryWorkers == 0 {
		d.DeliveryWorkers = job.DefaultQueues()[job.QueueDelivery]
	}
	s := &Service{
		db: d.DB, ledger: d.Ledger, jobs: d.Jobs, clock: d.Clock, log: d.Log, sealer: d.Sealer, network: d.Network,
		testLimit: d.TestLimit, lanes: newLanes(d.DeliveryWorkers, d.Clock), sender: newSender(d),
	}
	s.loads, s.saves = newCoalescer(s.load), newCoalescer(s.save)
	return s
}

// Create adds an endpoint and returns it with its secret, which is never shown again.
func (s *Service) Create(ctx context.Context, a db.Actor, in NewEndpoint) (Endpoint, string, error) {
	secret := webhooksig.NewSecret()
	var e Endpoint
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make endpoint id: %w", err)
		}
		e = Endpoint{
			ID: id, URL: in.URL, Description: in.Description, Patterns: tidyPatterns(in.Patterns), Enabled: true,
			CreatedAt: tx.Now, UpdatedAt: tx.Now, Version: 1,
		}
		if in.Disabled {
			e.disable(DisabledByHand, tx.Now)
		}
		if err := s.check(ctx, tx, e); err != nil {
			return err
		}
		// One at a time, so that two requests cannot both take the last place.
		if _, err := lockCount.Run(ctx, tx, nil); err != nil {
			return err
		}
		n, err := countEndpoints.One(ctx, tx, nil)
		if err != nil {
			return err
		}
		if n >= MaxEndpoints {
			return errTooManyEndpoints
		}
		sealed, err := s.seal(tx, secret)
		if err != nil {
			return err
		}
		if err := insertEndpoint(ctx, tx, e, sealed); err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventCreated, Subject: subject(e), After: e, Payload: payloadOf(e), Detail: map[string]any{"host": e.Host()},
		})
		return err
	})
	if err != nil {
		return Endpoint{}, "", fmt.Errorf("add webhook: %w", err)
	}
	return e, secret, nil
}

// check applies the rules of an endpoint, and what the network policy knows beforehand.
func (s *Service) check(ctx context.Context, tx *db.Tx, e Endpoint) error {
	if err := checkEndpoint(e, s.ledger.Catalogue()); err != nil {
		return err
	}
	n, _, err := readNetworks.Maybe(ctx, tx, nil)
	if err != nil {
		return err
	}
	prefixes, err := storedNetworks(n.Text)
	if err != nil {
		return err
	}
	return checkReach(webhookPolicy(s.network, prefixes), e.URL)
}

func (s *Service) seal(tx *db.Tx, secret string) ([]byte, error) {
	sealed, err := s.sealer.Seal(tx.Actor.WorkspaceID, purpose, []byte(secret))
	if err != nil {
		return nil, fmt.Errorf("seal webhook secret: %w", err)
	}
	return sealed, nil
}

// Change changes an endpoint. Enabling one that Vigilo disabled clears its failures.
func (s *Service) Change(ctx context.Context, a db.Actor, id uuid.UUID, c EndpointChange) (Endpoint, error) {
	var e Endpoint
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, err := lockEndpoint.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if err := api.CheckVersion(c.IfMatch, c.Version, before.Version); err != nil {
			return err
		}
		e = before
		c.apply(&e)
		edited := e
		toggled := c.Enabled != nil && *c.Enabled != before.Enabled
		if toggled && *c.Enabled {
			e.enable()
		} else if toggled {
			e.disable(DisabledByHand, tx.Now)
		}
		changes, err := ledger.Diff(before, edited)
		if err != nil {
			return err
		}
		if len(changes) == 0 && !toggled {
			return nil
		}
		if len(changes) > 0 {
			if err := s.check(ctx, tx, e); err != nil {
				return err
			}
		}
		e.Version, e.UpdatedAt = e.Version+1, tx.Now
		if err := saveEndpoint(ctx, tx, e); err != nil {
			return err
		}
		return s.recordChange(ctx, tx, before, edited, e, len(changes) > 0, toggled)
	})
	if err != nil {
		return Endpoint{}, fmt.Errorf("change webhook %s: %w", id, err)
	}
	return e, nil
}

// apply takes over the fields, but not whether the endpoint is enabled.
func (c EndpointChange) apply(e *Endpoint) {
	if c.URL != nil {
		e.URL = *c.URL
	}
	if c.Description != nil {
		e.Description = *c.Description
	}
	if c.Patterns != nil {
		e.Patterns = tidyPatterns(*c.Patterns)
	}
}

// recordChange records an edit and a switch as the two things that they are.
func (s *Service) recordChange(ctx context.Context, tx *db.Tx, before, edited, after Endpoint, wasEdited, toggled bool) error {
	if wasEdited {
		entry := ledger.Entry{Action: EventUpdated, Subject: subject(after), Before: before, After: edited, Payload: payloadOf(after)}
		if before.Host() != after.Host() {
			entry.Changes = []ledger.Change{{Field: "host", From: before.Host(), To: after.Host()}}
		}
		if _, err := s.ledger.Record(ctx, tx, entry); err != nil {
			return err
		}
	}
	if !toggled {
		return nil
	}
	entry := ledger.Entry{Action: EventEnabled, Subject: subject(after), Before: edited, After: after, Payload: payloadOf(after)}
	if !after.Enabled {
		// Somebody wanted it, so it is not the alarm that a disabling of ours is.
		entry.Action, entry.Payload, entry.Severity = EventDisabled, disabledPayload(after), event.Info
	}
	_, err := s.ledger.Record(ctx, tx, entry)
	return err
}

// Delete removes an endpoint with all its deliveries.
func (s *Service) Delete(ctx context.Context, a db.Actor, id uuid.UUID) error {
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		e, err := lockEndpoint.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		if _, err := deleteEndpoint.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{Action: EventDeleted, Subject: subject(e), Before: e, Payload: payloadOf(e)})
		return err
	})
	if err != nil {
		return fmt.Errorf("delete webhook %s: %w", id, err)
	}
	return nil
}

// RotateSecret gives an endpoint a new secret, which is returned and never shown again. The
// secret before it signs, too, until the time that is returned; one that was still valid
// from an earlier rotation ends now.
func (s *Service) RotateSecret(ctx context.Context, a db.Actor, id uuid.UUID) (secret string, previousUntil time.Time, err error) {
	secret = webhooksig.NewSecret()
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		e, err := lockEndpoint.One(ctx, tx, db.Args{"id": id})
		if err != nil {
			return err
		}
		sealed, err := s.seal(tx, secret)
		if err != nil {
			return err
		}
		previousUntil = tx.Now.Add(webhooksig.RotationPeriod)
		if _, err := rotateSecret.Run(ctx, tx, db.Args{"id": id, "sealed": sealed, "until": previousUntil}); err != nil {
			return err
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventSecretRotated, Subject: subject(e), Payload: RotatedPayload{Host: e.Host(), PreviousValidUntil: previousUntil},
			Changes: []ledger.Change{{Field: "secret", From: "[redacted]", To: "[redacted]"}},
		})
		return err
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("rotate secret of webhook %s: %w", id, err)
	}
	return secret, previousUntil, nil
}

// Endpoint reads one endpoint.
func (s *Service) Endpoint(ctx context.Context, a db.Actor, id uuid.UUID) (Endpoint, error) {
	var e Endpoint
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		e, err = oneEndpoint.One(ctx, tx, db.Args{"id": id})
		return err
	})
	return e, err
}

// Endpoints returns every endpoint of the workspace, oldest first, for modules that let
// people choose one.
func (s *Service) Endpoints(ctx context.Context, tx *db.Tx) ([]Endpoint, error) {
	return allEndpoints.All(ctx, tx, db.Args{"limit": MaxEndpoints})
}

// disable takes an endpoint out of use after an attempt, unless somebody was faster.
func (s *Service) disable(ctx context.Context, tx *db.Tx, id uuid.UUID, reason DisabledReason) error {
	before, ok, err := lockEndpoint.Maybe(ctx, tx, db.Args{"id": id})
	if err != nil || !ok || !before.Enabled {
		return err
	}
	e := before
	e.disable(reason, tx.Now)
	e.Version, e.UpdatedAt = e.Version+1, tx.Now
	if err := saveEndpoint(ctx, tx, e); err != nil {
		return err
	}
	_, err = s.ledger.Record(ctx, tx, ledger.Entry{
		Action: EventDisabled, Subject: subject(e), Before: before, After: e, Payload: disabledPayload(e),
	})
	return err
}

// Networks are the private ranges that webhooks of a workspace may reach, one on each line.
type Networks struct {
	Text    string `db:"networks" audit:"networks"`
	Version int64  `db:"version"`
}

// Networks reads them.
func (s *Service) Networks(ctx context.Context, a db.Actor) (Networks, error) {
	var n Networks
	err := s.db.View(ctx, a, func(tx *db.Tx) error {
		var err error
		n, _, err = readNetworks.Maybe(ctx, tx, nil)
		return err
	})
	return n, err
}

// SetNetworks replaces them. Version is what the caller saw, 0 before the first time.
func (s *Service) SetNetworks(ctx context.Context, a db.Actor, text string, version int64) (Networks, error) {
	clean, err := parseNetworks(s.network, text)
	if err != nil {
		return Networks{}, err
	}
	var after Networks
	err = s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		before, _, err := lockNetworks.Maybe(ctx, tx, nil)
		if err != nil {
			return err
		}
		if err := api.CheckVersion("", &version, before.Version); err != nil {
			return err
		}
		if after = before; before.Text == clean {
			return nil
		}
		after = Networks{Text: clean, Version: before.Version + 1}
		n, err := saveNetworks.Run(ctx, tx, db.Args{"networks": clean, "version": after.Version})
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.NewConflict("version_conflict", "Somebody changed this meanwhile. Read it again and repeat your change.")
		}
		_, err = s.ledger.Record(ctx, tx, ledger.Entry{
			Action: EventNetworks, Subject: event.Subject{Type: "workspace", ID: tx.Actor.WorkspaceID}, Before: before, After: after,
			Payload: NetworksPayload{Networks: lines(clean)},
		})
		return err
	})
	if err != nil {
		return Networks{}, fmt.Errorf("set networks of webhooks: %w", err)
	}
	return after, nil
}
