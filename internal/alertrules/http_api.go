package alertrules

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

type ruleBody struct {
	ID              uuid.UUID      `json:"id" format:"uuid"`
	Name            string         `json:"name"`
	Scope           string         `json:"scope"`
	Trigger         Trigger        `json:"trigger"`
	ThresholdDays   *int           `json:"threshold_days" doc:"Of expiring_soon; null for other triggers."`
	Severity        event.Severity `json:"severity"`
	Enabled         bool           `json:"enabled"`
	CooldownMinutes int            `json:"cooldown_minutes"`
	Target          Target         `json:"target"`
	TargetHostIDs   []uuid.UUID    `json:"target_host_ids" nullable:"false"`
	TargetTags      []string       `json:"target_tags" nullable:"false"`
	NotifyAdmins    bool           `json:"notify_admins"`
	NotifyHostOwner bool           `json:"notify_host_owner"`
	MemberIDs       []uuid.UUID    `json:"member_ids" nullable:"false"`
	GroupIDs        []uuid.UUID    `json:"group_ids" nullable:"false"`
	Emails          []string       `json:"emails" nullable:"false"`
	WebhookIDs      []uuid.UUID    `json:"webhook_ids" nullable:"false"`
	CreatedAt       time.Time      `json:"created_at"`
	UpdatedAt       time.Time      `json:"updated_at"`
	Version         int64          `json:"version"`
}

func newRuleBody(r Rule) ruleBody {
	b := ruleBody{
		ID: r.ID, Name: r.Name, Scope: r.Scope, Trigger: r.Trigger, Severity: r.Severity, Enabled: r.Enabled,
		CooldownMinutes: r.CooldownMinutes, Target: r.Target, TargetHostIDs: r.TargetHosts, TargetTags: r.TargetTags,
		NotifyAdmins: r.NotifyAdmins, NotifyHostOwner: r.NotifyOwner, MemberIDs: r.MemberIDs, GroupIDs: r.GroupIDs,
		Emails: r.Emails, WebhookIDs: r.WebhookIDs, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), Version: r.Version,
	}
	if r.Trigger == ExpiringSoon {
		b.ThresholdDays = &r.ThresholdDays
	}
	return b
}

// RuleFields are what a caller of the API may say about a rule; what is left out keeps its
// value. It is exported for the same reason as ByID.
type RuleFields struct {
	Name            *string         `json:"name,omitempty"`
	Scope           *string         `json:"scope,omitempty" enum:"certificate"`
	Trigger         *Trigger        `json:"trigger,omitempty" enum:"expiring_soon,expired,scan_failed,chain_invalid,name_mismatch,cert_changed,cert_issuer_changed"`
	ThresholdDays   *int            `json:"threshold_days,omitempty" doc:"Days before expiry, 1 to 365; for expiring_soon."`
	Severity        *event.Severity `json:"severity,omitempty" enum:"info,low,medium,high,critical"`
	Enabled         *bool           `json:"enabled,omitempty"`
	CooldownMinutes *int            `json:"cooldown_minutes,omitempty" doc:"0 to 43200."`
	Target          *Target         `json:"target,omitempty" enum:"workspace,hosts,tags"`
	TargetHostIDs   *[]string       `json:"target_host_ids,omitempty"`
	TargetTags      *[]string       `json:"target_tags,omitempty"`
	NotifyAdmins    *bool           `json:"notify_admins,omitempty"`
	NotifyHostOwner *bool           `json:"notify_host_owner,omitempty"`
	MemberIDs       *[]string       `json:"member_ids,omitempty"`
	GroupIDs        *[]string       `json:"group_ids,omitempty"`
	Emails          *[]string       `json:"emails,omitempty"`
	WebhookIDs      *[]string       `json:"webhook_ids,omitempty"`
}

// edit turns the fields into a change of a rule.
func (f RuleFields) edit() (func(*Rule), error) {
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
	hosts, members := ids("target_host_ids", f.TargetHostIDs), ids("member_ids", f.MemberIDs)
	groups, webhooks := ids("group_ids", f.GroupIDs), ids("webhook_ids", f.WebhookIDs)
	return func(r *Rule) {
		put(&r.Name, f.Name)
		put(&r.Trigger, f.Trigger)
		put(&r.ThresholdDays, f.ThresholdDays)
		put(&r.Severity, f.Severity)
		put(&r.Enabled, f.Enabled)
		put(&r.CooldownMinutes, f.CooldownMinutes)
		put(&r.Target, f.Target)
		put(&r.TargetHosts, hosts)
		put(&r.TargetTags, f.TargetTags)
		put(&r.NotifyAdmins, f.NotifyAdmins)
		put(&r.NotifyOwner, f.NotifyHostOwner)
		put(&r.MemberIDs, members)
		put(&r.GroupIDs, groups)
		put(&r.Emails, f.Emails)
		put(&r.WebhookIDs, webhooks)
	}, c.Err()
}

