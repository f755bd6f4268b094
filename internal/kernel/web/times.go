package web

import (
	"time"

	"github.com/vigilo/vigilo/internal/kernel/timetext"
	"github.com/vigilo/vigilo/templates/ui"
)

// Moment shows how far t is from now and when it is, in the person's zone.
func (r *Request) Moment(t time.Time) ui.Time { return timetext.Moment(t, r.Now(), r.Zone()) }

// Since shows how far t is from now.
func (r *Request) Since(t time.Time) ui.Time { return timetext.Since(t, r.Now(), r.Zone()) }

// Relative says how far t is from now.
func (r *Request) Relative(t time.Time) string { return timetext.Relative(t, r.Now()) }
