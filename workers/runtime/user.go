package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// User is whom trainers run as, when it isn't the worker's own user.
type User struct {
	UID, GID uint32
	Groups   []uint32 // further ones
}

// ParseUser reads a user: a name, or numbers as uid or uid:gid; "" is nil, the worker's own. It must not be root, and a worker
// that isn't root can't run anything as another.
func ParseUser(s string) (*User, error) {
	if s == "" {
		return nil, nil
	}
	u, err := lookUpUser(s)
	if err != nil {
		return nil, fmt.Errorf("trial user %q: %w", s, err)
	}
	if u.UID == 0 {
		return nil, fmt.Errorf("trial user %q: is root; name a user without rights, such as nobody", s)
	}
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("trial user %q: only a worker that runs as root can run trials as another user; this one runs as uid %d: start it as root, or leave the trial user out", s, os.Geteuid())
	}
	return u, nil
}

func lookUpUser(s string) (*User, error) {
	id, group, given := strings.Cut(s, ":")
	if uid, err := strconv.ParseUint(id, 10, 32); err == nil {
		u := &User{UID: uint32(uid), GID: uint32(uid)}
		if !given {
			if known, err := user.LookupId(id); err == nil {
				group, given = known.Gid, true
			}
		}
		if given {
			gid, err := strconv.ParseUint(group, 10, 32)
			if err != nil {
				return nil, errors.New("write a name, uid or uid:gid")
			}
			u.GID = uint32(gid)
		}
		return u, nil
	}
	known, err := user.Lookup(s)
	if err != nil {
		return nil, fmt.Errorf("there is no such user on this machine; write a name, uid or uid:gid: %w", err)
	}
	u, err := lookUpUser(known.Uid + ":" + known.Gid)
	if err != nil {
		return nil, err
	}
	groups, err := known.GroupIds() // devices are often a group's
	if err != nil {
		return nil, fmt.Errorf("look its groups up: %w", err)
	}
	for _, g := range groups {
		if gid, err := strconv.ParseUint(g, 10, 32); err == nil {
			u.Groups = append(u.Groups, uint32(gid))
		}
	}
	return u, nil
}

// Credential is the user as a command wants it; nil is nobody else.
func (u *User) Credential() *syscall.Credential {
	if u == nil {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// own gives folders and all that is in them to the user. Files with a second name stay whose they are: the name may be one that
// an earlier attempt made for what isn't its own.
func (u *User) own(folders ...string) error {
	if u == nil {
		return nil
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := entry.Info()
			if err != nil {
				return err
			}
			if s, ok := info.Sys().(*syscall.Stat_t); ok && !entry.IsDir() && s.Nlink > 1 {
				return nil
			}
			return os.Lchown(path, int(u.UID), int(u.GID))
		})
		if err != nil {
			return fmt.Errorf("give the trial's folders to its user: %w", err)
		}
	}
	return nil
}

// enter lets the user pass through a folder.
func (u *User) enter(folder string) error {
	if u == nil {
		return nil
	}
	if err := os.Chmod(folder, 0o711); err != nil {
		return fmt.Errorf("let the trial's user reach its folders: %w", err)
	}
	return nil
}

// owns tells whether a file is the user's; everything is nil's.
func (u *User) owns(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return u == nil || !ok || s.Uid == u.UID
}

// SharedDir makes a folder that other users may enter, in the folder for temporary files, for the trials and the environments of
// a data directory that others may not enter. A folder that isn't this user's alone is refused.
func SharedDir(dataDir string) (string, error) {
	abs, err := filepath.Abs(dataDir)
	if err != nil {
		return "", fmt.Errorf("make the folder of trials: %w", err)
	}
	dir := filepath.Join(os.TempDir(), "tidemill-"+digest([]byte(abs))[:16])
	if err := os.Mkdir(dir, 0o711); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make the folder of trials: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("make the folder of trials: %w", err)
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok || int(s.Uid) != os.Geteuid() || info.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("make the folder of trials: %s is there already and belongs to somebody else: remove it, or set TMPDIR", dir)
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the mode above is cut by the umask
		return "", fmt.Errorf("make the folder of trials: %w", err)
	}
	return dir, nil
}
