package trace

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vigilo/vigilo/internal/kernel/fault"
)

func TestTraceIsCarriedAsText(t *testing.T) {
	t.Parallel()
	const carried = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx := Continue(context.Background(), carried)
	if got := Carry(ctx); got != carried {
		t.Errorf("carried on as %q", got)
	}
	if got := ID(ctx); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("id %q", got)
	}
	for _, rubbish := range []string{"", "x", "00-00000000000000000000000000000000-b7ad6b7169203331-01", carried[:50]} {
		if got := Carry(Continue(context.Background(), rubbish)); got != "" {
			t.Errorf("%q is carried on as %q", rubbish, got)
		}
	}
	// A span of elsewhere is not recorded here: nothing is made below it by itself.
	if On(ctx) {
		t.Error("a remote span is recorded")
	}
	next, end := Start(ctx, "nothing")
	end(errors.New("x"))
	if got := Carry(next); got != carried {
		t.Errorf("a span was made: %q", got)
	}
}

func TestCodeOfAnErrorHoldsNoText(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"last_owner": fmt.Errorf("change ada@example.com: %w", fault.NewConflict("last_owner", "No.")),
		"timeout":    fmt.Errorf("dial host.example.com: %w", context.DeadlineExceeded),
		"canceled":   context.Canceled,
		"internal":   errors.New("password of ada@example.com"),
	} {
		if got := Code(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}
