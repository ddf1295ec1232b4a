package guard

import (
	"context"
	"os"
	"strings"
)

// Sweep kills what dead workers of a folder of trials have left running, and returns how many processes that were. The error
// names those that can't be killed.
func Sweep(ctx context.Context, dir string) (int, error) {
	folder := folderID(dir)
	return endAll(ctx, func() []process {
		// Any process that runs may be a worker of the folder; what belongs to none of them is left over.
		ids, tags := map[string]bool{}, map[uint64]bool{}
		for _, pid := range list() {
			if p, ok := read(pid); ok && !p.zombie {
				id := workerID(folder, pid, p.start)
				ids[id], tags[workerTag(id)] = true, true
			}
		}
		return killMarked(func(worker string) bool {
			return strings.HasPrefix(worker, folder+".") && !ids[worker]
		}, func(tag uint64) bool {
			return tag>>(tagWorker+tagTrial) == folderTag(folder)>>(tagWorker+tagTrial) && !tags[tag>>tagTrial<<tagTrial]
		})
	})
}

// endWorker kills all that a worker has left running.
func endWorker(ctx context.Context, worker string) (int, error) {
	return endAll(ctx, func() []process {
		return killMarked(func(w string) bool { return w == worker },
			func(tag uint64) bool { return tag>>tagTrial<<tagTrial == workerTag(worker) })
	})
}

// killMarked kills the processes whose environment names a worker, or whose tag is one, that is wanted, and returns them.
func killMarked(worker func(id string) bool, tag func(uint64) bool) []process {
	var out []process
	for _, pid := range list() {
		if pid == os.Getpid() {
			continue
		}
		p, ok := read(pid)
		if !ok || p.zombie {
			continue
		}
		t := tagOf(pid)
		wanted := t != 0 && tag(t)
		if t == 0 {
			for _, v := range environ(pid) {
				id, ok := strings.CutPrefix(v, WorkerVariable+"=")
				wanted = wanted || ok && worker(id)
			}
		}
		if wanted {
			kill(p)
			out = append(out, p)
		}
	}
	return out
}
