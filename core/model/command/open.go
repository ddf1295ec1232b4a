package command

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
)

// MaxUnpacked bounds the model folder and the source of a package, unpacked, in bytes each.
const MaxUnpacked = 8 << 30

// Folders of an opened package.
const (
	folderModel = model.FolderModel
	folderCode  = model.FolderCode
	folderTemp  = "tmp"
)

// Opener opens packages, whatever answers for them.
type Opener struct {
	Runtime *model.Runtime
	Options Options
}

// Open opens a package that was read and so verified: its ONNX file, or its predict command, which is started. A model that breaks
// its contract gives a [*model.BrokenContract], a command that ended or was too slow a [*model.Unavailable]. The predictor must be
// closed.
func (o Opener) Open(ctx context.Context, p model.Package) (model.Predictor, error) {
	if p.Manifest.Predict == nil {
		return o.Runtime.Open(ctx, p.Files[model.ModelFile], p.Manifest.Contract)
	}
	opened, err := Open(ctx, o.Options, Name{p.Manifest.Model, p.Manifest.Version}, *p.Manifest.Predict, p.Files, p.Manifest.Contract)
	if err != nil {
		return nil, err // not opened: it must not become an interface that isn't nil
	}
	return opened, nil
}

// Open unpacks a model folder and a source folder ([model.ExtrasFile] and [model.CodeFile] among files) and starts the command that
// answers for them. See [Opener.Open] for errors.
func Open(ctx context.Context, o Options, name Name, c model.PredictCommand, files map[string][]byte, contract model.Contract) (_ *Predictor, err error) {
	if err := contract.Check(); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	o = o.complete()
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("open model: %w", err)
		}
	}
	root, err := os.MkdirTemp(o.Dir, "predict-")
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(root)
		}
	}()
	if root, err = filepath.Abs(root); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	for folder, packed := range map[string][]byte{folderModel: files[model.ExtrasFile], folderCode: files[model.CodeFile], folderTemp: nil} {
		if err := lay(filepath.Join(root, folder), packed); err != nil {
			return nil, fmt.Errorf("open model: %w", err)
		}
	}
	if err := give(root, o.User); err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	p, err := open(ctx, o, name, root, c, contract)
	if err != nil {
		return nil, fmt.Errorf("open model: %w", err)
	}
	return p, nil
}

// give makes a user the owner of a folder and of all that was just unpacked into it.
func give(root string, user *syscall.Credential) error {
	if user == nil {
		return nil
	}
	return filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(user.Uid), int(user.Gid))
	})
}

// lay makes a folder, with what was packed into it.
func lay(dir string, packed []byte) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if packed == nil {
		return nil
	}
	return archive.Unpack(packed, dir, MaxUnpacked)
}
