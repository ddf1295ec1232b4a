package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/workers/runtime"
)

// bad is a trainer that does what it shouldn't.
type bad struct {
	script string
	model  []byte
	change func(*runtime.Spec)
	words  []string // of the reason
	tail   string   // in the last lines, when not empty
}

const (
	leave = "cp model.bin $SM_MODEL_DIR/model.onnx\n"
	mebi  = resource.Size(1 << 20)
)

func limited(change func(*resource.Resources)) func(*runtime.Spec) {
	return func(s *runtime.Spec) { change(&s.Candidate.Resources) }
}

var (
	oneSecond = limited(func(r *resource.Resources) { r.Time = resource.Duration(time.Second) })
	smallDisk = limited(func(r *resource.Resources) { r.OutputSize = 8 * mebi })
	smallRAM  = limited(func(r *resource.Resources) { r.Memory = 64 * mebi })
)

// eats takes so many bytes into a shell's memory and keeps them.
func eats(bytes int) string {
	return fmt.Sprintf("x=$(head -c %d /dev/zero | tr '\\0' x); echo eaten; sleep 60; echo ${#x}\n", bytes)
}

func badTrainers() map[string]bad {
	good := onnx(1, "probabilities")
	return map[string]bad{
		"crashes":                  {script: "echo boom >&2; exit 3", words: []string{"exit code 3", "boom"}},
		"segfaults":                {script: "kill -SEGV $$", words: []string{"SIGSEGV", "bad memory access"}},
		"is killed":                {script: "kill -KILL $$", words: []string{"SIGKILL", "memory"}},
		"hangs":                    {script: "sleep 300", change: oneSecond, words: []string{"longer than its limit, resources.time 1s"}},
		"hangs and spins":          {script: "while :; do :; done", change: oneSecond, words: []string{"resources.time 1s"}},
		"ignores the end":          {script: "trap '' TERM INT HUP; while :; do sleep 1; done", change: oneSecond, words: []string{"resources.time 1s"}},
		"stops itself":             {script: "kill -STOP $$", change: oneSecond, words: []string{"resources.time 1s"}},
		"writes one big file":      {script: "head -c 20000000 /dev/zero > $SM_OUTPUT_DATA_DIR/big; exit $?", change: smallDisk, words: []string{"exit code 153", "8Mi that resources.outputSize allows"}},
		"writes a big model":       {script: "exec head -c 20000000 /dev/zero > $SM_MODEL_DIR/model.onnx", change: smallDisk, words: []string{"SIGXFSZ", "8Mi that resources.outputSize allows"}},
		"writes many files":        {script: "i=0; while :; do head -c 1000000 /dev/zero > $TMPDIR/f$i; i=$((i+1)); done", change: smallDisk, words: []string{"wrote too much", "resources.outputSize"}},
		"writes where it began":    {script: "i=0; while :; do head -c 1000000 /dev/zero > $HOME/f$i; i=$((i+1)); done", change: smallDisk, words: []string{"wrote too much"}},
		"hides what it writes":     {script: "mkdir $HOME/d; i=0; while [ $i -lt 30 ]; do head -c 1000000 /dev/zero > $HOME/d/$i; i=$((i+1)); done; chmod 000 $HOME/d", change: smallDisk, words: []string{"wrote too much"}},
		"writes checkpoints":       {script: "i=0; while [ $i -lt 30 ]; do head -c 1000000 /dev/zero > $TIDEMILL_CHECKPOINT_DIR/$i; i=$((i+1)); done", change: smallDisk, words: []string{"wrote too much"}},
		"eats memory":              {script: eats(100 << 20), change: smallRAM, words: []string{"out of memory: its processes used", "of the 64Mi that resources.memory allows"}},
		"eats memory in parts":     {script: "for i in 1 2 3 4; do (" + strings.TrimSpace(eats(25<<20)) + ") & done; wait", change: smallRAM, words: []string{"of the 64Mi that resources.memory allows"}},
		"eats memory elsewhere":    {script: "printf %s '" + strings.ReplaceAll(eats(100<<20), "'", `'\''`) + "' > eat.sh; setsid sh eat.sh & wait", change: smallRAM, words: []string{"of the 64Mi that resources.memory allows"}},
		"opens many files":         {script: "exec 3<train.sh 4<train.sh 5<train.sh; for i in 1 2 3 4 5 6 7 8 9; do eval \"exec 1$i<train.sh\" || exit 1; done\n", change: limited(func(r *resource.Resources) { r.OpenFiles = 16 }), words: []string{"exit code"}},
		"starts a crowd":           {script: "i=0; while [ $i -lt 1200 ]; do sleep 60 & i=$((i+1)); done; wait", words: []string{"too many processes"}},
		"prints bytes":             {script: "head -c 100000 /dev/urandom; exit 1", words: []string{"exit code 1"}},
		"prints nothing but NULs":  {script: "head -c 200000 /dev/zero; exit 1", words: []string{"exit code 1"}},
		"prints a line of 100 MB":  {script: "head -c 100000000 /dev/zero | tr '\\0' x; exit 1", words: []string{"exit code 1"}, tail: "xxx"},
		"leaves garbage":           {script: leave, model: []byte("garbage"), words: []string{"not an ONNX model"}},
		"leaves half a model":      {script: leave, model: good[:len(good)/2], words: []string{"ONNX"}},
		"leaves a ZipMap":          {script: leave, model: zipMap("x", true), words: []string{"is a ZipMap"}},
		"leaves NaN":               {script: leave, model: onnx(float32(math.NaN()), "probabilities"), words: []string{"NaN"}},
		"leaves nothing":           {script: "true", words: []string{"left no model.onnx in SM_MODEL_DIR (the folder is empty)"}},
		"leaves an odd name":       {script: `echo > "$SM_MODEL_DIR/a` + "\x1b[31m" + `b"`, words: []string{"it holds a"}},
		"leaves a folder":          {script: "mkdir $SM_MODEL_DIR/model.onnx", words: []string{"no file of a model (a folder)"}},
		"leaves a pipe":            {script: "mkfifo $SM_MODEL_DIR/model.onnx", words: []string{"no file of a model (a pipe)"}},
		"leaves a link out":        {script: "ln -s /etc/passwd $SM_MODEL_DIR/model.onnx", words: []string{"can't be read: it is a link out of SM_MODEL_DIR"}},
		"leaves a link up":         {script: "cp model.bin $SM_OUTPUT_DATA_DIR/m; ln -s ../output/m $SM_MODEL_DIR/model.onnx", model: good, words: []string{"it is a link out of SM_MODEL_DIR"}},
		"leaves a link to nothing": {script: "ln -s gone $SM_MODEL_DIR/model.onnx", words: []string{"a link to nothing"}},
		"leaves a link in a ring":  {script: "ln -s model.onnx $SM_MODEL_DIR/model.onnx", words: []string{"can't be read"}},
		"leaves a device":          {script: "ln -s /dev/zero $SM_MODEL_DIR/model.onnx", words: []string{"can't be read"}},
		"swaps the folder":         {script: "rmdir $SM_MODEL_DIR; ln -s /etc $SM_MODEL_DIR", words: []string{"left no folder SM_MODEL_DIR"}},
		"removes everything":       {script: "cd /; rm -rf $HOME", words: []string{"left no folder SM_MODEL_DIR"}},
		"closes its folders":       {script: "mkdir -p a/b; chmod 000 a/b a; exit 4", words: []string{"exit code 4"}},
		"writes after its end":     {script: "(setsid sh -c 'sleep 0.2; cp model.bin $SM_MODEL_DIR/model.onnx' >/dev/null 2>&1 &); exit 0", model: good, words: []string{"left no model.onnx"}},
		"wants a secret":           {script: "echo secret=$TIDEMILL_TEST_SECRET; env; test -n \"$TIDEMILL_TEST_SECRET\"", words: []string{"exit code 1"}, tail: "secret="},
		"reads its parent":         {script: "tr '\\0' '\\n' < /proc/$$/environ | grep -c hush; exit 5", words: []string{"exit code 5", "its last line: 0"}},
		"lacks a module":           {script: "echo \"ModuleNotFoundError: No module named 'polars'\" >&2; exit 1", words: []string{`"polars" is missing: add it to requirements.txt`}},
		"lacks its interpreter":    {change: func(s *runtime.Spec) { s.Candidate.Command = []string{"./run"} }, words: []string{`interpreter "/opt/no/python"`}},
		"is no program":            {change: func(s *runtime.Spec) { s.Candidate.Command = []string{"./data"} }, words: []string{"is no program"}},
		"lacks its input":          {script: "cat $SM_CHANNEL_TRAIN/none.csv", words: []string{"exit code 1", "none.csv"}},
	}
}

