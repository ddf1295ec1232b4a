package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/workers/runtime"
)

// content is a kind of content that people store by its digest.
type content struct {
	what, prefix, ext, hint string
	most                    int64 // bytes
	check                   func(b []byte) error
}

func (k content) key(sha256 string) string { return k.prefix + "/" + sha256 + k.ext }

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// code is what 'tidemill apply' packs; brought are models that 'tidemill import' brings.
func (s *Service) code() content {
	return content{what: "code", prefix: "code", ext: ".tar.gz", most: runtime.MaxSource, hint: "keep data out of the source folder", check: s.unpacks}
}

func (s *Service) brought() content {
	return content{what: "model", prefix: "imports", ext: ".onnx", most: s.o.MaxBody, check: func(b []byte) error {
		_, err := model.Inspect(b)
		return err
	}}
}

// unpacks tells whether a worker can unpack packed source. What can't be used is refused before a trial needs it.
func (s *Service) unpacks(b []byte) error {
	dir, err := os.MkdirTemp(s.host.Blobs.Scratch(), "code-")
	if err != nil {
		return err
	}
	return errors.Join(archive.Unpack(b, dir, runtime.MaxSource), os.RemoveAll(dir))
}

// put stores a body under the digest that its path names. What is there already is not written again.
func (s *Service) put(k content) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		want := r.PathValue("sha256")
		if !digestPattern.MatchString(want) {
			return fail(http.StatusUnprocessableEntity, "write 64 lower-case hexadecimal digits", "%q is no SHA-256", want)
		}
		up, err := s.receive(http.MaxBytesReader(w, r.Body, k.most), lake.FormatParquet) // bytes, of which no rows are counted
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			return fail(http.StatusRequestEntityTooLarge, k.hint, "the %s has more than %d MiB", k.what, k.most>>20)
		}
		if err != nil {
			return refusal(err)
		}
		defer os.Remove(up.path) // gone already when it was adopted
		if up.sha256 != want {
			return fail(http.StatusUnprocessableEntity, "send it again", "the %s has the SHA-256 %s, not %s", k.what, up.sha256, want)
		}
		body, err := os.ReadFile(up.path)
		if err != nil {
			return err
		}
		if err := k.check(body); err != nil {
			return fail(http.StatusUnprocessableEntity, k.hint, "the %s can't be used: %s", k.what, err)
		}
		b, err := s.host.Blobs.Adopt(r.Context(), k.prefix, k.ext, up.path)
		if err != nil {
			return err
		}
		reply(w, http.StatusOK, b)
		return nil
	}
}

// has answers whether content with a digest is content.
func (s *Service) has(k content) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		sha256 := r.PathValue("sha256")
		if !digestPattern.MatchString(sha256) {
			return fail(http.StatusNotFound, "", "%q is no SHA-256", sha256)
		}
		there, err := s.host.Blobs.Exists(r.Context(), k.key(sha256))
		if err == nil && !there {
			err = fail(http.StatusNotFound, "", "there is no %s %s", k.what, sha256)
		}
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}

// readable are the prefixes of what facts name as blobs and whoever repeats a trial needs: rows, code, models, and what trials left.
func readable() []string { return []string{"segments/", "code/", "models/", "trials/", "imports/"} }

// getBlob streams one immutable object.
func (s *Service) getBlob(w http.ResponseWriter, r *http.Request) error {
	key := chi.URLParam(r, "*")
	missing := fail(http.StatusNotFound, "facts name what there is: segments, code, models and trials", "there is no blob %q", key)
	if !slices.ContainsFunc(readable(), func(prefix string) bool { return strings.HasPrefix(key, prefix) }) || !lake.ValidKey(key) {
		return missing
	}
	return s.sendBlob(w, r, key, "application/octet-stream", missing)
}

// sendBlob streams an object; missing is the problem when there is none.
func (s *Service) sendBlob(w http.ResponseWriter, r *http.Request, key, contentType string, missing error) error {
	from, err := s.host.Blobs.Open(r.Context(), key)
	if errors.Is(err, lake.ErrNotFound) {
		return missing
	}
	if err != nil {
		return err
	}
	defer from.Close()
	w.Header().Set("Content-Type", contentType)
	if sized, ok := from.(interface{ Size() int64 }); ok {
		w.Header().Set("Content-Length", strconv.FormatInt(sized.Size(), 10))
	}
	w.WriteHeader(http.StatusOK)
	_, _ = io.Copy(w, from) // who asked may be gone; one that is not sees that bytes are missing
	return nil
}
