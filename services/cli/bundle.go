package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/api/call"
)

// bundle is everything that one apply declares. It is sent as one: all of it is applied or nothing.
type bundle struct {
	name     string // what the API calls it in errors
	text     []byte
	parts    []part
	declared []resource.Resource // with the code of their candidates
	code     []packedSource      // each once
}

// part is one file of a bundle.
type part struct {
	name   string
	before int // lines of the bundle before its first
}

// bundled is the name of a bundle of several files; locate takes it back.
const bundled = "declarations"

// bundleOf reads files, folders and standard input ("-"), checks them as far as that needs no platform, and packs the source
// folders of their trainers.
func (a *app) bundleOf(paths []string) (bundle, error) {
	names, err := expand(paths)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{name: bundled}
	var errs resource.Errors
	for _, name := range names {
		text, err := a.read(name)
		if err != nil {
			return b, err
		}
		shown, dir := name, filepath.Dir(name)
		if name == "-" {
			shown, dir = "stdin", "."
		}
		declared, code, err := checked(text, shown, dir)
		var found resource.Errors
		if errors.As(err, &found) {
			errs = append(errs, found...)
		} else if err != nil {
			return b, err
		}
		b.declared = append(b.declared, declared...)
		for _, c := range code {
			if !slices.ContainsFunc(b.code, func(old packedSource) bool { return old.SHA256 == c.SHA256 }) {
				b.code = append(b.code, c)
			}
		}
		b.add(shown, text)
	}
	if errs = append(errs, twice(b.declared)...); len(errs) > 0 {
		return b, errs
	}
	return b, nil
}

// body is what is sent: what a person wrote, or, when code was packed, the resources with it.
func (b bundle) body() (call.Body, error) {
	if len(b.code) == 0 {
		return call.Body{Type: "application/yaml", Reader: bytes.NewReader(b.text), Length: int64(len(b.text))}, nil
	}
	documents := make([]json.RawMessage, len(b.declared))
	for i, r := range b.declared {
		documents[i] = r.Canonical
	}
	text, err := json.Marshal(documents)
	return call.Body{Type: "application/json", Reader: bytes.NewReader(text), Length: int64(len(text))}, err
}

// expand lists the YAML files of folders.
func expand(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, wrongly("use -f FILE, -f FOLDER or -f - for standard input", "nothing to read is given")
	}
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case path == "-" || err == nil && !info.IsDir():
			out = append(out, path)
			continue
		case err != nil:
			return nil, failed("", "can't read %s: %s", path, cause(err))
		}
		var found []string
		for _, ending := range []string{"*.yaml", "*.yml"} {
			files, err := filepath.Glob(filepath.Join(path, ending))
			if err != nil {
				return nil, failed("", "can't read %s: %s", path, err)
			}
			found = append(found, files...)
		}
		if len(found) == 0 {
			return nil, failed("", "%s holds no *.yaml", path)
		}
		slices.Sort(found)
		out = append(out, found...)
	}
	return out, nil
}

// cause is an error of the file system without the path that the message names already.
func cause(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func (a *app) read(name string) ([]byte, error) {
	if name == "-" {
		b, err := io.ReadAll(a.In)
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return b, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, failed("", "can't read %s: %s", name, cause(err))
	}
	return b, nil
}

func (b *bundle) add(name string, text []byte) {
	if len(b.parts) == 0 {
		b.name = name
	} else {
		b.name = bundled
		b.text = append(b.text, "\n---\n"...)
	}
	b.parts = append(b.parts, part{name: name, before: strings.Count(string(b.text), "\n")})
	b.text = append(b.text, text...)
}

// twice finds resources that are declared twice.
func twice(all []resource.Resource) (errs resource.Errors) {
	first := map[string]resource.Resource{}
	for _, r := range all {
		id := r.Kind + " " + r.Metadata.Name
		if old, ok := first[id]; ok {
			errs = append(errs, r.At("metadata.name", id+" is declared twice", "the first is at "+old.At("metadata.name", "", "").Where()))
			continue
		}
		first[id] = r
	}
	return errs
}

var bundledPlace = regexp.MustCompile(`^` + bundled + `:(\d+)((?::\d+)?)$`)

// listedPlace is a place in the list of resources that was sent instead of files.
var listedPlace = regexp.MustCompile(`^\[(\d+)\]\.?(.*)$`)

// locate puts the places of an error of the API where the person wrote it.
func (b bundle) locate(err error) error {
	var refused *call.Error
	if len(b.parts) < 2 && len(b.code) == 0 || !errors.As(err, &refused) {
		return err
	}
	moved := call.Error{Problem: refused.Problem}
	moved.Errors = slices.Clone(refused.Errors)
	for i, e := range moved.Errors {
		if len(b.code) > 0 {
			moved.Errors[i] = b.locateListed(e)
		} else {
			moved.Errors[i] = b.locateOne(e)
		}
	}
	return &moved
}

func (b bundle) locateListed(e api.ErrorDetail) api.ErrorDetail {
	m := listedPlace.FindStringSubmatch(e.Location)
	if m == nil {
		return e
	}
	if i, err := strconv.Atoi(m[1]); err == nil && i < len(b.declared) {
		e.Location = b.declared[i].At(m[2], "", "").Where()
	}
	return e
}

func (b bundle) locateOne(e api.ErrorDetail) api.ErrorDetail {
	m := bundledPlace.FindStringSubmatch(e.Location)
	if m == nil {
		return e
	}
	line, err := strconv.Atoi(m[1])
	if err != nil {
		return e
	}
	for _, p := range slices.Backward(b.parts) {
		if line > p.before {
			e.Location = fmt.Sprintf("%s:%d%s", p.name, line-p.before, m[2])
			break
		}
	}
	return e
}
