package gallery

import (
	"github.com/vigilo/vigilo/templates/layout"
	"github.com/vigilo/vigilo/templates/ui"
)

func errorViews() []layout.ErrorView {
	const reference = "7f3a-19c2"
	return []layout.ErrorView{
		{
			Status: 404, Title: "This change does not exist", Reference: reference,
			Message: "CHG-09999 was deleted, or it belongs to a workspace you are not a member of.",
			Actions: []ui.LinkButton{{Text: "All changes", Href: Path + "change", Kind: ui.Primary}, {Text: "Search", Href: "/search"}},
		},
		{
			Status: 403, Title: "Your role may not approve changes", Reference: reference, RoleNeeded: "Approver",
			Message: "You are signed in as an operator of Halden Platform.",
		},
		{
			Status: 409, Title: "Somebody saved this before you", Reference: reference,
			Message: "Tomas Ferreira changed CHG-01042 two minutes ago. Nothing of yours was saved yet.",
			Actions: []ui.LinkButton{{Text: "Take theirs", Href: Path + "change"}},
			Changes: &ui.Diff{FromHead: "Theirs", ToHead: "Yours", Changes: []ui.Change{{Field: "Title", From: "Renew certificate", To: "Renew the certificate"}}},
		},
		{
			Status: 429, Title: "That was a lot at once", Reference: reference,
			Message: "Wait a minute and try again.", RetryHref: Path + "errors",
		},
		{
			Status: 500, Title: "Something broke on our side", Reference: reference,
			Message: "It has been recorded. Try again, and quote the reference if it stays.",
		},
	}
}