func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type alertBody struct {
	ID             uuid.UUID      `json:"id" format:"uuid"`
	State          State          `json:"state"`
	RuleID         uuid.UUID      `json:"rule_id" format:"uuid"`
	RuleName       string         `json:"rule_name"`
	Trigger        Trigger        `json:"trigger"`
	Severity       event.Severity `json:"severity"`
	HostID         uuid.UUID      `json:"host_id" format:"uuid"`
	Host           string         `json:"host"`
	Message        string         `json:"message"`
	FiredAt        time.Time      `json:"fired_at"`
	ResolvedAt     *time.Time     `json:"resolved_at"`
	ResolvedReason string         `json:"resolved_reason,omitempty"`
	AcknowledgedAt *time.Time     `json:"acknowledged_at"`
	AcknowledgedBy *uuid.UUID     `json:"acknowledged_by" doc:"The user or service token."`
	LastNotifiedAt *time.Time     `json:"last_notified_at"`
	MutedBy        MutedBy        `json:"muted_by,omitempty" enum:"silence,rule" doc:"Why nobody is told: a silence, or a rule that says the same or more."`
	MutedByID      *uuid.UUID     `json:"muted_by_id,omitempty"`
}

func newAlertBody(a Alert) alertBody {
	b := alertBody{
		ID: a.ID, State: a.State, RuleID: a.RuleID, RuleName: a.RuleName, Trigger: a.Trigger, Severity: a.Severity, HostID: a.HostID,
		Host: a.HostTitle, Message: a.Message, FiredAt: a.FiredAt.UTC(), ResolvedAt: utc(a.ResolvedAt), ResolvedReason: a.ResolvedReason,
		AcknowledgedAt: utc(a.AcknowledgedAt), LastNotifiedAt: utc(a.LastNotifiedAt), MutedBy: a.MutedBy,
	}
	if a.MutedID.Valid {
		b.MutedByID = &a.MutedID.UUID
	}
	if a.AcknowledgedBy.Valid {
		b.AcknowledgedBy = &a.AcknowledgedBy.UUID
	}
	return b
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

type trialBody struct {
	Channel   string     `json:"channel" enum:"inbox,mail,webhook"`
	Recipient string     `json:"recipient"`
	State     TrialState `json:"state" enum:"queued,sent,skipped,failed"`
	Detail    string     `json:"detail"`
}

type out[T any] struct{ Body T }

// ByID names one record by the path. It is exported because the API reads embedded structs
// only when they are.
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

func (s *Service) operations(m *api.Module) {
	s.ruleOperations(m)
	s.ruleChanges(m)
	s.alertOperations(m)
	s.silenceOperations(m)
}

func (s *Service) ruleOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		Scope   string `query:"scope" enum:"certificate"`
		Trigger string `query:"trigger" enum:"expiring_soon,expired,scan_failed,chain_invalid,name_mismatch,cert_changed,cert_issuer_changed"`
		Enabled string `query:"enabled" enum:"true,false"`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/alert-rules", Permission: ReadRules, ID: "list-alert-rules", Summary: "List alert rules", Tag: "Alert rules"},
		func(ctx context.Context, in *listIn) (*out[api.List[ruleBody]], error) {
			q := ruleList.Query()
			if in.Trigger != "" {
				q = q.Filter("trigger", db.Args{"trigger": in.Trigger})
			}
			if in.Enabled != "" {
				q = q.Filter("enabled", db.Args{"enabled": in.Enabled == "true"})
			}
			page, err := readPage(ctx, s.db, in.ListIn, ruleList, q)
			if err != nil {
				return nil, err
			}
			return &out[api.List[ruleBody]]{Body: api.NewList(page, newRuleBody)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/alert-rules/{id}", Permission: ReadRules, ID: "get-alert-rule", Summary: "Read an alert rule", Tag: "Alert rules"},
		func(ctx context.Context, in *ByID) (*out[ruleBody], error) {
			id, err := in.parse("alert rule")
			if err != nil {
				return nil, err
			}
			r, err := s.Rule(ctx, api.Actor(ctx), id)
			return &out[ruleBody]{Body: newRuleBody(r)}, err
		})
	type createIn struct{ Body RuleFields }
	type created struct {
		Location string `header:"Location"`
		Body     ruleBody
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/alert-rules", Permission: ManageRules, ID: "create-alert-rule", Summary: "Create an alert rule", Tag: "Alert rules", Status: http.StatusCreated},
		func(ctx context.Context, in *createIn) (*created, error) {
			r := NewRule()
			// Nobody is told unless the caller says so; the form of the page proposes admins.
			r.NotifyAdmins, r.NotifyOwner = false, false
			edit, err := in.Body.edit()
			if err != nil {
				return nil, err
			}
			edit(&r)
			if r, err = s.CreateRule(ctx, api.Actor(ctx), r); err != nil {
				return nil, err
			}
			return &created{Location: api.Request(ctx).Path("/api/v1/alert-rules/" + r.ID.String()), Body: newRuleBody(r)}, nil
		})
}

func (s *Service) ruleChanges(m *api.Module) {
	type patchIn struct {
		ByID
		IfMatch string `header:"If-Match"`
		Body    struct {
			RuleFields
			Version *int64 `json:"version,omitempty"`
		}
	}
	api.Register(m, api.Op{Method: http.MethodPatch, Path: "/alert-rules/{id}", Permission: ManageRules, ID: "change-alert-rule", Summary: "Change an alert rule", Tag: "Alert rules"},
		func(ctx context.Context, in *patchIn) (*out[ruleBody], error) {
			id, err := in.parse("alert rule")
			if err != nil {
				return nil, err
			}
			edit, err := in.Body.edit()
			if err != nil {
				return nil, err
			}
			r, err := s.ChangeRule(ctx, api.Actor(ctx), id, RuleChange{Edit: edit, Version: in.Body.Version, IfMatch: in.IfMatch})
			return &out[ruleBody]{Body: newRuleBody(r)}, err
		})
	type deleteIn struct {
		ByID
		IfMatch string `header:"If-Match"`
	}
	api.Register(m, api.Op{Method: http.MethodDelete, Path: "/alert-rules/{id}", Permission: ManageRules, ID: "delete-alert-rule", Summary: "Delete an alert rule", Tag: "Alert rules", Status: http.StatusNoContent},
		func(ctx context.Context, in *deleteIn) (*struct{}, error) {
			id, err := in.parse("alert rule")
			if err != nil {
				return nil, err
			}
			return nil, s.DeleteRule(ctx, api.Actor(ctx), id, nil, in.IfMatch)
		})
	type results struct {
		Results []trialBody `json:"results" nullable:"false"`
	}
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/alert-rules/{id}/test", Permission: ManageRules, ID: "test-alert-rule", Summary: "Send a test alert to every recipient of a rule", Tag: "Alert rules"},
		func(ctx context.Context, in *ByID) (*out[results], error) {
			id, err := in.parse("alert rule")
			if err != nil {
				return nil, err
			}
			trials, err := s.SendTest(ctx, api.Actor(ctx), id)
			body := results{Results: make([]trialBody, len(trials))}
			for i, t := range trials {
				body.Results[i] = trialBody(t)
			}
			return &out[results]{Body: body}, err
		})
}

