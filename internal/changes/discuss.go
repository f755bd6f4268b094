package changes

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/fault"
	"github.com/vigilo/vigilo/internal/kernel/form"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/search"
)

// Comment is what somebody wrote about a change, in Markdown. One that was taken back keeps
// its place without its words.
type Comment struct {
	ID         uuid.UUID     `db:"id"`
	AuthorID   uuid.NullUUID `db:"author_id"`
	AuthorName string        `db:"author_name"` // as it was
	Body       string        `db:"body"`
	CreatedAt  time.Time     `db:"created_at"`
	DeletedAt  *time.Time    `db:"deleted_at"`
}

// AddComment writes a comment and tells those whom it mentions, such as @priya.
func (s *Service) AddComment(ctx context.Context, a db.Actor, ref, body string) (Comment, error) {
	var out Comment
	body = tidyText(body)
	if err := s.policy.Check(a, CanComment); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		var check form.Check
		check.Text("body", body, "A comment", maxText)
		if err := check.Err(); err != nil {
			return err
		}
		id, err := newID()
		if err != nil {
			return err
		}
		out = Comment{ID: id, AuthorID: db.NullID(a.UserID), AuthorName: a.Name, Body: body, CreatedAt: tx.Now}
		if err := insertComment(ctx, tx, c.ID, out); err != nil {
			return err
		}
		people, err := s.roster(ctx, tx)
		if err != nil {
			return err
		}
		mentioned := people.mentioned(body)
		event, err := s.record(ctx, tx, ledger.Entry{
			Action: EventCommented, Subject: c.subject(), Payload: CommentPayload{ChangePayload: c.payload(), CommentID: id, Body: body, Mentions: mentioned},
			Detail: map[string]any{"comment": id.String()},
		})
		if err != nil {
			return err
		}
		return s.tellComment(ctx, tx, c, event, a, body, mentioned)
	})
	return out, err
}

func (s *Service) tellComment(ctx context.Context, tx *db.Tx, c Change, eventID uuid.UUID, a db.Actor, body string, mentioned []uuid.UUID) error {
	for _, id := range mentioned {
		if err := s.watch(ctx, tx, c, id); err != nil {
			return err
		}
	}
	short := []rune(body)
	if len(short) > 300 {
		short = append(short[:299], '…')
	}
	n := Notice{
		Recipients: mentioned, EventName: EventCommented, Title: a.Name + " mentioned you on " + c.Key, Body: string(short),
		Path: c.Path() + "/comments", Icon: "message-square", Mail: true,
	}
	if err := s.tell(ctx, tx, c, eventID, n); err != nil {
		return err
	}
	people, err := s.involved(ctx, tx, c)
	if err != nil {
		return err
	}
	n.Recipients = slices.DeleteFunc(people, func(id uuid.UUID) bool { return slices.Contains(mentioned, id) })
	n.Title, n.Mail = a.Name+" commented on "+c.Key, false
	return s.tell(ctx, tx, c, eventID, n)
}

// mentioned returns the people whom a text names after an @: by e-mail address, by its part
// before the @, or by full name.
func (r roster) mentioned(text string) []uuid.UUID {
	var out []uuid.UUID
	lower := strings.ToLower(text)
	for at := strings.IndexByte(lower, '@'); at >= 0; {
		rest := lower[at+1:]
		before, _ := utf8.DecodeLastRuneInString(lower[:at])
		if at == 0 || !unicode.IsLetter(before) && !unicode.IsNumber(before) {
			if p, ok := r.begins(rest); ok {
				out = append(out, p.UserID)
			}
		}
		next := strings.IndexByte(rest, '@')
		if next < 0 {
			break
		}
		at += next + 1
	}
	return unique(out)
}

// begins finds the person whose handle stands at the beginning of a text; the longest wins.
func (r roster) begins(text string) (Person, bool) {
	var found Person
	longest := 0
	for _, p := range r {
		local, _, _ := strings.Cut(p.Email, "@")
		for _, handle := range []string{p.Email, local, p.Name} {
			handle = strings.ToLower(handle)
			if len(handle) <= longest || !strings.HasPrefix(text, handle) {
				continue
			}
			if after, size := utf8.DecodeRuneInString(text[len(handle):]); size > 0 && (unicode.IsLetter(after) || unicode.IsNumber(after)) {
				continue
			}
			found, longest = p, len(handle)
		}
	}
	return found, longest > 0
}

// DeleteComment takes a comment back: its author may, and a change manager.
func (s *Service) DeleteComment(ctx context.Context, a db.Actor, ref string, id uuid.UUID) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		old, err := lockComment.One(ctx, tx, db.Args{"change": c.ID, "id": id})
		if err != nil {
			return err
		}
		if old.DeletedAt != nil {
			return fault.NewConflict("deleted", "This comment was taken back already.")
		}
		if own := old.AuthorID.UUID == a.UserID && a.UserID != uuid.Nil && s.policy.Can(a, CanComment); !own && !s.policy.Can(a, CanManage) {
			return fault.NewDenied("forbidden", "Only its author or a change manager takes a comment back.")
		}
		if _, err := clearComment.Run(ctx, tx, db.Args{"id": id}); err != nil {
			return err
		}
		_, err = s.record(ctx, tx, ledger.Entry{
			Action: EventCommentDeleted, Subject: c.subject(), Payload: c.payload(),
			Detail: map[string]any{"comment": id.String(), "author": old.AuthorName},
		})
		return err
	})
}

