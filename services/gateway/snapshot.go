package gateway

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tidemill/tidemill/workers/runtime"
)

// trialFile is the whole trial beside what its trainer would see.
const trialFile = "trial.json"

// getSnapshot sends what a trainer would see, as a tar. Everything is there before the first byte goes: what can't be done is told
// as an error, and how much comes is known.
func (s *Service) getSnapshot(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	spec, err := s.plan(r.Context(), r.PathValue("model"), TrialWish{Candidate: q.Get("candidate"), Window: q.Get("window"), Cycle: q.Get("cycle"), Version: q.Get("version")})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.host.Blobs.Scratch(), "snapshot-")
	if err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	defer os.RemoveAll(dir)
	err = runtime.LayOut(r.Context(), s.data, spec, dir)
	var failure *runtime.Failure
	switch {
	case errors.As(err, &failure):
		return fail(http.StatusConflict, "", "%s", failure.Reason)
	case errors.Is(err, fs.ErrNotExist):
		return fail(http.StatusGone, "", "rows of this snapshot are no longer stored: %s", err)
	case err != nil:
		return err
	}
	b, err := json.MarshalIndent(spec, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, trialFile), append(b, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	files, size, err := listTar(dir)
	if err != nil {
		return fmt.Errorf("export the snapshot: %w", err)
	}
	w.Header().Set("Content-Type", "application/x-tar")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.WriteHeader(http.StatusOK)
	_ = writeTar(w, dir, files) // who asked may be gone; one that is not sees that bytes are missing
	return nil
}

const tarBlock = 512 // bytes; a tar is made of these, and ends with two empty ones

type tarred struct {
	name string
	size int64
}

// listTar lists the files of a folder, in order, and says how long their tar is.
func listTar(dir string) (files []tarred, bytes int64, err error) {
	bytes = 2 * tarBlock
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		files = append(files, tarred{filepath.ToSlash(name), info.Size()})
		bytes += tarBlock + (info.Size()+tarBlock-1)/tarBlock*tarBlock
		return err
	})
	return files, bytes, err
}

func writeTar(w io.Writer, dir string, files []tarred) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		// GNU: a file of many GiB has one block of header too.
		if err := out.WriteHeader(&tar.Header{Name: f.name, Size: f.size, Mode: 0o644, Format: tar.FormatGNU}); err != nil {
			return err
		}
		in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.name)))
		if err != nil {
			return err
		}
		_, err = io.CopyN(out, in, f.size)
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return out.Close()
}
