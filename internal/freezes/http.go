package freezes

import "github.com/vigilo/vigilo/internal/kernel/web"

func (s *Service) routes(r *web.Router) {
	r.Get(listPath, ReadFreezes, s.showList)
	r.Get(listPath+"/new", ManageFreezes, s.showNew)
	r.Post(listPath+"/new", ManageFreezes, s.create)
	r.Post(listPath+"/preview", ManageFreezes, s.showNext)
	r.Get(listPath+"/{id}", ReadFreezes, s.showFreeze)
	r.Get(listPath+"/{id}/inside", ReadFreezes, s.showInside)
	r.Get(listPath+"/{id}/activity", ReadFreezes, s.showActivity)
	r.Get(listPath+"/{id}/edit", ManageFreezes, s.showEdit)
	r.Post(listPath+"/{id}/edit", ManageFreezes, s.save)
	r.Get(listPath+"/{id}/activate", ManageFreezes, s.showActivate)
	r.Post(listPath+"/{id}/activate", ManageFreezes, s.activatePage)
	r.Get(listPath+"/{id}/lift", ManageFreezes, s.showLift)
	r.Post(listPath+"/{id}/lift", ManageFreezes, s.liftPage)
	r.Get(listPath+"/{id}/delete", ManageFreezes, s.showDelete)
	r.Post(listPath+"/{id}/delete", ManageFreezes, s.deletePage)
	r.Get(listPath+"/{id}/overrides/new", RequestOverrides, s.showAsk)
	r.Post(listPath+"/{id}/overrides/new", RequestOverrides, s.ask)
	r.Get(listPath+"/{id}/overrides/{oid}", ReadFreezes, s.showOverride)
	r.Post(listPath+"/{id}/overrides/{oid}/grant", GrantOverrides, s.decidePage(true))
	r.Post(listPath+"/{id}/overrides/{oid}/refuse", GrantOverrides, s.decidePage(false))
}
