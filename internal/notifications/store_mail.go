package notifications

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
)

type serverRow struct {
	ID             uuid.UUID `db:"id"`
	Host           string    `db:"host"`
	Port           int       `db:"port"`
	Username       string    `db:"username"`
	SealedPassword []byte    `db:"sealed_password"`
	Sender         string    `db:"sender"`
	TLS            string    `db:"tls"`
	Version        int64     `db:"version"`
}

const serverColumns = `id, host, port, username, sealed_password, sender, tls, version`

var (
	loadServer = db.Define[serverRow]("notifications.load_server", `
	SELECT `+serverColumns+` FROM mail_settings WHERE workspace_id = @ws`)
	lockServer = db.Define[serverRow]("notifications.lock_server", `
	SELECT `+serverColumns+` FROM mail_settings WHERE workspace_id = @ws FOR UPDATE`)
	hasServer = db.Define[bool]("notifications.has_server", `
	SELECT EXISTS (SELECT 1 FROM mail_settings WHERE workspace_id = @ws)`)
	addServer = db.DefineCommand("notifications.add_server", `
	INSERT INTO mail_settings (workspace_id, id, host, port, username, sealed_password, sender, tls, version, updated_at)
	VALUES (@ws, @id, @host, @port, @username, @sealed_password, @sender, @tls, 1, @now)`)
	saveServer = db.DefineCommand("notifications.save_server", `
	UPDATE mail_settings SET host = @host, port = @port, username = @username, sealed_password = @sealed_password,
		sender = @sender, tls = @tls, version = version + 1, updated_at = @now
	WHERE workspace_id = @ws AND id = @id`)
	dropServer = db.DefineCommand("notifications.drop_server", `
	DELETE FROM mail_settings WHERE workspace_id = @ws AND id = @id`)
)

// kind says what a mail is made of.
type kind string

const (
	kindNotification kind = "notification"
	kindDigest       kind = "digest"
	kindDirect       kind = "direct"
)

type mailRow struct {
	ID              uuid.UUID     `db:"id"`
	Kind            kind          `db:"kind"`
	UserID          uuid.NullUUID `db:"user_id"`
	NotificationIDs []uuid.UUID   `db:"notification_ids"`
	Recipient       string        `db:"recipient"`
	Subject         string        `db:"subject"`
	SealedBody      []byte        `db:"sealed_body"`
	State           string        `db:"state"`
}

// Problem is a mail that failed at least once.
type Problem struct {
	Recipient string    `db:"recipient"`
	Subject   string    `db:"subject"`
	State     string    `db:"state"`
	Attempts  int       `db:"attempts"`
	Problem   string    `db:"problem"`
	UpdatedAt time.Time `db:"updated_at"`
}

var (
	// One mail per row; notification_ids holds one id each.
	addNotificationMails = db.DefineCommand("notifications.add_notification_mails", `
	INSERT INTO mails (workspace_id, id, kind, user_id, notification_ids, recipient, subject, created_at, updated_at)
	SELECT @ws, r.id, 'notification', r.user_id, ARRAY[r.notification_id], r.recipient, @subject, @now, @now
	FROM unnest(@ids::uuid[], @users::uuid[], @notifications::uuid[], @recipients::text[])
		AS r (id, user_id, notification_id, recipient)`)
	addMail = db.Define[uuid.UUID]("notifications.add_mail", `
	INSERT INTO mails (workspace_id, id, kind, user_id, notification_ids, recipient, subject, sealed_body, dedupe_key,
		created_at, updated_at)
	VALUES (@ws, @id, @kind, @user, @notifications, @recipient, @subject, @sealed_body, @dedupe_key, @now, @now)
	ON CONFLICT (workspace_id, dedupe_key, recipient) WHERE dedupe_key IS NOT NULL DO NOTHING
	RETURNING id`)
	loadMail = db.Define[mailRow]("notifications.load_mail", `
	SELECT id, kind, user_id, notification_ids, recipient, subject, sealed_body, state FROM mails
	WHERE workspace_id = @ws AND id = @id`).Called("mail")
	endMail = db.DefineCommand("notifications.end_mail", `
	UPDATE mails SET state = @state, problem = @problem, attempts = @attempts, sealed_body = NULL, updated_at = @now
	WHERE workspace_id = @ws AND id = @id AND state = 'waiting'`)
	noteProblem = db.DefineCommand("notifications.note_problem", `
	UPDATE mails SET problem = @problem, attempts = @attempts, updated_at = @now
	WHERE workspace_id = @ws AND id = @id AND state = 'waiting'`)
	lastProblems = db.Define[Problem]("notifications.last_problems", `
	SELECT recipient, subject, state, attempts, problem, updated_at FROM mails
	WHERE workspace_id = @ws AND problem <> '' AND state IN ('waiting', 'failed')
	ORDER BY updated_at DESC, id DESC LIMIT 20`)
	purgeMails = db.DefineSystemCommand("notifications.purge_mails", `
	DELETE FROM mails WHERE (workspace_id, id) IN (
		SELECT workspace_id, id FROM mails WHERE created_at < @before LIMIT 5000)`)
)
