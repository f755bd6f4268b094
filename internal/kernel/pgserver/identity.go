package pgserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

type identityKind int

const (
	chooseIdentity identityKind = iota
	// asCaller runs the server as the ordinary user that runs this process.
	asCaller
	// asUser runs it as another user: root switches to one.
	asUser
	// inNamespace runs it in a user namespace where root appears as nobody, so that
	// files stay root's and no folder needs to be opened for another user.
	inNamespace
)

// identity is the user as which the server runs. PostgreSQL refuses to run as root.
type identity struct {
	kind identityKind
	uid  int // of the files, as this process sees it
	gid  int
	// reach is the one capability that asUser keeps to pass folders that are closed to the
	// user; 0 for none.
	reach uintptr
}

// Capabilities that let a process pass any folder (Linux, capability.h), the lesser one
// first. Containers often grant only the other.
const (
	capDACReadSearch = 2
	capDACOverride   = 1
)

// nobodyID is what root appears as inside the namespace; it has an entry in the user
// database of every distribution, which initdb requires.
const nobodyID = 65534

// choose picks the identity for a cluster in dataDir. An existing cluster is run as its
// owner. For a new one, root takes the user postgres where that exists and may enter
// the folder, else a user namespace, else postgres or nobody with the capability to
// enter: containers tend to forbid namespaces.
func choose(dataDir string) (identity, error) {
	if os.Geteuid() != 0 {
		return identity{kind: asCaller, uid: os.Geteuid(), gid: os.Getegid()}, nil
	}
	if v, err := clusterVersion(dataDir); err == nil && v > 0 {
		return ownerOf(dataDir)
	}
	parent := filepath.Dir(dataDir)
	postgres, err := lookup("postgres")
	if err == nil && postgres.mayEnter(parent) {
		return postgres, nil
	}
	if id := (identity{kind: inNamespace}); id.works() {
		return id, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		if id, err := lookup(name); err == nil {
			if id = id.entering(parent); id.works() {
				return id, nil
			}
		}
	}
	return identity{}, errors.New("PostgreSQL does not run as root, and this machine lets root become neither postgres " +
		"nor nobody: run as an ordinary user")
}

// entering returns the identity with the capability that it needs to reach what is in
// dir, if any.
func (id identity) entering(dir string) identity {
	if id.kind != asUser || id.mayEnter(dir) {
		return id
	}
	for _, id.reach = range []uintptr{capDACReadSearch, capDACOverride} {
		if id.works() {
			break
		}
	}
	return id
}

func ownerOf(dataDir string) (identity, error) {
	st, err := os.Stat(dataDir)
	if err != nil {
		return identity{}, fmt.Errorf("read owner of data folder: %w", err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}, errors.New("read owner of data folder: not available on this system")
	}
	if sys.Uid == 0 {
		return identity{kind: inNamespace}, nil
	}
	id := identity{kind: asUser, uid: int(sys.Uid), gid: int(sys.Gid)}
	return id.entering(filepath.Dir(dataDir)), nil
}

func lookup(name string) (identity, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return identity{}, err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return identity{}, fmt.Errorf("read id of user %s: %w", name, err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return identity{}, fmt.Errorf("read group of user %s: %w", name, err)
	}
	return identity{kind: asUser, uid: uid, gid: gid}, nil
}

// attr returns fresh process attributes under which a child runs as the identity.
func (id identity) attr() *syscall.SysProcAttr {
	switch id.kind {
	case asUser:
		attr := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}}
		if id.reach != 0 {
			attr.AmbientCaps = []uintptr{id.reach}
		}
		return attr
	case inNamespace:
		return &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: nobodyID, HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: nobodyID, HostID: os.Getegid(), Size: 1}},
		}
	default:
		return &syscall.SysProcAttr{}
	}
}

// works reports whether the kernel lets this process start a child as the identity.
func (id identity) works() bool {
	cmd := exec.Command("/bin/sh", "-c", ":")
	cmd.Dir, cmd.SysProcAttr = "/", id.attr()
	return cmd.Run() == nil
}

// own gives a file or folder to the identity.
func (id identity) own(path string) error {
	if id.kind != asUser {
		return nil
	}
	if err := os.Chown(path, id.uid, id.gid); err != nil {
		return fmt.Errorf("give %s to user %d: %w", path, id.uid, err)
	}
	return nil
}

// mayEnter reports whether the identity can reach what is in dir, judged by the
// permission bits of dir and of every folder above.
func (id identity) mayEnter(dir string) bool {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for ; ; real = filepath.Dir(real) {
		st, err := os.Stat(real)
		if err != nil {
			return false
		}
		sys, ok := st.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		need := os.FileMode(0o001)
		switch {
		case int(sys.Uid) == id.uid:
			need = 0o100
		case int(sys.Gid) == id.gid:
			need = 0o010
		}
		if st.Mode()&need == 0 {
			return false
		}
		if real == "/" {
			return true
		}
	}
}

// maxSocketPath is the longest path of a Unix socket on Linux, without the final zero.
const maxSocketPath = 107

// makeSocketDir creates the folder of the socket in the system's temporary folder, never
// in the data folder, whose path may be too long. The name follows from the data folder,
// so that a killed process leaves at most one empty folder behind.
func makeSocketDir(dataDir string, id identity) (string, error) {
	base := os.TempDir()
	fits := len(base)+len("/vigilo-pg-0123456789abcdef/.s.PGSQL.5432.lock") <= maxSocketPath
	if !fits || (id.kind == asUser && id.reach == 0 && !id.mayEnter(base)) {
		base = "/tmp"
	}
	sum := sha256.Sum256([]byte(dataDir))
	dir := filepath.Join(base, "vigilo-pg-"+hex.EncodeToString(sum[:8]))
	if err := os.Mkdir(dir, 0o700); err != nil {
		if !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("create socket folder: %w", err)
		}
		if safeSocketDir(dir, id) {
			return dir, nil
		}
		// Someone else has the name: another user, or an attacker in a shared folder.
		if dir, err = os.MkdirTemp(base, "vigilo-pg-"); err != nil {
			return "", fmt.Errorf("create socket folder: %w", err)
		}
	}
	if err := id.own(dir); err != nil {
		return "", errors.Join(err, os.Remove(dir))
	}
	return dir, nil
}

// safeSocketDir reports whether dir is a real folder that only the identity can use.
func safeSocketDir(dir string, id identity) bool {
	st, err := os.Lstat(dir)
	if err != nil || !st.IsDir() || st.Mode().Perm() != 0o700 {
		return false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == id.uid
}

// removeEmpty removes a socket folder unless a socket is in it. Failing to tidy up the
// temporary folder is no error of a stop.
func removeEmpty(dir string) { _ = os.Remove(dir) }
