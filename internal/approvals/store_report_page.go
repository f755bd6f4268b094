package approvals

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements that fill the page of a seat in one round trip: each finds the request by
// one of its seats, and the names that it needs.

const ofSeat = `(SELECT s.request_id FROM approval_seats s WHERE s.workspace_id = @ws AND s.id = @seat)`

var (
	requestOfSeat = db.Define[requestRow]("approvals.request_of_seat", `
	SELECT `+requestColumns+` FROM approval_requests WHERE workspace_id = @ws AND id = `+ofSeat)
	stagesOfSeat = db.Define[stageRow]("approvals.stages_of_seat", `
	SELECT `+stageColumns+` FROM approval_stages WHERE workspace_id = @ws AND request_id = `+ofSeat+` ORDER BY position LIMIT 100`)
	seatsOfSeat = db.Define[seatRow]("approvals.seats_of_seat", `
	SELECT `+seatColumns+` FROM approval_seats WHERE workspace_id = @ws AND request_id = `+ofSeat+` ORDER BY opened_at, position LIMIT 2000`)
	routesOfSeat = db.Define[routeRow]("approvals.routes_of_seat", `
	SELECT r.seat_id, r.principal_id, r.escalated, r.assignee_id, r.path, r.delegations, r.unrouted, r.open, r.position
	FROM approval_routes r JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
	WHERE r.workspace_id = @ws AND s.request_id = `+ofSeat+` ORDER BY r.seat_id, r.escalated, r.position LIMIT 5000`)
	// All decisions about the subject, whatever became of their requests: they verify only together.
	decisionsOfSeat = db.Define[decisionRow]("approvals.decisions_of_seat", `
	SELECT `+decisionColumns+` FROM approval_decisions WHERE workspace_id = @ws AND (subject_type, subject_id) =
		(SELECT q.subject_type, q.subject_id FROM approval_requests q WHERE q.workspace_id = @ws AND q.id = `+ofSeat+`)
	ORDER BY sequence LIMIT 10000`)
	shownOfSeat = db.Define[shownRow]("approvals.shown_of_seat", `
	SELECT o.id, o.shown FROM approval_requests o WHERE o.workspace_id = @ws AND (o.subject_type, o.subject_id) =
		(SELECT q.subject_type, q.subject_id FROM approval_requests q WHERE q.workspace_id = @ws AND q.id = `+ofSeat+`) LIMIT 1000`)
	// namesOfSeat are the people on routes and in sources, the groups in sources, the people
	// left out, and whoever asked.
	namesOfSeat = db.Define[nameRow]("approvals.names_of_seat", `
	WITH asked AS (
		SELECT unnest(r.path) AS id FROM approval_routes r JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
		WHERE r.workspace_id = @ws AND s.request_id = `+ofSeat+`
		UNION SELECT (src->>'id')::uuid FROM approval_stages t, jsonb_array_elements(t.spec->'blocks') b, jsonb_array_elements(b->'sources') src
		WHERE t.workspace_id = @ws AND t.request_id = `+ofSeat+` AND src ? 'id'
		UNION SELECT (src->>'id')::uuid FROM approval_stages t, jsonb_array_elements(t.spec->'escalation') src
		WHERE t.workspace_id = @ws AND t.request_id = `+ofSeat+` AND src ? 'id'
		UNION SELECT (x->>'user_id')::uuid FROM approval_requests q, jsonb_array_elements(q.excluded) x WHERE q.workspace_id = @ws AND q.id = `+ofSeat+`
		UNION SELECT q.opened_by FROM approval_requests q WHERE q.workspace_id = @ws AND q.id = `+ofSeat+`)
	SELECT u.id, u.name FROM users u WHERE u.id IN (SELECT id FROM asked)
	UNION ALL SELECT g.id, g.name FROM people_groups g WHERE g.workspace_id = @ws AND g.id IN (SELECT id FROM asked)
	LIMIT 5000`)
	delegationsOfSeat = db.Define[keyRow]("approvals.delegations_of_seat", `
	SELECT d.id, d.key FROM approval_delegations d WHERE d.workspace_id = @ws AND d.id IN (
		SELECT unnest(r.delegations) FROM approval_routes r JOIN approval_seats s ON s.workspace_id = r.workspace_id AND s.id = r.seat_id
		WHERE r.workspace_id = @ws AND s.request_id = `+ofSeat+`) LIMIT 1000`)

	// namesOfPolicies are the people and groups that policies name.
	namesOfPolicies = db.Define[nameRow]("approvals.names_of_policies", `
	WITH named AS (
		SELECT (src->>'id')::uuid AS id FROM approval_policies p, jsonb_array_elements(p.stages) t, jsonb_array_elements(t->'sources') src
		WHERE p.workspace_id = @ws AND (@id::uuid IS NULL OR p.id = @id::uuid) AND src ? 'id'
		UNION SELECT (t->'escalation'->>'id')::uuid FROM approval_policies p, jsonb_array_elements(p.stages) t
		WHERE p.workspace_id = @ws AND (@id::uuid IS NULL OR p.id = @id::uuid) AND t->'escalation' ? 'id')
	SELECT u.id, u.name FROM users u WHERE u.id IN (SELECT id FROM named)
	UNION ALL SELECT g.id, g.name FROM people_groups g WHERE g.workspace_id = @ws AND g.id IN (SELECT id FROM named)
	LIMIT 5000`)
)

type shownRow struct {
	ID    uuid.UUID `db:"id"`
	Shown string    `db:"shown"`
}

// seatPage holds what the page of a seat reads.
type seatPage struct {
	r       round
	at      int // index of the seat
	labels  labels
	keys    map[uuid.UUID]string
	records []Record // of the whole subject
}
