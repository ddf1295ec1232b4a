package gateway

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/internal/recipe"
	"github.com/tidemill/tidemill/workers/runtime"
)

// pin makes sure that the code of every candidate is stored, and packs source folders that came without it and can be read from
// here. A folder that only a trainer's machine has is packed when a cycle begins. Unless store is set, nothing is written or asked for.
func (s *Service) pin(ctx context.Context, list []resource.Resource, store bool) ([]resource.Resource, error) {
	out := make([]resource.Resource, len(list))
	var errs resource.Errors
	for i, r := range list {
		out[i] = r
		if r.Model == nil {
			continue
		}
		packed := map[int]events.Blob{}
		for k, c := range r.Model.Candidates {
			code, field, err := s.codeOf(ctx, c, store)
			if err != nil {
				return nil, err
			}
			if field.Message != "" {
				errs = append(errs, r.At(fmt.Sprintf("spec.candidates[%d].%s", k, field.Path), field.Message, field.Hint))
			}
			if code != nil {
				packed[k] = *code
			}
		}
		var err error
		if out[i], err = r.Pinned(packed); err != nil {
			return nil, err
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return out, nil
}

// codeOf is the code that a candidate lacks, or what is wrong with one of its fields.
func (s *Service) codeOf(ctx context.Context, c resource.Candidate, store bool) (*events.Blob, resource.Error, error) {
	wrong := func(field, hint, format string, args ...any) resource.Error {
		return resource.Error{Path: field, Message: fmt.Sprintf(format, args...), Hint: hint}
	}
	const again = "'tidemill apply' packs the source folder and stores it"
	switch {
	case c.Code != nil && c.Code.Key != s.code().key(c.Code.SHA256):
		return nil, wrong("code", again, "code.key and code.sha256 of the candidate %s don't belong together", c.Name), nil
	case c.Code != nil && store:
		there, err := s.host.Blobs.Exists(ctx, c.Code.Key)
		if err == nil && !there {
			return nil, wrong("code", again, "the code %.12s… of the candidate %s is not stored", c.Code.SHA256, c.Name), nil
		}
		return nil, resource.Error{}, err
	case c.Code != nil, c.Source == "", !readableFolder(c.Source):
		return nil, resource.Error{}, nil
	}
	if store {
		code, err := recipe.Code(ctx, s.host.Blobs, c)
		if reason := recipe.Impossibility(err); reason != "" {
			return nil, wrong("source", "", "%s", reason), nil
		}
		return code, resource.Error{}, err
	}
	archive, err := runtime.PackSource(c.Source)
	if err != nil {
		return nil, wrong("source", "", "%s", err), nil
	}
	sum := events.SHA256(archive)
	return &events.Blob{Key: s.code().key(sum), SHA256: sum, Bytes: int64(len(archive))}, resource.Error{}, nil
}

func readableFolder(path string) bool {
	_, err := os.ReadDir(path)
	return err == nil && filepath.IsAbs(path)
}
