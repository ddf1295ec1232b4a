package lake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	_ "gocloud.dev/blob/s3blob" // s3:// URLs
	"gocloud.dev/gcerrors"

	"github.com/tidemill/tidemill/events"
)

// ErrNotFound is returned (wrapped) when there is no object with a key. It is an [fs.ErrNotExist].
var ErrNotFound error = notFound{}

type notFound struct{}

func (notFound) Error() string        { return "no such object" }
func (notFound) Is(target error) bool { return target == fs.ErrNotExist }

// tempDir holds half-written files inside the root of a file store or of the cache; keys cannot begin with a dot.
const tempDir = ".tmp"

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.=@+-]*(/[A-Za-z0-9_][A-Za-z0-9_.=@+-]*)*$`)

// Store keeps immutable objects by key. It is safe for concurrent use.
type Store struct {
	bucket *blob.Bucket
	root   string // directory of a file store, "" for others
	cache  string // directory of local copies, "" for file stores
	// checked holds, by path, when the files of a file store were last changed as their bytes were found to be right.
	checked sync.Map
}

// OpenStore opens the store at a URL: file:///dir (with ?create to make the directory), mem://, or s3://bucket?region=….
// cacheDir keeps verified local copies of objects of stores that are not files; it may be empty for file stores.
func OpenStore(ctx context.Context, rawURL, cacheDir string) (*Store, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	if u.Scheme == "file" {
		return openFileStore(u)
	}
	if cacheDir == "" {
		return nil, fmt.Errorf("open blob store %s: it needs a cache directory for local copies", redact(u))
	}
	if cacheDir, err = filepath.Abs(cacheDir); err != nil {
		return nil, fmt.Errorf("open blob store cache: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(cacheDir, tempDir), 0o755); err != nil {
		return nil, fmt.Errorf("open blob store cache: %w", err)
	}
	var b *blob.Bucket
	switch u.Scheme {
	case "mem":
		b = memblob.OpenBucket(nil)
	case "s3":
		b, err = blob.OpenBucket(ctx, rawURL)
	default:
		return nil, fmt.Errorf("open blob store %s: unknown scheme %q; use file://, s3:// or mem://", redact(u), u.Scheme)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob store %s: %w", redact(u), err)
	}
	return &Store{bucket: b, cache: cacheDir}, nil
}

func openFileStore(u *url.URL) (*Store, error) {
	path := u.Path
	if u.Host == "." {
		path = strings.TrimPrefix(path, "/")
	}
	root, err := filepath.Abs(filepath.FromSlash(path))
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	if _, create := u.Query()["create"]; create {
		if err := makeDirs(root); err != nil {
			return nil, fmt.Errorf("open blob store: %w", err)
		}
	}
	// No sidecar files: digests live in the facts, and a key is its content.
	b, err := fileblob.OpenBucket(root, &fileblob.Options{Metadata: fileblob.MetadataDontWrite})
	if err != nil {
		return nil, fmt.Errorf("open blob store in %s (add ?create to make it): %w", root, err)
	}
	if err := os.MkdirAll(filepath.Join(root, tempDir), 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("open blob store: %w", err), b.Close())
	}
	return &Store{bucket: b, root: root}, nil
}

// redact drops user, password and query of a URL: none of them belongs in an error.
func redact(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }

// Close releases the store.
func (s *Store) Close() error { return s.bucket.Close() }

// Dir is the directory in which DuckDB finds the local files of this store: give it to OpenEngine.
func (s *Store) Dir() string {
	if s.root != "" {
		return s.root
	}
	return s.cache
}

// Scratch is a directory for files on their way into the store (see Adopt); DuckDB may write there.
func (s *Store) Scratch() string { return filepath.Join(s.Dir(), tempDir) }

// Put writes an object. When it returns without error the object is durable: in a file store its bytes and its name are
// fsynced (gocloud's own file driver renames without fsync). An existing object is replaced in one step.
func (s *Store) Put(ctx context.Context, key string, r io.Reader) (events.Blob, error) {
	if err := checkKey(key); err != nil {
		return events.Blob{}, err
	}
	h := &hashingReader{r: r, h: sha256.New()}
	var err error
	if s.root != "" {
		err = writeDurably(s.Scratch(), s.path(key), h)
	} else {
		err = s.upload(ctx, key, h)
	}
	if err != nil {
		return events.Blob{}, fmt.Errorf("write blob %s: %w", key, err)
	}
	return events.Blob{Key: key, SHA256: h.sum(), Bytes: h.n}, nil
}

// upload cancels the write when r fails: closing the writer would store what came so far.
func (s *Store) upload(ctx context.Context, key string, r io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		cancel()
		_ = w.Close() // reports the cancellation
		return err
	}
	return w.Close()
}

// PutBytes is Put of a byte slice.
func (s *Store) PutBytes(ctx context.Context, key string, b []byte) (events.Blob, error) {
	return s.Put(ctx, key, bytes.NewReader(b))
}

// PutFile is Put of a local file, which stays.
func (s *Store) PutFile(ctx context.Context, key, path string) (events.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return events.Blob{}, fmt.Errorf("write blob %s: %w", key, err)
	}
	defer f.Close()
	return s.Put(ctx, key, f)
}

// Adopt moves a finished file from Scratch into the store under the key "<prefix>/<sha256><ext>" and removes it.
func (s *Store) Adopt(ctx context.Context, prefix, ext, path string) (events.Blob, error) {
	sum, n, err := hashFile(path)
	if err != nil {
		return events.Blob{}, fmt.Errorf("adopt %s: %w", prefix, err)
	}
	b := events.Blob{Key: prefix + "/" + sum + ext, SHA256: sum, Bytes: n}
	if s.root != "" {
		if err := settle(path, s.path(b.Key)); err != nil {
			return events.Blob{}, fmt.Errorf("adopt %s: %w", b.Key, err)
		}
		return b, nil
	}
	if _, err := s.PutFile(ctx, b.Key, path); err != nil {
		return events.Blob{}, err
	}
	// The writer of a segment reads it next: keep the file as the local copy.
	if err := os.Rename(path, s.cachePath(b)); err != nil {
		return events.Blob{}, fmt.Errorf("adopt %s: %w", b.Key, err)
	}
	return b, nil
}

// Open reads an object; ErrNotFound when there is none.
func (s *Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	r, err := s.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return nil, keyError("read", key, err)
	}
	return r, nil
}

// Get reads a whole object; ErrNotFound when there is none.
func (s *Store) Get(ctx context.Context, key string) ([]byte, error) {
	r, err := s.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, keyError("read", key, err)
	}
	return b, nil
}

// Exists reports whether there is an object with the key.
func (s *Store) Exists(ctx context.Context, key string) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	ok, err := s.bucket.Exists(ctx, key)
	if err != nil {
		return false, keyError("look for", key, err)
	}
	return ok, nil
}

// Delete removes an object; one that is already gone is no error.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return keyError("delete", key, err)
	}
	return nil
}

// List names the objects whose key begins with prefix, in order of key. SHA256 is not known from a listing and empty.
func (s *Store) List(ctx context.Context, prefix string) ([]events.Blob, error) {
	it := s.bucket.List(&blob.ListOptions{Prefix: prefix})
	var out []events.Blob
	for {
		o, err := it.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, keyError("list", prefix, err)
		}
		if !strings.HasPrefix(o.Key, tempDir+"/") {
			out = append(out, events.Blob{Key: o.Key, Bytes: o.Size})
		}
	}
}

func (s *Store) path(key string) string { return filepath.Join(s.root, filepath.FromSlash(key)) }

// ValidKey tells whether key may name an object.
func ValidKey(key string) bool { return checkKey(key) == nil }

func checkKey(key string) error {
	if !keyPattern.MatchString(key) || strings.HasSuffix(key, ".attrs") {
		return fmt.Errorf("%q is not a blob key: use letters, digits and _.=@+- in parts joined by /", key)
	}
	return nil
}

func keyError(op, key string, err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s blob %s: %w", op, key, ErrNotFound)
	}
	return fmt.Errorf("%s blob %s: %w", op, key, err)
}

// hashingReader digests what passes.
type hashingReader struct {
	r io.Reader
	h hash.Hash
	n int64
}

func (r *hashingReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.h.Write(p[:n])
	r.n += int64(n)
	return n, err
}

func (r *hashingReader) sum() string { return hex.EncodeToString(r.h.Sum(nil)) }
