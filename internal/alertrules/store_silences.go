package alertrules

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

const silenceColumns = `s.id, s.comment, s.host_ids, s.tags, s.rule_ids, s.starts_at, s.ends_at, s.created_by, s.version, s.created_at,
	s.updated_at`

// insideRow is how many alerts fire inside a silence.
type insideRow struct {
	SilenceID uuid.UUID `db:"silence_id"`
	N         int64     `db:"n"`
}

var (
	liveSilences = db.Define[Silence]("alertrules.live_silences", `
	SELECT `+silenceColumns+`, '' AS author FROM alert_silences s
	WHERE s.workspace_id = @ws AND s.ends_at > @now ORDER BY s.ends_at, s.id LIMIT 1000`)
	countLiveSilences = db.Define[int64]("alertrules.count_live_silences", `
	SELECT count(*) FROM alert_silences WHERE workspace_id = @ws AND ends_at > @now`)
	insertSilence = db.DefineCommand("alertrules.insert_silence", `
	INSERT INTO alert_silences (workspace_id, id, comment, host_ids, tags, rule_ids, starts_at, ends_at, created_by, version,
		created_at, updated_at)
	VALUES (@ws, @id, @comment, @host_ids, @tags, @rule_ids, @starts_at, @ends_at, @created_by, @version, @now, @now)`)
	saveSilence = db.DefineCommand("alertrules.save_silence", `
	UPDATE alert_silences SET comment = @comment, host_ids = @host_ids, tags = @tags, rule_ids = @rule_ids, starts_at = @starts_at,
		ends_at = @ends_at, version = @version, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)
	// lookAgain makes the hosts about which something fires due. Nobody evaluates meanwhile.
	lookAgain = db.DefineCommand("alertrules.look_again", `
	UPDATE alert_checks c SET next_at = @now
	WHERE c.workspace_id = @ws AND (c.next_at IS NULL OR c.next_at > @now) AND EXISTS (
		SELECT 1 FROM alert_tracks t WHERE t.workspace_id = @ws AND t.host_id = c.host_id
			AND (t.alert_id IS NOT NULL OR t.owed_id IS NOT NULL))`)
	firingInside = db.Define[insideRow]("alertrules.firing_inside", `
	SELECT muted_id AS silence_id, count(*) AS n FROM alerts
	WHERE workspace_id = @ws AND muted_by = 'silence' AND muted_id IS NOT NULL AND state = 'firing' GROUP BY muted_id LIMIT 1000`)
	silenceNames = db.Define[nameRow]("alertrules.silence_names", `
	SELECT id, comment AS name FROM alert_silences WHERE workspace_id = @ws AND id = ANY (@ids)`)
)

func silenceArgs(s Silence) db.Args {
	return db.Args{
		"id": s.ID, "comment": s.Comment, "host_ids": s.Hosts, "tags": s.Tags, "rule_ids": s.Rules, "starts_at": s.StartsAt,
		"ends_at": s.EndsAt, "version": s.Version,
	}
}
