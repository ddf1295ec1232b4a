package lake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"github.com/tidemill/tidemill/events"
)

// Local gives the path of a file with the object's bytes: the file itself in a file store, else a copy in the cache that is
// fetched once. Either is verified against the digest when it is first asked for, and a file again when it was touched since. The
// caller must not change the file.
func (s *Store) Local(ctx context.Context, b events.Blob) (string, error) {
	if err := checkKey(b.Key); err != nil {
		return "", err
	}
	if s.root != "" {
		p := s.path(b.Key)
		info, err := os.Stat(p)
		if err != nil {
			return "", keyError("find", b.Key, err)
		}
		if info.Size() != b.Bytes {
			return "", fmt.Errorf("blob %s has %d bytes, not %d: it was changed or cut; restore it from a backup", b.Key, info.Size(), b.Bytes)
		}
		if err := s.check(b, p, info.ModTime()); err != nil {
			return "", err
		}
		return p, nil
	}
	if len(b.SHA256) != sha256.Size*2 {
		return "", fmt.Errorf("blob %s has no digest to verify a local copy with", b.Key)
	}
	p := s.cachePath(b)
	if info, err := os.Stat(p); err == nil && info.Size() == b.Bytes {
		return p, nil
	}
	if err := s.fetch(ctx, b, p); err != nil {
		return "", fmt.Errorf("copy blob %s: %w", b.Key, err)
	}
	return p, nil
}

// check verifies the file at p unless it did so since the file was changed.
func (s *Store) check(b events.Blob, p string, changed time.Time) error {
	if before, ok := s.checked.Load(p); ok && changed.Equal(before.(time.Time)) || b.SHA256 == "" {
		return nil
	}
	f, err := os.Open(p)
	if err != nil {
		return keyError("read", b.Key, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return keyError("read", b.Key, err)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != b.SHA256 {
		return fmt.Errorf("blob %s has the SHA-256 %s, not %s: it was changed; restore it from a backup", b.Key, sum, b.SHA256)
	}
	s.checked.Store(p, changed)
	return nil
}

func (s *Store) cachePath(b events.Blob) string {
	return filepath.Join(s.cache, b.SHA256+path.Ext(b.Key))
}

// fetch downloads to a temporary name and renames after the digest agreed, so the cache never holds a wrong file.
func (s *Store) fetch(ctx context.Context, b events.Blob, to string) error {
	r, err := s.Open(ctx, b.Key)
	if err != nil {
		return err
	}
	defer r.Close()
	f, err := os.CreateTemp(s.Scratch(), "get-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), r)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != b.SHA256 {
		return fmt.Errorf("its SHA-256 is %s, not %s: the object was changed", sum, b.SHA256)
	}
	return os.Rename(f.Name(), to)
}

// SweepScratch removes half-written files that were last touched before t: what a killed process left behind.
func (s *Store) SweepScratch(t time.Time) error {
	entries, err := os.ReadDir(s.Scratch())
	if err != nil {
		return fmt.Errorf("sweep scratch files: %w", err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.ModTime().Before(t) {
			if err := os.RemoveAll(filepath.Join(s.Scratch(), e.Name())); err != nil {
				return fmt.Errorf("sweep scratch files: %w", err)
			}
		}
	}
	return nil
}

// writeDurably copies r to a temporary file and settles it at path.
func writeDurably(scratch, path string, r io.Reader) error {
	f, err := os.CreateTemp(scratch, "put-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = io.Copy(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return settle(f.Name(), path)
}

// settle makes the file's bytes durable, gives it its name, and makes the name durable.
func settle(from, to string) error {
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	dir := filepath.Dir(to)
	if err := makeDirs(dir); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(dir)
}

// makeDirs is os.MkdirAll whose new directories survive a power cut: each one's parent is fsynced.
func makeDirs(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDirs(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func hashFile(path string) (sum string, n int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	if n, err = io.Copy(h, f); err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}
