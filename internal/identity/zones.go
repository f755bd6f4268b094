package identity

import (
	_ "embed"
	"strings"
	"sync"
)

// zoneNames are the names of the IANA time zone database that a person can choose: one
// for each region of its table of countries, and UTC.
//
//go:embed zones.txt
var zoneNames string

// zones returns the names, sorted.
var zones = sync.OnceValue(func() []string { return strings.Fields(zoneNames) })
