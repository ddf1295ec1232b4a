package platform

import (
	"context"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/workers/runtime"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// commandOptions are how versions run that answer by a command: unpacked in the data directory, in the environment that their
// source asks for, with their standard error in the log.
func (p *process) commandOptions() (command.Options, error) {
	dir := p.places.predict
	if p.o.whole() {
		// The lock on the data directory keeps every other process away: what is there was left by one that was killed.
		if err := os.RemoveAll(dir); err != nil {
			return command.Options{}, fmt.Errorf("remove what predict commands left: %w", err)
		}
	}
	if err := p.places.make(dir); err != nil {
		return command.Options{}, err
	}
	environments := runtime.NewEnvironments(runtime.EnvironmentsOptions{Dir: p.places.venvs, User: p.places.user, Worker: guard.WorkerID(p.places.trials)})
	log := p.o.Log
	return command.Options{Dir: dir, User: p.places.user.Credential(),
		Environment: func(ctx context.Context, code string) (string, error) {
			e, err := environments.For(ctx, code, func(line string) { log.Info("predict command: "+line, zap.String("path", code)) })
			return e.Bin, err
		},
		Log: func(m command.Name, line string) {
			log.Info("predict command prints", zap.String("model", m.Model), zap.String("version", m.Version), zap.String("line", line))
		}}, nil
}
