package e2e

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/vigilo/vigilo/internal/identity"
	"github.com/vigilo/vigilo/internal/kernel/config"
)

// repository is the way from here to its root.
const repository = "../../"

// compose is the part of docker-compose.yml that we rely on.
type compose struct {
	Services map[string]struct {
		Build struct {
			Context    string `yaml:"context"`
			Dockerfile string `yaml:"dockerfile"`
		} `yaml:"build"`
		Image       string            `yaml:"image"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Ports       []string          `yaml:"ports"`
		Networks    map[string]struct {
			Aliases []string `yaml:"aliases"`
		} `yaml:"networks"`
		DependsOn map[string]struct {
			Condition string `yaml:"condition"`
		} `yaml:"depends_on"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

func readCompose(t *testing.T) compose {
	t.Helper()
	raw, err := os.ReadFile(repository + "docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c compose
	if err := yaml.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// settingsOf returns what a service of ours reads, as lines of an environment.
func settingsOf(t *testing.T, c compose, service string) []string {
	t.Helper()
	s, ok := c.Services[service]
	if !ok {
		t.Fatalf("there is no service %s", service)
	}
	var out []string
	for name, value := range s.Environment {
		out = append(out, name+"="+value)
	}
	return out
}

func loadService(t *testing.T, c compose, service string, cmd config.Command) config.Config {
	t.Helper()
	cfg, problems := config.FromEnvironment(settingsOf(t, c, service))
	for _, p := range append(problems, cfg.Missing(cmd)...) {
		t.Errorf("service %s: %s", service, p)
	}
	return cfg
}

func TestComposeFileStartsWithItsSettings(t *testing.T) {
	t.Parallel()
	c := readCompose(t)
	cfg := loadService(t, c, "vigilo", config.Serve)
	migrate := loadService(t, c, "migrate", config.Migrate)
	if _, err := cfg.Keyring(); err != nil {
		t.Errorf("keys of stored secrets: %v", err)
	}
	passwords := c.Services["postgres"].Environment
	for role, u := range map[string]string{
		"app": cfg.Database.App.Reveal(), "system": cfg.Database.System.Reveal(), "owner": migrate.Database.Owner.Reveal(),
	} {
		parsed, err := url.Parse(u)
		if err != nil {
			t.Fatal(err)
		}
		password, _ := parsed.User.Password()
		if want := passwords["VIGILO_"+strings.ToUpper(role)+"_PASSWORD"]; parsed.User.Username() != "vigilo_"+role || password != want {
			t.Errorf("%s connects as %s with another password than roles.sh sets", role, parsed.User)
		}
		if _, ok := c.Services[parsed.Hostname()]; !ok {
			t.Errorf("the database host %s is no service", parsed.Hostname())
		}
	}
	if _, ok := c.Services[cfg.SMTP.Host]; !ok {
		t.Errorf("the mail host %s is no service", cfg.SMTP.Host)
	}
	if port := cfg.BaseURL.Port(); !slices.Contains(c.Services["vigilo"].Ports, port+":"+port) || !strings.HasSuffix(cfg.Addr, ":"+port) {
		t.Errorf("people reach %s, the program listens on %s and publishes %v", cfg.BaseURL, cfg.Addr, c.Services["vigilo"].Ports)
	}
	for name, s := range c.Services {
		for dependency := range s.DependsOn {
			if _, ok := c.Services[dependency]; !ok {
				t.Errorf("service %s waits for %s, which is none", name, dependency)
			}
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if _, named := c.Volumes[from]; named {
				continue
			}
			if _, err := os.Stat(filepath.Join(repository, from)); err != nil {
				t.Errorf("service %s mounts what does not exist: %v", name, err)
			}
		}
		if s.Build.Dockerfile != "" {
			if _, err := os.Stat(filepath.Join(repository, s.Build.Context, s.Build.Dockerfile)); err != nil {
				t.Errorf("service %s: %v", name, err)
			}
		}
	}
}

// realm is the part of a Keycloak realm that Vigilo depends on. Keycloak refuses to import
// a file with a key that it does not know, so unknown ones fail here too; keys lists those
// of RealmRepresentation, ClientRepresentation and the like that we use.
type realm struct {
	Realm                 string `json:"realm"`
	Enabled               bool   `json:"enabled"`
	DisplayName           string `json:"displayName"`
	SSLRequired           string `json:"sslRequired"`
	RegistrationAllowed   bool   `json:"registrationAllowed"`
	LoginWithEmailAllowed bool   `json:"loginWithEmailAllowed"`
	DuplicateEmails       bool   `json:"duplicateEmailsAllowed"`
	AccessTokenLifespan   int    `json:"accessTokenLifespan"`
	IdleTimeout           int    `json:"ssoSessionIdleTimeout"`
	MaxLifespan           int    `json:"ssoSessionMaxLifespan"`
	Groups                []struct {
		Name string `json:"name"`
	} `json:"groups"`
	Users []struct {
		Username      string   `json:"username"`
		Enabled       bool     `json:"enabled"`
		Email         string   `json:"email"`
		EmailVerified bool     `json:"emailVerified"`
		FirstName     string   `json:"firstName"`
		LastName      string   `json:"lastName"`
		Groups        []string `json:"groups"`
		Credentials   []struct {
			Type      string `json:"type"`
			Value     string `json:"value"`
			Temporary bool   `json:"temporary"`
		} `json:"credentials"`
	} `json:"users"`
	Clients []struct {
		ClientID           string            `json:"clientId"`
		Name               string            `json:"name"`
		Enabled            bool              `json:"enabled"`
		Protocol           string            `json:"protocol"`
		Public             bool              `json:"publicClient"`
		Secret             string            `json:"secret"`
		StandardFlow       bool              `json:"standardFlowEnabled"`
		ImplicitFlow       bool              `json:"implicitFlowEnabled"`
		DirectAccess       bool              `json:"directAccessGrantsEnabled"`
		ServiceAccounts    bool              `json:"serviceAccountsEnabled"`
		RedirectURIs       []string          `json:"redirectUris"`
		WebOrigins         []string          `json:"webOrigins"`
		FrontchannelLogout bool              `json:"frontchannelLogout"`
		Attributes         map[string]string `json:"attributes"`
		ProtocolMappers    []mapper          `json:"protocolMappers"`
	} `json:"clients"`
}

type mapper struct {
	Name            string            `json:"name"`
	Protocol        string            `json:"protocol"`
	ProtocolMapper  string            `json:"protocolMapper"`
	ConsentRequired bool              `json:"consentRequired"`
	Config          map[string]string `json:"config"`
}

func TestRealmOfTheComposeFileFitsTheProgram(t *testing.T) {
	t.Parallel()
	file, err := os.Open(repository + "docs/operations/compose/realm.json")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r realm
	d := json.NewDecoder(file)
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	c := readCompose(t)
	cfg := loadService(t, c, "vigilo", config.Serve)
	issuer, err := url.Parse(cfg.OIDC.Issuer)
	if err != nil {
		t.Fatal(err)
	}
	keycloak := c.Services["keycloak"]
	if issuer.Path != "/realms/"+r.Realm || !slices.Contains(keycloak.Networks["default"].Aliases, issuer.Hostname()) {
		t.Errorf("the issuer %s is not the realm %s of the service keycloak", issuer, r.Realm)
	}
	if want := "--hostname=http://" + issuer.Host; !slices.Contains(keycloak.Command, want) || !slices.Contains(keycloak.Command, "--http-port="+issuer.Port()) {
		t.Errorf("keycloak runs with %v, want %s and the same port", keycloak.Command, want)
	}
	if len(r.Clients) != 1 {
		t.Fatalf("%d clients, want the one of Vigilo", len(r.Clients))
	}
	client, base := r.Clients[0], cfg.BaseURL.String()
	if client.ClientID != cfg.OIDC.ClientID || client.Secret != cfg.OIDC.ClientSecret.Reveal() || client.Public || !client.StandardFlow {
		t.Errorf("the client is not the one of the compose file")
	}
	if client.ImplicitFlow || client.DirectAccess || client.ServiceAccounts {
		t.Error("the client may more than sign people in")
	}
	paths := map[string]string{
		identity.CallbackPath: strings.Join(client.RedirectURIs, " "), identity.PostLogoutPath: client.Attributes["post.logout.redirect.uris"],
	}
	for path, uri := range paths {
		if uri != base+path {
			t.Errorf("the client names %q for %s", uri, base+path)
		}
	}
	back, err := url.Parse(client.Attributes["backchannel.logout.url"])
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Services[back.Hostname()]; !ok || back.Path != identity.BackchannelPath || back.Port() != cfg.BaseURL.Port() {
		t.Errorf("logout tokens go to %s", back)
	}
	if client.Attributes["pkce.code.challenge.method"] != "S256" || client.Attributes["backchannel.logout.session.required"] != "true" {
		t.Errorf("attributes of the client: %v", client.Attributes)
	}
	groups := slices.IndexFunc(client.ProtocolMappers, func(m mapper) bool {
		return m.ProtocolMapper == "oidc-group-membership-mapper" && m.Config["claim.name"] == cfg.OIDC.GroupsClaim && m.Config["id.token.claim"] == "true"
	})
	if groups < 0 {
		t.Errorf("no mapper puts the claim %s into the ID token", cfg.OIDC.GroupsClaim)
	}
	known := map[string]bool{}
	for _, g := range r.Groups {
		known["/"+g.Name] = true
	}
	emails := map[string]bool{}
	for _, u := range r.Users {
		emails[u.Email] = true
		if !u.Enabled || !u.EmailVerified || u.FirstName == "" || u.LastName == "" || len(u.Credentials) != 1 || u.Credentials[0].Temporary {
			t.Errorf("%s cannot sign in at once", u.Username)
		}
		for _, g := range u.Groups {
			if !known[g] {
				t.Errorf("%s is in group %s, which the realm does not have", u.Username, g)
			}
		}
	}
	for _, admin := range cfg.PlatformAdmins {
		if !emails[admin] {
			t.Errorf("the platform administrator %s is nobody of the realm", admin)
		}
	}
}
