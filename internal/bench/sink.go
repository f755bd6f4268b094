package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// sink receives webhooks on many loopback addresses, so that each endpoint is a host of its
// own, as in life.
type sink struct {
	clock   clock.Clock
	servers []*http.Server
	urls    []string
	dead    net.Listener
	deadURL string

	mu       sync.Mutex
	arrived  map[string]time.Time // by webhook-id, the first time
	received int
	last     time.Time
}

// newSink listens on n addresses that answer at once, and on one that never does.
func newSink(c clock.Clock, n int) (*sink, error) {
	s := &sink{clock: c, arrived: map[string]time.Time{}}
	for i := range n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.9.%d.%d:0", i/200, 1+i%200))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen: %w", err), s.close())
		}
		srv := &http.Server{Handler: http.HandlerFunc(s.receive), ReadHeaderTimeout: 5 * time.Second}
		s.servers = append(s.servers, srv)
		s.urls = append(s.urls, "http://"+l.Addr().String()+"/hook")
		go func() { _ = srv.Serve(l) }() // ends with close
	}
	var err error
	// The kernel accepts for it and nobody ever reads.
	if s.dead, err = net.Listen("tcp", "127.9.250.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), s.close())
	}
	s.deadURL = "http://" + s.dead.Addr().String() + "/hook"
	return s, nil
}

func (s *sink) receive(w http.ResponseWriter, r *http.Request) {
	now := s.clock.Now()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // the sender went away
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received++
	s.last = now
	if id := r.Header.Get("webhook-id"); id != "" {
		if _, ok := s.arrived[id]; !ok {
			s.arrived[id] = now
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// count returns how many requests came so far and when the last did.
func (s *sink) count() (int, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.received, s.last
}

// arrival returns when an event came first.
func (s *sink) arrival(id string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.arrived[id]
	return at, ok
}

// waitCount waits until n requests have come in all, and returns when the last did.
func (s *sink) waitCount(ctx context.Context, n int) (time.Time, error) {
	var at time.Time
	err := waitFor(ctx, "webhooks", 2*time.Minute, func() (bool, error) {
		got, last := s.count()
		at = last
		return got >= n, nil
	})
	return at, err
}

func (s *sink) close() error {
	var errs []error
	for _, srv := range s.servers {
		errs = append(errs, srv.Close())
	}
	if s.dead != nil {
		errs = append(errs, s.dead.Close())
	}
	return errors.Join(errs...)
}
