package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/clock"
	"github.com/vigilo/vigilo/internal/kernel/config"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/ledger"
	"github.com/vigilo/vigilo/internal/kernel/reseal"
)

// rotation returns the rotation over every column of sealed values of the program.
func (k *kernel) rotation() (reseal.Rotation, error) {
	_, modules, err := newModules(k)
	if err != nil {
		return reseal.Rotation{}, err
	}
	r := reseal.Rotation{
		DB: k.db, Keys: k.keys, Stores: []reseal.Store{ledger.Sealed(), api.Sealed()},
		Record: func(ctx context.Context, tx *db.Tx, subject event.Subject) error {
			_, err := k.ledger.Record(ctx, tx, ledger.Entry{
				Action: reseal.EventResealed, Subject: subject, Detail: map[string]any{"key": k.keys.CurrentKeyID()},
			})
			return err
		},
	}
	for _, m := range modules {
		r.Stores = append(r.Stores, m.Sealed...)
	}
	return r, nil
}

// RotateSecrets seals every stored secret with the newest key and prints what it did. It
// may be stopped and run again, and runs beside a program that serves.
func RotateSecrets(ctx context.Context, cfg config.Config, w io.Writer) error {
	k, err := newKernel(ctx, cfg, slog.New(slog.DiscardHandler), clock.System())
	if err != nil {
		return err
	}
	defer k.db.Close()
	r, err := k.rotation()
	if err != nil {
		return err
	}
	results, err := r.Run(ctx)
	return errors.Join(err, printRotation(w, k.keys.CurrentKeyID(), results))
}

func printRotation(w io.Writer, key string, results []reseal.Result) error {
	var b strings.Builder
	resealed, broken := 0, 0
	for _, r := range results {
		fmt.Fprintf(&b, "%7d  %s", r.Resealed, r.Label)
		if r.Broken > 0 {
			fmt.Fprintf(&b, ", %d cannot be opened: %s", r.Broken, r.Problem)
		}
		b.WriteString("\n")
		resealed, broken = resealed+r.Resealed, broken+r.Broken
	}
	fmt.Fprintf(&b, "%7d  values are sealed with key %s now\n", resealed, key)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	if broken > 0 {
		return fmt.Errorf("%d values cannot be opened and stay as they are", broken)
	}
	return nil
}

// checkKeys counts the stored secrets that are not sealed with the current key.
func (k *kernel) checkKeys(ctx context.Context) (string, error) {
	r, err := k.rotation()
	if err != nil {
		return "", err
	}
	c, err := r.Count(ctx)
	if err != nil {
		return "", err
	}
	lost := perKey(c.Lost, "with the missing key ")
	if c.Unreadable > 0 {
		lost = append(lost, fmt.Sprintf("%d damaged", c.Unreadable))
	}
	if len(lost) > 0 {
		return "", fmt.Errorf("stored secrets cannot be opened: %s", strings.Join(lost, ", "))
	}
	text := fmt.Sprintf("%d stored secrets are sealed with key %s", c.Total, k.keys.CurrentKeyID())
	if len(c.Old) == 0 {
		return text, nil
	}
	old := 0
	for _, n := range c.Old {
		old += n
	}
	return fmt.Sprintf("%d of %d stored secrets are under former keys (%s): run vigilo secrets rotate", old, c.Total,
		strings.Join(perKey(c.Old, ""), ", ")), nil
}

func perKey(counts map[string]int, with string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, fmt.Sprintf("%d %s%s", counts[id], with, id))
	}
	return out
}
