package cli

import (
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
	name  string // what the API calls it in errors
	text  []byte
	parts []part
}

// part is one file of a bundle.
type part struct {
	name   string
	before int // lines of the bundle before its first
}

// bundled is the name of a bundle of several files; locate takes it back.
const bundled = "declarations"

// bundleOf reads files, folders and standard input ("-"), checks them as far as that needs no platform, and makes what they
// refer to on this machine absolute.
func (a *app) bundleOf(paths []string) (bundle, error) {
	names, err := expand(paths)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{name: bundled}
	var all []resource.Resource
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
		text, declared, err := checked(text, shown, dir)
		var found resource.Errors
		if errors.As(err, &found) {
			errs = append(errs, found...)
		} else if err != nil {
			return b, err
		}
		all = append(all, declared...)
		b.add(shown, text)
	}
	if errs = append(errs, twice(all)...); len(errs) > 0 {
		return b, errs
	}
	return b, nil
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

// checked checks one file, and makes the source folders of its candidates absolute: the platform runs in another folder.
func checked(text []byte, name, dir string) ([]byte, []resource.Resource, error) {
	declared, err := resource.Parse(text, name)
	if err != nil {
		return nil, nil, err
	}
	lines := strings.Split(string(text), "\n")
	var errs resource.Errors
	edited := false
	for _, r := range declared {
		if r.Model == nil {
			continue
		}
		for i, c := range r.Model.Candidates {
			if c.Source == "" {
				continue
			}
			at := r.At(fmt.Sprintf("spec.candidates[%d].source", i), "", "")
			folder, err := absoluteFolder(dir, c.Source)
			if err == nil && folder != c.Source {
				err = replace(lines, at, c.Source, folder)
				edited = true
			}
			if err != nil {
				at.Message, at.Hint = err.Error(), "name the folder of the trainer, relative to this file"
				errs = append(errs, at)
			}
		}
	}
	if len(errs) > 0 {
		return nil, nil, errs
	}
	if !edited {
		return text, declared, nil
	}
	text = []byte(strings.Join(lines, "\n"))
	again, err := resource.Parse(text, name)
	if err != nil {
		return nil, nil, fmt.Errorf("make the source folders of %s absolute: %w", name, err)
	}
	return text, again, nil
}

func absoluteFolder(dir, source string) (string, error) {
	folder := source
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(dir, source)
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(folder)
	switch {
	case err != nil:
		return "", fmt.Errorf("the source folder %s can't be read: %w", folder, cause(err))
	case !info.IsDir():
		return "", fmt.Errorf("the source %s is not a folder", folder)
	}
	return folder, nil
}

// replace puts another value in the place of one that stands at a place of the text, in whatever quotes.
func replace(lines []string, at resource.Error, old, value string) error {
	unclear := errors.New("write the source folder on one line, without an alias")
	if at.Line < 1 || at.Line > len(lines) {
		return unclear
	}
	line := []rune(lines[at.Line-1])
	if at.Column < 1 || at.Column > len(line) {
		return unclear
	}
	head, tail := string(line[:at.Column-1]), string(line[at.Column-1:])
	for _, form := range []string{old, strconv.Quote(old), "'" + strings.ReplaceAll(old, "'", "''") + "'"} {
		if rest, ok := strings.CutPrefix(tail, form); ok {
			lines[at.Line-1] = head + strconv.Quote(value) + rest
			return nil
		}
	}
	return unclear
}

var bundledPlace = regexp.MustCompile(`^` + bundled + `:(\d+)((?::\d+)?)$`)

// locate puts the places of an error of the API where the person wrote it.
func (b bundle) locate(err error) error {
	var refused *call.Error
	if len(b.parts) < 2 || !errors.As(err, &refused) {
		return err
	}
	moved := call.Error{Problem: refused.Problem}
	moved.Errors = slices.Clone(refused.Errors)
	for i, e := range moved.Errors {
		moved.Errors[i] = b.locateOne(e)
	}
	return &moved
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
