package notifications

import (
	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

// The statements of this file read who is a member (module members), how people are
// reached (module identity) and how the workspace is called.

// recipient is a member with what they chose about one event.
type recipient struct {
	UserID uuid.UUID `db:"user_id"`
	Email  string    `db:"email"`
	Role   string    `db:"role"`
	Zone   string    `db:"zone"`
	InApp  bool      `db:"chosen_in_app"`
	Mail   bool      `db:"chosen_mail"`
	settingsRow
}

// Columns of a recipient; a member without a row of settings has the defaults.
const recipientColumns = `m.user_id, u.email, m.role, coalesce(u.time_zone, w.timezone) AS zone,
	coalesce(c.in_app, @in_app::boolean) AS chosen_in_app, coalesce(c.mail, @mail::boolean) AS chosen_mail,
	coalesce(s.floor, 'info') AS floor, coalesce(s.mail_enabled, true) AS mail_enabled, coalesce(s.digest, 'none') AS digest,
	coalesce(s.digest_at, 480)::smallint AS digest_at, coalesce(s.quiet, false) AS quiet,
	coalesce(s.quiet_from, 1320)::smallint AS quiet_from, coalesce(s.quiet_to, 420)::smallint AS quiet_to,
	coalesce(s.bypass, true) AS bypass, coalesce(s.version, 0) AS version`

const recipientJoins = `JOIN users u ON u.id = m.user_id
	JOIN workspaces w ON w.id = m.workspace_id
	LEFT JOIN notification_settings s ON s.workspace_id = m.workspace_id AND s.user_id = m.user_id`

const recipientWhere = `m.state = 'active' AND u.disabled_at IS NULL AND NOT EXISTS (SELECT 1 FROM notification_mutes x
		WHERE x.workspace_id = @ws AND x.user_id = m.user_id AND x.subject_type = @subject_type AND x.subject_id = @subject_id)`

const choiceJoin = `LEFT JOIN notification_choices c ON c.workspace_id = m.workspace_id AND c.user_id = m.user_id
		AND c.event_name = @event`

var (
	namedRecipients = db.Define[recipient]("notifications.named_recipients", `
	SELECT `+recipientColumns+` FROM members m `+recipientJoins+` `+choiceJoin+`
	WHERE m.workspace_id = @ws AND m.user_id = ANY (@users::uuid[]) AND `+recipientWhere+`
	ORDER BY m.user_id`)
	allRecipients = db.Define[recipient]("notifications.all_recipients", `
	SELECT `+recipientColumns+` FROM members m `+recipientJoins+` `+choiceJoin+`
	WHERE m.workspace_id = @ws AND `+recipientWhere+`
	ORDER BY m.user_id`)
	// Most events reach nobody unless somebody asked for them: those who did are few.
	choosingRecipients = db.Define[recipient]("notifications.choosing_recipients", `
	SELECT `+recipientColumns+` FROM notification_choices c
	JOIN members m ON m.workspace_id = c.workspace_id AND m.user_id = c.user_id `+recipientJoins+`
	WHERE c.workspace_id = @ws AND c.event_name = @event AND (c.in_app OR c.mail) AND `+recipientWhere+`
	ORDER BY m.user_id`)
)

// reader is the person that a mail is for.
type reader struct {
	Email       string `db:"email"`
	Zone        string `db:"zone"`
	MailEnabled bool   `db:"mail_enabled"`
}

type place struct {
	Slug string `db:"slug"`
	Name string `db:"name"`
}

var (
	loadReader = db.Define[reader]("notifications.load_reader", `
	SELECT u.email, coalesce(u.time_zone, w.timezone) AS zone, coalesce(s.mail_enabled, true) AS mail_enabled
	FROM members m `+recipientJoins+`
	WHERE m.workspace_id = @ws AND m.user_id = @user AND m.state = 'active' AND u.disabled_at IS NULL`)
	loadPlace = db.Define[place]("notifications.load_place", `
	SELECT slug, name FROM workspaces WHERE id = @ws`).Called("workspace")
)
