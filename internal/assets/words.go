package assets

import (
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/vigilo/vigilo/internal/kernel/web"
	"github.com/vigilo/vigilo/templates/ui"
)

// typeLabel is a type in a sentence.
func typeLabel(t string) string {
	switch t {
	case "vm":
		return "virtual machine"
	case "network":
		return "network device"
	case "other":
		return "other asset"
	}
	return t
}

// typeTitle is a type at the start of a line.
func typeTitle(t string) string {
	if t == "other" {
		return "Other"
	}
	return upperFirst(typeLabel(t))
}

func typeIcon(t string) string {
	switch t {
	case "server":
		return "server"
	case "vm":
		return "monitor"
	case "container":
		return "boxes"
	case "service":
		return "layers"
	case "domain":
		return "globe"
	case "database":
		return "database"
	case "application":
		return "layout-grid"
	case "network":
		return "network"
	}
	return "circle-dot"
}

func environmentLabel(e string) string {
	switch e {
	case "prod":
		return "production"
	case "dev":
		return "development"
	case "qa":
		return "QA"
	}
	return e
}

func environmentTitle(e string) string { return upperFirst(environmentLabel(e)) }

func criticalityLabel(c string) string { return upperFirst(c) }

func criticalityTone(c string) ui.Tone {
	switch c {
	case "critical":
		return ui.Crit
	case "high":
		return ui.Warn
	case "medium":
		return ui.Info
	}
	return ui.Mute
}

func criticalityBadge(c string) ui.Badge {
	return ui.Badge{Text: criticalityLabel(c), Tone: criticalityTone(c)}
}

func lifecycleLabel(l Lifecycle) string {
	switch l {
	case Planned:
		return "Planned"
	case Retired:
		return "Retired"
	case Active:
		return "In use"
	}
	return string(l)
}

func lifecycleBadge(l Lifecycle) ui.Badge {
	switch l {
	case Planned:
		return ui.Badge{Text: "Planned", Tone: ui.Info, Icon: "clock"}
	case Retired:
		return ui.Badge{Text: "Retired", Tone: ui.Mute, Icon: "archive"}
	case Active:
	}
	return ui.Badge{Text: "In use", Tone: ui.OK, Icon: "circle-check"}
}

func providerLabel(p string) string {
	switch p {
	case "manual":
		return "Entered by hand"
	case "aws", "gcp":
		return strings.ToUpper(p)
	case "k8s":
		return "Kubernetes"
	}
	return upperFirst(p)
}

// minutesLabel is a buffer in words.
func minutesLabel(n int32) string {
	switch {
	case n == 0:
		return "none"
	case n%1440 == 0:
		return counted(int64(n/1440), "day", "days")
	case n%60 == 0:
		return counted(int64(n/60), "hour", "hours")
	}
	return counted(int64(n), "minute", "minutes")
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// group writes a number with commas between thousands.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// person draws somebody; the hue follows from the id, so that it stays.
func person(id uuid.NullUUID, name string) *ui.Person {
	if !id.Valid || name == "" {
		return nil
	}
	return &ui.Person{Name: name, Initials: web.Initials(name), Hue: int(id.UUID[15])%4 + 1}
}
