package demofarm

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// serveIssuers offers the issuing authorities where the certificates say they are.
func (f *Farm) serveIssuers(ctx context.Context, l net.Listener) {
	mux := http.NewServeMux()
	for i, issuer := range f.store.issuers {
		mux.HandleFunc(fmt.Sprintf("GET /issuer-%d.cer", i), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/pkix-cert")
			_, _ = w.Write(issuer.X509.Raw)
		})
	}
	f.serveHTTP(ctx, mux, func(s *http.Server) error { return s.Serve(l) })
}

// serveHTTPS answers every request with one line, so that the server also serves for
// demonstrations of HTTP checks.
func (f *Farm) serveHTTPS(ctx context.Context, l net.Listener, cfg *tls.Config, name string) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Strict-Transport-Security", "max-age=15552000")
		_, _ = fmt.Fprintf(w, "%s is up\n", name)
	})
	f.serveHTTP(ctx, page, func(s *http.Server) error {
		s.TLSConfig = cfg
		return s.ServeTLS(l, "", "")
	})
}

func (f *Farm) serveHTTP(ctx context.Context, handler http.Handler, run func(*http.Server) error) {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10,
		// Scans end in the middle of a handshake all the time; that is no news.
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	f.running.Go(func() {
		defer stop()
		// Serve always returns an error; after Close of the farm it says so, and before that
		// only a broken listener ends it, which the next scan shows.
		_ = run(s)
	})
}
