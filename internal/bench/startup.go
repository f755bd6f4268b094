package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vigilo/vigilo/internal/kernel/clock"
)

// measureProgram builds the program, starts it as `vigilo dev` on an empty folder and once
// more on what that left behind (T13).
func measureProgram(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "vigilo-bench-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	// PostgreSQL may run as another user, who must be able to reach the folder inside.
	if err := os.Chmod(dir, 0o755); err != nil {
		return fmt.Errorf("open folder: %w", err)
	}
	binary := filepath.Join(dir, "vigilo")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "./cmd/vigilo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build program: %w: %s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("weigh program: %w", err)
	}
	size := float64(info.Size()) / (1 << 20)
	var first, second []time.Duration
	var idle []int64
	for round := range pick(b, 3, 1) {
		data := filepath.Join(dir, "data-"+strconv.Itoa(round))
		took, _, err := b.devStart(ctx, binary, data, 0)
		if err != nil {
			return err
		}
		first = append(first, took)
		took, rss, err := b.devStart(ctx, binary, data, pick(b, 10*time.Second, 3*time.Second))
		if err != nil {
			return err
		}
		second, idle = append(second, took), append(idle, rss)
	}
	b.add(result{"T13", "`vigilo dev`, empty folder to the first page", "", ms(median(first)), "", "≤ 3 s", judge(median(first) <= 3*time.Second)})
	b.add(result{"T13", "second start to the first page", "", ms(median(second)), "", "≤ 1 s", judge(median(second) <= time.Second)})
	rss := float64(median(idle)) / 1024
	b.add(result{"T13", "resident memory at rest, with everything that `vigilo dev` runs but PostgreSQL", "", fmt.Sprintf("%.0f MB", rss), "", "≤ 60 MB", judge(rss <= 60)})
	b.add(result{"T13", "binary, stripped", "", fmt.Sprintf("%.1f MB", size), "", "≤ 40 MB", judge(size <= 40)})
	b.note("A start makes the database cluster, migrates, issues the certificates of the demo and adds the demo data.")
	return nil
}

// devStart starts `vigilo dev`, waits for its first page and, after rest, reads how many KB of
// memory it holds.
func (b *bench) devStart(ctx context.Context, binary, data string, rest time.Duration) (took time.Duration, rssKB int64, err error) {
	addr, err := freeAddress()
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(ctx, binary, "dev")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env = append(withoutSettings(os.Environ()), "VIGILO_ADDR="+addr, "VIGILO_DATA_DIR="+data)
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	watch := clock.Stopwatch()
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("start program: %w", err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	defer func() {
		stopped := cmd.Process.Signal(syscall.SIGTERM)
		if errors.Is(stopped, os.ErrProcessDone) {
			stopped = nil
		}
		err = errors.Join(err, stopped, <-exited)
	}()
	client := newClient(1)
	defer client.CloseIdleConnections()
	err = waitFor(ctx, "the first page", time.Minute, func() (bool, error) {
		select {
		case early := <-exited:
			exited <- early
			return false, fmt.Errorf("the program ended: %w", early)
		default:
		}
		_, err := get(ctx, client, page{url: "http://" + addr + "/login"})
		return err == nil, nil
	})
	took = watch()
	if err != nil || rest == 0 {
		return took, 0, err
	}
	if err := pause(ctx, rest); err != nil {
		return took, 0, err
	}
	rssKB, err = strconv.ParseInt(procField("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/status", "VmRSS"), 10, 64)
	if err != nil {
		return took, 0, fmt.Errorf("read memory of the program: %w", err)
	}
	return took, rssKB, nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// withoutSettings leaves Vigilo's own variables out, so that the defaults are measured.
func withoutSettings(environ []string) []string {
	return slices.DeleteFunc(environ, func(line string) bool {
		return strings.HasPrefix(line, "VIGILO_") && !strings.HasPrefix(line, "VIGILO_PG_BIN=")
	})
}
