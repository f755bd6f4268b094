package alertrules

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

type silenceBody struct {
	ID        uuid.UUID    `json:"id" format:"uuid"`
	Comment   string       `json:"comment"`
	State     SilenceState `json:"state" enum:"scheduled,active,ended"`
	HostIDs   []uuid.UUID  `json:"host_ids" nullable:"false" doc:"Empty for hosts of any id; so with tags and rules."`
	Tags      []string     `json:"tags" nullable:"false"`
	RuleIDs   []uuid.UUID  `json:"rule_ids" nullable:"false"`
	StartsAt  time.Time    `json:"starts_at"`
	EndsAt    time.Time    `json:"ends_at"`
	CreatedBy uuid.UUID    `json:"created_by" doc:"The user or service token."`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	Version   int64        `json:"version"`
}

func newSilenceBody(s Silence, now time.Time) silenceBody {
	return silenceBody{
		ID: s.ID, Comment: s.Comment, State: s.State(now), HostIDs: s.Hosts, Tags: s.Tags, RuleIDs: s.Rules, StartsAt: s.StartsAt.UTC(),
		EndsAt: s.EndsAt.UTC(), CreatedBy: s.CreatedBy, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(), Version: s.Version,
	}
}

// SilenceFields are what a caller of the API may say about a silence; what is left out
// keeps its value. It is exported for the same reason as ByID.
type SilenceFields struct {
	Comment  *string    `json:"comment,omitempty" doc:"Why nobody needs to be told; 1 to 300 characters."`
	HostIDs  *[]string  `json:"host_ids,omitempty" doc:"At least one host, tag or rule is named; an alert fits all lists that are not empty."`
	Tags     *[]string  `json:"tags,omitempty" doc:"One of them at the host is enough."`
	RuleIDs  *[]string  `json:"rule_ids,omitempty"`
	StartsAt *time.Time `json:"starts_at,omitempty" doc:"Now, when left out or in the past. That of an active silence stays."`
	EndsAt   *time.Time `json:"ends_at,omitempty" doc:"At most 90 days after the start."`
}

// edit turns the fields into a change of a silence.
func (f SilenceFields) edit() (func(*Silence), error) {
	var c form.Check
	ids := func(field string, texts *[]string) *[]uuid.UUID {
		if texts == nil {
			return nil
		}
		out, ok := parseIDs(*texts)
		if !ok {
			c.Add(field, "invalid_id", "Use ids, such as 0199c0de-0000-7000-8000-000000000000.")
		}
		return &out
	}
	hosts, rules := ids("host_ids", f.HostIDs), ids("rule_ids", f.RuleIDs)
	return func(s *Silence) {
		put(&s.Comment, f.Comment)
		put(&s.Hosts, hosts)
		put(&s.Tags, f.Tags)
		put(&s.Rules, rules)
		put(&s.StartsAt, f.StartsAt)
		put(&s.EndsAt, f.EndsAt)
	}, c.Err()
}

const silenceTag = "Silences"

func (s *Service) silenceOperations(m *api.Module) {
	body := func(x Silence) silenceBody { return newSilenceBody(x, s.clock.Now()) }
	type listIn struct {
		api.ListIn
		State string `query:"state" enum:"live,scheduled,active,ended" doc:"live is scheduled or active."`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/alert-silences", Permission: ReadAlerts, ID: "list-alert-silences", Summary: "List silences", Tag: silenceTag},
		func(ctx context.Context, in *listIn) (*out[api.List[silenceBody]], error) {
			q := silenceList.Query()
			if in.State != "" {
				q = q.Filter(in.State, nil)
			}
			page, err := readPage(ctx, s.db, in.ListIn, silenceList, q)
			if err != nil {
				return nil, err
			}
			return &out[api.List[silenceBody]]{Body: api.NewList(page, body)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/alert-silences/{id}", Permission: ReadAlerts, ID: "get-alert-silence", Summary: "Read a silence", Tag: silenceTag},
		func(ctx context.Context, in *ByID) (*out[silenceBody], error) {
			id, err := in.parse("silence")
			if err != nil {
				return nil, err
			}
			silence, err := s.Silence(ctx, api.Actor(ctx), id)
			return &out[silenceBody]{Body: body(silence)}, err
		})
	type createIn struct{ Body SilenceFields }
	type created struct {
		Location string `header:"Location"`
		Body     silenceBody
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/alert-silences", Permission: SilenceAlerts, ID: "create-alert-silence", Summary: "Silence alerts", Tag: silenceTag, Status: http.StatusCreated},
		func(ctx context.Context, in *createIn) (*created, error) {
			edit, err := in.Body.edit()
			if err != nil {
				return nil, err
			}
			var silence Silence
			edit(&silence)
			if silence, err = s.CreateSilence(ctx, api.Actor(ctx), silence); err != nil {
				return nil, err
			}
			return &created{Location: api.Request(ctx).Path("/api/v1/alert-silences/" + silence.ID.String()), Body: body(silence)}, nil
		})
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			SilenceFields
			Version *int64 `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/alert-silences/{id}", Permission: SilenceAlerts, ID: "change-alert-silence", Summary: "Change a silence that has not ended", Tag: silenceTag},
		func(ctx context.Context, in *patchIn) (*out[silenceBody], error) {
			id, err := in.parse("silence")
			if err != nil {
				return nil, err
			}
			edit, err := in.Body.edit()
			if err != nil {
				return nil, err
			}
			silence, err := s.ChangeSilence(ctx, api.Actor(ctx), id, SilenceChange{Edit: edit, Version: in.Body.Version, IfMatch: in.IfMatch})
			return &out[silenceBody]{Body: body(silence)}, err
		})
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/alert-silences/{id}/end", Permission: SilenceAlerts, ID: "end-alert-silence", Summary: "End a silence now", Tag: silenceTag},
		func(ctx context.Context, in *ByID) (*out[silenceBody], error) {
			id, err := in.parse("silence")
			if err != nil {
				return nil, err
			}
			silence, err := s.EndSilence(ctx, api.Actor(ctx), id)
			return &out[silenceBody]{Body: body(silence)}, err
		})
}
