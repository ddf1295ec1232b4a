package guard

import (
	"context"
	"os"
	"strings"
)

// Sweep kills what dead workers of a folder of trials have left running, and returns how many processes that were. The error
// names those that can't be killed.
func Sweep(ctx context.Context, dir string) (int, error) {
	folder := folderID(dir) + "."
	return endAll(ctx, func() []process {
		dead := map[string]bool{}
		return marked(func(worker string) bool {
			if !strings.HasPrefix(worker, folder) {
				return false
			}
			if _, known := dead[worker]; !known {
				dead[worker] = gone(worker)
			}
			return dead[worker]
		})
	})
}

// endWorker kills all that a worker has left running.
func endWorker(ctx context.Context, worker string) (int, error) {
	return endAll(ctx, func() []process {
		return marked(func(w string) bool { return w == worker })
	})
}

// marked kills the processes whose environment names a worker that is wanted, and returns them.
func marked(wanted func(worker string) bool) []process {
	var out []process
	for _, pid := range list() {
		if pid == os.Getpid() {
			continue
		}
		for _, v := range environ(pid) {
			worker, ok := strings.CutPrefix(v, WorkerVariable+"=")
			if !ok || !wanted(worker) {
				continue
			}
			if p, alive := read(pid); alive && !p.zombie {
				kill(p)
				out = append(out, p)
			}
			break
		}
	}
	return out
}
