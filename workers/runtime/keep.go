package runtime

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/infra/jobs"
	"github.com/tidemill/tidemill/infra/lifecycle"
	"github.com/tidemill/tidemill/workers/runtime/checkpoint"
)

const (
	notedLines = 20               // of the log that a note keeps
	maxNoted   = 500              // bytes of each
	keepWithin = 20 * time.Second // that a last checkpoint, a log and a result may take to be stored when the worker stops
	keptBytes  = 2 << 30          // of a checkpoint when the candidate doesn't say: the default of resources.outputSize
)

// note is what an attempt leaves for the next one.
type note struct {
	Began  time.Time `json:"began"`
	Worker string    `json:"worker"`
	// Checkpoint, when there is one, was left by an attempt as its number so-and-so.
	Checkpoint *events.Blob `json:"checkpoint,omitempty"`
	Number     int          `json:"number,omitempty"` // counts over all attempts
	Attempt    int          `json:"attempt,omitempty"`
	Log        []string     `json:"log,omitempty"`     // the last lines
	Trouble    string       `json:"trouble,omitempty"` // of the platform, that ended the attempt
}

// keeper keeps what must outlive an attempt: while its trainer runs, checkpoints go to blob storage, and their place and the
// last lines of the log into the attempt's note.
type keeper struct {
	w       *Worker
	spec    Spec
	attempt jobs.Attempt
	dir     string // of the checkpoints
	most    int64  // bytes of a checkpoint
	stale   func() // what is to be done when another attempt has begun
	told    func(checkpoints int)

	mu    sync.Mutex
	now   note // what is to be noted
	dirty bool

	stored checkpoint.State // what the newest checkpoint holds
	last   checkpoint.State // what was there at the last look
	busy   int              // looks in a row that saw a folder at work
	big    bool             // it was told that a checkpoint is too big
}

// newKeeper takes over what the attempts before left.
func newKeeper(w *Worker, spec Spec, attempt jobs.Attempt) *keeper {
	k := &keeper{w: w, spec: spec, attempt: attempt, dir: w.runner.checkpoints(spec.Trial, attempt.Number),
		most: int64(spec.Candidate.Resources.OutputSize), stale: func() {}, told: func(int) {}}
	if k.most == 0 {
		k.most = keptBytes
	}
	k.now = readNote(attempt.Note)
	k.now.Began, k.now.Worker, k.now.Trouble, k.now.Log = w.o.Clock().UTC(), w.o.Name, "", nil
	return k
}

// readNote is what is in a note; one that can't be read holds nothing.
func readNote(text []byte) note {
	var n note
	if json.Unmarshal(text, &n) != nil {
		return note{}
	}
	return n
}

// checkpoints tells whether the trial may leave any.
func (s Spec) checkpoints() bool { return s.Candidate.Trainer == TrainerProcess }

// restore lays out the newest checkpoint for the trainer, and says so. A checkpoint that is lost or broken is no reason to
// fail: the trial begins anew.
func (k *keeper) restore(ctx context.Context) (said string, err error) {
	from := k.now
	if from.Checkpoint == nil || !k.spec.checkpoints() {
		return "", nil
	}
	which := fmt.Sprintf("checkpoint %d of attempt %d", from.Number, from.Attempt)
	temp, err := k.fetch(ctx, *from.Checkpoint)
	if temp != nil {
		defer os.Remove(temp.Name())
		defer temp.Close()
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errBroken) {
		k.now.Checkpoint = nil
		return fmt.Sprintf("%s can't be had (%v): begun anew", which, err), nil
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(k.dir), checkpoint.Unpack(temp, k.dir, k.most))
	}
	if err == nil {
		k.stored, err = checkpoint.Look(k.dir)
	}
	if err != nil {
		return "", fmt.Errorf("restore %s of %s: %w", which, k.spec.Trial, err)
	}
	k.told(from.Number)
	return "resumed from " + which, nil
}

var errBroken = errors.New("its bytes are not those that were stored")

// fetch copies a stored checkpoint into a file and verifies it.
func (k *keeper) fetch(ctx context.Context, b events.Blob) (*os.File, error) {
	from, err := k.w.blobs.Open(ctx, b.Key)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	temp, err := k.temp()
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(temp, sum), from); err != nil {
		return temp, err
	}
	if hex.EncodeToString(sum.Sum(nil)) != b.SHA256 {
		return temp, errBroken
	}
	_, err = temp.Seek(0, io.SeekStart)
	return temp, err
}

// temp is a file for a packed checkpoint.
func (k *keeper) temp() (*os.File, error) {
	home := filepath.Dir(k.dir)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	return os.CreateTemp(home, "checkpoint-*.tar.gz")
}

// line remembers a line of the log.
func (k *keeper) line(s string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(s) > maxNoted {
		s = s[:maxNoted]
	}
	k.now.Log = append(k.now.Log, s)
	if len(k.now.Log) > notedLines {
		k.now.Log = slices.Delete(k.now.Log, 0, len(k.now.Log)-notedLines)
	}
	k.dirty = true
}

// run keeps until ctx ends: soon for the first time, then every so often.
func (k *keeper) run(ctx context.Context) {
	next := time.NewTimer(k.w.o.Keep / 4)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		k.look(ctx)
		next.Reset(k.w.o.Keep)
	}
}

