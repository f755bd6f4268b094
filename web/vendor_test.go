package web

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestThirdPartyFilesAreTheOnesTheManifestNames(t *testing.T) {
	t.Parallel()
	var manifest struct {
		Files []struct{ File, Package, Version, Licence, LicenceFile, SHA256 string }
	}
	if err := json.Unmarshal([]byte(text(t, "vendor/manifest.json")), &manifest); err != nil {
		t.Fatal(err)
	}
	var packages struct{ Dependencies map[string]string }
	if err := json.Unmarshal([]byte(text(t, "package.json")), &packages); err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{"manifest.json": true, "licences": true}
	for _, f := range manifest.Files {
		named[f.File] = true
		sum := sha256.Sum256([]byte(text(t, "vendor/"+f.File)))
		if got := hex.EncodeToString(sum[:]); got != f.SHA256 {
			t.Errorf("%s has the hash %s; the manifest says %s", f.File, got, f.SHA256)
		}
		if f.Version == "" || packages.Dependencies[f.Package] != f.Version {
			t.Errorf("%s is of %s %s; package.json pins %q", f.File, f.Package, f.Version, packages.Dependencies[f.Package])
		}
		if f.Licence == "" || len(text(t, "vendor/"+f.LicenceFile)) < 200 {
			t.Errorf("%s has no licence text", f.File)
		}
	}
	entries, err := os.ReadDir("vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !named[e.Name()] {
			t.Errorf("vendor/%s is not in the manifest", e.Name())
		}
	}
}

func TestTheLockNamesNoRegistry(t *testing.T) {
	t.Parallel()
	if strings.Contains(text(t, "package-lock.json"), `"resolved"`) {
		t.Error("package-lock.json contains addresses of a registry")
	}
}

func TestTheSpriteHoldsTheListedIcons(t *testing.T) {
	t.Parallel()
	listed := strings.Fields(text(t, "icons.txt"))
	var drawn []string
	for _, m := range regexp.MustCompile(`<symbol id="([^"]+)"`).FindAllStringSubmatch(text(t, "vendor/icons.svg"), -1) {
		drawn = append(drawn, m[1])
	}
	if !slices.Equal(listed, drawn) {
		t.Error("icons.txt and vendor/icons.svg differ: run the vendor script")
	}
}
