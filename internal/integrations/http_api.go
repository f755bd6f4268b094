package integrations

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

type webhookBody struct {
	ID                  string     `json:"id" format:"uuid"`
	URL                 string     `json:"url"`
	Description         string     `json:"description"`
	Patterns            []string   `json:"patterns" nullable:"false"`
	Enabled             bool       `json:"enabled"`
	DisabledReason      *string    `json:"disabled_reason" doc:"manual, gone (it answered 410) or failing (5 days without a success); null while enabled."`
	DisabledAt          *time.Time `json:"disabled_at"`
	FailingSince        *time.Time `json:"failing_since" doc:"The first failed attempt since the last success; null when all is well."`
	PreviousSecretUntil *time.Time `json:"previous_secret_until" doc:"Until when the secret before the last rotation signs, too."`
	CreatedAt           time.Time  `json:"created_at"`
	UpdatedAt           time.Time  `json:"updated_at"`
	Version             int64      `json:"version"`
}

func newWebhookBody(e Endpoint) webhookBody {
	b := webhookBody{
		ID: e.ID.String(), URL: e.URL, Description: e.Description, Patterns: e.Patterns, Enabled: e.Enabled, DisabledAt: utc(e.DisabledAt),
		FailingSince: utc(e.FailingSince), PreviousSecretUntil: utc(e.PreviousUntil), CreatedAt: e.CreatedAt.UTC(), UpdatedAt: e.UpdatedAt.UTC(), Version: e.Version,
	}
	if e.DisabledReason != nil {
		reason := string(*e.DisabledReason)
		b.DisabledReason = &reason
	}
	return b
}

type createdBody struct {
	webhookBody
	Secret string `json:"secret" doc:"Shown only now. Verify signatures with it, by the Standard Webhooks scheme."`
}

type rotatedBody struct {
	Secret              string    `json:"secret" doc:"Shown only now."`
	PreviousSecretUntil time.Time `json:"previous_secret_until" doc:"Until then both secrets sign."`
}

type testBody struct {
	EventID    string `json:"event_id" format:"uuid"`
	Accepted   bool   `json:"accepted" doc:"The endpoint answered 2xx."`
	Status     *int   `json:"status" doc:"HTTP status; null when no answer came."`
	LatencyMS  int64  `json:"latency_ms"`
	ErrorClass string `json:"error_class" doc:"Why it was not accepted: status, redirect, timeout, refused, tls, dns, policy, …; empty when it was."`
	Body       string `json:"body" doc:"The first 4 KB of the answer."`
}

type deliveryBody struct {
	ID            string     `json:"id" format:"uuid"`
	WebhookID     string     `json:"webhook_id" format:"uuid"`
	EventID       string     `json:"event_id" format:"uuid"`
	Event         string     `json:"event"`
	State         string     `json:"state" doc:"pending, delivered or failed."`
	Attempts      int        `json:"attempts"`
	LastStatus    *int       `json:"last_status"`
	LastError     string     `json:"last_error"`
	LastAttemptAt *time.Time `json:"last_attempt_at"`
	NextAttemptAt *time.Time `json:"next_attempt_at"`
	CreatedAt     time.Time  `json:"created_at"`
}

