package tasks

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

// apiTask is a task as the API shows it.
type apiTask struct {
	ID              uuid.UUID  `json:"id"`
	Key             string     `json:"key"`
	Title           string     `json:"title"`
	Description     string     `json:"description"`
	State           State      `json:"state"`
	StateReason     string     `json:"state_reason"`
	Blocked         bool       `json:"blocked" doc:"Something stands before the task that is not settled."`
	ParentType      string     `json:"parent_type"`
	ParentID        *uuid.UUID `json:"parent_id"`
	ParentLabel     string     `json:"parent_label"`
	Position        int32      `json:"position"`
	Gate            string     `json:"gate"`
	Verification    bool       `json:"verification"`
	Assignee        *uuid.UUID `json:"assignee" doc:"User who does the task."`
	AssigneeName    string     `json:"assignee_name,omitempty"`
	DueAt           *time.Time `json:"due_at"`
	EstimateMinutes int32      `json:"estimate_minutes"`
	StartedAt       *time.Time `json:"started_at"`
	FinishedAt      *time.Time `json:"finished_at"`
	DoneBy          *uuid.UUID `json:"done_by"`
	Version         int64      `json:"version"`
	CreatedAt       time.Time  `json:"created_at"`
	UpdatedAt       time.Time  `json:"updated_at"`
	// Dependencies are listed for a single task only.
	Dependencies []apiDependency `json:"dependencies,omitempty"`
}

type apiDependency struct {
	ID             uuid.UUID `json:"id"`
	Predecessor    uuid.UUID `json:"predecessor"`
	PredecessorKey string    `json:"predecessor_key"`
	Successor      uuid.UUID `json:"successor"`
	SuccessorKey   string    `json:"successor_key"`
	LagMinutes     int32     `json:"lag_minutes"`
}

func newAPITask(i Item) apiTask {
	return apiTask{
		ID: i.ID, Key: i.Key, Title: i.Title, Description: i.Description, State: i.State, StateReason: i.StateReason, Blocked: i.Blocked(),
		ParentType: i.ParentType, ParentID: orNil(i.ParentID), ParentLabel: i.ParentLabel, Position: i.Position, Gate: i.Gate,
		Verification: i.Verification, Assignee: orNil(i.AssigneeID), AssigneeName: i.AssigneeName, DueAt: i.due(),
		EstimateMinutes: i.EstimateMinutes, StartedAt: utc(i.StartedAt), FinishedAt: utc(i.FinishedAt), DoneBy: orNil(i.DoneBy),
		Version: i.Version, CreatedAt: i.CreatedAt.UTC(), UpdatedAt: i.UpdatedAt.UTC(),
	}
}

func newAPIDependency(d Dependency) apiDependency {
	return apiDependency{
		ID: d.ID, Predecessor: d.Predecessor, PredecessorKey: d.PredecessorKey, Successor: d.Successor, SuccessorKey: d.SuccessorKey,
		LagMinutes: d.LagMinutes,
	}
}

func orNil(id uuid.NullUUID) *uuid.UUID {
	if !id.Valid {
		return nil
	}
	return &id.UUID
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}

type taskBody struct {
	Title           string    `json:"title" maxLength:"1000"`
	Description     string    `json:"description,omitempty"`
	ParentType      string    `json:"parent_type,omitempty" doc:"Type of the record that the task is for, such as change or asset."`
	ParentID        string    `json:"parent_id,omitempty" doc:"Id or key of that record."`
	Gate            string    `json:"gate,omitempty" doc:"before_start, before_complete or before_close: the step of the record that waits for the task."`
	Verification    bool      `json:"verification,omitempty" doc:"Only somebody who did not do the work can mark it as done."`
	Assignee        string    `json:"assignee,omitempty" doc:"A user, a membership or an e-mail address."`
	DueAt           time.Time `json:"due_at,omitzero"`
	EstimateMinutes int       `json:"estimate_minutes,omitempty"`
	Position        int       `json:"position,omitempty"`
}

type taskPatch struct {
	Title           *string    `json:"title,omitempty"`
	Description     *string    `json:"description,omitempty"`
	Gate            *string    `json:"gate,omitempty"`
	Verification    *bool      `json:"verification,omitempty"`
	Assignee        *string    `json:"assignee,omitempty" doc:"An empty text takes the assignee off."`
	DueAt           *time.Time `json:"due_at,omitempty"`
	NoDue           bool       `json:"no_due,omitempty" doc:"Takes the due date away."`
	EstimateMinutes *int       `json:"estimate_minutes,omitempty"`
	Position        *int       `json:"position,omitempty"`
	State           *State     `json:"state,omitempty" doc:"todo, doing, done, skipped or cancelled."`
	Reason          string     `json:"reason,omitempty" doc:"Why the state changes; skipped needs one."`
	Version         *int64     `json:"version,omitempty"`
}

