package cli

import (
	"flag"
	"net/http"
	"time"
)

var (
	search = option{flag: "q", kind: text, help: "`words` to look for"}
	order  = option{flag: "sort", kind: text, help: "`field` to sort by; a leading minus means descending"}
)

// commands returns the table of every command, in the order of the help.
func commands() []command {
	return []command{
		{group: "me", summary: "show who you are to the API and what you may do", method: http.MethodGet, path: "/me"},

		{
			group: "hosts", verb: "list", summary: "list hosts", method: http.MethodGet, path: "/hosts",
			query:   append(hostFilters(), order),
			columns: []column{{"HOST", "hostname"}, {"PORT", "port"}, {"SERVER NAME", "server_name"}, {"STATUS", "status"}, {"DAYS", "days_left"}, {"EXPIRES", "not_after"}, {"ISSUER", "issuer"}, {"TAGS", "tags"}, {"ID", "id"}},
		},
		{
			group: "hosts", verb: "add", args: []string{"hostname"}, summary: "watch a host", method: http.MethodPost, path: "/hosts",
			fields: []option{
				{flag: "port", kind: number, help: "`port`; 443 or the usual one of the STARTTLS kind when absent"},
				{flag: "server-name", kind: text, help: "`name` to ask for when it is not the host name"},
				{flag: "starttls", kind: text, help: "`protocol` that TLS is started in, such as smtp or imap"},
				{flag: "scan-interval", kind: text, help: "`interval`: 5m, 15m, 1h, 6h or 24h"},
				{flag: "tags", kind: words, help: "`tags`, separated by commas"},
				{flag: "owner", kind: text, help: "membership or `e-mail` of the owner"},
				{flag: "active", kind: isTrue, help: "--active=false adds it without scanning it"},
			},
		},
		{group: "hosts", verb: "show", args: []string{"host"}, summary: "show a host", about: hostArgument, method: http.MethodGet, path: "/hosts/{host}"},
		{
			group: "hosts", verb: "scan", args: []string{"host"}, summary: "scan a host now", about: hostArgument,
			method: http.MethodPost, path: "/hosts/{host}/scan", special: scanHost,
			extra: func(fs *flag.FlagSet, x *extras) {
				fs.BoolVar(&x.wait, "wait", false, "wait for the result; a failed scan is a failure of the command")
				fs.DurationVar(&x.timeout, "timeout", 2*time.Minute, "how `long` to wait")
			},
		},
		{
			group: "hosts", verb: "import", args: []string{"file"}, summary: "add the hosts of a CSV file, all or none",
			about: "The file - is the standard input. A heading line names the columns as hosts export writes them.", method: http.MethodPost, path: "/hosts/import",
			query: []option{
				{flag: "scan-interval", kind: text, help: "`interval` of rows that name none"},
				{flag: "tags", kind: text, help: "`tags` to add to each row, separated by commas"},
			},
			special: importHosts,
		},
		{
			group: "hosts", verb: "export", summary: "write the hosts as CSV", method: http.MethodGet, path: "/hosts/export.csv",
			query: hostFilters(), extra: outputFlag, special: download,
		},
		{
			group: "hosts", verb: "pause", args: []string{"host"}, summary: "stop scanning a host and keep it", about: hostArgument,
			method: http.MethodPatch, path: "/hosts/{host}", body: map[string]any{"active": false},
		},
		{
			group: "hosts", verb: "resume", args: []string{"host"}, summary: "scan a paused host again", about: hostArgument,
			method: http.MethodPatch, path: "/hosts/{host}", body: map[string]any{"active": true},
		},
		{
			group: "hosts", verb: "delete", args: []string{"host"}, summary: "stop watching a host and delete its history", about: hostArgument,
			method: http.MethodDelete, path: "/hosts/{host}", loses: true, done: "Deleted.",
		},

		{
			group: "certificates", verb: "list", summary: "list certificates", method: http.MethodGet, path: "/certificates",
			query: []option{
				order,
				{flag: "name", kind: text, help: "beginning of a subject alternative `name`"},
				{flag: "fingerprint", kind: text, help: "SHA-256 in `hex`"},
				{flag: "serial", kind: text, help: "serial number in `hex`"},
				{flag: "issuer", kind: text, help: "`issuer`"},
				{flag: "source", kind: text, help: "`source`: scan or manual"},
				{flag: "expires-before", kind: text, help: "`time` in RFC 3339"},
			},
			columns: []column{{"SUBJECT", "subject"}, {"ISSUER", "issuer"}, {"EXPIRES", "not_after"}, {"SOURCE", "source"}, {"LAST SEEN", "last_seen_at"}, {"ID", "id"}},
		},

		{
			group: "alerts", verb: "list", summary: "list alerts", method: http.MethodGet, path: "/alerts",
			query: []option{
				order,
				{flag: "state", kind: text, help: "`state`: firing or resolved"},
				{flag: "severity", kind: text, help: "`severity`: info, low, medium, high or critical"},
				{flag: "acknowledged", kind: text, help: "`answer`: true or false"},
				{flag: "q", kind: text, help: "how the `host` begins"},
			},
			columns: []column{{"STATE", "state"}, {"SEVERITY", "severity"}, {"RULE", "rule_name"}, {"HOST", "host"}, {"MESSAGE", "message"}, {"FIRED", "fired_at"}, {"ID", "id"}},
		},
		{
			group: "alerts", verb: "ack", args: []string{"alert"}, summary: "acknowledge an alert",
			method: http.MethodPost, path: "/alerts/{alert}/acknowledge", done: "Acknowledged.",
		},
		{
			group: "alert-rules", verb: "list", summary: "list alert rules", method: http.MethodGet, path: "/alert-rules",
			query: []option{
				order,
				{flag: "trigger", kind: text, help: "`trigger`, such as expiring_soon"},
				{flag: "enabled", kind: text, help: "`answer`: true or false"},
			},
			columns: []column{{"NAME", "name"}, {"TRIGGER", "trigger"}, {"DAYS", "threshold_days"}, {"SEVERITY", "severity"}, {"ENABLED", "enabled"}, {"ID", "id"}},
		},

		{
			group: "webhooks", verb: "list", summary: "list webhooks", method: http.MethodGet, path: "/webhooks",
			query:   []option{{flag: "state", kind: text, help: "`state`: enabled, failing or disabled"}, order},
			columns: []column{{"URL", "url"}, {"EVENTS", "patterns"}, {"ENABLED", "enabled"}, {"FAILING SINCE", "failing_since"}, {"ID", "id"}},
		},
		{
			group: "webhooks", verb: "test", args: []string{"webhook"}, summary: "send a test message to a webhook",
			method: http.MethodPost, path: "/webhooks/{webhook}/test", must: "accepted", mustText: "the endpoint did not accept the message",
		},

		{
			group: "audit", verb: "list", summary: "list entries of the audit log", method: http.MethodGet, path: "/audit",
			query:   append(auditFilters(), order),
			columns: []column{{"TIME", "occurred_at"}, {"ACTOR", "actor.name"}, {"ACTION", "action"}, {"TARGET", "target.title|target.key|target.type"}, {"OUTCOME", "outcome"}, {"ID", "id"}},
		},
		{
			group: "audit", verb: "export", summary: "write entries of the audit log as CSV or JSON lines", method: http.MethodGet, path: "/audit/export",
			query: append(auditFilters(), option{flag: "format", kind: text, help: "`format`: csv (default) or jsonl"}),
			extra: outputFlag, special: exportAudit,
		},

		{
			group: "events", verb: "list", summary: "list events, oldest first", method: http.MethodGet, path: "/events",
			about: "With --follow it starts now, or after the event that --after names, and prints events as they happen until it is stopped.",
			query: []option{{flag: "after", kind: text, help: "start after the event with this `id`"}},
			extra: func(fs *flag.FlagSet, x *extras) {
				fs.BoolVar(&x.follow, "follow", false, "print events as they happen")
				fs.DurationVar(&x.interval, "interval", 2*time.Second, "how `long` to wait between two looks")
			},
			columns: eventColumns(), special: listEvents,
		},
		{
			group: "members", verb: "list", summary: "list members", method: http.MethodGet, path: "/members", query: []option{order},
			columns: []column{{"NAME", "name"}, {"E-MAIL", "email"}, {"ROLE", "role"}, {"STATE", "state"}, {"LAST SEEN", "last_seen_at"}, {"ID", "id"}},
		},

		{
			group: "api", args: []string{"method", "path"}, summary: "call any endpoint of the API and print what it answers",
			about: "The path starts below /ws/<workspace>/api/v1, such as /hosts?status=expired. The list of endpoints is GET /openapi.json.",
			extra: func(fs *flag.FlagSet, x *extras) {
				fs.StringVar(&x.data, "data", "", "`body`: JSON, @file, or - for the standard input")
				fs.StringVar(&x.contentType, "content-type", "application/json", "media `type` of the body")
				fs.StringVar(&x.ifMatch, "if-match", "", "`version` that the change is based on")
				fs.StringVar(&x.repeatKey, "idempotency-key", "", "`key` of an earlier call that is repeated; new for each POST when absent")
			},
			special: callAPI,
		},
	}
}

