package cli

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

func eventColumns() []column {
	return []column{{"TIME", "occurred_at"}, {"SEVERITY", "severity"}, {"EVENT", "name"}, {"ACTOR", "actor.name"}, {"SUBJECT", "subject.title|subject.key|subject.type"}, {"ID", "id"}}
}

func listEvents(c *call) error {
	if !c.x.follow {
		return list(c)
	}
	if c.x.interval <= 0 {
		return usagef("--interval must be longer than nothing")
	}
	if err := follow(c); c.ctx.Err() == nil {
		return err
	}
	return nil // being stopped is how following ends
}

// lag is how much later than its id says an event may become visible: ids carry the time
// at which a transaction wrote them, and it can end after one that began later.
const lag = 10 * time.Second

// follow prints events as they become visible and returns why it ended: the command was
// stopped, or a call failed. It asks again from a little before the newest event and leaves out what it has printed.
func follow(c *call) error {
	after, err := c.followFrom()
	if err != nil {
		return err
	}
	printed := map[uuid.UUID]bool{}
	for {
		newest, err := c.printSince(after, printed)
		if err != nil {
			return err
		}
		if back := firstID(idTime(newest).Add(-lag)); bytes.Compare(back[:], after[:]) > 0 {
			after = back
			for id := range printed {
				if bytes.Compare(id[:], after[:]) <= 0 {
					delete(printed, id)
				}
			}
		}
		if err := pause(c.ctx, c.x.interval); err != nil {
			return err
		}
	}
}

// followFrom returns the id after which events are new: the one of --after, or now by the
// clock of the server.
func (c *call) followFrom() (uuid.UUID, error) {
	if given := c.query.Get("after"); given != "" {
		id, err := uuid.Parse(given)
		if err != nil {
			return uuid.Nil, usagef("--after must be the id of an event")
		}
		return id, nil
	}
	_, header, err := c.pageOf(c.cmd.path, url.Values{"limit": {"1"}})
	if err != nil {
		return uuid.Nil, err
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return uuid.Nil, errors.New("the server does not tell its time; say where to start with --after")
	}
	return firstID(now), nil
}

// printSince prints the events after an id and returns the newest id.
func (c *call) printSince(after uuid.UUID, printed map[uuid.UUID]bool) (newest uuid.UUID, err error) {
	newest = after
	query := url.Values{"after": {after.String()}, "limit": {strconv.Itoa(maxPage)}}
	for {
		p, _, err := c.pageOf(c.cmd.path, query)
		if err != nil {
			return newest, err
		}
		for _, raw := range p.Items {
			var e struct {
				ID uuid.UUID `json:"id"`
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				return newest, fmt.Errorf("read the answer: %w", err)
			}
			if bytes.Compare(e.ID[:], newest[:]) > 0 {
				newest = e.ID
			}
			if printed[e.ID] {
				continue
			}
			printed[e.ID] = true
			if err := c.printEvent(raw); err != nil {
				return newest, err
			}
		}
		if p.NextCursor == nil || *p.NextCursor == "" || *p.NextCursor == query.Get("cursor") {
			return newest, nil
		}
		query.Set("cursor", *p.NextCursor)
	}
}

// printEvent writes one line: JSON for programs, columns of a fixed width for people,
// since the width of what comes later is not known.
func (c *call) printEvent(raw json.RawMessage) error {
	line := &bytes.Buffer{}
	if c.json {
		if err := json.Compact(line, raw); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
	} else {
		cells, err := c.cells(raw)
		if err != nil {
			return err
		}
		fmt.Fprintf(line, "%-20s  %-8s  %-28s  %-20s  %s", cells[0], cells[1], cells[2], cells[3], strings.Join(cells[4:], "  "))
	}
	line.WriteByte('\n')
	if _, err := c.out.Write(line.Bytes()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

// firstID returns the id before all ids of a moment (RFC 9562, 5.7: the first 48 bits are
// milliseconds since 1970).
func firstID(t time.Time) uuid.UUID {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(t.UnixMilli(), 0)))
	var id uuid.UUID
	copy(id[:6], ms[2:])
	id[6], id[8] = 0x70, 0x80
	return id
}

// idTime returns the moment in an id of version 7; any other id was made in 1970.
func idTime(id uuid.UUID) time.Time {
	if id.Version() != 7 {
		return time.UnixMilli(0)
	}
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:])))
}
