package alertrules

import (
	"github.com/vigilo/vigilo/internal/kernel/api"
	"github.com/vigilo/vigilo/internal/kernel/web"
)

func (s *Service) routes(r *web.Router)     {}
func (s *Service) operations(m *api.Module) {}