// A trainer that writes more often than the worker looks never leaves its folder as it was. After so many looks a checkpoint is
// taken between two writes: when the folder keeps still for a moment, or else as it is, if nothing changes while it is packed.
const (
	patientLooks = 3
	stillMoments = 5
	momentsALook = 20
)

// look stores what is new: a checkpoint when its folder is at rest, and the last lines.
func (k *keeper) look(ctx context.Context) {
	if k.spec.checkpoints() {
		now, err := checkpoint.Look(k.dir)
		switch {
		case err != nil:
			k.warn("the trial's checkpoints can't be read", err)
		case len(now) == 0 || now.Same(k.stored):
			k.busy = 0
		case now.Same(k.last):
			k.save(ctx, now)
		default:
			if k.busy++; k.busy >= patientLooks {
				now = k.still(ctx, now)
				k.save(ctx, now)
			}
		}
		k.last = now
	}
	k.mu.Lock()
	dirty := k.dirty
	k.mu.Unlock()
	if dirty {
		k.report(k.write(ctx))
	}
}

// still waits for a moment in which the folder doesn't change, but not for long, and gives what it holds then.
func (k *keeper) still(ctx context.Context, now checkpoint.State) checkpoint.State {
	for range stillMoments {
		if lifecycle.Pause(ctx, k.w.o.Keep/momentsALook) != nil {
			break
		}
		next, err := checkpoint.Look(k.dir)
		if err != nil || next.Same(now) {
			break
		}
		now = next
	}
	return now
}

// final keeps what is there when the trainer has ended without a result: nothing in the folder changes any more.
func (k *keeper) final(ctx context.Context, trouble error) error {
	if k.spec.checkpoints() {
		now, err := checkpoint.Look(k.dir)
		if err != nil {
			k.warn("the trial's checkpoints can't be read", err)
		}
		if len(now) > 0 && !now.Same(k.stored) {
			k.save(ctx, now)
		}
	}
	if trouble != nil {
		k.mu.Lock()
		k.now.Trouble = trouble.Error()
		k.mu.Unlock()
	}
	return k.write(ctx)
}

// save stores a checkpoint, notes where it is, and then removes the one before.
func (k *keeper) save(ctx context.Context, s checkpoint.State) {
	if s.Bytes() > k.most {
		if !k.big {
			k.warn(fmt.Sprintf("a checkpoint of %d bytes is not stored: resources.outputSize is %d", s.Bytes(), k.most), nil)
		}
		k.big = true
		return
	}
	k.mu.Lock()
	before, number := k.now.Checkpoint, k.now.Number+1
	k.mu.Unlock()
	blob, err := k.put(ctx, s, fmt.Sprintf("%s%d/%d.tar.gz", checkpointsOf(k.spec.Trial), k.attempt.Number, number))
	if errors.Is(err, checkpoint.ErrChanged) {
		return // it will be at rest another time
	}
	if err != nil {
		k.warn("a checkpoint could not be stored", err)
		return
	}
	k.mu.Lock()
	k.now.Checkpoint, k.now.Number, k.now.Attempt = &blob, number, k.attempt.Number
	k.mu.Unlock()
	if err := k.write(ctx); err != nil {
		// If the note landed all the same, the next write says it again; a stale attempt's is nobody's.
		k.report(err)
		if errors.Is(err, jobs.ErrStale) {
			before = &blob
		} else {
			before = nil
		}
	} else {
		k.stored, k.busy = s, 0
		k.told(number)
	}
	if before != nil {
		if err := k.w.blobs.Delete(ctx, before.Key); err != nil {
			k.warn("an old checkpoint could not be removed", err)
		}
	}
}

func (k *keeper) put(ctx context.Context, s checkpoint.State, key string) (events.Blob, error) {
	temp, err := k.temp()
	if err != nil {
		return events.Blob{}, err
	}
	defer os.Remove(temp.Name())
	if err := errors.Join(checkpoint.Pack(k.dir, s, temp), temp.Close()); err != nil {
		return events.Blob{}, err
	}
	return k.w.blobs.PutFile(ctx, key, temp.Name())
}

// write writes the note.
func (k *keeper) write(ctx context.Context) error {
	k.mu.Lock()
	text, err := json.Marshal(k.now)
	dirty := k.dirty
	k.dirty = false
	k.mu.Unlock()
	if err == nil {
		err = k.w.attempts.Note(ctx, k.attempt, text)
	}
	if err != nil {
		k.mu.Lock()
		k.dirty = k.dirty || dirty
		k.mu.Unlock()
	}
	return err
}

// report tells about a note that could not be written.
func (k *keeper) report(err error) {
	switch {
	case errors.Is(err, jobs.ErrStale):
		k.stale()
	case err != nil && !errors.Is(err, context.Canceled):
		k.warn("the attempt's note could not be written", err)
	}
}

func (k *keeper) warn(what string, err error) {
	k.w.o.Log.Warn(what, zap.String("trial", k.spec.Trial), zap.Int("attempt", k.attempt.Number), zap.Error(err))
}

func checkpointsOf(trial string) string { return "checkpoints/" + trial + "/" }
