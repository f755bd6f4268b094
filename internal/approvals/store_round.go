package approvals

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements of one request and everything that hangs on it.

const requestColumns = `id, subject_type, subject_id, subject_key, title, path, kind, state, revision, content_hash, shown, facts, excluded,
	emergency, risk, pinned, validity_hours, planned_end, opened_by, opened_at, settled_at, code, reason, valid_until, overdue, version`

type requestRow struct {
	ID            uuid.UUID      `db:"id"`
	SubjectType   string         `db:"subject_type"`
	SubjectID     uuid.UUID      `db:"subject_id"`
	SubjectKey    string         `db:"subject_key"`
	Title         string         `db:"title"`
	Path          string         `db:"path"`
	Kind          Kind           `db:"kind"`
	State         State          `db:"state"`
	Revision      int64          `db:"revision"`
	ContentHash   []byte         `db:"content_hash"`
	Shown         string         `db:"shown"`
	Facts         Facts          `db:"facts"`
	Excluded      []Excluded     `db:"excluded"`
	Emergency     bool           `db:"emergency"`
	Risk          string         `db:"risk"`
	Pinned        []PinnedPolicy `db:"pinned"`
	ValidityHours int            `db:"validity_hours"`
	PlannedEnd    *time.Time     `db:"planned_end"`
	OpenedBy      uuid.NullUUID  `db:"opened_by"`
	OpenedAt      time.Time      `db:"opened_at"`
	SettledAt     *time.Time     `db:"settled_at"`
	Code          string         `db:"code"`
	Reason        string         `db:"reason"`
	ValidUntil    *time.Time     `db:"valid_until"`
	Overdue       bool           `db:"overdue"`
	Version       int64          `db:"version"`
}

type stageRow struct {
	ID         uuid.UUID      `db:"id"`
	RequestID  uuid.UUID      `db:"request_id"`
	Position   int            `db:"position"`
	Name       string         `db:"name"`
	State      StageState     `db:"state"`
	Spec       seats.Composed `db:"spec"`
	OpenedAt   *time.Time     `db:"opened_at"`
	ClosedAt   *time.Time     `db:"closed_at"`
	RemindAt   *time.Time     `db:"remind_at"`
	EscalateAt *time.Time     `db:"escalate_at"`
	DueAt      *time.Time     `db:"due_at"`
	Reminded   bool           `db:"reminded"`
	Escalated  bool           `db:"escalated"`
	NextAt     *time.Time     `db:"next_at"`
}

type seatRow struct {
	ID        uuid.UUID     `db:"id"`
	RequestID uuid.UUID     `db:"request_id"`
	StageID   uuid.UUID     `db:"stage_id"`
	Block     int           `db:"block"`
	Position  int           `db:"position"`
	Kind      SeatKind      `db:"kind"`
	Source    Source        `db:"source"`
	Principal uuid.NullUUID `db:"principal_id"`
	Label     string        `db:"label"`
	Status    SeatState     `db:"status"`
	OpenedAt  time.Time     `db:"opened_at"`
	ClosedAt  *time.Time    `db:"closed_at"`
}

type routeRow struct {
	SeatID      uuid.UUID     `db:"seat_id"`
	Principal   uuid.UUID     `db:"principal_id"`
	Escalated   bool          `db:"escalated"`
	Assignee    uuid.NullUUID `db:"assignee_id"`
	Path        []uuid.UUID   `db:"path"`
	Delegations []uuid.UUID   `db:"delegations"`
	Unrouted    Unrouted      `db:"unrouted"`
	Open        bool          `db:"open"`
	Position    int           `db:"position"`
}

