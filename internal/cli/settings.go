package cli

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// The environment variables of the client.
const (
	EnvURL       = "VIGILO_API_URL"
	EnvToken     = "VIGILO_API_TOKEN"
	EnvWorkspace = "VIGILO_API_WORKSPACE"
)

// Demo is the file demo.json that `vigilo dev` writes for scripts. Further keys are for
// others and are not read here.
type Demo struct {
	// URL is where the demo is served, such as http://127.0.0.1:8080.
	URL string `json:"url"`
	// Workspace is the slug of the workspace that is used when none is named.
	Workspace string       `json:"workspace"`
	People    []DemoPerson `json:"people"`
}

// DemoPerson is somebody of the demo with their tokens, at most one for each workspace.
type DemoPerson struct {
	Name   string      `json:"name"`
	Email  string      `json:"email"`
	Tokens []DemoToken `json:"tokens"`
}

// DemoToken opens the API of a workspace as the person, with the role they have there.
type DemoToken struct {
	Workspace string `json:"workspace"`
	Role      string `json:"role"`
	Token     string `json:"token"`
}

// settings say which Vigilo to call, and as whom.
type settings struct {
	url, workspace, token string
	demo, as              string
}

func (s *settings) register(fs *flag.FlagSet) {
	fs.StringVar(&s.url, "url", "", "`address` of Vigilo, such as https://vigilo.example.com")
	fs.StringVar(&s.workspace, "workspace", "", "`slug` of the workspace, as in its address")
	fs.StringVar(&s.token, "token", "", "API `token`; other people on this machine can see it here, so prefer "+EnvToken)
	fs.StringVar(&s.demo, "demo", "", "demo.json `file` of vigilo dev, to take address, workspace and token from")
	fs.StringVar(&s.as, "as", "", "`e-mail` of the person of the demo to act as; the first one when absent")
}

// connect returns a client for the settings: a flag counts more than the demo file, and
// that more than the environment.
func (s settings) connect(env []string) (*client, error) {
	if s.as != "" && s.demo == "" {
		return nil, usagef("--as names a person of a demo, so it needs --demo")
	}
	if s.demo != "" {
		if err := s.readDemo(); err != nil {
			return nil, err
		}
	}
	for _, line := range env {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "VIGILO_API_") && name != EnvURL && name != EnvToken && name != EnvWorkspace {
			return nil, usagef("there is no variable %s; did you mean %s, %s or %s?", name, EnvURL, EnvWorkspace, EnvToken)
		}
		for _, from := range []struct {
			name  string
			field *string
		}{{EnvURL, &s.url}, {EnvWorkspace, &s.workspace}, {EnvToken, &s.token}} {
			if from.name == name && *from.field == "" {
				*from.field = strings.TrimSpace(value)
			}
		}
	}
	for _, need := range []struct{ value, flag, env string }{
		{s.url, "--url", EnvURL}, {s.workspace, "--workspace", EnvWorkspace}, {s.token, "--token", EnvToken},
	} {
		if need.value == "" {
			return nil, usagef("set %s or %s", need.flag, need.env)
		}
	}
	base, err := apiBase(s.url, s.workspace)
	if err != nil {
		return nil, err
	}
	return newClient(base, s.token), nil
}

// apiBase returns where the API of a workspace starts.
func apiBase(address, workspace string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, usagef("--url must be an address such as https://vigilo.example.com")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, usagef("--url must end after the host: Vigilo has a host name of its own")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return nil, usagef("--url must start with https:// unless its host is this machine: the token would be readable on the way")
	}
	if strings.ContainsAny(workspace, "/?#%") {
		return nil, usagef("--workspace must be the slug of a workspace, as in /ws/acme")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/ws/" + workspace + "/api/v1"}, nil
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// readDemo fills what no flag has said from the file of a demo.
func (s *settings) readDemo() error {
	raw, err := os.ReadFile(s.demo)
	if err != nil {
		return fmt.Errorf("read --demo: %w", err)
	}
	var d Demo
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read --demo: %s is not the demo.json of vigilo dev: %w", s.demo, err)
	}
	if s.url == "" {
		s.url = d.URL
	}
	if s.workspace == "" {
		s.workspace = d.Workspace
	}
	if s.token != "" {
		return nil
	}
	known := false
	for _, p := range d.People {
		if s.as != "" && !strings.EqualFold(p.Email, s.as) {
			continue
		}
		known = true
		for _, t := range p.Tokens {
			if s.workspace == "" {
				s.workspace = t.Workspace
			}
			if t.Workspace == s.workspace {
				s.token = t.Token
				return nil
			}
		}
	}
	switch {
	case s.as != "" && !known:
		return usagef("the demo has nobody with the address %s", s.as)
	case s.as != "":
		return usagef("%s has no token for the workspace %s in the demo", s.as, s.workspace)
	}
	return errors.New("the demo has no token for the workspace " + s.workspace)
}
