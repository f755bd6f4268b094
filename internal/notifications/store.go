package notifications

import (
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
)

// Item is a notification as its owner sees it.
type Item struct {
	ID           uuid.UUID      `db:"id"`
	EventName    string         `db:"event_name"`
	Severity     event.Severity `db:"severity"`
	Title        string         `db:"title"`
	Body         string         `db:"body"`
	Path         string         `db:"path"`
	Icon         string         `db:"icon"`
	SubjectType  string         `db:"subject_type"`
	SubjectID    uuid.NullUUID  `db:"subject_id"`
	SubjectTitle string         `db:"subject_title"`
	CreatedAt    time.Time      `db:"created_at"`
	ReadAt       *time.Time     `db:"read_at"`
}

const itemColumns = `n.id, n.event_name, n.severity, n.title, n.body, n.path, n.icon, n.subject_type, n.subject_id,
	n.subject_title, n.created_at, n.read_at`

// inbox is the list of a member's notifications, newest first.
var inbox = db.DefineList[Item](db.ListSpec[Item]{
	Name: "notifications.inbox", Columns: itemColumns, From: "notifications n",
	Where: "n.workspace_id = @ws AND n.in_app",
	Filters: map[string]string{
		"mine":   "n.user_id = @user",
		"unread": "n.read_at IS NULL",
	},
	Sorts: map[string]db.SortBy[Item]{
		"created_at": {Expr: "n.created_at", Cast: "timestamptz", Of: func(i Item) string { return i.CreatedAt.Format(time.RFC3339Nano) }},
	},
	Default: "-created_at", IDExpr: "n.id", ID: func(i Item) uuid.UUID { return i.ID },
})

// unreadItem is one of the newest notifications, with how many there are.
type unreadItem struct {
	Item
	Unread int64 `db:"unread"`
}

// added is a notification that did not exist before.
type added struct {
	ID     uuid.UUID `db:"id"`
	UserID uuid.UUID `db:"user_id"`
	InApp  bool      `db:"in_app"`
}

type owner struct {
	WorkspaceID uuid.UUID `db:"workspace_id"`
	UserID      uuid.UUID `db:"user_id"`
}

var (
	addNotifications = db.Define[added]("notifications.add", `
	INSERT INTO notifications (workspace_id, id, user_id, dedupe_key, event_name, severity, title, body, path, icon,
		subject_type, subject_id, subject_title, in_app, mail_due_at, created_at)
	SELECT @ws, r.id, r.user_id, @dedupe_key, @event_name, @severity, @title, @body, @path, @icon,
		@subject_type, @subject_id, @subject_title, r.in_app, r.mail_due_at, @now
	FROM unnest(@ids::uuid[], @users::uuid[], @in_app::boolean[], @due::timestamptz[]) AS r (id, user_id, in_app, mail_due_at)
	ON CONFLICT (workspace_id, user_id, dedupe_key) DO NOTHING
	RETURNING id, user_id, in_app`)
	countUnread = db.Define[int64]("notifications.count_unread", `
	SELECT count(*) FROM (SELECT 1 FROM notifications
		WHERE workspace_id = @ws AND user_id = @user AND in_app AND read_at IS NULL LIMIT 100) AS capped`)
	// newestUnread also counts what is unread, up to 100.
	newestUnread = db.Define[unreadItem]("notifications.newest_unread", `
	SELECT `+itemColumns+`, n.unread FROM (
		SELECT u.*, count(*) OVER () AS unread FROM (
			SELECT * FROM notifications
			WHERE workspace_id = @ws AND user_id = @user AND in_app AND read_at IS NULL
			ORDER BY created_at DESC, id DESC LIMIT 100) AS u
		ORDER BY u.created_at DESC, u.id DESC LIMIT 8) AS n
	ORDER BY n.created_at DESC, n.id DESC`)
	loadItem = db.Define[Item]("notifications.load", `
	SELECT `+itemColumns+` FROM notifications n
	WHERE n.workspace_id = @ws AND n.user_id = @user AND n.id = @id`).Called("notification")
	loadItems = db.Define[Item]("notifications.load_many", `
	SELECT `+itemColumns+` FROM notifications n
	WHERE n.workspace_id = @ws AND n.user_id = @user AND n.id = ANY (@ids::uuid[])
	ORDER BY n.created_at, n.id LIMIT 1000`)
	markRead = db.DefineCommand("notifications.mark_read", `
	UPDATE notifications SET read_at = @now
	WHERE workspace_id = @ws AND user_id = @user AND id = ANY (@ids::uuid[]) AND in_app AND read_at IS NULL`)
	markAllRead = db.DefineCommand("notifications.mark_all_read", `
	UPDATE notifications SET read_at = @now WHERE workspace_id = @ws AND user_id = @user AND in_app AND read_at IS NULL`)

	// What was read meanwhile is not mailed; the rest goes with this mail.
	takeDue = db.Define[Item]("notifications.take_due", `
	WITH due AS (
		SELECT id FROM notifications
		WHERE workspace_id = @ws AND user_id = @user AND mail_due_at <= @now
		ORDER BY created_at, id LIMIT 1000 FOR UPDATE
	), taken AS (
		UPDATE notifications n SET mail_due_at = NULL FROM due
		WHERE n.workspace_id = @ws AND n.id = due.id RETURNING n.*
	)
	SELECT `+itemColumns+` FROM taken n WHERE n.read_at IS NULL ORDER BY n.created_at, n.id`)
	whoIsDue = db.DefineSystem[owner]("notifications.who_is_due", `
	SELECT DISTINCT workspace_id, user_id FROM notifications WHERE mail_due_at <= @now LIMIT 5000`)
	purgeNotifications = db.DefineSystemCommand("notifications.purge", `
	DELETE FROM notifications WHERE (workspace_id, id) IN (
		SELECT workspace_id, id FROM notifications WHERE created_at < @before LIMIT 5000)`)
)