// Every one of them ends as a failed trial with a reason, within its time, and leaves no process and no folder behind.
func TestBadTrainers(t *testing.T) {
	t.Parallel()
	for name, c := range badTrainers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.options.Getenv = func(name string) string {
				return map[string]string{"PATH": os.Getenv("PATH"), "TIDEMILL_TEST_SECRET": "hush-hush"}[name]
			}
			s := b.trial(c.script, map[string][]byte{"model.bin": c.model})
			if strings.HasPrefix(name, "lacks its interpreter") || name == "is no program" {
				s = b.executables(map[string]string{"run": "#!/opt/no/python\n", "data": "\x00\x01\x02"})
			}
			if c.change != nil {
				c.change(&s)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			r, tail, err := b.run(ctx, s)
			var failure *runtime.Failure
			require.ErrorAs(t, err, &failure, strings.Join(tail, "\n"))
			for _, words := range c.words {
				require.Contains(t, failure.Reason, words)
			}
			require.Nil(t, r.ONNX)
			require.Less(t, len(failure.Reason), 1000)
			require.NotContains(t, strings.Join(tail, "\n")+failure.Reason, "hush")
			require.Contains(t, strings.Join(tail, "\n"), c.tail)
			require.LessOrEqual(t, len(strings.Join(tail, "")), 60<<10)
			require.NoDirExists(t, filepath.Join(b.dir, s.Trial, "attempt-1"))
			require.Empty(t, of(b.dir), "processes are left")
		})
	}
}

