package freezes

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/freezes/wallclock"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

type scopeBody struct {
	Everything        bool        `json:"everything" doc:"No condition is given."`
	Environments      []string    `json:"environments" nullable:"false"`
	AssetIDs          []uuid.UUID `json:"asset_ids" nullable:"false"`
	ServiceIDs        []uuid.UUID `json:"service_ids" nullable:"false"`
	AssetTags         []string    `json:"asset_tags" nullable:"false"`
	AssetTypes        []string    `json:"asset_types" nullable:"false"`
	ChangeTypes       []string    `json:"change_types" nullable:"false"`
	MinRisk           *string     `json:"min_risk" enum:"low,medium,high,critical"`
	IncludeDownstream bool        `json:"include_downstream"`
}

type scheduleBody struct {
	Recurring  bool       `json:"recurring"`
	TimeZone   string     `json:"time_zone"`
	StartsAt   *time.Time `json:"starts_at" doc:"Of a one-off."`
	EndsAt     *time.Time `json:"ends_at" doc:"Null for what lasts until it is lifted."`
	FirstDate  *string    `json:"first_date" doc:"Of what recurs, as in 2027-03-28."`
	LocalStart *string    `json:"local_start" doc:"As in 22:00, on the clock of the zone."`
	LocalEnd   *string    `json:"local_end"`
	EndDays    int        `json:"end_days" doc:"How many days after the start the end lies."`
	RRule      *string    `json:"rrule"`
	ExDates    []string   `json:"exdates" nullable:"false"`
	RDates     []string   `json:"rdates" nullable:"false"`
}

type freezeBody struct {
	ID                  uuid.UUID    `json:"id" format:"uuid"`
	Name                string       `json:"name"`
	Kind                Kind         `json:"kind" enum:"hard,soft,maintenance_only,maintenance"`
	State               State        `json:"state" enum:"draft,active,lifted"`
	Reason              string       `json:"reason"`
	Owner               *uuid.UUID   `json:"owner" doc:"A user."`
	Approver            *uuid.UUID   `json:"approver" doc:"The user who activated it."`
	Scope               scopeBody    `json:"scope"`
	Schedule            scheduleBody `json:"schedule"`
	BlocksOutside       bool         `json:"blocks_outside" doc:"Of maintenance_only: leaving its hours is refused, not only warned of."`
	PreapprovesStandard bool         `json:"preapproves_standard" doc:"Of maintenance: standard changes inside need no decision of their own."`
	Blocks              bool         `json:"blocks" doc:"Meeting it refuses a change."`
	ActivatedAt         *time.Time   `json:"activated_at"`
	LiftedAt            *time.Time   `json:"lifted_at"`
	CreatedAt           time.Time    `json:"created_at"`
	UpdatedAt           time.Time    `json:"updated_at"`
	Version             int64        `json:"version"`
}

func newFreezeBody(f Freeze) freezeBody {
	b := freezeBody{
		ID: f.ID, Name: f.Name, Kind: f.Kind, State: f.State, Reason: f.Reason, Owner: idOrNil(f.OwnerID), Approver: idOrNil(f.ActivatedBy),
		Scope: scopeBody{
			Everything: f.Everything(), Environments: f.Environments, AssetIDs: f.AssetIDs, ServiceIDs: f.ServiceIDs,
			AssetTags: f.AssetTags, AssetTypes: f.AssetTypes, ChangeTypes: f.ChangeTypes, MinRisk: textOrNil(f.MinRisk),
			IncludeDownstream: f.IncludeDownstream,
		},
		Schedule: scheduleBody{
			Recurring: f.Recurring, TimeZone: f.Zone, StartsAt: utc(f.StartsAt), EndsAt: utc(f.EndsAt), FirstDate: textOrNil(f.FirstDate),
			LocalStart: textOrNil(f.LocalStart), LocalEnd: textOrNil(f.LocalEnd), EndDays: f.EndDays, RRule: textOrNil(f.RRule),
			ExDates: f.ExDates, RDates: f.RDates,
		},
		BlocksOutside: f.Strict, PreapprovesStandard: f.PreapprovesStandard, Blocks: f.Blocks(), ActivatedAt: utc(f.ActivatedAt),
		LiftedAt: utc(f.LiftedAt), CreatedAt: f.CreatedAt.UTC(), UpdatedAt: f.UpdatedAt.UTC(), Version: f.Version,
	}
	return b
}

