package identity

import (
	"context"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// Profile is what people decide about themselves. The name comes from the provider.
type Profile struct {
	TimeZone  string `form:"time_zone"` // IANA name; empty for the workspace's
	Theme     string `form:"theme"`     // system, light or dark
	Shortcuts bool   `form:"shortcuts"`
}

func checkTheme(c *form.Check, theme string) {
	c.OneOf("theme", theme, "Theme", "system", "light", "dark")
}

// Check returns fault.Invalid with every problem.
func (p Profile) Check() error {
	var c form.Check
	if p.TimeZone != "" {
		c.Zone("time_zone", p.TimeZone)
	}
	checkTheme(&c, p.Theme)
	return c.Err()
}

// SetProfile saves a person's own choices.
func (s *Service) SetProfile(ctx context.Context, userID uuid.UUID, p Profile) error {
	if err := p.Check(); err != nil {
		return err
	}
	return s.change(ctx, setProfile, db.Args{
		"id": userID, "time_zone": p.TimeZone, "theme": p.Theme, "shortcuts": p.Shortcuts,
	})
}

// SetTheme saves the colour theme alone, for the button in the top bar.
func (s *Service) SetTheme(ctx context.Context, userID uuid.UUID, theme string) error {
	var c form.Check
	if checkTheme(&c, theme); c.Err() != nil {
		return c.Err()
	}
	return s.change(ctx, setTheme, db.Args{"id": userID, "theme": theme})
}

// DetectZone takes over the time zone of the browser, unless the person has one already.
func (s *Service) DetectZone(ctx context.Context, userID uuid.UUID, zone string) error {
	var c form.Check
	if c.Zone("time_zone", zone); c.Err() != nil {
		return c.Err()
	}
	return s.change(ctx, detectZone, db.Args{"id": userID, "time_zone": zone})
}

// change runs a command on the person's own row.
func (s *Service) change(ctx context.Context, cmd db.Command, args db.Args) error {
	return s.DB.System(ctx, func(tx *db.SystemTx) error {
		_, err := cmd.Run(ctx, tx, args)
		return err
	})
}