func newDeliveryBody(d Delivery) deliveryBody {
	return deliveryBody{
		ID: d.ID.String(), WebhookID: d.EndpointID.String(), EventID: d.EventID.String(), Event: d.EventName, State: string(d.State),
		Attempts: d.Attempts, LastStatus: d.LastStatus, LastError: d.LastError, LastAttemptAt: utc(d.LastAttemptAt),
		NextAttemptAt: utc(d.NextAttemptAt), CreatedAt: d.CreatedAt.UTC(),
	}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

type out[T any] struct{ Body T }

type created[T any] struct {
	Location string `header:"Location"`
	Body     T
}

// ByID names a record in the path. It is exported because huma fills no embedded struct
// that is not.
type ByID struct {
	ID string `path:"id"`
}

// parse reads an id; anything else answers like a missing record.
func (b ByID) parse(what string) (uuid.UUID, error) {
	id, err := uuid.Parse(b.ID)
	if err != nil || len(b.ID) != 36 {
		return uuid.Nil, fault.NewNotFound(what)
	}
	return id, nil
}

const tag = "Webhooks"

func (s *Service) operations(m *api.Module) {
	s.listOperations(m)
	s.changeOperations(m)
	s.secretOperations(m)
	s.deliveryOperations(m)
}

func (s *Service) listOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		State string `query:"state" enum:"enabled,failing,disabled"`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/webhooks", Permission: ManageWebhooks, ID: "list-webhooks", Summary: "List webhooks", Tag: tag},
		func(ctx context.Context, in *listIn) (*out[api.List[webhookBody]], error) {
			q := endpointList.Query()
			if in.State != "" {
				q.Filter(in.State, nil)
			}
			q, err := api.Apply(in.ListIn, endpointList, q)
			if err != nil {
				return nil, err
			}
			var page *db.PageResult[EndpointRow]
			if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) }); err != nil {
				return nil, err
			}
			return &out[api.List[webhookBody]]{Body: api.NewList(page.Page, func(r EndpointRow) webhookBody { return newWebhookBody(r.Endpoint) })}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/webhooks/{id}", Permission: ManageWebhooks, ID: "read-webhook", Summary: "Read a webhook", Tag: tag},
		func(ctx context.Context, in *ByID) (*out[webhookBody], error) {
			id, err := in.parse("webhook")
			if err != nil {
				return nil, err
			}
			e, err := s.Endpoint(ctx, api.Actor(ctx), id)
			return &out[webhookBody]{Body: newWebhookBody(e)}, err
		})
}

