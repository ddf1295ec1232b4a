package local

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api/call"
)

// unusedFor is how long a segment stays in the cache after it was used last.
const unusedFor = 14 * 24 * time.Hour

// Remote reads immutable objects of the platform through its API.
type Remote struct{ Client *call.Client }

// Open streams an object; the error is an [fs.ErrNotExist] when there is none.
func (r Remote) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	parts := strings.Split(key, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	resp, err := r.Client.Do(ctx, http.MethodGet, "/api/v1/blobs/"+strings.Join(parts, "/"), nil, nil, "")
	var refused *call.Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, fmt.Errorf("fetch %s: %w", key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Get reads a whole object.
func (r Remote) Get(ctx context.Context, key string) ([]byte, error) {
	from, err := r.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	b, err := io.ReadAll(from)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", key, err)
	}
	return b, nil
}

// blobs are the objects of a trial: its own, kept as long as it runs, over those of the platform.
type blobs struct {
	own    *lake.Store
	remote Remote
}

// Get reads an object.
func (b blobs) Get(ctx context.Context, key string) ([]byte, error) {
	out, err := b.own.Get(ctx, key)
	if errors.Is(err, lake.ErrNotFound) {
		return b.remote.Get(ctx, key)
	}
	return out, err
}

// PutBytes keeps an object on this machine.
func (b blobs) PutBytes(ctx context.Context, key string, bytes []byte) (events.Blob, error) {
	return b.own.PutBytes(ctx, key, bytes)
}

// Missing says which segments the platform no longer has.
type Missing struct {
	Dataset  string
	Ordinals []uint64
}

func (m *Missing) Error() string {
	return fmt.Sprintf("segments %s of %s are no longer stored", strings.Trim(fmt.Sprint(m.Ordinals), "[]"), m.Dataset)
}

// atOnce is how many segments are fetched at the same time.
const atOnce = 4

// Fetch brings segments into the cache. got is told of every byte that arrives, by several goroutines. The error is a [*Missing] when
// some are gone.
func (b *Bench) Fetch(ctx context.Context, segments []events.Segment, got io.Writer) error {
	var mu sync.Mutex
	var missing Missing
	all, whole := errgroup.WithContext(ctx)
	all.SetLimit(atOnce)
	for _, s := range segments {
		all.Go(func() error {
			err := b.fetch(whole, s.Parquet, got)
			if errors.Is(err, fs.ErrNotExist) {
				mu.Lock()
				defer mu.Unlock()
				missing.Dataset, missing.Ordinals = s.Dataset, append(missing.Ordinals, s.Ordinal)
				return nil
			}
			if err != nil {
				return fmt.Errorf("fetch segment %d of %s: %w", s.Ordinal, s.Dataset, err)
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	if len(missing.Ordinals) > 0 {
		slices.Sort(missing.Ordinals)
		return &missing
	}
	return nil
}

func (b *Bench) fetch(ctx context.Context, want events.Blob, got io.Writer) error {
	path := filepath.Join(b.cache.Dir(), filepath.FromSlash(want.Key))
	if info, err := os.Stat(path); err == nil && info.Size() == want.Bytes {
		now := time.Now()
		return os.Chtimes(path, now, now) // it was used
	}
	from, err := b.remote.Open(ctx, want.Key)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.CreateTemp(b.cache.Scratch(), "segment-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when it was what it should be
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, h), io.TeeReader(from, got))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != want.SHA256 {
		return fmt.Errorf("what arrived has the SHA-256 %s, not %s: try again", sum, want.SHA256)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// forget removes segments that nobody used for long.
func (b *Bench) forget() error {
	limit := time.Now().Add(-unusedFor)
	return filepath.WalkDir(b.cache.Dir(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if info, err := entry.Info(); err == nil && info.ModTime().Before(limit) {
			return os.Remove(path)
		}
		return nil
	})
}