func (s *Service) alertOperations(m *api.Module) {
	type listIn struct {
		api.ListIn
		State        string `query:"state" enum:"firing,resolved"`
		Rule         string `query:"rule_id" format:"uuid"`
		Severity     string `query:"severity" enum:"info,low,medium,high,critical"`
		Host         string `query:"host_id" format:"uuid"`
		Silence      string `query:"silence_id" format:"uuid" doc:"Alerts that lie inside a silence."`
		Text         string `query:"q" maxLength:"200" doc:"How the host begins."`
		Acknowledged string `query:"acknowledged" enum:"true,false"`
	}
	api.Register(m, api.Op{Method: http.MethodGet, Path: "/alerts", Permission: ReadAlerts, ID: "list-alerts", Summary: "List alerts", Tag: "Alerts"},
		func(ctx context.Context, in *listIn) (*out[api.List[alertBody]], error) {
			f := Filter{State: State(in.State), Severity: event.Severity(in.Severity), Text: strings.ReplaceAll(in.Text, "\x00", "")}
			for _, id := range []struct {
				text string
				to   *uuid.UUID
			}{{in.Rule, &f.Rule}, {in.Host, &f.Host}, {in.Silence, &f.MutedID}} {
				if id.text != "" {
					// The schema has checked the form already; an unknown id finds nothing.
					if err := id.to.UnmarshalText([]byte(id.text)); err != nil {
						return nil, fault.InvalidField("id", "invalid", "Use an id, such as 0199c0de-0000-7000-8000-000000000000.")
					}
				}
			}
			if in.Acknowledged != "" {
				yes := in.Acknowledged == "true"
				f.Acknowledged = &yes
			}
			page, err := readPage(ctx, s.db, in.ListIn, alertList, f.query())
			if err != nil {
				return nil, err
			}
			return &out[api.List[alertBody]]{Body: api.NewList(page, newAlertBody)}, nil
		})
	api.Register(m, api.Op{Method: http.MethodPost, Path: "/alerts/{id}/acknowledge", Permission: AcknowledgeAlerts, ID: "acknowledge-alert", Summary: "Acknowledge an alert", Tag: "Alerts"},
		func(ctx context.Context, in *ByID) (*out[alertBody], error) {
			id, err := in.parse("alert")
			if err != nil {
				return nil, err
			}
			a, err := s.Acknowledge(ctx, api.Actor(ctx), id)
			return &out[alertBody]{Body: newAlertBody(a)}, err
		})
}

// readPage reads one page of a list.
func readPage[T any](ctx context.Context, d *db.DB, in api.ListIn, list db.List[T], q *db.ListQuery[T]) (db.Page[T], error) {
	q, err := api.Apply(in, list, q)
	if err != nil {
		return db.Page[T]{}, err
	}
	page := &db.PageResult[T]{}
	err = d.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) })
	return page.Page, err
}