// executables is a trial with programs in its source.
func (b *bench) executables(files map[string]string) runtime.Spec {
	s := b.trial("", nil)
	dir := b.t.TempDir()
	for name, content := range files {
		require.NoError(b.t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755))
	}
	packed, err := runtime.PackSource(dir)
	require.NoError(b.t, err)
	blob, err := b.blobs.PutBytes(context.Background(), "programs", packed)
	require.NoError(b.t, err)
	s.Code = &blob
	return s
}

// of are the processes whose environment names a folder.
func of(dir string) []string {
	var out []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		if b, err := os.ReadFile(path); err == nil && strings.Contains(string(b), dir) {
			out = append(out, path)
		}
	}
	return out
}

// A runner that has run all of them still works.
func TestBadTrainersOneAfterAnother(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.runner()
	for name, c := range badTrainers() {
		if c.change != nil || strings.Contains(name, "100 MB") || strings.Contains(name, "crowd") {
			continue
		}
		s := b.trial(c.script, map[string][]byte{"model.bin": c.model})
		_, _, err := r.Run(t.Context(), s, 1, nil)
		require.Error(t, err, name)
	}
	_, _, err := r.Run(t.Context(), b.trial(leave, map[string][]byte{"model.bin": onnx(1, "probabilities")}), 1, nil)
	require.NoError(t, err)
}

// What a trial started is gone when it ends, well or not, whichever way it left its group.
func TestNothingOutlivesATrial(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"in the group":   "sh -c 'echo $$ > $PIDS/pid; exec sleep 300' &\n",
		"a session":      "setsid sh -c 'echo $$ > $PIDS/pid; exec sleep 300' &\n",
		"no hangup":      "nohup sh -c 'echo $$ > $PIDS/pid; exec sleep 300' &\n",
		"a double fork":  "(setsid sh -c 'echo $$ > $PIDS/pid; exec sleep 300' >/dev/null 2>&1 &)\n",
		"no environment": "(setsid env -i PATH=$PATH PIDS=$PIDS sh -c 'echo $$ > $PIDS/pid; cd /; exec sleep 300' &)\n",
		"deaf":           "(setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > $PIDS/pid; while :; do sleep 1; done' &)\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := t.TempDir()
			b := newBench(t)
			wait := "while ! test -s $PIDS/pid; do sleep 0.01; done; sleep 0.3\n"
			s := b.trial("PIDS="+pids+"; export PIDS\n"+script+wait+leave, map[string][]byte{"model.bin": onnx(1, "probabilities")})
			began := time.Now()
			_, _, err := b.run(t.Context(), s)
			require.NoError(t, err)
			require.Less(t, time.Since(began), 20*time.Second)
			text, err := os.ReadFile(filepath.Join(pids, "pid"))
			require.NoError(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
			require.NoError(t, err)
			require.False(t, alive(pid), "it is left")
		})
	}
}

