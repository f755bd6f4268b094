package changes

import "github.com/vigilo/vigilo/internal/kernel/web"

func (s *Service) routes(r *web.Router) { _ = r }