type decisionRow struct {
	ID             uuid.UUID      `db:"id"`
	Sequence       int64          `db:"sequence"`
	SubjectType    string         `db:"subject_type"`
	SubjectID      uuid.UUID      `db:"subject_id"`
	SubjectKey     string         `db:"subject_key"`
	Revision       int64          `db:"revision"`
	ContentHash    []byte         `db:"content_hash"`
	ShownHash      []byte         `db:"shown_hash"`
	RequestID      uuid.UUID      `db:"request_id"`
	RequestKind    Kind           `db:"request_kind"`
	Policies       []PinnedPolicy `db:"policies"`
	StageID        uuid.UUID      `db:"stage_id"`
	Stage          int            `db:"stage"`
	StageName      string         `db:"stage_name"`
	SeatID         uuid.UUID      `db:"seat_id"`
	SeatSource     string         `db:"seat_source"`
	Fills          bool           `db:"fills"`
	Principal      uuid.UUID      `db:"principal_id"`
	PrincipalName  string         `db:"principal_name"`
	Actor          uuid.UUID      `db:"actor_id"`
	ActorName      string         `db:"actor_name"`
	ActorRole      string         `db:"actor_role"`
	Path           []uuid.UUID    `db:"path"`
	Delegations    []string       `db:"delegations"`
	Verdict        Verdict        `db:"verdict"`
	Comment        string         `db:"comment"`
	DecidedAt      time.Time      `db:"decided_at"`
	SessionID      uuid.UUID      `db:"session_id"`
	AuthMethod     string         `db:"auth_method"`
	MFA            string         `db:"mfa"`
	SignedInAt     *time.Time     `db:"signed_in_at"`
	Address        string         `db:"address"`
	BoardItem      uuid.UUID      `db:"board_item"`
	IdempotencyKey string         `db:"idempotency_key"`
	AuditID        uuid.UUID      `db:"audit_id"`
	Previous       []byte         `db:"previous"`
	Hash           []byte         `db:"hash"`
}

type lastRow struct {
	Sequence int64  `db:"sequence"`
	Hash     []byte `db:"hash"`
}

type placeRow struct {
	RequestID   uuid.UUID `db:"request_id"`
	SubjectType string    `db:"subject_type"`
	SubjectID   uuid.UUID `db:"subject_id"`
}

const decisionColumns = `id, sequence, subject_type, subject_id, subject_key, revision, content_hash, shown_hash, request_id, request_kind,
	policies, stage_id, stage, stage_name, seat_id, seat_source, fills, principal_id, principal_name, actor_id, actor_name, actor_role, path,
	delegations, verdict, comment, decided_at, session_id, auth_method, mfa, signed_in_at, address, board_item, idempotency_key, audit_id,
	previous, hash`

const stageColumns = `id, request_id, position, name, state, spec, opened_at, closed_at, remind_at, escalate_at, due_at, reminded, escalated, next_at`

const seatColumns = `id, request_id, stage_id, block, position, kind, source, principal_id, label, status, opened_at, closed_at`

