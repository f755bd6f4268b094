package certificates

import "github.com/vigilo/vigilo/internal/kernel/db"

var (
	countHosts = db.Define[int64]("certificates.count_hosts", `
	SELECT count(*) FROM monitored_hosts WHERE workspace_id = @ws`)
	expireOwnObservations = db.DefineCommand("certificates.expire_own_observations", `
	DELETE FROM scan_observations WHERE workspace_id = @ws AND scanned_at < @before`)
)