// alive tells whether a process is there and has not ended.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := "k3y-" + strings.Repeat("z", 20) + `"\end`
	pem := "-----BEGIN\nfirst-part\nsecond-part\n-----END"
	b.options.Getenv = func(name string) string {
		return map[string]string{"PATH": os.Getenv("PATH"), "API_KEY": key, "PEM": pem, "PIN": "123", "OTHER": "not-yours"}[name]
	}
	s := b.trial(`
test ${#API_KEY} -eq `+strconv.Itoa(len(key))+` || exit 9
printf 'key %s\n' "$API_KEY"
printf 'json {"key": "%s"}\n' "$(printf %s "$API_KEY" | sed 's/\\/\\\\/g; s/"/\\"/g')"
printf 'pem %s\n' "$PEM"
echo "pin $PIN other $OTHER"
printf '{"auc-%s": 0.5}\n' "zzz"
head -c 16380 /dev/zero | tr '\0' y; printf %s "$API_KEY"; echo
i=0; while [ $i -lt 3000 ]; do printf %s "$API_KEY"; i=$((i+1)); done; echo
cat train.sh | head -1
`+leave+`
printf %s "$API_KEY" > $TIDEMILL_CHECKPOINT_DIR/x
printf 'last words: %s\n' "$API_KEY" >&2
exit 1`, map[string][]byte{"model.bin": onnx(1, "probabilities")})
	s.Candidate.Secrets = []string{"API_KEY", "PEM", "PIN"}
	_, tail, err := b.run(t.Context(), s)
	require.ErrorContains(t, err, "last words: ***")
	log, readErr := os.ReadFile(filepath.Join(b.dir, s.Trial, "attempt-1.log"))
	require.NoError(t, readErr)
	everything := err.Error() + strings.Join(tail, "\n") + string(log) + fmt.Sprint(b.updates)
	for _, secret := range []string{key, "k3y-zz", "first-part", "second-part", "not-yours"} {
		require.NotContains(t, everything, secret)
	}
	for _, words := range []string{"key ***", `json {"key": "***"}`, "pem ***", "pin 123 other", "yyy***"} {
		require.Contains(t, string(log), words)
	}

	for words, name := range map[string]string{"the secret MISSING is not in this worker's environment: start the worker with MISSING set": "MISSING",
		"the secret TIDEMILL_TOKEN is not for trainers": "TIDEMILL_TOKEN", "the secret PATH is not for trainers": "PATH"} {
		s.Candidate.Secrets = []string{name}
		_, _, err = b.run(t.Context(), s)
		var failure *runtime.Failure
		require.True(t, errors.As(err, &failure))
		require.ErrorContains(t, err, words)
	}
}

// The machine's libraries are told how many threads to use, when the candidate says so.
func TestResourcesAreTold(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := b.trial("echo $SM_NUM_CPUS $SM_NUM_GPUS $OMP_NUM_THREADS $OPENBLAS_NUM_THREADS $MKL_NUM_THREADS $NUMEXPR_NUM_THREADS $TIDEMILL_TRIAL; ulimit -n; exit 1", nil)
	s.Candidate.Resources = resource.Resources{CPU: 3, GPU: 2, OpenFiles: 77}
	_, tail, err := b.run(t.Context(), s)
	require.Error(t, err)
	require.Equal(t, []string{"3 2 3 3 3 3 " + s.Trial + "/1", "77"}, tail)
}