var (
	insertRequest = db.DefineCommand("approvals.insert_request", `
	INSERT INTO approval_requests (workspace_id, id, subject_type, subject_id, subject_key, title, path, kind, state, revision, content_hash,
		shown, facts, excluded, emergency, risk, pinned, validity_hours, planned_end, opened_by, opened_at)
	VALUES (@ws, @id, @subject_type, @subject_id, @subject_key, @title, @path, @kind, 'open', @revision, @content_hash,
		@shown, @facts, @excluded, @emergency, @risk, @pinned, @validity_hours, @planned_end, @opened_by, @now)`)
	lockRequest = db.Define[requestRow]("approvals.lock_request", `
	SELECT `+requestColumns+` FROM approval_requests WHERE workspace_id = @ws AND id = @id FOR UPDATE`).Called("approval")
	openRequest = db.Define[uuid.UUID]("approvals.open_request", `
	SELECT id FROM approval_requests WHERE workspace_id = @ws AND subject_type = @type AND subject_id = @id AND state = 'open'`)
	latestRequest = db.Define[requestRow]("approvals.latest_request", `
	SELECT `+requestColumns+` FROM approval_requests WHERE workspace_id = @ws AND subject_type = @type AND subject_id = @id
	ORDER BY opened_at DESC, id DESC LIMIT 1`)
	saveRequest = db.DefineCommand("approvals.save_request", `
	UPDATE approval_requests SET state = @state, excluded = @excluded, settled_at = @settled_at, code = @code, reason = @reason,
		valid_until = @valid_until, overdue = @overdue, version = version + 1
	WHERE workspace_id = @ws AND id = @id`)
	requestsOf = db.Define[requestRow]("approvals.requests_of", `
	SELECT `+requestColumns+` FROM approval_requests WHERE workspace_id = @ws AND id = ANY (@ids)`)
	openRequestsAfter = db.Define[uuid.UUID]("approvals.open_requests_after", `
	SELECT id FROM approval_requests WHERE workspace_id = @ws AND state = 'open' AND id > @after ORDER BY id LIMIT @limit`)
	// requestsTouching are open requests in which one of the people is asked or passed over.
	requestsTouching = db.Define[uuid.UUID]("approvals.requests_touching", `
	SELECT DISTINCT s.request_id FROM approval_routes r JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
	WHERE r.workspace_id = @ws AND r.open AND r.path && @users::uuid[] AND s.request_id > @after ORDER BY s.request_id LIMIT @limit`)

	insertStages = db.DefineCommand("approvals.insert_stages", `
	INSERT INTO approval_stages (workspace_id, id, request_id, position, name, state, spec)
	SELECT @ws, r.id, @request, r.position, r.name, 'waiting', r.spec
	FROM unnest(@ids::uuid[], @positions::integer[], @names::text[], @specs::jsonb[]) AS r (id, position, name, spec)`)
	stagesOf = db.Define[stageRow]("approvals.stages_of", `
	SELECT `+stageColumns+` FROM approval_stages WHERE workspace_id = @ws AND request_id = @request ORDER BY position LIMIT 100`)
	saveStage = db.DefineCommand("approvals.save_stage", `
	UPDATE approval_stages SET state = @state, opened_at = @opened_at, closed_at = @closed_at, remind_at = @remind_at,
		escalate_at = @escalate_at, due_at = @due_at, reminded = @reminded, escalated = @escalated, next_at = @next_at
	WHERE workspace_id = @ws AND id = @id`)
	dueStages = db.Define[uuid.UUID]("approvals.due_stages", `
	SELECT request_id FROM approval_stages WHERE workspace_id = @ws AND next_at <= @now ORDER BY next_at, id LIMIT @limit`)
	postponeStage = db.DefineCommand("approvals.postpone_stage", `
	UPDATE approval_stages SET next_at = @next_at WHERE workspace_id = @ws AND request_id = @request AND next_at <= @now`)

	insertSeats = db.DefineCommand("approvals.insert_seats", `
	INSERT INTO approval_seats (workspace_id, id, request_id, stage_id, block, position, kind, source, principal_id, label, status, opened_at)
	SELECT @ws, r.id, @request, @stage, r.block, r.position, r.kind, r.source, r.principal, r.label, 'open', @now
	FROM unnest(@ids::uuid[], @blocks::integer[], @positions::integer[], @kinds::text[], @sources::jsonb[], @principals::uuid[], @labels::text[])
		AS r (id, block, position, kind, source, principal, label)`)
	seatsOf = db.Define[seatRow]("approvals.seats_of", `
	SELECT `+seatColumns+` FROM approval_seats WHERE workspace_id = @ws AND request_id = @request ORDER BY opened_at, position LIMIT 10000`)
	seatPlace = db.Define[placeRow]("approvals.seat_place", `
	SELECT s.request_id, r.subject_type, r.subject_id FROM approval_seats s
	JOIN approval_requests r ON r.workspace_id = s.workspace_id AND r.id = s.request_id
	WHERE s.workspace_id = @ws AND s.id = @id`).Called("approval")
	requestPlace = db.Define[placeRow]("approvals.request_place", `
	SELECT id AS request_id, subject_type, subject_id FROM approval_requests WHERE workspace_id = @ws AND id = @id`).Called("approval")
	closeSeats = db.DefineCommand("approvals.close_seats", `
	UPDATE approval_seats SET status = @status, closed_at = @now WHERE workspace_id = @ws AND id = ANY (@ids) AND status = 'open'`)

	routesOf = db.Define[routeRow]("approvals.routes_of", `
	SELECT r.seat_id, r.principal_id, r.escalated, r.assignee_id, r.path, r.delegations, r.unrouted, r.open, r.position
	FROM approval_routes r JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
	WHERE r.workspace_id = @ws AND s.request_id = @request ORDER BY r.seat_id, r.escalated, r.position LIMIT 50000`)
	putRoute = db.DefineCommand("approvals.put_route", `
	INSERT INTO approval_routes (workspace_id, seat_id, principal_id, escalated, assignee_id, path, delegations, unrouted, open, position)
	VALUES (@ws, @seat, @principal, @escalated, @assignee, @path, @delegations, @unrouted, true, @position)
	ON CONFLICT (workspace_id, seat_id, principal_id, escalated) DO UPDATE SET assignee_id = excluded.assignee_id, path = excluded.path,
		delegations = excluded.delegations, unrouted = excluded.unrouted, open = true, position = excluded.position`)
	putPlainRoutes = db.DefineCommand("approvals.put_plain_routes", `
	INSERT INTO approval_routes (workspace_id, seat_id, principal_id, escalated, assignee_id, path, delegations, unrouted, open, position)
	SELECT @ws, r.seat, r.principal, @escalated, r.principal, ARRAY[r.principal], '{}', '', true, r.position
	FROM unnest(@seats::uuid[], @principals::uuid[], @positions::integer[]) AS r (seat, principal, position)
	ON CONFLICT (workspace_id, seat_id, principal_id, escalated) DO UPDATE SET assignee_id = excluded.assignee_id, path = excluded.path,
		delegations = excluded.delegations, unrouted = excluded.unrouted, open = true, position = excluded.position`)
	dropRoutes = db.DefineCommand("approvals.drop_routes", `
	DELETE FROM approval_routes r USING unnest(@seats::uuid[], @principals::uuid[]) AS x (seat, principal)
	WHERE r.workspace_id = @ws AND r.seat_id = x.seat AND r.principal_id = x.principal AND NOT r.escalated`)
	closeRoutes = db.DefineCommand("approvals.close_routes", `
	UPDATE approval_routes SET open = false WHERE workspace_id = @ws AND seat_id = ANY (@ids) AND open`)

	decisionsOfRequest = db.Define[decisionRow]("approvals.decisions_of_request", `
	SELECT `+decisionColumns+` FROM approval_decisions WHERE workspace_id = @ws AND request_id = @request ORDER BY sequence LIMIT 10000`)
	decisionsOfSubject = db.Define[decisionRow]("approvals.decisions_of_subject", `
	SELECT `+decisionColumns+` FROM approval_decisions WHERE workspace_id = @ws AND subject_type = @type AND subject_id = @id
	ORDER BY sequence LIMIT 10000`)
	lastDecision = db.Define[lastRow]("approvals.last_decision", `
	SELECT sequence, hash FROM approval_decisions WHERE workspace_id = @ws AND subject_type = @type AND subject_id = @id
	ORDER BY sequence DESC LIMIT 1`)
	insertDecision = db.DefineCommand("approvals.insert_decision", `
	INSERT INTO approval_decisions (workspace_id, id, sequence, subject_type, subject_id, subject_key, revision, content_hash, shown_hash,
		request_id, request_kind, policies, stage_id, stage, stage_name, seat_id, seat_source, fills, principal_id, principal_name, actor_id,
		actor_name, actor_role, path, delegations, verdict, comment, decided_at, session_id, auth_method, mfa, signed_in_at, address,
		board_item, idempotency_key, audit_id, previous, hash)
	VALUES (@ws, @id, @sequence, @subject_type, @subject_id, @subject_key, @revision, @content_hash, @shown_hash,
		@request_id, @request_kind, @policies, @stage_id, @stage, @stage_name, @seat_id, @seat_source, @fills, @principal_id, @principal_name,
		@actor_id, @actor_name, @actor_role, @path, @delegations, @verdict, @comment, @decided_at, @session_id, @auth_method, @mfa,
		@signed_in_at, @address, @board_item, @idempotency_key, @audit_id, @previous, @hash)`)

	openBoardSeats = db.Define[boardSeatRow]("approvals.open_board_seats", `
	SELECT s.id AS seat_id, s.request_id, r.subject_type, r.subject_id, r.subject_key, r.title, r.path, r.revision, s.opened_at, t.due_at,
		r.facts, r.excluded
	FROM approval_seats s
	JOIN approval_requests r ON r.workspace_id = s.workspace_id AND r.id = s.request_id
	JOIN approval_stages t ON t.workspace_id = s.workspace_id AND t.id = s.stage_id
	WHERE s.workspace_id = @ws AND s.kind = 'cab' AND s.status = 'open' AND s.opened_at < @before
	ORDER BY s.opened_at, s.id LIMIT 1000`)
)

