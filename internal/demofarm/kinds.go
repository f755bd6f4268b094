package demofarm

import (
	"crypto/tls"

	"github.com/vigilo/vigilo/internal/certificates/certtest"
)

type behaviour int

const (
	answers behaviour = iota
	hangs
	refuses
)

// issuersName is the entry of the issuers' HTTP server among the ports.
const issuersName = "issuers"

// lifetimeDays is that of every leaf here.
const lifetimeDays = 90

// kind describes one server of the farm.
type kind struct {
	name, serverName, note string
	behaviour              behaviour
	starttls               string
	// daysLeft is given to a new certificate; it is kept while minLeft <= days left <= maxLeft.
	daysLeft, minLeft, maxLeft int
	// certName is the name in the certificate if it is not serverName.
	certName   string
	key        certtest.KeyKind
	selfSigned bool
	leafOnly   bool
	maxVersion uint16
}

// kinds returns the servers in the order in which they are shown.
func kinds() []kind {
	fresh := func(k kind) kind {
		k.daysLeft, k.minLeft, k.maxLeft = 75, 35, lifetimeDays
		return k
	}
	ending := func(k kind, days int) kind {
		k.daysLeft, k.minLeft, k.maxLeft = days, days, days
		return k
	}
	expired := kind{name: "expired", serverName: "legacy.acme.test", note: "The certificate expired three days ago."}
	expired.daysLeft, expired.minLeft, expired.maxLeft = -3, -365, -1
	return []kind{
		fresh(kind{name: "healthy", serverName: "shop.acme.test", note: "Everything is as it should be."}),
		ending(kind{name: "expires-in-20-days", serverName: "api.acme.test", note: "The certificate expires in 20 days."}, 20),
		ending(kind{name: "expires-in-5-days", serverName: "login.acme.test", note: "The certificate expires in 5 days."}, 5),
		ending(kind{name: "expires-today", serverName: "vpn.acme.test", note: "The certificate expires within a day."}, 0),
		expired,
		fresh(kind{name: "self-signed", serverName: "printer.acme.test", selfSigned: true, note: "The certificate is signed by its own key."}),
		fresh(kind{name: "wrong-name", serverName: "www.acme.test", certName: "old.acme.test", note: "The certificate is for another name."}),
		fresh(kind{
			name: "missing-intermediate", serverName: "partner.acme.test", leafOnly: true,
			note: "The server does not send its intermediate certificate; the issuer offers it for download.",
		}),
		fresh(kind{name: "tls12-only", serverName: "erp.acme.test", maxVersion: tls.VersionTLS12, note: "The server speaks nothing newer than TLS 1.2."}),
		fresh(kind{name: "weak-key", serverName: "camera.acme.test", key: certtest.RSA1024, note: "The key is an RSA key of 1024 bits."}),
		fresh(kind{name: "mail", serverName: "mail.acme.test", starttls: "smtp", note: "A mail server that offers STARTTLS."}),
		{name: "hangs", serverName: "slow.acme.test", behaviour: hangs, note: "The server accepts connections and never answers."},
		{name: "refuses", serverName: "down.acme.test", behaviour: refuses, note: "Nothing listens on this port."},
	}
}
