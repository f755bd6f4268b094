package certificates

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/certificates/tlsscan"
	"github.com/vigilo/vigilo/internal/kernel/db"
	"github.com/vigilo/vigilo/internal/kernel/fault"
)

const (
	defaultConcurrency = 256
	// maxClaim is how many hosts one claim takes at most.
	maxClaim = 500
	// leaseTime is how long a claimed host is left to whoever took it: a scan takes 20 s at
	// most, and the rest is waiting for a place.
	leaseTime = 2 * time.Minute
	// claimPause is how long nothing is asked while nothing is due, limitPause while what is
	// due waits for a limit of starts.
	claimPause = time.Second
	limitPause = 100 * time.Millisecond
	// batchSize and batchPause bound how many results are written at once and how long the
	// first of them waits.
	batchSize  = 250
	batchPause = 200 * time.Millisecond
	// writePatience is how long results are kept for a database that does not answer.
	writePatience = time.Minute
	// stopPatience is how long a stopping process may take to write what it found.
	stopPatience = 10 * time.Second
)

// LoopStats counts what the scan loop of this process did since its start.
type LoopStats struct {
	Scanned int64
	// Missed are slots that passed because their address was busy for too long or a result
	// could not be stored.
	Missed  int64
	Running int
	// Waiting are scans that wait for a busy address.
	Waiting int
	// Lag is how late the scan that began last was.
	Lag time.Duration
}

// scanLoop claims due hosts, scans them in a bounded pool and writes the results in
// batches.
type scanLoop struct {
	s           *Service
	concurrency int
	pause       time.Duration
	budget      *startBudget
	pressure    *pressure

	places  chan struct{}
	results chan workspaceOutcome
	running sync.WaitGroup
	// begun counts hosts that were claimed and neither finished nor wait for an address.
	begun   atomic.Int64
	scanned atomic.Int64
	missed  atomic.Int64
	lag     atomic.Int64

	mu       sync.Mutex
	returned []claim // taken but not scanned when the process stopped
}

type workspaceOutcome struct {
	workspace uuid.UUID
	outcome
}

func newScanLoop(s *Service, concurrency int, limits Limits) *scanLoop {
	n := cmp.Or(concurrency, defaultConcurrency)
	return &scanLoop{
		s: s, concurrency: n, pause: claimPause, budget: newStartBudget(limits), pressure: &pressure{pool: n},
		places: make(chan struct{}, n), results: make(chan workspaceOutcome, n),
	}
}

// LoopStats returns what the scan loop of this process has done.
func (s *Service) LoopStats() LoopStats {
	l := s.scans
	return LoopStats{
		Scanned: l.scanned.Load(), Missed: l.missed.Load(), Running: len(l.places), Waiting: s.gate.waiting(),
		Lag: time.Duration(l.lag.Load()),
	}
}

// Run scans what is due until ctx ends, then stores what was found and gives back what was
// not begun. Any number of processes may run it against one database; a Service runs it
// once.
func (s *Service) Run(ctx context.Context) error {
	l := s.scans
	l.prepare(ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.write(context.WithoutCancel(ctx))
	}()
	l.claimUntil(ctx)
	s.gate.release()
	l.running.Wait()
	close(l.results)
	<-written
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopPatience)
	defer cancel()
	return l.giveBack(stop)
}

// prepare makes sure that results have a place, also when no job has made one for months.
// A database that is away is waited for.
func (l *scanLoop) prepare(ctx context.Context) {
	for {
		err := l.s.ensureMonths(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		l.s.log.WarnContext(ctx, "no place made for scans", slog.String("error", err.Error()))
		select {
		case <-ctx.Done():
		case <-time.After(5 * l.pause):
		}
	}
}

// claimUntil asks for due hosts again and again.
func (l *scanLoop) claimUntil(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		begun := int(l.begun.Load())
		if begun >= l.concurrency {
			l.judge(ctx, true)
			timer.Reset(20 * time.Millisecond)
			continue
		}
		all, rooms := l.budget.room(l.s.clock.Now())
		room := min(maxClaim, l.concurrency+maxClaim-begun, all)
		if room <= 0 {
			timer.Reset(limitPause)
			continue
		}
		n, spent, err := l.claim(ctx, room, rooms)
		switch {
		case err != nil && ctx.Err() == nil:
			l.s.log.WarnContext(ctx, "due hosts not claimed", slog.String("error", err.Error()))
			timer.Reset(5 * l.pause)
		case n >= room:
			timer.Reset(0)
		case spent:
			timer.Reset(limitPause)
		default:
			timer.Reset(l.pause)
		}
		l.judge(ctx, n >= room)
	}
}

