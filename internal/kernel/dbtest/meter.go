package dbtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
)

// Meter stands between the program and PostgreSQL and counts round trips on the wire: each
// ReadyForQuery is the end of one (PostgreSQL 15, 55.2 Message Flow), whatever a library
// does to get there.
type Meter struct {
	listener net.Listener
	network  string
	server   string
	trips    atomic.Int64
	mu       sync.Mutex
	open     []net.Conn
}

// NewMeter listens on loopback for connections that are meant for the server of the URL.
func NewMeter(databaseURL string) (*Meter, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("read address of the database: %w", err)
	}
	m := &Meter{network: "tcp", server: u.Host}
	if dir := u.Query().Get("host"); dir != "" {
		m.network, m.server = "unix", dir+"/.s.PGSQL."+u.Query().Get("port")
	}
	if m.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	go m.accept()
	return m, nil
}

// Through returns a URL of the database that leads through the meter.
func (m *Meter) Through(databaseURL string) (string, error) {
	u, err := url.Parse(databaseURL)
	if err != nil {
		return "", fmt.Errorf("read address of the database: %w", err)
	}
	u.Host = m.listener.Addr().String()
	u.RawQuery = "sslmode=disable"
	return u.String(), nil
}

func (m *Meter) accept() {
	for {
		client, err := m.listener.Accept()
		if err != nil {
			return
		}
		var d net.Dialer
		server, err := d.Dial(m.network, m.server)
		if err != nil {
			client.Close()
			continue
		}
		m.mu.Lock()
		m.open = append(m.open, client, server)
		m.mu.Unlock()
		go func() {
			defer server.Close()
			_, _ = io.Copy(server, client) // ends when either side closes
		}()
		go func() {
			defer client.Close()
			_ = m.watch(client, server) // likewise
		}()
	}
}

// watch hands on what the server says, message by message.
func (m *Meter) watch(client io.Writer, server io.Reader) error {
	var head [5]byte
	for {
		if _, err := io.ReadFull(server, head[:]); err != nil {
			return err
		}
		if _, err := client.Write(head[:]); err != nil {
			return err
		}
		if _, err := io.CopyN(client, server, int64(binary.BigEndian.Uint32(head[1:]))-4); err != nil {
			return err
		}
		if head[0] == 'Z' {
			m.trips.Add(1)
		}
	}
}

// Trips returns how many round trips there were.
func (m *Meter) Trips() int64 { return m.trips.Load() }

// Close ends all connections.
func (m *Meter) Close() error {
	err := m.listener.Close()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.open {
		if closed := c.Close(); !errors.Is(closed, net.ErrClosed) {
			err = errors.Join(err, closed)
		}
	}
	return err
}