func (s *Service) changeOperations(m *api.Module) {
	type postIn struct {
		Body struct {
			URL         string   `json:"url"`
			Description string   `json:"description,omitempty"`
			Patterns    []string `json:"patterns" doc:"Names of events, with wildcards such as change.* or * for all." nullable:"false"`
			Enabled     *bool    `json:"enabled,omitempty" doc:"true when left out."`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/webhooks", Permission: ManageWebhooks, ID: "create-webhook", Summary: "Add a webhook", Tag: tag, Status: http.StatusCreated},
		func(ctx context.Context, in *postIn) (*created[createdBody], error) {
			e, secret, err := s.Create(ctx, api.Actor(ctx), NewEndpoint{
				URL: in.Body.URL, Description: in.Body.Description, Patterns: in.Body.Patterns, Disabled: in.Body.Enabled != nil && !*in.Body.Enabled,
			})
			if err != nil {
				return nil, err
			}
			return &created[createdBody]{
				Location: api.Request(ctx).Path("/api/v1/webhooks/" + e.ID.String()), Body: createdBody{webhookBody: newWebhookBody(e), Secret: secret},
			}, nil
		})
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			URL         *string   `json:"url,omitempty"`
			Description *string   `json:"description,omitempty"`
			Patterns    *[]string `json:"patterns,omitempty"`
			Enabled     *bool     `json:"enabled,omitempty"`
			Version     *int64    `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/webhooks/{id}", Permission: ManageWebhooks, ID: "update-webhook", Summary: "Change, enable or disable a webhook", Tag: tag},
		func(ctx context.Context, in *patchIn) (*out[webhookBody], error) {
			id, err := in.parse("webhook")
			if err != nil {
				return nil, err
			}
			e, err := s.Change(ctx, api.Actor(ctx), id, EndpointChange{
				URL: in.Body.URL, Description: in.Body.Description, Patterns: in.Body.Patterns, Enabled: in.Body.Enabled,
				Version: in.Body.Version, IfMatch: in.IfMatch,
			})
			return &out[webhookBody]{Body: newWebhookBody(e)}, err
		})
	api.Register(m, api.Op{Method: http.MethodDelete, Path: "/webhooks/{id}", Permission: ManageWebhooks, ID: "delete-webhook", Summary: "Delete a webhook and its deliveries", Tag: tag, Status: http.StatusNoContent},
		func(ctx context.Context, in *ByID) (*struct{}, error) {
			id, err := in.parse("webhook")
			if err != nil {
				return nil, err
			}
			return nil, s.Delete(ctx, api.Actor(ctx), id)
		})
}

func (s *Service) secretOperations(m *api.Module) {
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/webhooks/{id}/rotate-secret", Permission: ManageWebhooks, ID: "rotate-webhook-secret", Summary: "Give a webhook a new secret", Tag: tag},
		func(ctx context.Context, in *ByID) (*out[rotatedBody], error) {
			id, err := in.parse("webhook")
			if err != nil {
				return nil, err
			}
			secret, until, err := s.RotateSecret(ctx, api.Actor(ctx), id)
			return &out[rotatedBody]{Body: rotatedBody{Secret: secret, PreviousSecretUntil: until.UTC()}}, err
		})
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/webhooks/{id}/test", Permission: ManageWebhooks, ID: "test-webhook", Summary: "Send a test event and wait for the answer", Tag: tag},
		func(ctx context.Context, in *ByID) (*out[testBody], error) {
			id, err := in.parse("webhook")
			if err != nil {
				return nil, err
			}
			if err := s.admitTest(api.Request(ctx)); err != nil {
				return nil, err
			}
			res, err := s.SendTest(ctx, api.Actor(ctx), id)
			if err != nil {
				return nil, err
			}
			return &out[testBody]{Body: testBody{
				EventID: res.EventID.String(), Accepted: res.Attempt.Status/100 == 2 && res.Attempt.ErrorClass == "", Status: orNil(res.Attempt.Status),
				LatencyMS: res.Attempt.Latency.Milliseconds(), ErrorClass: string(res.Attempt.ErrorClass), Body: printable(res.Attempt.Body),
			}}, nil
		})
}

func (s *Service) deliveryOperations(m *api.Module) {
	type listIn struct {
		ByID
		api.ListIn
		State string `query:"state" enum:"pending,delivered,failed"`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/webhooks/{id}/deliveries", Permission: ManageWebhooks, ID: "list-webhook-deliveries", Summary: "List deliveries of a webhook, newest first", Tag: tag},
		func(ctx context.Context, in *listIn) (*out[api.List[deliveryBody]], error) {
			id, err := in.parse("webhook")
			if err != nil {
				return nil, err
			}
			q := deliveryList.Query().Filter("endpoint", db.Args{"endpoint": id})
			if in.State != "" {
				q.Filter(in.State, nil)
			}
			if q, err = api.Apply(in.ListIn, deliveryList, q); err != nil {
				return nil, err
			}
			var found *db.Result[Endpoint]
			var page *db.PageResult[Delivery]
			if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) {
				found, page = oneEndpoint.Queue(b, db.Args{"id": id}), q.Queue(b)
			}); err != nil {
				return nil, err
			}
			if _, ok := found.First(); !ok {
				return nil, fault.NewNotFound("webhook")
			}
			return &out[api.List[deliveryBody]]{Body: api.NewList(page.Page, newDeliveryBody)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/deliveries/{id}/replay", Permission: ManageWebhooks, ID: "replay-delivery", Summary: "Send a delivery again", Tag: tag, Status: http.StatusAccepted},
		func(ctx context.Context, in *ByID) (*out[deliveryBody], error) {
			id, err := in.parse("delivery")
			if err != nil {
				return nil, err
			}
			d, err := s.Replay(ctx, api.Actor(ctx), id)
			return &out[deliveryBody]{Body: newDeliveryBody(d)}, err
		})
}
