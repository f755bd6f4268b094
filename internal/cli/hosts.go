package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// hostID returns the id of a host that the command line names by id, name or name:port.
func (c *call) hostID(given string) (string, error) {
	if _, err := uuid.Parse(given); err == nil {
		return given, nil
	}
	name, port := given, 0
	if h, p, err := net.SplitHostPort(given); err == nil {
		if port, err = strconv.Atoi(p); err != nil {
			return "", usagef("the port of %s is not a number", given)
		}
		name = h
	}
	p, _, err := c.pageOf("/hosts", url.Values{"hostname": {name}, "limit": {strconv.Itoa(maxPage)}})
	if err != nil {
		return "", fmt.Errorf("look for host %s: %w", given, err)
	}
	var found []string
	for _, raw := range p.Items {
		var h struct {
			ID       string `json:"id"`
			Hostname string `json:"hostname"`
			Port     int    `json:"port"`
		}
		if err := json.Unmarshal(raw, &h); err != nil {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		if strings.EqualFold(h.Hostname, name) && (port == 0 || port == h.Port) {
			found = append(found, h.ID)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("there is no host %s", given)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s is watched on %d ports; add the port, such as %s", given, len(found), net.JoinHostPort(name, "443"))
}

// scan is the answer of GET /scans/{id}.
type scan struct {
	State string  `json:"state"`
	Error *string `json:"error"`
}

func scanHost(c *call) error {
	id, err := c.hostID(c.args["host"])
	if err != nil {
		return err
	}
	c.args["host"] = id
	rq, err := c.request()
	if err != nil {
		return err
	}
	a, err := c.client.call(c.ctx, rq)
	if err != nil {
		return err
	}
	var accepted struct {
		ScanID string `json:"scan_id"`
	}
	if err := json.Unmarshal(a.body, &accepted); err != nil || accepted.ScanID == "" {
		return errors.New("the answer names no scan")
	}
	if !c.x.wait {
		return c.show(a.body)
	}
	return c.waitForScan(accepted.ScanID)
}

// waitForScan asks until the scan has ended, less often the longer it takes.
func (c *call) waitForScan(id string) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.x.timeout)
	defer cancel()
	rq := request{method: http.MethodGet, path: "/scans/" + url.PathEscape(id)}
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 4*time.Second) {
		a, err := c.client.call(ctx, rq)
		if err == nil {
			var s scan
			if err := json.Unmarshal(a.body, &s); err != nil {
				return fmt.Errorf("read the answer: %w", err)
			}
			if s.State == "succeeded" || s.State == "failed" {
				return c.scanEnded(a.body, s)
			}
			err = pause(ctx, wait)
		}
		if ctx.Err() != nil && c.ctx.Err() == nil {
			return fmt.Errorf("the scan %s did not end within %s; it goes on, and `vigilo api GET /scans/%s` tells how it went", id, c.x.timeout, id)
		}
		if err != nil {
			return err
		}
	}
}

func (c *call) scanEnded(body []byte, s scan) error {
	if err := c.show(body); err != nil {
		return err
	}
	if s.State == "succeeded" {
		return nil
	}
	if s.Error != nil && *s.Error != "" {
		return errors.New("the scan failed: " + *s.Error)
	}
	return errors.New("the scan failed")
}

func importHosts(c *call) error {
	var raw []byte
	var err error
	if c.args["file"] == "-" {
		raw, err = io.ReadAll(c.in)
	} else {
		raw, err = os.ReadFile(c.args["file"])
	}
	if err != nil {
		return fmt.Errorf("read hosts: %w", err)
	}
	rq, err := c.request()
	if err != nil {
		return err
	}
	rq.body, rq.contentType = raw, "text/csv"
	a, err := c.client.call(c.ctx, rq)
	if err != nil {
		return err
	}
	return c.show(a.body)
}
