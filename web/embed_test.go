package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, method, path string, header http.Header) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for k, v := range header {
		r.Header[k] = v
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, res *http.Response) []byte {
	t.Helper()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAssetsAreServedForAYearUnderTheirHash(t *testing.T) {
	t.Parallel()
	for name, contentType := range map[string]string{
		Stylesheet: "text/css; charset=utf-8", Script: "text/javascript; charset=utf-8", Htmx: "text/javascript; charset=utf-8",
		Icons: "image/svg+xml", Mark: "image/svg+xml", Font: "font/woff2",
	} {
		address := Asset(name)
		if !regexp.MustCompile(`^/static/[a-z-]+\.[0-9a-f]{16}\.[a-z0-9]+$`).MatchString(address) {
			t.Errorf("Asset(%q) = %q", name, address)
		}
		res := get(t, http.MethodGet, address, nil)
		if res.StatusCode != http.StatusOK {
			t.Fatalf("GET %s answered %d", address, res.StatusCode)
		}
		if got := res.Header.Get("Content-Type"); got != contentType {
			t.Errorf("%s has the type %q, want %q", name, got, contentType)
		}
		if got := res.Header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("%s has Cache-Control %q", name, got)
		}
		plain := get(t, http.MethodGet, Prefix+name, nil)
		if plain.StatusCode != http.StatusOK || plain.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("the plain name %s answers %d with Cache-Control %q", name, plain.StatusCode, plain.Header.Get("Cache-Control"))
		}
	}
}

func TestGzipIsSentOnlyToWhoeverAcceptsIt(t *testing.T) {
	t.Parallel()
	address := Asset(Stylesheet)
	whole := body(t, get(t, http.MethodGet, address, nil))
	for header, packed := range map[string]bool{
		"gzip": true, "br, gzip;q=0.8": true, "deflate, GZIP": true, "": false, "br": false, "gzip;q=0": false, "gzip; q=0.0": false,
	} {
		res := get(t, http.MethodGet, address, http.Header{"Accept-Encoding": {header}})
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("Accept-Encoding %q: packed is %v", header, got)
		}
		if res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Accept-Encoding %q: no Vary", header)
		}
		got := body(t, res)
		if packed {
			r, err := gzip.NewReader(bytes.NewReader(got))
			if err != nil {
				t.Fatal(err)
			}
			if got, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, whole) {
			t.Errorf("Accept-Encoding %q: the content differs", header)
		}
	}
	if res := get(t, http.MethodGet, Asset(Font), http.Header{"Accept-Encoding": {"gzip"}}); res.Header.Get("Content-Encoding") != "" {
		t.Error("the font is packed twice")
	}
}

func TestAKnownCopyIsNotSentAgain(t *testing.T) {
	t.Parallel()
	first := get(t, http.MethodGet, Prefix+Script, http.Header{"Accept-Encoding": {"gzip"}})
	again := get(t, http.MethodGet, Prefix+Script, http.Header{"Accept-Encoding": {"gzip"}, "If-None-Match": {first.Header.Get("ETag")}})
	if again.StatusCode != http.StatusNotModified || len(body(t, again)) != 0 {
		t.Errorf("the answer is %d", again.StatusCode)
	}
	other := get(t, http.MethodGet, Prefix+Script, http.Header{"If-None-Match": {first.Header.Get("ETag")}})
	if other.StatusCode != http.StatusOK {
		t.Errorf("the tag of the packed form answers %d for the plain form", other.StatusCode)
	}
}

func TestOtherNamesAndMethodsAreRefused(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/static/", "/static/app.0000000000000000.css", "/static/../embed.go", "/static/css/tokens.css"} {
		if res := get(t, http.MethodGet, path, nil); res.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s answered %d", path, res.StatusCode)
		}
	}
	if res := get(t, http.MethodPost, Asset(Script), nil); res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST answered %d", res.StatusCode)
	}
	res := get(t, http.MethodHead, Asset(Script), nil)
	if res.StatusCode != http.StatusOK || len(body(t, res)) != 0 || res.Header.Get("Content-Length") == "" {
		t.Errorf("HEAD answered %d", res.StatusCode)
	}
}

func TestAnUnknownAssetPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("Asset accepted an unknown name")
		}
	}()
	Asset("nothing.css")
}

func TestAddressesInTheStylesheetResolve(t *testing.T) {
	t.Parallel()
	css := body(t, get(t, http.MethodGet, Asset(Stylesheet), nil))
	found := regexp.MustCompile(`url\("([^"]+)"\)`).FindAllSubmatch(css, -1)
	if len(found) == 0 {
		t.Fatal("the stylesheet asks for no font")
	}
	for _, m := range found {
		if res := get(t, http.MethodGet, Prefix+string(m[1]), nil); res.StatusCode != http.StatusOK {
			t.Errorf("%s answered %d", m[1], res.StatusCode)
		}
	}
}

func TestLayersAreDeclaredInOrderOfTheCascade(t *testing.T) {
	t.Parallel()
	css := string(body(t, get(t, http.MethodGet, Asset(Stylesheet), nil)))
	if !strings.HasPrefix(css, "@layer tokens, base, layout, components, data, utilities, print;\n") {
		t.Errorf("the stylesheet starts with %q", css[:80])
	}
	if strings.Count(css, "{") != strings.Count(css, "}") {
		t.Error("braces are not balanced")
	}
}

func TestSizesStayWithinTheBudget(t *testing.T) {
	t.Parallel()
	size := func(names ...string) (n int) {
		for _, name := range names {
			n += len(body(t, get(t, http.MethodGet, Asset(name), http.Header{"Accept-Encoding": {"gzip"}})))
		}
		return n
	}
	for _, b := range []struct {
		what        string
		bytes, most int
	}{
		{"style", size(Stylesheet), 15 << 10},
		{"script", size(Script, Htmx), 25 << 10},
		{"font", size(Font), 50 << 10},
		{"icons", size(Icons), 8 << 10},
	} {
		t.Logf("%s: %d bytes packed, at most %d", b.what, b.bytes, b.most)
		if b.bytes > b.most {
			t.Errorf("%s has %d bytes packed; the budget is %d", b.what, b.bytes, b.most)
		}
	}
}