func idOrNil(id uuid.NullUUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	return &id.UUID
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

// ScopeFields are what a caller may say about a scope; what is left out keeps its value.
type ScopeFields struct {
	Environments      *[]string    `json:"environments,omitempty"`
	AssetIDs          *[]uuid.UUID `json:"asset_ids,omitempty"`
	ServiceIDs        *[]uuid.UUID `json:"service_ids,omitempty"`
	AssetTags         *[]string    `json:"asset_tags,omitempty"`
	AssetTypes        *[]string    `json:"asset_types,omitempty"`
	ChangeTypes       *[]string    `json:"change_types,omitempty"`
	MinRisk           *string      `json:"min_risk,omitempty" doc:"low, medium, high or critical; empty for any."`
	IncludeDownstream *bool        `json:"include_downstream,omitempty"`
}

// ScheduleFields say when, as a whole: starts_at and ends_at of a one-off, or first_date,
// local hours and rrule of what recurs.
type ScheduleFields struct {
	TimeZone   string     `json:"time_zone,omitempty" doc:"IANA name; that of the workspace when left out."`
	StartsAt   *time.Time `json:"starts_at,omitempty"`
	EndsAt     *time.Time `json:"ends_at,omitempty" doc:"Left out: a freeze lasts until it is lifted."`
	FirstDate  string     `json:"first_date,omitempty" doc:"As in 2027-03-28."`
	LocalStart string     `json:"local_start,omitempty" doc:"As in 22:00."`
	LocalEnd   string     `json:"local_end,omitempty"`
	EndDays    *int       `json:"end_days,omitempty" doc:"Days from start to end. Left out: the next day when the end is not after the start."`
	RRule      string     `json:"rrule,omitempty" doc:"Parts of RFC 5545: FREQ, INTERVAL, BYDAY, BYMONTHDAY, BYMONTH, COUNT, UNTIL."`
	ExDates    []string   `json:"exdates,omitempty"`
	RDates     []string   `json:"rdates,omitempty"`
}

// WindowFields are what a caller may say about a maintenance window; what is left out keeps
// its value. It is exported because the API reads embedded structs only when they are.
type WindowFields struct {
	Name                *string         `json:"name,omitempty"`
	Reason              *string         `json:"reason,omitempty"`
	Owner               *string         `json:"owner,omitempty" doc:"A user; empty for nobody."`
	Scope               *ScopeFields    `json:"scope,omitempty"`
	Schedule            *ScheduleFields `json:"schedule,omitempty"`
	PreapprovesStandard *bool           `json:"preapproves_standard,omitempty"`
}

// FreezeFields are what a caller may say about a freeze.
type FreezeFields struct {
	WindowFields
	Kind          *Kind `json:"kind,omitempty" enum:"hard,soft,maintenance_only,maintenance"`
	BlocksOutside *bool `json:"blocks_outside,omitempty"`
}

// edit turns the fields into a change of a freeze. zone is that of the workspace.
func (w WindowFields) edit(zone string) (func(*Freeze), error) {
	var c form.Check
	var owner *uuid.NullUUID
	if w.Owner != nil {
		id, err := uuid.Parse(*w.Owner)
		if err != nil && *w.Owner != "" {
			c.Add("owner", "invalid_id", "Use the id of a user, such as 0199c0de-0000-7000-8000-000000000000.")
		}
		n := db.NullID(id)
		owner = &n
	}
	var schedule *Schedule
	if w.Schedule != nil {
		schedule = w.Schedule.schedule(&c, zone)
	}
	return func(f *Freeze) {
		put(&f.Name, w.Name)
		put(&f.Reason, w.Reason)
		put(&f.OwnerID, owner)
		put(&f.PreapprovesStandard, w.PreapprovesStandard)
		put(&f.Schedule, schedule)
		if s := w.Scope; s != nil {
			put(&f.Environments, s.Environments)
			put(&f.AssetIDs, s.AssetIDs)
			put(&f.ServiceIDs, s.ServiceIDs)
			put(&f.AssetTags, s.AssetTags)
			put(&f.AssetTypes, s.AssetTypes)
			put(&f.ChangeTypes, s.ChangeTypes)
			put(&f.MinRisk, s.MinRisk)
			put(&f.IncludeDownstream, s.IncludeDownstream)
		}
	}, c.Err()
}

func (f FreezeFields) edit(zone string) (func(*Freeze), error) {
	window, err := f.WindowFields.edit(zone)
	return func(z *Freeze) {
		put(&z.Kind, f.Kind)
		put(&z.Strict, f.BlocksOutside)
		window(z)
	}, err
}

func (s ScheduleFields) schedule(c *form.Check, zone string) *Schedule {
	if s.TimeZone != "" {
		zone = s.TimeZone
	}
	recurs := s.FirstDate != "" || s.RRule != "" || s.LocalStart != "" || s.LocalEnd != ""
	if recurs && (s.StartsAt != nil || s.EndsAt != nil) {
		c.Add("schedule", "ambiguous", "Give starts_at and ends_at, or first_date, local_start, local_end and rrule; not both.")
	}
	out := &Schedule{
		Recurring: recurs, Zone: zone, StartsAt: s.StartsAt, EndsAt: s.EndsAt, FirstDate: s.FirstDate, LocalStart: s.LocalStart,
		LocalEnd: s.LocalEnd, RRule: s.RRule, ExDates: s.ExDates, RDates: s.RDates,
	}
	if s.EndDays != nil {
		out.EndDays = *s.EndDays
		return out
	}
	start, errStart := wallclock.ParseHour(s.LocalStart)
	if end, err := wallclock.ParseHour(s.LocalEnd); err == nil && errStart == nil && end <= start {
		out.EndDays = 1
	}
	return out
}

func put[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

type occurrenceBody struct {
	Date     string     `json:"date" doc:"The local day that it begins on."`
	StartsAt time.Time  `json:"starts_at"`
	EndsAt   *time.Time `json:"ends_at" doc:"Null while it lasts until the freeze is lifted."`
	Open     bool       `json:"open"`
	Empty    bool       `json:"empty" doc:"Its local hours do not exist on that day, or nothing of them is certain."`
}

func newOccurrenceBody(o Occurrence) occurrenceBody {
	b := occurrenceBody{Date: o.Date, StartsAt: o.Start.UTC(), Open: o.Open, Empty: o.Empty()}
	if !o.Open {
		b.EndsAt = utc(&o.End)
	}
	return b
}

func newOccurrenceBodies(in []Occurrence) []occurrenceBody {
	out := make([]occurrenceBody, len(in))
	for i, o := range in {
		out[i] = newOccurrenceBody(o)
	}
	return out
}

type affectedBody struct {
	ChangeID uuid.UUID  `json:"change_id" format:"uuid"`
	Key      string     `json:"key"`
	Title    string     `json:"title"`
	State    string     `json:"state"`
	StartsAt time.Time  `json:"starts_at"`
	EndsAt   time.Time  `json:"ends_at"`
	Owner    *uuid.UUID `json:"owner"`
	Hold     bool       `json:"hold" doc:"Activating the freeze puts it on hold."`
}

type endingBody struct {
	ID        uuid.UUID  `json:"id" format:"uuid"`
	Title     string     `json:"title"`
	EndsAt    time.Time  `json:"ends_at"`
	SafeFrom  *time.Time `json:"safe_from" doc:"The last slot in which it can be renewed; null when there is none left."`
	SafeUntil *time.Time `json:"safe_until"`
}

type previewBody struct {
	Occurrences  []occurrenceBody `json:"occurrences" nullable:"false"`
	Changes      []affectedBody   `json:"changes" nullable:"false"`
	Certificates []endingBody     `json:"certificates" nullable:"false" doc:"Certificates that end inside."`
	Widens       bool             `json:"widens" doc:"Overrides of the active freeze become void."`
}

func newPreviewBody(p Preview) previewBody {
	b := previewBody{
		Occurrences: newOccurrenceBodies(p.Occurrences), Changes: make([]affectedBody, len(p.Affected)),
		Certificates: make([]endingBody, len(p.Certificates)), Widens: p.Widens,
	}
	for i, c := range p.Affected {
		b.Changes[i] = affectedBody{
			ChangeID: c.ChangeID, Key: c.Key, Title: c.Title, State: c.State, StartsAt: c.Start.UTC(), EndsAt: c.End.UTC(), Owner: idOrNil(c.Owner), Hold: c.Hold,
		}
	}
	for i, e := range p.Certificates {
		b.Certificates[i] = endingBody{ID: e.ID, Title: e.Title, EndsAt: e.At.UTC()}
		if e.HasSafe {
			b.Certificates[i].SafeFrom, b.Certificates[i].SafeUntil = utc(&e.Safe.Start), utc(&e.Safe.End)
		}
	}
	return b
}

type overrideBody struct {
	ID            uuid.UUID     `json:"id" format:"uuid"`
	FreezeID      uuid.UUID     `json:"freeze_id" format:"uuid"`
	FreezeVersion int64         `json:"freeze_version"`
	ChangeID      uuid.UUID     `json:"change_id" format:"uuid"`
	Change        string        `json:"change" doc:"Its key."`
	Revision      int64         `json:"revision"`
	WindowStart   time.Time     `json:"window_start"`
	WindowEnd     time.Time     `json:"window_end"`
	State         OverrideState `json:"state" enum:"requested,granted,refused,void"`
	SelfGranted   bool          `json:"self_granted"`
	Reason        string        `json:"reason"`
	RequestedBy   uuid.UUID     `json:"requested_by" format:"uuid"`
	RequestedAt   time.Time     `json:"requested_at"`
	DecidedBy     *uuid.UUID    `json:"decided_by"`
	DecidedAt     *time.Time    `json:"decided_at"`
	Note          string        `json:"note"`
}

func newOverrideBody(o Override) overrideBody {
	return overrideBody{
		ID: o.ID, FreezeID: o.FreezeID, FreezeVersion: o.FreezeVersion, ChangeID: o.ChangeID, Change: o.ChangeKey, Revision: o.Revision,
		WindowStart: o.Start.UTC(), WindowEnd: o.End.UTC(), State: o.State, SelfGranted: o.SelfGranted, Reason: o.Reason,
		RequestedBy: o.RequestedBy, RequestedAt: o.RequestedAt.UTC(), DecidedBy: idOrNil(o.DecidedBy), DecidedAt: utc(o.DecidedAt), Note: o.DecisionNote,
	}
}