func (b taskPatch) edit(ifMatch string) TaskEdit {
	e := TaskEdit{
		Title: b.Title, Description: b.Description, Gate: b.Gate, Verification: b.Verification, Assignee: b.Assignee, Due: b.DueAt,
		EstimateMinutes: b.EstimateMinutes, Position: b.Position, State: b.State, Reason: b.Reason, IfMatch: ifMatch, Version: b.Version,
	}
	if b.NoDue {
		e.Due = &time.Time{}
	}
	return e
}

type taskOut struct {
	Location string `header:"Location"`
	ETag     string `header:"ETag"`
	Body     apiTask
}

// TaskIn is the id or key in the path of an operation. It is exported because huma reads
// embedded fields of exported types only.
type TaskIn struct {
	ID string `path:"id" doc:"Id or key, such as TASK-0031."`
}

const apiTag = "Tasks"

// operations adds the API of this module.
func (s *Service) operations(m *api.Module) {
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/tasks", Permission: CanUpdate, ID: "create-task", Summary: "Add a task", Tag: apiTag,
		Status: http.StatusCreated,
	}, s.apiCreate)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/tasks", Permission: CanRead, ID: "list-tasks", Summary: "List tasks", Tag: apiTag,
	}, s.apiList)
	api.Register(m, api.Op{
		Method: http.MethodGet, Path: "/tasks/{id}", Permission: CanRead, ID: "get-task", Summary: "Read a task with its dependencies", Tag: apiTag,
	}, func(ctx context.Context, in *TaskIn) (*taskOut, error) { return s.taskAnswer(ctx, in.ID) })
	api.Register(m, api.Op{
		Method: http.MethodPatch, Path: "/tasks/{id}", Permission: CanUpdate, ID: "update-task", Summary: "Change a task or its state", Tag: apiTag,
	}, func(ctx context.Context, in *struct {
		TaskIn
		IfMatch string `header:"If-Match"`
		Body    taskPatch
	},
	) (*taskOut, error) {
		t, err := s.UpdateTask(ctx, api.Actor(ctx), in.ID, in.Body.edit(in.IfMatch))
		if err != nil {
			return nil, err
		}
		return s.taskAnswer(ctx, t.ID.String())
	})
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/tasks/{id}", Permission: CanUpdate, ID: "delete-task", Summary: "Delete a task", Tag: apiTag,
		Status: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		TaskIn
		Confirm bool `query:"confirm" doc:"Delete even though other tasks wait for it."`
	},
	) (*struct{}, error) {
		_, err := s.DeleteTask(ctx, api.Actor(ctx), in.ID, in.Confirm)
		return nil, err
	})
	api.Register(m, api.Op{
		Method: http.MethodPost, Path: "/tasks/{id}/dependencies", Permission: CanUpdate, ID: "create-task-dependency",
		Summary: "Let a task wait for another", Tag: apiTag, Status: http.StatusCreated,
	}, s.apiDepend)
	api.Register(m, api.Op{
		Method: http.MethodDelete, Path: "/tasks/{id}/dependencies/{dependency}", Permission: CanUpdate, ID: "delete-task-dependency",
		Summary: "Let a task no longer wait for another", Tag: apiTag, Status: http.StatusNoContent,
	}, func(ctx context.Context, in *struct {
		TaskIn
		Dependency string `path:"dependency"`
	},
	) (*struct{}, error) {
		id, err := uuid.Parse(in.Dependency)
		if err != nil || len(in.Dependency) != 36 {
			return nil, fault.NewNotFound("dependency")
		}
		return nil, s.RemoveDependency(ctx, api.Actor(ctx), in.ID, id)
	})
}

