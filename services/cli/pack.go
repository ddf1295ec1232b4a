package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/workers/runtime"
)

// packedSource is a packed source folder.
type packedSource struct {
	events.Blob
	folder string
	bytes  []byte
}

// checked checks one file, and packs the source folders of its candidates. One that isn't on this machine may stay away when the
// declaration says which code it was.
func checked(text []byte, name, dir string) ([]resource.Resource, []packedSource, error) {
	declared, err := resource.Parse(text, name)
	if err != nil {
		return nil, nil, err
	}
	var all []packedSource
	var errs resource.Errors
	for i, r := range declared {
		if r.Model == nil {
			continue
		}
		code := map[int]events.Blob{}
		for k, c := range r.Model.Candidates {
			if c.Source == "" {
				continue
			}
			packed, err := pack(dir, c.Source)
			switch {
			case err == nil:
				code[k] = packed.Blob
				all = append(all, packed)
			case c.Code == nil || !errors.Is(err, os.ErrNotExist):
				errs = append(errs, r.At(fmt.Sprintf("spec.candidates[%d].source", k), err.Error(), "name the folder of the trainer, relative to this file"))
			}
		}
		if declared[i], err = r.Pinned(code); err != nil {
			return nil, nil, err
		}
	}
	if len(errs) > 0 {
		return nil, nil, errs
	}
	return declared, all, nil
}

// pack packs a source folder that is written relative to dir.
func pack(dir, source string) (packedSource, error) {
	folder := source
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(dir, source)
	}
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return packedSource{}, fmt.Errorf("the source folder %s can't be read: %w", folder, cause(err))
	case !info.IsDir():
		return packedSource{}, fmt.Errorf("the source %s is not a folder", folder)
	}
	b, err := runtime.PackSource(folder)
	if err != nil {
		return packedSource{}, err
	}
	sum := events.SHA256(b)
	return packedSource{Blob: events.Blob{Key: "code/" + sum + ".tar.gz", SHA256: sum, Bytes: int64(len(b))}, folder: folder, bytes: b}, nil
}

// sendCode stores packed folders that are not stored yet.
func (a *app) sendCode(ctx context.Context, client *call.Client, all []packedSource) error {
	for _, c := range all {
		if err := a.sendContent(ctx, client, "/api/v1/code/"+c.SHA256, "sending "+filepath.Base(c.folder), c.bytes); err != nil {
			return fmt.Errorf("send the source folder %s: %w", c.folder, err)
		}
	}
	return nil
}

// sendContent stores bytes at the place that their digest names, if they are not there.
func (a *app) sendContent(ctx context.Context, client *call.Client, path, what string, b []byte) error {
	resp, err := client.Do(ctx, http.MethodHead, path, nil, nil, "")
	if err == nil {
		return resp.Body.Close()
	}
	var refused *call.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		return err
	}
	bar := a.bar(int64(len(b)), what, true)
	defer finish(bar)
	var from io.Reader = bytes.NewReader(b)
	if bar != nil {
		from = io.TeeReader(from, bar)
	}
	resp, err = client.Do(ctx, http.MethodPut, path, nil, &call.Body{Type: "application/octet-stream", Reader: from, Length: int64(len(b))}, "")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
