package platform

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/workers/runtime"
)

// VenvsVariable names a folder for Python environments that several data directories share.
const VenvsVariable = "TIDEMILL_VENVS"

// places are where trials, predict commands and their Python environments lie, and who they run as.
type places struct {
	user                   *runtime.User // nil: this process's own
	trials, predict, venvs string
}

// newPlaces makes them: in the data directory, or, when another user must reach them, where that user can.
func newPlaces(o Options) (places, error) {
	user, err := runtime.ParseUser(o.TrialUser)
	if err != nil {
		return places{}, err
	}
	base := o.DataDir
	if user != nil {
		if base, err = runtime.SharedDir(o.DataDir); err != nil {
			return places{}, err
		}
	}
	p := places{user: user, trials: filepath.Join(base, "trials"), predict: filepath.Join(base, "predict"),
		venvs: cmp.Or(o.Venvs, os.Getenv(VenvsVariable), filepath.Join(base, "venvs"))}
	return p, p.make(p.trials)
}

// make makes one of the folders.
func (p places) make(dir string) error {
	mode := os.FileMode(0o700)
	if p.user != nil {
		mode = 0o711 // others may enter what they can name, and list nothing
	}
	err := os.MkdirAll(dir, mode)
	if err == nil {
		err = os.Chmod(dir, mode) // the mode above is cut by the umask
	}
	if err != nil {
		return fmt.Errorf("make the folder of trials: %w", err)
	}
	return nil
}

// newRunner makes what runs trials.
func (p *process) newRunner(ctx context.Context, data runtime.Data) *runtime.Runner {
	if p.places.user == nil && os.Geteuid() == 0 {
		p.o.Log.Warn("trainers run as root, as this worker does: give them a user of their own with --trial-user, or run only code that you trust")
	}
	r := runtime.NewRunner(data, p.host.Blobs, p.host.Runtime, runtime.Options{Dir: p.places.trials, Venvs: p.places.venvs, User: p.places.user,
		Watchdog: p.o.Watchdog, Keys: p.host.Keys})
	p.later(func() error { r.Close(); return nil })
	processes, environments, err := r.Tidy(ctx)
	if err != nil {
		p.o.Log.Warn("not all that dead workers left could be removed", zap.Error(err))
	}
	if processes > 0 || environments > 0 {
		p.o.Log.Info("removed what dead workers left", zap.Int("processes", processes), zap.Int("environments", environments))
	}
	return r
}
