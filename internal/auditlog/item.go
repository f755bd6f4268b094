package auditlog

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/activity"
)

// item is an entry as the API and JSONL exports show it. What is unknown is left out.
type item struct {
	ID         uuid.UUID         `json:"id" format:"uuid"`
	RecordedAt time.Time         `json:"recorded_at" doc:"When the database received it; the order of the log."`
	OccurredAt time.Time         `json:"occurred_at"`
	Action     string            `json:"action" example:"host.created"`
	Label      string            `json:"label"`
	Category   string            `json:"category" enum:"activity,access,admin,export,approval"`
	Outcome    string            `json:"outcome" enum:"success,denied,failed"`
	Severity   string            `json:"severity" enum:"info,low,medium,high,critical"`
	Actor      itemActor         `json:"actor"`
	OnBehalfOf *uuid.UUID        `json:"on_behalf_of,omitempty" format:"uuid"`
	AuthMethod string            `json:"auth_method,omitempty"`
	MFA        string            `json:"mfa,omitempty"`
	SessionID  *uuid.UUID        `json:"session_id,omitempty" format:"uuid"`
	Target     ref               `json:"target"`
	Parent     *ref              `json:"parent,omitempty"`
	RequestID  *uuid.UUID        `json:"request_id,omitempty" format:"uuid"`
	TraceID    string            `json:"trace_id,omitempty"`
	IP         string            `json:"ip,omitempty"`
	UserAgent  string            `json:"user_agent,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Changes    []activity.Change `json:"changes" nullable:"false"`
	Detail     map[string]any    `json:"detail"`
}

type itemActor struct {
	Kind  string     `json:"kind" enum:"user,api_key,service,system,anonymous"`
	ID    *uuid.UUID `json:"id,omitempty" format:"uuid"`
	Name  string     `json:"name" doc:"As it was then; [erased] once the person was erased."`
	Email string     `json:"email,omitempty"`
}

type ref struct {
	Type  string    `json:"type" example:"host"`
	ID    uuid.UUID `json:"id" format:"uuid"`
	Key   string    `json:"key,omitempty"`
	Title string    `json:"title,omitempty"`
}

func newItem(e activity.Entry) item {
	it := item{
		ID: e.ID, RecordedAt: e.RecordedAt, OccurredAt: e.OccurredAt, Action: e.Action, Label: e.Label,
		Category: categoryWord(e.Category).name, Outcome: outcomeWord(e.Outcome).name, Severity: severityWord(e.Severity),
		Actor: itemActor{
			Kind: e.Actor.Kind.String(), ID: unlessNil(e.Actor.ID), Name: e.Actor.Name, Email: e.Actor.Email,
		},
		OnBehalfOf: known(e.OnBehalfOf), AuthMethod: e.AuthMethod, MFA: e.MFA, SessionID: known(e.SessionID),
		Target:    ref{Type: e.Target.Type, ID: e.Target.ID, Key: e.Target.Key, Title: e.Target.Title},
		RequestID: known(e.RequestID), TraceID: e.TraceID, IP: e.IP, UserAgent: e.Actor.UserAgent, Reason: e.Reason,
		Changes: e.Changes, Detail: e.Detail,
	}
	if e.Parent.Type != "" {
		it.Parent = &ref{Type: e.Parent.Type, ID: e.Parent.ID}
	}
	if it.Changes == nil {
		it.Changes = []activity.Change{}
	}
	for i, c := range it.Changes {
		it.Changes[i].From, it.Changes[i].To = orNull(c.From), orNull(c.To)
	}
	return it
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

func known(id uuid.NullUUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	return &id.UUID
}

func unlessNil(id uuid.UUID) *uuid.UUID {
	if id == uuid.Nil {
		return nil
	}
	return &id
}

// keyForms are the spellings under which a key may be stored: keys such as CHG-00012 are
// in capitals, names of hosts are not.
func keyForms(key string) []string {
	if upper := strings.ToUpper(key); upper != key {
		return []string{key, upper}
	}
	return []string{key}
}
