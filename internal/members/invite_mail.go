package members

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/timetext"
	views "github.com/vigilo/vigilo/templates/members"
)

type invitationMail struct{ subject, text, html string }

// newInvitationMail writes the mail in both forms. The name of the inviter may hold
// anything, so it is kept to one line of the subject.
func newInvitationMail(ctx context.Context, ws Workspace, inviter string, inv Issued) (invitationMail, error) {
	inviter = strings.Join(strings.Fields(inviter), " ")
	name := strings.Join(strings.Fields(ws.Name), " ")
	v := views.InvitationMail{
		Inviter: inviter, Workspace: name, Role: inv.Role.Label(), Link: inv.Link, Email: inv.Email,
		Expires: timetext.Prose(inv.ExpiresAt, time.UTC),
	}
	m := invitationMail{subject: inviter + " invites you to " + name + " on Vigilo"}
	m.text = fmt.Sprintf(`%s invites you to the workspace %s on Vigilo.

Your role there will be: %s.

Open this link and sign in as %s:

%s

The link works once, until %s. If you did not expect this mail, ignore it: nothing happens without you.
`, v.Inviter, v.Workspace, v.Role, v.Email, v.Link, v.Expires)
	var html strings.Builder
	if err := views.InvitationHTML(v).Render(ctx, &html); err != nil {
		return m, fmt.Errorf("write mail of invitation %s: %w", inv.ID, err)
	}
	m.html = html.String()
	return m, nil
}
