package pgserver

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	// minVersion is the first major version with security_invoker views.
	minVersion = 15
	// binVariable names the environment variable that is searched last.
	binVariable = "VIGILO_PG_BIN"
	// debianRoot holds one folder for each major version on Debian and its relatives,
	// which keep the server binaries out of PATH.
	debianRoot = "/usr/lib/postgresql"
)

var errNoBinaries = errors.New("PostgreSQL server binaries (postgres, initdb) of version " + strconv.Itoa(minVersion) +
	" or later not found: install the package postgresql (Debian, Ubuntu) or postgresql-server (Fedora), or set " +
	binVariable + " to their folder")

// Find returns the folder of the PostgreSQL server binaries and their major version.
// It looks in PATH, then in Debian's versioned folders from the highest number down,
// then in the folder that VIGILO_PG_BIN names. The error says which package to install.
func Find() (binDir string, version int, err error) {
	for _, dir := range candidates(os.Getenv, debianRoot) {
		if v, err := binVersion(dir); err == nil && v >= minVersion {
			return dir, v, nil
		}
	}
	return "", 0, errNoBinaries
}

// binariesFor returns the folder of binaries that can run a cluster of the given major
// version, 0 for a cluster that is yet to be made.
func binariesFor(explicit string, version int) (string, error) {
	dirs := candidates(os.Getenv, debianRoot)
	if explicit != "" {
		dirs = []string{explicit}
	}
	var found []string
	for _, dir := range dirs {
		v, err := binVersion(dir)
		switch {
		case err != nil && explicit != "":
			return "", err
		case err != nil || v < minVersion:
			continue
		case version == 0 || v == version:
			return dir, nil
		}
		found = append(found, strconv.Itoa(v))
	}
	if len(found) == 0 {
		return "", errNoBinaries
	}
	return "", fmt.Errorf("the data folder was made by PostgreSQL %d but only version %s is installed: "+
		"install the package postgresql-%d, or dump and remove the folder", version, strings.Join(found, ", "), version)
}

// candidates lists the folders that hold both binaries, in the order of the search.
func candidates(env func(string) string, debian string) []string {
	var dirs []string
	for _, dir := range filepath.SplitList(env("PATH")) {
		// A link from a folder of PATH leads to the folder that also holds the other binaries.
		if target, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil && filepath.IsAbs(target) {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	dirs = append(dirs, debianFolders(debian)...)
	if dir := env(binVariable); dir != "" {
		dirs = append(dirs, dir)
	}
	complete := func(dir string) bool {
		for _, name := range []string{"postgres", "initdb"} {
			if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.IsDir() || st.Mode()&0o111 == 0 {
				return false
			}
		}
		return true
	}
	var out []string
	for _, dir := range dirs {
		if complete(dir) && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}

// debianFolders lists the bin folders below root, the highest major version first.
// Versions are compared as numbers: 9 is older than 15.
func debianFolders(root string) []string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil // not a Debian system
	}
	var versions []int
	for _, e := range entries {
		if v, err := strconv.Atoi(e.Name()); err == nil {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	slices.Reverse(versions)
	var out []string
	for _, v := range versions {
		out = append(out, filepath.Join(root, strconv.Itoa(v), "bin"))
	}
	return out
}

var versionNumber = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// binVersion asks the server binary for its major version. Root may ask, too.
func binVersion(dir string) (int, error) {
	path := filepath.Join(dir, "postgres")
	cmd := exec.Command(path, "--version")
	cmd.Env, cmd.Dir = environment(), "/"
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("ask %s for its version: %w", path, err)
	}
	m := versionNumber.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("ask %s for its version: it answered %q", path, out)
	}
	return strconv.Atoi(string(m[1]))
}

// clusterVersion returns the major version that made the cluster in dataDir, and 0 when
// the folder is absent or empty.
func clusterVersion(dataDir string) (int, error) {
	raw, err := os.ReadFile(filepath.Join(dataDir, "PG_VERSION"))
	if err == nil {
		v, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		if err != nil {
			return 0, fmt.Errorf("read version of cluster: %w", err)
		}
		return v, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read version of cluster: %w", err)
	}
	entries, err := os.ReadDir(dataDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("read data folder: %w", err)
	}
	if len(entries) > 0 {
		return 0, fmt.Errorf("the data folder %s is not empty and holds no PostgreSQL cluster", dataDir)
	}
	return 0, nil
}
