package local

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api/call"
	"github.com/tidemill/tidemill/services/internal/rows"
	"github.com/tidemill/tidemill/workers/runtime"
)

// Bench is where trials run on this machine.
type Bench struct {
	remote Remote
	work   string // scratch of this bench
	cache  *lake.Store
	own    *lake.Store
	engine *lake.Engine
	runner *runtime.Runner
}

// Open makes a bench for trials of the platform that client calls. keys is the PEM of the public keys that it trusts; getenv reads the
// environment: secrets of trainers come from it.
func Open(ctx context.Context, client *call.Client, keys string, getenv func(string) string) (_ *Bench, err error) {
	b := &Bench{remote: Remote{client}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.Close())
		}
	}()
	if b.work, err = os.MkdirTemp("", "tidemill-trial-"); err != nil {
		return b, fmt.Errorf("make a folder for the trial: %w", err)
	}
	cache := cacheDir(getenv)
	if cache == "" {
		cache = filepath.Join(b.work, "cache")
	}
	if b.cache, err = openStore(ctx, filepath.Join(cache, "segments")); err != nil {
		return b, err
	}
	if err := b.forget(); err != nil {
		return b, fmt.Errorf("clean the cache %s: %w", cache, err)
	}
	if b.own, err = openStore(ctx, filepath.Join(b.work, "blobs")); err != nil {
		return b, err
	}
	if b.engine, err = lake.OpenEngine(ctx, lake.EngineOptions{Dirs: []string{b.work, b.cache.Dir()}}); err != nil {
		return b, err
	}
	ort, err := loadRuntime(getenv)
	if err != nil {
		return b, err
	}
	ring, err := keyring(keys)
	if err != nil {
		return b, err
	}
	venvs := getenv("TIDEMILL_VENVS")
	if venvs == "" {
		venvs = filepath.Join(cache, "venvs")
	}
	b.runner = runtime.NewRunner(rows.New(b.engine, b.cache), blobs{b.own, b.remote}, ort, runtime.Options{Dir: filepath.Join(b.work, "trials"),
		Venvs: venvs, Getenv: getenv, Keys: ring})
	return b, nil
}

func loadRuntime(getenv func(string) string) (*model.Runtime, error) {
	executable, err := os.Executable()
	if err != nil {
		executable = "" // the library may be elsewhere
	}
	library, err := model.FindLibrary(getenv, executable)
	if err != nil {
		return nil, err
	}
	return model.Load(library)
}

func keyring(text string) (*model.Keyring, error) {
	if text == "" {
		return model.NewKeyring(nil)
	}
	keys, err := model.ParseTrustedKeys([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("read the keys that the platform trusts: %w", err)
	}
	return model.NewKeyring(nil, keys...)
}

func openStore(ctx context.Context, dir string) (*lake.Store, error) {
	at := url.URL{Scheme: "file", Path: dir, RawQuery: "create"}
	return lake.OpenStore(ctx, at.String(), "")
}

// cacheDir is where what can be fetched again is kept: TIDEMILL_CACHE, else tidemill in the cache folder of the user; "" is nowhere.
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

// Close removes what the trials left.
func (b *Bench) Close() error {
	var err error
	if b.runner != nil {
		b.runner.Close()
	}
	if b.engine != nil {
		err = b.engine.Close()
	}
	for _, s := range []*lake.Store{b.own, b.cache} {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}
	return errors.Join(err, os.RemoveAll(b.work))
}

// Keep stores packed source on this machine, so that a trial runs it though the platform has never seen it.
func (b *Bench) Keep(ctx context.Context, code events.Blob, bytes []byte) error {
	_, err := b.own.PutBytes(ctx, code.Key, bytes)
	return err
}

// Run runs a trial, whose segments were fetched, and returns its result and the last lines of its log. A [*runtime.Failure] is the
// trial's own.
func (b *Bench) Run(ctx context.Context, spec runtime.Spec, update func(runtime.Update)) (runtime.Result, []string, error) {
	return b.runner.Run(ctx, spec, 1, update)
}
