package runtime

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// MaxSource is how much a candidate's source may hold, unpacked, in bytes.
const MaxSource = 64 << 20

// skipped are folders that are no source.
var skipped = []string{".git", "__pycache__", ".venv", "venv", "node_modules", ".ipynb_checkpoints"}

// PackSource packs a candidate's source folder as a gzipped tar. The same files give the same bytes, and so the same code
// digest. Links and folders that are no source (.git, .venv, __pycache__ …) are left out; a folder without any files is an error.
func PackSource(dir string) ([]byte, error) {
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	archive := tar.NewWriter(zip)
	total, files := int64(0), 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != dir && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular():
			return nil
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		files++
		if total += int64(len(b)); total > MaxSource {
			return fmt.Errorf("it holds more than %d MiB; keep data out of the source folder", MaxSource>>20)
		}
		mode := int64(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if err := archive.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: mode, Size: int64(len(b)), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = archive.Write(b)
		return err
	})
	if err == nil && files == 0 {
		err = errors.New("it holds no files")
	}
	if err = errors.Join(err, archive.Close(), zip.Close()); err != nil {
		return nil, fmt.Errorf("pack source %s: %w", dir, err)
	}
	return out.Bytes(), nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
