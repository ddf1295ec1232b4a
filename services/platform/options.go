package platform

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Options say what a process runs and where.
type Options struct {
	// DataDir holds everything that this process keeps on disk.
	DataDir string
	// HTTP is the address of the API, the dashboard and inference.
	HTTP string
	// NATS is the address on which the embedded server listens; NATSURL names an external server instead.
	NATS      string
	NATSURL   string
	NATSToken string
	// BlobURL is where segments, packages and profiles lie; "": files in DataDir.
	BlobURL string
	// Targets to run; "all" is every one of them.
	Targets []string
	// Pool and Slots of the worker target.
	Pool  string
	Slots int
	// Drain is how long the worker's trials may go on when the process is asked to stop.
	Drain time.Duration
	// Lease is how soon another worker gets the trial of one that fell silent; 0: the default. All of a pool must agree.
	Lease time.Duration
	// CheckpointEvery is how often the worker looks for new checkpoints; 0: the default.
	CheckpointEvery time.Duration
	// TrialUser is whom trainers run as: a name, uid or uid:gid; "": this process's own user. It takes root.
	TrialUser string
	// Venvs is where Python environments lie; "": the folder that TIDEMILL_VENVS names, or "venvs" in DataDir.
	Venvs string
	// Watchdog is the command of this program, which ends its trials when it is killed: see runtime.Options.
	Watchdog []string
	// Replicas of streams and documents on an external cluster.
	Replicas int
	// LeaseTTL is how long the lease of a deciding service outlives a dead holder; 0: the default.
	LeaseTTL time.Duration
	// SigningKey is the file with the key that signs packages; "": signing.key in DataDir, made by the process that runs training.
	// TrustedKeys are files with public keys whose signatures are trusted besides.
	SigningKey  string
	TrustedKeys []string
	// Token guards the API; "": one is made and kept in DataDir.
	Token   string
	Version string
	Log     *zap.Logger
	// Ready is called once when everything runs.
	Ready func(Endpoint)
}

// All is the target that stands for every one.
const All = "all"

func (o *Options) complete() error {
	if len(o.Targets) == 0 {
		o.Targets = []string{All}
	}
	if err := CheckTargets(o.Targets); err != nil {
		return err
	}
	var names []string
	for _, t := range o.Targets {
		if t == All {
			names = append(names, TargetNames()...)
			continue
		}
		names = append(names, t)
	}
	slices.Sort(names)
	o.Targets = slices.Compact(names)
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Slots == 0 {
		o.Slots = 1
	}
	dir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	o.DataDir = dir
	if o.BlobURL == "" {
		o.BlobURL = (&url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Join(dir, "blobs")), RawQuery: "create=true"}).String()
	}
	return nil
}

// CheckTargets refuses an unknown target.
func CheckTargets(names []string) error {
	for _, t := range names {
		if t != All && !slices.Contains(TargetNames(), t) {
			return fmt.Errorf("unknown target %q: use %s or a comma-separated list of %s", t, All, strings.Join(TargetNames(), ", "))
		}
	}
	return nil
}

// runs tells whether the process runs a target.
func (o *Options) runs(target string) bool { return slices.Contains(o.Targets, target) }

// whole tells whether the process is an installation of its own: nothing else can use its broker and its blobs.
func (o *Options) whole() bool { return o.NATSURL == "" }