const hostArgument = "<host> is an id, or the name of exactly one host, with :port where one name is watched on several."

func hostFilters() []option {
	return []option{
		search,
		{flag: "status", kind: text, help: "`statuses`, separated by commas, such as expired,expiring"},
		{flag: "state", kind: text, help: "`state`: active or paused"},
		{flag: "tag", kind: text, help: "`tag`"},
		{flag: "hostname", kind: text, help: "host `name`"},
		{flag: "issuer", kind: text, help: "`issuer`"},
		{flag: "expires-before", kind: text, help: "`time` in RFC 3339"},
	}
}

func auditFilters() []option {
	return []option{
		search,
		{flag: "actor", kind: text, help: "`id` of a person or token, or system"},
		{flag: "action", kind: text, help: "`action`, or its beginning up to a dot, such as host."},
		{flag: "target", kind: text, help: "key, id or type:id of the `thing`"},
		{flag: "outcome", kind: text, help: "`outcome`: success, denied or failed"},
		{flag: "from", kind: text, help: "first `moment`, RFC 3339 or a date"},
		{flag: "to", kind: text, help: "`end`, excluded; a date includes that day"},
	}
}

func outputFlag(fs *flag.FlagSet, x *extras) {
	fs.StringVar(&x.output, "output", "", "`file` to write to; the standard output when absent")
}
