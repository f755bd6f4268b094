package identity

import (
	"time"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/form"
)

// tokenForm is what the form of a new token sends.
type tokenForm struct {
	Workspace string   `form:"workspace"` // slug, on the account page
	Name      string   `form:"name"`
	Role      string   `form:"role"`
	Expiry    string   `form:"expires_at"` // a key of expiries
	Access    string   `form:"access"`     // all or some
	Scopes    []string `form:"scopes"`
}

// expiry is a choice of how long a token lasts.
type expiry struct {
	key, text string
	days      int // 0 for ever
}

func expiries() []expiry {
	return []expiry{
		{"30", "30 days", 30}, {"90", "90 days", 90}, {"365", "1 year", 365}, {"never", "Never", 0},
	}
}

const (
	accessAll  = "all"
	accessSome = "some"
)

// token returns what the form asks for. Problems of the form itself are fault.Invalid; the
// rest is judged where every token is.
func (f tokenForm) token(kind string, now time.Time) (NewToken, error) {
	var c form.Check
	n := NewToken{Kind: kind, Name: f.Name}
	if kind == KindService {
		n.Role = access.Role(f.Role)
	}
	c.OneOf("access", f.Access, "Access", accessAll, accessSome)
	if f.Access == accessSome {
		n.Scopes = append([]string{}, f.Scopes...)
	}
	var keys []string
	for _, e := range expiries() {
		keys = append(keys, e.key)
		if e.key == f.Expiry && e.days > 0 {
			at := now.AddDate(0, 0, e.days)
			n.ExpiresAt = &at
		}
	}
	c.OneOf("expires_at", f.Expiry, "Expiry", keys...)
	return n, c.Err()
}