type settingsRow struct {
	Floor       event.Severity `db:"floor"`
	MailEnabled bool           `db:"mail_enabled"`
	Digest      Digest         `db:"digest"`
	DigestAt    int            `db:"digest_at"`
	Quiet       bool           `db:"quiet"`
	QuietFrom   int            `db:"quiet_from"`
	QuietTo     int            `db:"quiet_to"`
	Bypass      bool           `db:"bypass"`
	Version     int64          `db:"version"`
}

func (r settingsRow) preferences() Preferences {
	return Preferences{
		Floor: r.Floor, MailEnabled: r.MailEnabled, Digest: r.Digest, DigestAt: r.DigestAt,
		Quiet: QuietHours{On: r.Quiet, From: r.QuietFrom, To: r.QuietTo}, Bypass: r.Bypass, Version: r.Version,
	}
}

func settingsArgs(user uuid.UUID, p Preferences) db.Args {
	return db.Args{
		"user": user, "floor": p.Floor, "mail_enabled": p.MailEnabled, "digest": p.Digest, "digest_at": p.DigestAt,
		"quiet": p.Quiet.On, "quiet_from": p.Quiet.From, "quiet_to": p.Quiet.To, "bypass": p.Bypass, "version": p.Version,
	}
}

type choiceRow struct {
	EventName string `db:"event_name"`
	InApp     *bool  `db:"in_app"`
	Mail      *bool  `db:"mail"`
}

// over returns the channels in force for an event with the given defaults.
func (c choiceRow) over(defaults event.Channels) event.Channels {
	if c.InApp != nil {
		defaults.InApp = *c.InApp
	}
	if c.Mail != nil {
		defaults.Mail = *c.Mail
	}
	return defaults
}

const settingsColumns = `floor, mail_enabled, digest, digest_at, quiet, quiet_from, quiet_to, bypass, version`

var (
	loadSettings = db.Define[settingsRow]("notifications.load_settings", `
	SELECT `+settingsColumns+` FROM notification_settings WHERE workspace_id = @ws AND user_id = @user`)
	// A row that another request wrote meanwhile has another version, and nothing is saved.
	saveSettings = db.DefineCommand("notifications.save_settings", `
	INSERT INTO notification_settings (workspace_id, user_id, floor, mail_enabled, digest, digest_at, quiet, quiet_from,
		quiet_to, bypass, version, updated_at)
	VALUES (@ws, @user, @floor, @mail_enabled, @digest, @digest_at, @quiet, @quiet_from, @quiet_to, @bypass, @version::bigint + 1, @now)
	ON CONFLICT (workspace_id, user_id) DO UPDATE SET floor = excluded.floor, mail_enabled = excluded.mail_enabled,
		digest = excluded.digest, digest_at = excluded.digest_at, quiet = excluded.quiet, quiet_from = excluded.quiet_from,
		quiet_to = excluded.quiet_to, bypass = excluded.bypass, version = excluded.version, updated_at = excluded.updated_at
	WHERE notification_settings.version = @version`)
	loadChoices = db.Define[choiceRow]("notifications.load_choices", `
	SELECT event_name, in_app, mail FROM notification_choices WHERE workspace_id = @ws AND user_id = @user
	ORDER BY event_name LIMIT 5000`)
	addChoices = db.DefineCommand("notifications.add_choices", `
	INSERT INTO notification_choices (workspace_id, user_id, event_name, in_app, mail)
	SELECT @ws, @user, c.event_name, c.in_app, c.mail
	FROM unnest(@events::text[], @in_app::boolean[], @mail::boolean[]) AS c (event_name, in_app, mail)
	ON CONFLICT (workspace_id, user_id, event_name) DO UPDATE SET in_app = excluded.in_app, mail = excluded.mail`)
	mailOff = db.DefineCommand("notifications.mail_off", `
	INSERT INTO notification_choices (workspace_id, user_id, event_name, mail) VALUES (@ws, @user, @event, false)
	ON CONFLICT (workspace_id, user_id, event_name) DO UPDATE SET mail = false WHERE notification_choices.mail IS DISTINCT FROM false`)
	loadMutes = db.Define[Mute]("notifications.load_mutes", `
	SELECT subject_type, subject_id, title, path, created_at FROM notification_mutes
	WHERE workspace_id = @ws AND user_id = @user ORDER BY created_at DESC, subject_id LIMIT 500`)
	addMute = db.DefineCommand("notifications.add_mute", `
	INSERT INTO notification_mutes (workspace_id, user_id, subject_type, subject_id, title, path, created_at)
	VALUES (@ws, @user, @type, @id, @title, @path, @now)
	ON CONFLICT (workspace_id, user_id, subject_type, subject_id) DO NOTHING`)
	dropMute = db.DefineCommand("notifications.drop_mute", `
	DELETE FROM notification_mutes WHERE workspace_id = @ws AND user_id = @user AND subject_type = @type AND subject_id = @id`)
)