// Watch makes the actor a watcher of a change, or no longer one. Anybody who may read it may
// watch it.
func (s *Service) Watch(ctx context.Context, a db.Actor, ref string, on bool) error {
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := findChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		if a.UserID == uuid.Nil {
			return fault.NewDenied("forbidden", "Only people watch changes.")
		}
		if on {
			return s.watch(ctx, tx, c, a.UserID)
		}
		_, err = deleteWatcher.Run(ctx, tx, db.Args{"change": c.ID, "user": a.UserID})
		return err
	})
}

// watch adds a watcher; watching is a wish about one's own inbox and no act on the change.
func (s *Service) watch(ctx context.Context, tx *db.Tx, c Change, user uuid.UUID) error {
	_, err := insertWatcher.Run(ctx, tx, db.Args{"change": c.ID, "user": user})
	return err
}

// Link is something that a change is about besides its assets.
type Link struct {
	ID        uuid.UUID     `db:"id"`
	Kind      string        `db:"kind"` // certificate, host, incident, change, url
	TargetID  uuid.NullUUID `db:"target_id"`
	URL       string        `db:"url"`
	Title     string        `db:"title"`
	CreatedAt time.Time     `db:"created_at"`
	CreatedBy uuid.NullUUID `db:"created_by"`
}

// NewLink is a link as a person gives it: an id or key of a kind, or an address.
type NewLink struct {
	Kind   string
	Target string
	Title  string
}

// LinkKinds lists what a change may link to.
func LinkKinds() []string { return []string{"url", "certificate", "host", "change", "incident"} }

// AddLink links a change to something.
func (s *Service) AddLink(ctx context.Context, a db.Actor, ref string, n NewLink) (Link, error) {
	var out Link
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return out, err
	}
	err := s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		out, err = s.link(ctx, tx, c, n)
		return err
	})
	return out, err
}

func (s *Service) link(ctx context.Context, tx *db.Tx, c Change, n NewLink) (Link, error) {
	id, err := newID()
	if err != nil {
		return Link{}, err
	}
	l := Link{ID: id, Kind: n.Kind, Title: oneLine(n.Title), CreatedAt: tx.Now, CreatedBy: db.NullID(tx.Actor.UserID)}
	var check form.Check
	check.OneOf("kind", n.Kind, "The kind", LinkKinds()...)
	check.Longest("title", l.Title, "The title", 200)
	target := strings.TrimSpace(n.Target)
	check.Text("target", target, "What it links to", 2048)
	if err := check.Err(); err != nil {
		return l, err
	}
	if n.Kind == "url" {
		if l.URL, err = webAddress(target); err != nil {
			return l, err
		}
	} else if err := s.linkTarget(ctx, tx, &l, target); err != nil {
		return l, err
	}
	if l.TargetID.UUID == c.ID {
		return l, fault.InvalidField("target", "self", "A change cannot link to itself.")
	}
	fresh, err := insertLink(ctx, tx, c.ID, l)
	if err != nil {
		return l, err
	}
	if !fresh {
		return l, fault.InvalidField("target", "linked", "The change links to this already.")
	}
	_, err = s.record(ctx, tx, ledger.Entry{
		Action: EventLinked, Subject: c.subject(), Payload: c.payload(), Detail: map[string]any{"kind": l.Kind, "title": l.Title, "target": target},
	})
	return l, err
}

// webAddress accepts what a browser can open, and nothing that it could run.
func webAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return "", fault.InvalidField("target", "invalid_url", "Use a whole address, such as https://wiki.example.com/page.")
	}
	return u.String(), nil
}

// linkTarget finds the record that a text means, by key or id.
func (s *Service) linkTarget(ctx context.Context, tx *db.Tx, l *Link, text string) error {
	unknown := fault.InvalidField("target", "unknown_target", "There is no such "+l.Kind+".")
	if l.Kind == "change" {
		other, err := findChange(ctx, tx, text)
		if fault.Is(err, fault.NotFound) {
			return unknown
		}
		l.TargetID = db.NullID(other.ID)
		if l.Title == "" {
			l.Title = other.Title
		}
		return err
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return unknown
	}
	refs, err := s.index.Resolve(ctx, tx, []search.Key{{Type: l.Kind, ID: id}})
	if err != nil {
		return err
	}
	ref, ok := refs[search.Key{Type: l.Kind, ID: id}]
	if !ok {
		return unknown
	}
	l.TargetID = db.NullID(id)
	if l.Title == "" {
		l.Title = ref.Title
	}
	return nil
}

// RemoveLink takes a link away.
func (s *Service) RemoveLink(ctx context.Context, a db.Actor, ref string, id uuid.UUID) error {
	if err := s.policy.Check(a, CanUpdate); err != nil {
		return err
	}
	return s.db.InWorkspace(ctx, a, func(tx *db.Tx) error {
		c, err := lockChange(ctx, tx, ref)
		if err != nil {
			return err
		}
		l, err := deleteLink.One(ctx, tx, db.Args{"change": c.ID, "id": id})
		if err != nil {
			return err
		}
		_, err = s.record(ctx, tx, ledger.Entry{
			Action: EventUnlinked, Subject: c.subject(), Payload: c.payload(), Severity: event.Info,
			Detail: map[string]any{"kind": l.Kind, "title": l.Title, "url": l.URL},
		})
		return err
	})
}
