package members

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/riverqueue/river"

	"github.com/vigilo/vigilo/internal/kernel/access"
	"github.com/vigilo/vigilo/internal/kernel/event"
	"github.com/vigilo/vigilo/internal/kernel/job"
)

func TestHooksAreToldWhoseRoleChanged(t *testing.T) {
	t.Parallel()
	b := setUp(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	told := make(chan RoleChange, 10)
	b.svc.OnRoleChanged(func(_ context.Context, c RoleChange) error {
		told <- c
		return nil
	})
	dispatcher, err := event.NewDispatcher(b.DB.DB, b.jobs, b.svc.Module().On)
	if err != nil {
		t.Fatal(err)
	}
	workers := river.NewWorkers()
	dispatcher.Register(workers)
	if err := b.jobs.Start(ctx, job.StartOptions{Workers: workers}); err != nil {
		t.Fatal(err)
	}
	defer b.jobs.Stop(ctx)
	id := b.memberID(t, b.ws, b.viewer)
	want := RoleChange{WorkspaceID: b.ws, UserID: b.viewer.UserID}
	for _, act := range []func() error{
		func() error {
			_, err := b.svc.ChangeMember(ctx, b.admin, id, Change{Role: roleOf(access.Member)})
			return err
		},
		func() error {
			_, err := b.svc.ChangeMember(ctx, b.admin, id, Change{State: stateOf(Suspended)})
			return err
		},
		func() error { return b.svc.RemoveMember(ctx, b.admin, id) },
	} {
		if err := act(); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-told:
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		case <-ctx.Done():
			t.Fatal("nobody was told")
		}
	}
}
