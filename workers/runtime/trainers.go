package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// process trains by the process contract.
func (t *run) process(ctx context.Context) error {
	path := t.o.Path
	if t.python.Bin != "" {
		path = t.python.Bin + string(filepath.ListSeparator) + path
	}
	env, err := environ(t.spec, t.folders, path, t.o.Getenv)
	if err != nil {
		return err
	}
	t.fingerprint(ctx, path, env)
	if t.python.Dir != "" {
		env = append(env, "VIRTUAL_ENV="+t.python.Dir)
	}
	mark := guard.Mark{Worker: t.worker, Trial: t.spec.Trial, Attempt: t.attempt}
	p := process{command: append(slices.Clone(t.spec.Candidate.Command), arguments(t.spec.Hyperparameters())...),
		dir: t.folders.code, env: slices.Concat(env, t.secrets, mark.Environ()), path: path, grace: t.o.Grace, out: t.out,
		user: t.o.User, mark: mark, bounds: boundsOf(t.spec.Candidate.Resources, t.folders),
		started: func(pid int) {
			t.begun()
			t.tell(Update{Phase: PhaseTraining, PID: pid})
		}}
	// What the trainer leaves is read from the folder that is here now, whatever it puts in its place.
	root, err := os.OpenRoot(t.folders.scratch)
	if err != nil {
		return fmt.Errorf("open the trial's folder: %w", err)
	}
	defer root.Close()
	if err := t.o.User.enter(filepath.Dir(t.folders.scratch)); err != nil {
		return err
	}
	if err := t.o.User.own(t.folders.scratch, t.folders.checkpoints); err != nil {
		return err
	}
	if err := p.run(ctx); err != nil {
		return err
	}
	t.result.Reported = t.out.reported()
	return t.collect(root)
}

// fingerprint notes which Python the trial runs on.
func (t *run) fingerprint(ctx context.Context, path string, env []string) {
	if t.python.Digest != "" {
		t.result.Environment["requirements"] = t.python.Digest
		t.result.Environment["python"] = t.python.Python
		return
	}
	if !isPython(t.spec.Candidate.Command) {
		return
	}
	name, err := command.LookUp(t.spec.Candidate.Command[0], t.folders.code, path)
	if err != nil {
		return // the trial is about to say so
	}
	if v, err := t.environments.pythons.version(ctx, name, env, t.o.User); err == nil && v != "" {
		t.result.Environment["python"] = v
	}
}

// packages gets the Python environment that the source asks for. It has a time limit of its own: while it is made, the trial's
// does not run.
func (t *run) packages(ctx context.Context) (err error) {
	t.python, err = t.environments.For(ctx, t.folders.code, func(line string) {
		t.limit.pause()
		t.out.line("tidemill: " + line)
		t.tell(Update{Phase: PhasePreparing, Message: t.out.mask.hide(shorten(line, 200))})
	})
	t.limit.resume()
	return err
}

// code unpacks the candidate's source.
func (t *run) code(ctx context.Context) error {
	if t.spec.Code == nil {
		return nil
	}
	b, err := t.blobs.Get(ctx, t.spec.Code.Key)
	if err != nil {
		return fmt.Errorf("fetch the candidate's source: %w", err)
	}
	if got := digest(b); got != t.spec.Code.SHA256 {
		return failed("the candidate's source in blob storage is corrupt: it has sha256 %s, expected %s; apply the model again", got, t.spec.Code.SHA256)
	}
	t.result.CodeDigest = t.spec.Code.SHA256
	return unpackSource(b, t.folders.code)
}

// maxModel bounds a model's file, in bytes: ONNX itself ends at 2 GiB.
const maxModel = 2 << 30

// collect takes the model that the trainer left in its folder, and nothing from anywhere else.
func (t *run) collect(scratch *os.Root) error {
	dir, err := filepath.Rel(t.folders.scratch, t.folders.model)
	if err != nil {
		return fmt.Errorf("collect the model: %w", err)
	}
	folder, err := scratch.OpenRoot(dir)
	if err != nil {
		return failed("the trainer ended well but left no folder SM_MODEL_DIR: it was removed or is a link")
	}
	defer folder.Close()
	return t.collectFrom(folder)
}

// take reads a file that the trainer left. A link that leads out of the folder is not followed, and what would block is not
// opened to be read.
func (t *run) take(folder *os.Root, name string) ([]byte, error) {
	f, err := folder.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := folder.Lstat(name); err == nil {
			return nil, failed("the %s that the trainer left is a link to nothing", name)
		}
		return nil, err
	case err != nil:
		return nil, failed("the %s that the trainer left can't be read: it is a link out of SM_MODEL_DIR, or closed to the worker (%v)", name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("collect the model: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxModel {
		return nil, failed("the %s that the trainer left is no file of a model (%s)", name, kind(info))
	}
	if !t.o.User.owns(info) {
		return nil, failed("the %s that the trainer left is another user's file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxModel))
	if err != nil {
		return nil, fmt.Errorf("collect the model: %w", err)
	}
	return b, nil
}

// kind says what a file is.
func kind(info fs.FileInfo) string {
	switch m := info.Mode(); {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case !m.IsRegular():
		return "a device or a socket"
	}
	return fmt.Sprintf("%d bytes", info.Size())
}

// left lists what is in the model folder instead.
func left(folder *os.Root) string {
	entries, _ := fs.ReadDir(folder.FS(), ".") // nothing to list is an answer too
	if len(entries) == 0 {
		return "the folder is empty"
	}
	var names []string
	for _, e := range entries[:min(len(entries), 5)] {
		names = append(names, shorten(printable(e.Name()), 100))
	}
	return "it holds " + strings.Join(names, ", ")
}
