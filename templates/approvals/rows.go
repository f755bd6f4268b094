package approvals

import "github.com/vigilo/vigilo/templates/ui"

func rowsOf(list []BulkRow) []ui.Row {
	out := make([]ui.Row, len(list))
	for i, r := range list {
		out[i] = r.Row
	}
	return out
}
