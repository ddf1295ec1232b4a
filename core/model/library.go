package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// LibraryVar is the environment variable that names the ONNX Runtime library.
const LibraryVar = "TIDEMILL_ONNXRUNTIME"

// ErrNoLibrary marks a missing ONNX Runtime library.
var ErrNoLibrary = errors.New("the ONNX Runtime library is missing")

// FindLibrary gives the path of the ONNX Runtime library: the file that TIDEMILL_ONNXRUNTIME names, else lib/ beside the
// executable, lib/ one folder up, then the cache folder that `make setup` fills (TIDEMILL_CACHE, else
// $XDG_CACHE_HOME/tidemill, else ~/.cache/tidemill). The error says where it looked and wraps [ErrNoLibrary].
func FindLibrary(getenv func(string) string, executable string) (string, error) {
	if path := getenv(LibraryVar); path != "" {
		if !isFile(path) {
			return "", fmt.Errorf("%w: %s names %s, which is no file", ErrNoLibrary, LibraryVar, path)
		}
		return path, nil
	}
	name := "libonnxruntime.so.1"
	if runtime.GOOS == "darwin" {
		name = "libonnxruntime.dylib"
	}
	var places []string
	if executable != "" {
		dir := filepath.Dir(executable)
		places = append(places, filepath.Join(dir, "lib", name), filepath.Join(dir, "..", "lib", name))
	}
	if cache := cacheDir(getenv); cache != "" {
		places = append(places, filepath.Join(cache, name))
	}
	for _, path := range places {
		if isFile(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: run `make setup`, or set %s to the path of %s (looked for %s)",
		ErrNoLibrary, LibraryVar, name, strings.Join(places, ", "))
}

func cacheDir(getenv func(string) string) string {
	if dir := getenv("TIDEMILL_CACHE"); dir != "" {
		return dir
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "tidemill")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "tidemill")
	}
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// The C library is loaded once per process and has one environment for all sessions; nothing can make that two. It is the
// one piece of global state of this room, and only [Load] touches it.
var (
	libraryOnce sync.Once
	libraryPath string
	errLibrary  error
)

// Runtime opens models. It stands for the ONNX Runtime library in this process.
type Runtime struct {
	version string
	path    string
}

// Load loads the ONNX Runtime library from path, or, when path is empty, from where [FindLibrary] finds it. The first call in
// a process decides which library it is; later calls give the same one, and fail when they name another.
func Load(path string) (*Runtime, error) {
	if path == "" {
		executable, _ := os.Executable() // without it the places beside it are left out
		if resolved, err := filepath.EvalSymlinks(executable); err == nil {
			executable = resolved
		}
		found, err := FindLibrary(os.Getenv, executable)
		if err != nil {
			return nil, err
		}
		path = found
	}
	libraryOnce.Do(func() {
		libraryPath = path
		ort.SetSharedLibraryPath(path)
		if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
			errLibrary = fmt.Errorf("load ONNX Runtime from %s: %w; run `make setup`, or set %s to a library of version 1.24 or newer",
				path, err, LibraryVar)
		}
	})
	switch {
	case errLibrary != nil:
		return nil, errLibrary
	case libraryPath != path:
		return nil, fmt.Errorf("load ONNX Runtime from %s: this process already uses %s", path, libraryPath)
	}
	return &Runtime{version: ort.GetVersion(), path: path}, nil
}

// Version is the library's version: "1.30.0".
func (r *Runtime) Version() string { return r.version }

// Path is the file that the library was loaded from.
func (r *Runtime) Path() string { return r.path }