type boardSeatRow struct {
	SeatID      uuid.UUID  `db:"seat_id"`
	RequestID   uuid.UUID  `db:"request_id"`
	SubjectType string     `db:"subject_type"`
	SubjectID   uuid.UUID  `db:"subject_id"`
	Key         string     `db:"subject_key"`
	Title       string     `db:"title"`
	Path        string     `db:"path"`
	Revision    int64      `db:"revision"`
	OpenedAt    time.Time  `db:"opened_at"`
	DueAt       *time.Time `db:"due_at"`
	Facts       Facts      `db:"facts"`
	Excluded    []Excluded `db:"excluded"`
}

func stageArgs(st stageRow) db.Args {
	return db.Args{
		"id": st.ID, "state": st.State, "opened_at": st.OpenedAt, "closed_at": st.ClosedAt, "remind_at": st.RemindAt,
		"escalate_at": st.EscalateAt, "due_at": st.DueAt, "reminded": st.Reminded, "escalated": st.Escalated, "next_at": st.NextAt,
	}
}

func decisionArgs(d decisionRow) db.Args {
	return db.Args{
		"id": d.ID, "sequence": d.Sequence, "subject_type": d.SubjectType, "subject_id": d.SubjectID, "subject_key": d.SubjectKey,
		"revision": d.Revision, "content_hash": d.ContentHash, "shown_hash": d.ShownHash, "request_id": d.RequestID,
		"request_kind": d.RequestKind, "policies": d.Policies, "stage_id": d.StageID, "stage": d.Stage, "stage_name": d.StageName,
		"seat_id": d.SeatID, "seat_source": d.SeatSource, "fills": d.Fills, "principal_id": d.Principal, "principal_name": d.PrincipalName,
		"actor_id": d.Actor, "actor_name": d.ActorName, "actor_role": d.ActorRole, "path": d.Path, "delegations": d.Delegations,
		"verdict": d.Verdict, "comment": d.Comment, "decided_at": d.DecidedAt, "session_id": d.SessionID, "auth_method": d.AuthMethod,
		"mfa": d.MFA, "signed_in_at": d.SignedInAt, "address": d.Address, "board_item": d.BoardItem, "idempotency_key": d.IdempotencyKey,
		"audit_id": d.AuditID, "previous": d.Previous, "hash": d.Hash,
	}
}

type refRow struct {
	ID    uuid.UUID `db:"id"`
	Key   string    `db:"key"`
	Title string    `db:"title"`
	Path  string    `db:"path"`
	State State     `db:"state"`
}

var (
	requestRefs = db.Define[refRow]("approvals.request_refs", `
	SELECT id, subject_key AS key, 'Approval of ' || title AS title, path, state FROM approval_requests
	WHERE workspace_id = @ws AND id = ANY (@ids)`)
	decisionRefs = db.Define[refRow]("approvals.decision_refs", `
	SELECT d.id, d.subject_key AS key, 'Decision about ' || r.title AS title, '/approvals/' || d.seat_id AS path, r.state
	FROM approval_decisions d JOIN approval_requests r ON r.workspace_id = d.workspace_id AND r.id = d.request_id
	WHERE d.workspace_id = @ws AND d.id = ANY (@ids)`)
)
