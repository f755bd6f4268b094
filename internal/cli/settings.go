package cli

import (
	"encoding/json"
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

// demo is what the client reads of demo.json, which `vigilo dev` writes (internal/dev,
// Demo).
type demo struct {
	BaseURL    string `json:"base_url"`
	Workspaces []struct {
		Slug string `json:"slug"`
	} `json:"workspaces"`
	People []struct {
		Email       string `json:"email"`
		Memberships []struct {
			Workspace string `json:"workspace"`
			Token     string `json:"token"`
		} `json:"memberships"`
	} `json:"people"`
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
	var d demo
	if err := json.Unmarshal(raw, &d); err != nil {
		return fmt.Errorf("read --demo: %s is not the demo.json of vigilo dev: %w", s.demo, err)
	}
	if s.url == "" {
		s.url = d.BaseURL
	}
	if s.workspace == "" && len(d.Workspaces) > 0 {
		s.workspace = d.Workspaces[0].Slug
	}
	if s.token == "" {
		s.token, err = d.token(s.as, s.workspace)
	}
	return err
}

// token returns the token of a person in a workspace, of the first one there when no
// address is given.
func (d demo) token(email, workspace string) (string, error) {
	known := false
	for _, p := range d.People {
		if email != "" && !strings.EqualFold(p.Email, email) {
			continue
		}
		known = true
		for _, m := range p.Memberships {
			if m.Workspace == workspace && m.Token != "" {
				return m.Token, nil
			}
		}
	}
	switch {
	case email == "":
		return "", usagef("the demo has no token for the workspace %s", workspace)
	case known:
		return "", usagef("%s has no token for the workspace %s in the demo", email, workspace)
	}
	return "", usagef("the demo has nobody with the address %s", email)
}