func (s *Service) apiCreate(ctx context.Context, in *struct{ Body taskBody }) (*taskOut, error) {
	b := in.Body
	n := NewTask{
		Title: b.Title, Description: b.Description, ParentType: b.ParentType, Gate: b.Gate, Verification: b.Verification, Assignee: b.Assignee,
		Due: b.DueAt, EstimateMinutes: b.EstimateMinutes, Position: b.Position,
	}
	if b.ParentID != "" {
		id, err := s.parentID(ctx, b.ParentType, b.ParentID)
		if err != nil {
			return nil, err
		}
		n.ParentID = id
	}
	t, err := s.AddTask(ctx, api.Actor(ctx), n)
	if err != nil {
		return nil, err
	}
	out, err := s.taskAnswer(ctx, t.ID.String())
	if err == nil {
		out.Location = api.Request(ctx).Path("/api/v1/tasks/" + t.ID.String())
	}
	return out, err
}

// parentID turns an id or a key of a record into its id.
func (s *Service) parentID(ctx context.Context, kind, text string) (uuid.UUID, error) {
	if id, err := uuid.Parse(text); err == nil {
		return id, nil
	}
	unknown := fault.InvalidField("parent_id", "unknown_parent", "There is no such record.")
	k, ok := s.parents[kind]
	if !ok || k.Find == nil {
		return uuid.Nil, unknown
	}
	var id uuid.UUID
	err := s.db.View(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		found, ok, err := k.Find(ctx, tx, text)
		if err == nil && !ok {
			err = unknown
		}
		id = found
		return err
	})
	return id, err
}

func (s *Service) taskAnswer(ctx context.Context, idOrKey string) (*taskOut, error) {
	var item Item
	var edges []Dependency
	err := s.db.View(ctx, api.Actor(ctx), func(tx *db.Tx) error {
		t, err := findTask(ctx, tx, idOrKey)
		if err != nil {
			return err
		}
		if item, err = itemByID.One(ctx, tx, db.Args{"id": t.ID}); err != nil {
			return err
		}
		edges, err = dependenciesOf.All(ctx, tx, db.Args{"id": t.ID})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &taskOut{ETag: strconv.Quote(strconv.FormatInt(item.Version, 10)), Body: newAPITask(item)}
	for _, e := range edges {
		out.Body.Dependencies = append(out.Body.Dependencies, newAPIDependency(e))
	}
	return out, nil
}

type listIn struct {
	api.ListIn
	Q          string    `query:"q" doc:"Words that begin a word of the title or the key."`
	State      string    `query:"state" doc:"One or more states, separated by commas."`
	Assignee   string    `query:"assignee" doc:"A user, me or none."`
	Mine       bool      `query:"mine" doc:"Open tasks of the caller."`
	ParentType string    `query:"parent_type"`
	ParentID   string    `query:"parent_id"`
	Gate       string    `query:"gate"`
	Blocked    bool      `query:"blocked" doc:"Only tasks that wait for others."`
	DueBefore  time.Time `query:"due_before"`
	View       string    `query:"view" doc:"A saved view: mine, open, overdue, unassigned, done or all."`
}

type listOut struct{ Body api.List[apiTask] }

func (s *Service) apiList(ctx context.Context, in *listIn) (*listOut, error) {
	f := filter{
		Text: in.Q, State: in.State, Assignee: in.Assignee, ParentType: in.ParentType, ParentID: in.ParentID, Gate: in.Gate,
		Blocked: in.Blocked, DueBefore: in.DueBefore, View: in.View,
	}
	if in.Mine {
		f.View = viewMine
	}
	q, err := f.query(api.Actor(ctx).UserID)
	if err != nil {
		return nil, err
	}
	if q, err = api.Apply(in.ListIn, taskList, q); err != nil {
		return nil, err
	}
	var page *db.PageResult[Item]
	if err := s.db.ReadBatch(ctx, api.Actor(ctx), func(b *db.Batch) { page = q.Queue(b) }); err != nil {
		return nil, err
	}
	return &listOut{Body: api.NewList(page.Page, newAPITask)}, nil
}

type dependencyOut struct {
	Location string `header:"Location"`
	Body     apiDependency
}

func (s *Service) apiDepend(ctx context.Context, in *struct {
	TaskIn
	Body struct {
		Predecessor string `json:"predecessor" doc:"Id or key of the task to wait for."`
		LagMinutes  int    `json:"lag_minutes,omitempty" doc:"Minutes to wait after it is settled."`
	}
},
) (*dependencyOut, error) {
	d, err := s.DependOn(ctx, api.Actor(ctx), in.ID, in.Body.Predecessor, in.Body.LagMinutes)
	if err != nil {
		return nil, err
	}
	return &dependencyOut{
		Location: api.Request(ctx).Path("/api/v1/tasks/" + d.Successor.String()), Body: newAPIDependency(d),
	}, nil
}
