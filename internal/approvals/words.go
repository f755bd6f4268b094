package approvals

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/approvals/seats"
	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/db"
)

// labels word sources; they know the names of the people and groups that sources name.
type labels map[uuid.UUID]string

// readLabels reads the names that sources and people need.
func readLabels(ctx context.Context, tx *db.Tx, sources []Source, people ...uuid.UUID) (labels, error) {
	users, groups := people, []uuid.UUID{}
	for _, src := range sources {
		switch src.Kind {
		case seats.User:
			users = append(users, src.ID)
		case seats.Group:
			groups = append(groups, src.ID)
		default:
		}
	}
	out := labels{}
	if len(users) > 0 {
		rows, err := peopleByID.All(ctx, tx, db.Args{"ids": users})
		if err != nil {
			return nil, err
		}
		for _, p := range rows {
			out[p.UserID] = p.Name
		}
	}
	if len(groups) > 0 {
		rows, err := groupNames.All(ctx, tx, db.Args{"ids": groups})
		if err != nil {
			return nil, err
		}
		for _, g := range rows {
			out[g.ID] = g.Name
		}
	}
	return out, nil
}

func (l labels) name(id uuid.UUID) string {
	if n := l[id]; n != "" {
		return n
	}
	return "a former member"
}

func (l labels) who(id uuid.UUID) Who { return Who{UserID: id, Name: l[id]} }

// source words a source.
func (l labels) source(src Source) string {
	switch src.Kind {
	case seats.User:
		return l.name(src.ID)
	case seats.Role:
		name := access.Role(src.Role).Label() + "s"
		if access.Role(src.Role) != access.Owner {
			name += " and above"
		}
		if src.Each {
			return name + ", one seat each"
		}
		return name
	case seats.Group:
		name := "Group " + l[src.ID]
		if l[src.ID] == "" {
			name = "A group that was deleted"
		}
		if src.Each {
			return name + ", one seat each"
		}
		return name
	case seats.AssetOwner:
		return "Asset owners"
	case seats.ServiceOwner:
		return "Service owners"
	case seats.BlastOwner:
		return fmt.Sprintf("Owners in the blast radius, criticality %s and above", src.Criticality)
	case seats.Manager:
		return "Manager of the requester"
	case seats.Board:
		return "Change advisory board"
	default:
		return string(src.Kind)
	}
}

func (l labels) sources(list []Source) []string {
	out := make([]string, len(list))
	for i, src := range list {
		out[i] = l.source(src)
	}
	return out
}

// seat words a seat: the person of a personal one, the sources of the others.
func (l labels) seat(block seats.Block, p seats.Seat) string {
	switch {
	case p.Kind == seats.Personal:
		return l.name(p.Principals[0])
	case p.Kind == seats.BoardSeat:
		return l.source(Source{Kind: seats.Board})
	case block.Mode == seats.Any && len(block.Sources) > 0 && p.Source == block.Sources[0]:
		return "Any of: " + strings.Join(l.sources(block.Sources), ", ")
	default:
		return "Any of: " + l.source(p.Source)
	}
}

// modeText says how many must agree.
func modeText(m Mode, need, of, percent int) string {
	switch m {
	case seats.Any:
		return "One of them"
	case seats.All:
		return "All of them"
	case seats.NOfM:
		if of > 0 {
			return fmt.Sprintf("%d of %d", need, of)
		}
		return fmt.Sprintf("%d of them", need)
	case seats.Percent:
		if of > 0 {
			return fmt.Sprintf("%d of %d (%d %%)", need, of, percent)
		}
		return fmt.Sprintf("%d %% of them", percent)
	case seats.CAB:
		return "The board"
	default:
		return string(m)
	}
}

// plural counts in words.
func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// listWords joins words as a sentence does.
func listWords(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
	}
}

// unroutedText says why nobody can fill a seat now.
func unroutedText(u Unrouted) string {
	switch u {
	case seats.Absent:
		return "Away, and no delegation covers it"
	case seats.Inactive:
		return "Not an active member"
	case seats.NotPermitted:
		return "Role does not allow decisions"
	case seats.DuplicateSeat:
		return "Holds another seat of this stage"
	case seats.DelegateSoD:
		return "Excluded by separation of duties"
	case seats.DelegationLoop:
		return "Delegations lead in a circle"
	case seats.DelegationDepth:
		return "More than three delegations in a row"
	default:
		return ""
	}
}