// claim takes up to room due hosts, within what each workspace may begin, and starts their
// scans. It returns how many it took, and whether a workspace has no start left.
func (l *scanLoop) claim(ctx context.Context, room int, rooms map[uuid.UUID]int) (n int, spent bool, err error) {
	if err := l.giveBack(ctx); err != nil {
		return 0, false, err
	}
	var claims []claim
	var now, lease time.Time
	err = l.s.db.System(ctx, func(tx *db.SystemTx) error {
		now, lease = tx.Now, tx.Now.Add(leaseTime)
		var err error
		claims, err = claimDueHosts(ctx, tx, room, l.budget.limits.StartsPerWorkspace, rooms, lease)
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("claim due hosts: %w", err)
	}
	byWorkspace := map[uuid.UUID][]claim{}
	for _, c := range claims {
		byWorkspace[c.WorkspaceID] = append(byWorkspace[c.WorkspaceID], c)
	}
	for workspace := range rooms {
		spent = spent || rooms[workspace] == 0
	}
	var failures []error
	for workspace, list := range byWorkspace {
		spent = l.budget.spend(workspace, len(list), now) || spent
		if err := l.start(ctx, workspace, list, lease); err != nil {
			l.keep(list...)
			failures = append(failures, err)
		}
	}
	return len(claims), spent, errors.Join(failures...)
}

// judge looks from time to time whether the loop keeps up. What is due is counted only
// while more is due than was claimed.
func (l *scanLoop) judge(ctx context.Context, more bool) {
	now := l.s.clock.Now()
	if !l.pressure.isTime(now) {
		return
	}
	var waiting backlog
	if more {
		_, rooms := l.budget.room(now)
		held := []uuid.UUID{}
		for workspace, left := range rooms {
			if left == 0 {
				held = append(held, workspace)
			}
		}
		var err error
		waiting, err = countDue.One(ctx, l.s.db.SystemRead(), db.Args{"epoch": now.Unix(), "cap": 2*l.concurrency + 1, "held": held})
		if err != nil {
			if ctx.Err() == nil {
				l.s.log.WarnContext(ctx, "due hosts not counted", slog.String("error", err.Error()))
			}
			return
		}
	}
	before := l.pressure.now().Level
	level := l.pressure.judge(now, int(waiting.Due), time.Duration(waiting.ShortestS)*time.Second)
	if level != before {
		l.s.log.WarnContext(ctx, "pressure of scans changed", slog.Int("level", int(level)), slog.Int64("due", waiting.Due),
			slog.Duration("lag", l.pressure.now().Lag))
	}
}

// start reads what the scans of one workspace need and begins them.
func (l *scanLoop) start(ctx context.Context, workspace uuid.UUID, claims []claim, lease time.Time) error {
	ids := make([]uuid.UUID, len(claims))
	byHost := make(map[uuid.UUID]claim, len(claims))
	for i, c := range claims {
		ids[i], byHost[c.HostID] = c.HostID, c
	}
	var targets []target
	err := l.s.db.InWorkspace(ctx, scheduled(workspace), func(tx *db.Tx) error {
		var err error
		targets, err = scanTargets.All(ctx, tx, db.Args{"ids": ids, "paused_too": false})
		return err
	})
	if err != nil {
		return fmt.Errorf("read hosts to scan: %w", err)
	}
	level := l.pressure.now().Level
	for _, t := range targets {
		c := byHost[t.HostID]
		scanner := l.s.scanner
		switch l.pressure.handle(level, c, t) {
		case asUsual:
		case inHurry:
			scanner = l.s.hurried
		case leaveOut:
			continue
		}
		l.running.Add(1)
		l.begun.Add(1)
		go l.scan(ctx, scanner, c, t, lease)
	}
	return nil
}

func scheduled(workspace uuid.UUID) db.Actor { return db.System(workspace, "scheduled scan") }

// scan examines one host once there is a place, or later when its address is busy.
func (l *scanLoop) scan(ctx context.Context, scanner *tlsscan.Scanner, c claim, t target, lease time.Time) {
	select {
	case l.places <- struct{}{}:
	case <-ctx.Done():
		l.keep(c)
		l.finish()
		return
	}
	now := l.s.clock.Now()
	if now.After(lease) {
		<-l.places
		l.missed.Add(1)
		l.finish()
		return
	}
	l.lag.Store(int64(now.Sub(c.Slot)))
	if c.IntervalS > 0 {
		l.pressure.began(now.Sub(c.Slot))
	}
	r := scanner.Scan(ctx, t.scan())
	<-l.places
	switch {
	case busy(r.Err) && ctx.Err() == nil:
		l.begun.Add(-1)
		parked := l.s.gate.park(r.Err, func() {
			l.begun.Add(1)
			go l.scan(ctx, scanner, c, t, lease)
		})
		if !parked {
			l.begun.Add(1)
			l.missed.Add(1)
			l.finish()
		}
	case ctx.Err() != nil:
		// We were stopped; that says nothing about the host.
		l.keep(c)
		l.finish()
	default:
		l.results <- workspaceOutcome{c.WorkspaceID, newOutcome(t, r)}
		l.scanned.Add(1)
		l.finish()
	}
}

func (l *scanLoop) finish() {
	l.begun.Add(-1)
	l.running.Done()
}

func (l *scanLoop) keep(claims ...claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.returned = append(l.returned, claims...)
}

// giveBack makes due again what was taken and not scanned, so that a restart costs no
// host its scan.
func (l *scanLoop) giveBack(ctx context.Context) error {
	l.mu.Lock()
	claims := l.returned
	l.returned = nil
	l.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	err := l.s.db.System(ctx, func(tx *db.SystemTx) error { return returnHosts(ctx, tx, claims) })
	if err != nil {
		l.keep(claims...)
		return fmt.Errorf("give back %d hosts: %w", len(claims), err)
	}
	return nil
}

// write stores results until there are no more, in batches by workspace.
func (l *scanLoop) write(ctx context.Context) {
	pending := map[uuid.UUID][]outcome{}
	tick := time.NewTicker(batchPause)
	defer tick.Stop()
	flush := func(workspace uuid.UUID) {
		l.store(ctx, workspace, pending[workspace])
		delete(pending, workspace)
	}
	for {
		select {
		case r, more := <-l.results:
			if !more {
				for workspace := range pending {
					flush(workspace)
				}
				return
			}
			pending[r.workspace] = append(pending[r.workspace], r.outcome)
			if len(pending[r.workspace]) >= batchSize {
				flush(r.workspace)
			}
		case <-tick.C:
			for workspace := range pending {
				flush(workspace)
			}
		}
	}
}

// store writes one batch. A database that does not answer is waited for; while it is
// away the pool fills up and no more is claimed. An outcome that the database refuses
// loses only itself.
func (l *scanLoop) store(ctx context.Context, workspace uuid.UUID, outs []outcome) {
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	pause := batchPause
	for {
		err := l.s.db.InWorkspace(ctx, scheduled(workspace), func(tx *db.Tx) error { return l.s.record(ctx, tx, outs) })
		if err == nil {
			return
		}
		if !fault.Is(err, fault.Unavailable) {
			l.storeEach(ctx, workspace, outs, err)
			return
		}
		select {
		case <-ctx.Done():
			l.lose(ctx, workspace, len(outs), err)
			return
		case <-time.After(pause):
			pause = min(2*pause, 5*time.Second)
		}
	}
}

func (l *scanLoop) storeEach(ctx context.Context, workspace uuid.UUID, outs []outcome, err error) {
	if len(outs) == 1 {
		// Two processes may have met at the same rows; one more try settles that.
		again := l.s.db.InWorkspace(ctx, scheduled(workspace), func(tx *db.Tx) error { return l.s.record(ctx, tx, outs) })
		if again != nil {
			l.lose(ctx, workspace, 1, err)
		}
		return
	}
	for _, o := range outs {
		one := []outcome{o}
		if err := l.s.db.InWorkspace(ctx, scheduled(workspace), func(tx *db.Tx) error { return l.s.record(ctx, tx, one) }); err != nil {
			l.storeEach(ctx, workspace, one, err)
		}
	}
}

func (l *scanLoop) lose(ctx context.Context, workspace uuid.UUID, n int, err error) {
	l.missed.Add(int64(n))
	l.s.log.ErrorContext(ctx, "results of scans not stored", slog.String("workspace_id", workspace.String()),
		slog.Int("count", n), slog.String("error", err.Error()))
}
