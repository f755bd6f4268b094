package identity

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/identity/oidcrp"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

const (
	flowPurpose = "identity.flow"
	// maxFlows is how many sign-ins one browser may have under way, in as many tabs.
	maxFlows = 4
	// stateInName is how much of the state tells the cookies of several tabs apart.
	stateInName = 8
)

func flowPrefix(r *web.Request) string {
	if r.Server().Secure() {
		return "__Host-vigilo-flow-"
	}
	return "vigilo-flow-"
}

func setFlow(r *web.Request, name, value string, maxAge int) {
	http.SetCookie(r.W, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: r.Server().Secure(), SameSite: http.SameSiteLaxMode,
	})
}

// keepFlow seals the sign-in into a cookie of its own, so that only this browser can
// finish it and several tabs do not spoil each other's.
func (s *Service) keepFlow(r *web.Request, flow oidcrp.Flow) error {
	raw, err := json.Marshal(flow)
	if err != nil {
		return fmt.Errorf("encode flow: %w", err)
	}
	sealed, err := s.Sealer.Seal(uuid.Nil, flowPurpose, raw)
	if err != nil {
		return fmt.Errorf("seal flow: %w", err)
	}
	var old []string
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, flowPrefix(r)) {
			old = append(old, c.Name)
		}
	}
	if len(old) >= maxFlows {
		for _, name := range old {
			setFlow(r, name, "", -1)
		}
	}
	setFlow(r, flowPrefix(r)+flow.State[:stateInName], base64.RawURLEncoding.EncodeToString(sealed), int(oidcrp.FlowLifetime.Seconds()))
	return nil
}

// takeFlow opens the sign-in that the state belongs to and removes its cookie: each is
// good for one answer of the provider.
func (s *Service) takeFlow(r *web.Request, state string) (oidcrp.Flow, bool) {
	if len(state) < stateInName {
		return oidcrp.Flow{}, false
	}
	c, err := r.Cookie(flowPrefix(r) + state[:stateInName])
	if err != nil {
		return oidcrp.Flow{}, false
	}
	setFlow(r, c.Name, "", -1)
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return oidcrp.Flow{}, false
	}
	raw, err := s.Sealer.Open(uuid.Nil, flowPurpose, sealed)
	if err != nil {
		return oidcrp.Flow{}, false
	}
	var flow oidcrp.Flow
	if err := json.Unmarshal(raw, &flow); err != nil {
		return oidcrp.Flow{}, false
	}
	return flow, true
}
