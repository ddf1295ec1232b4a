package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"github.com/tidemill/tidemill/core/model/archive"
)

// MaxSource is how much a candidate's source may hold, unpacked, in bytes.
const MaxSource = 64 << 20

// skipped are folders that are no source.
var skipped = []string{".git", "__pycache__", ".venv", "venv", "node_modules", ".ipynb_checkpoints"}

// PackSource packs a candidate's source folder as a gzipped tar. The same files give the same bytes, and so the same code
// digest. Links and folders that are no source (.git, .venv, __pycache__ …) are left out; a folder without any files is an error.
func PackSource(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("pack source %s: %w", dir, err)
	}
	defer root.Close()
	packed, files, err := archive.Pack(root, archive.Options{Limit: MaxSource,
		Skip: func(name string, folder bool) bool { return folder && slices.Contains(skipped, path.Base(name)) }})
	switch {
	case errors.Is(err, archive.ErrTooLarge):
		err = fmt.Errorf("it holds more than %d MiB; keep data out of the source folder", MaxSource>>20)
	case err == nil && files == 0:
		err = errors.New("it holds no files")
	}
	if err != nil {
		return nil, fmt.Errorf("pack source %s: %w", dir, err)
	}
	return packed, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
