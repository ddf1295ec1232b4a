// Package checkpoint packs the folder in which a trainer leaves its checkpoints, and lays it out again elsewhere. It knows when
// the folder is at rest: a trainer that writes is not disturbed, and nothing half-written is packed.
package checkpoint

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrChanged says that the folder changed while it was packed: look again later.
var ErrChanged = errors.New("the checkpoint changed while it was packed")

// File is one file of a folder as it was seen.
type File struct {
	Name string // with slashes, inside of the folder
	Size int64
	Mode fs.FileMode // its permissions
	Time time.Time   // of its last change
}

// State is what a folder holds, by name.
type State []File

// Look sees what a folder holds. Left out are names that end in .tmp or begin with a dot, which trainers use for what isn't
// finished, and everything but plain files. A folder that isn't there holds nothing.
func Look(dir string) (State, error) {
	var s State
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // gone meanwhile
		case err != nil:
			return err
		case path == dir:
			return nil
		case unfinished(entry.Name()):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		s = append(s, File{Name: filepath.ToSlash(name), Size: info.Size(), Mode: info.Mode().Perm(), Time: info.ModTime()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for checkpoints in %s: %w", dir, err)
	}
	return s, nil
}

func unfinished(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".tmp")
}

// Same tells whether two looks saw the same.
func (s State) Same(other State) bool {
	return slices.EqualFunc(s, other, func(a, b File) bool {
		return a.Name == b.Name && a.Size == b.Size && a.Mode == b.Mode && a.Time.Equal(b.Time)
	})
}

// Bytes is the size of all files together.
func (s State) Bytes() int64 {
	total := int64(0)
	for _, f := range s {
		total += f.Size
	}
	return total
}

// Pack writes what a folder holds as a gzipped tar. One state gives the same bytes each time. ErrChanged when the folder is
// no longer in that state.
func Pack(dir string, s State, to io.Writer) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("pack checkpoint: %w", err)
	}
	defer root.Close()
	zip, _ := gzip.NewWriterLevel(to, gzip.BestSpeed) // the level is valid
	archive := tar.NewWriter(zip)
	for _, f := range s {
		if err := add(archive, root, f); err != nil {
			return fmt.Errorf("pack checkpoint: %s: %w", f.Name, err)
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil {
		return fmt.Errorf("pack checkpoint: %w", err)
	}
	now, err := Look(dir)
	if err == nil && !now.Same(s) {
		err = ErrChanged
	}
	return err
}

func add(archive *tar.Writer, root *os.Root, f File) error {
	// A trainer might put a pipe where the file was: nobody waits for it.
	from, err := root.OpenFile(f.Name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrChanged
	}
	if err != nil {
		return err
	}
	defer from.Close()
	if info, err := from.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, ErrChanged)
	}
	if err := archive.WriteHeader(&tar.Header{Name: f.Name, Mode: int64(f.Mode), Size: f.Size, ModTime: f.Time, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.CopyN(archive, from, f.Size)
	if errors.Is(err, io.EOF) {
		return ErrChanged
	}
	return err
}

// Unpack lays out what Pack packed, at most so many bytes, in a folder, which it makes. Files keep their times: a trainer may
// look for its newest one.
func Unpack(from io.Reader, dir string, most int64) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("unpack checkpoint: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack checkpoint: %w", err)
	}
	defer root.Close()
	zip, err := gzip.NewReader(from)
	if err != nil {
		return fmt.Errorf("unpack checkpoint: %w", err)
	}
	archive := tar.NewReader(zip)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("unpack checkpoint: %w", err)
		}
		if most -= header.Size; most < 0 {
			return fmt.Errorf("unpack checkpoint: %s: it holds more than it may", header.Name)
		}
		if err := lay(root, header, archive); err != nil {
			return fmt.Errorf("unpack checkpoint: %s: %w", header.Name, err)
		}
	}
}

func lay(root *os.Root, header *tar.Header, from io.Reader) error {
	if header.Typeflag != tar.TypeReg || !filepath.IsLocal(header.Name) {
		return errors.New("it is no file of a checkpoint")
	}
	if at := strings.LastIndexByte(header.Name, '/'); at > 0 {
		if err := root.MkdirAll(header.Name[:at], 0o755); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(header.Name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, fs.FileMode(header.Mode).Perm()|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return root.Chtimes(header.Name, header.ModTime, header.ModTime)
}
