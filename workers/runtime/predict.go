package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
	"github.com/tidemill/tidemill/core/model/command"
	"github.com/tidemill/tidemill/workers/runtime/guard"
)

// PredictFile in SM_MODEL_DIR answers instead of a model.onnx, when it can be executed.
const PredictFile = "predict"

// MaxExtras is how much a model folder may hold beside model.onnx, in bytes.
const MaxExtras = 2 << 30

// collectFrom takes what the trainer left in its model folder: model.onnx or a predict command, and all else as extras.
func (t *run) collectFrom(folder *os.Root) (err error) {
	if t.result.Predict = t.predictCommand(folder); t.result.Predict == nil {
		t.result.ONNX, err = t.take(folder, model.ModelFile)
		if errors.Is(err, fs.ErrNotExist) {
			return failed("the trainer ended well but left no %s in SM_MODEL_DIR (%s), and no executable file %s either",
				model.ModelFile, left(folder), PredictFile)
		}
		if err != nil {
			return err
		}
	}
	packed, files, err := archive.Pack(folder, archive.Options{Limit: MaxExtras,
		Skip: func(name string, _ bool) bool { return name == model.ModelFile && t.result.Predict == nil },
		Check: func(_ string, f fs.FileInfo) error {
			if !t.o.User.owns(f) {
				return errors.New("it is another user's file")
			}
			return nil
		}})
	if err != nil {
		return failed("what the trainer left in SM_MODEL_DIR can't be kept: %v", err)
	}
	if files > 0 || t.result.Predict != nil {
		t.result.Extras = packed
	}
	return nil
}

// predictCommand is what answers when there is no model.onnx, or when the candidate says so; nil when that is an ONNX model.
func (t *run) predictCommand(folder *os.Root) *model.PredictCommand {
	if declared := t.spec.Candidate.Predict; len(declared) > 0 {
		return PredictOf(t.spec, declared)
	}
	if _, err := folder.Lstat(model.ModelFile); err == nil {
		return nil
	}
	info, err := folder.Lstat(PredictFile)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return nil
	}
	return PredictOf(t.spec, []string{"./" + PredictFile})
}

// PredictOf is the command that answers for a trial, and where it runs: one that the candidate declares, in the source folder when
// there is one; one that the trainer left, in its model folder.
func PredictOf(s Spec, command []string) *model.PredictCommand {
	if len(command) == 0 {
		return nil
	}
	folder := model.FolderModel
	if len(s.Candidate.Predict) > 0 && s.Code != nil {
		folder = model.FolderCode
	}
	return &model.PredictCommand{Command: command, Folder: folder}
}

// openModel opens what the trainer left as a version of it would be opened, and runs it once.
func (t *run) openModel(ctx context.Context) (model.Predictor, error) {
	if t.result.Predict == nil {
		scorer, err := t.ort.Open(ctx, t.result.ONNX, t.contract())
		if err != nil {
			return nil, ofTheModel("", err)
		}
		return scorer, nil
	}
	files := map[string][]byte{model.ExtrasFile: t.result.Extras}
	if t.spec.Code != nil {
		code, err := t.blobs.Get(ctx, t.spec.Code.Key)
		if err != nil {
			return nil, fmt.Errorf("fetch the candidate's source: %w", err)
		}
		files[model.CodeFile] = code
	}
	mark := guard.Mark{Worker: t.worker, Trial: t.spec.Trial, Attempt: t.attempt}
	p, err := command.Open(ctx, command.Options{Dir: filepath.Join(t.folders.scratch, "predict"), Path: t.o.Path, Env: mark.Environ(), User: t.o.User.Credential(),
		Environment: func(context.Context, string) (string, error) { return t.python.Bin, nil },
		Log:         func(_ command.Name, line string) { t.out.line(line) }},
		command.Name{Model: t.spec.Model}, *t.result.Predict, files, t.contract())
	if err != nil {
		return nil, ofTheModel("", err)
	}
	return p, nil
}

// ofTheModel makes a failure of what is wrong with the model; any other error is the platform's. when, "" for none, says more.
func ofTheModel(when string, err error) error {
	var broken *model.BrokenContract
	var nan *model.NotFinite
	var unavailable *model.Unavailable
	switch {
	case errors.As(err, &broken):
		return failed("%s%v", when, broken)
	case errors.As(err, &nan):
		return failed("%s%v", when, nan)
	case errors.As(err, &unavailable):
		return failed("%s%v", when, unavailable)
	}
	return err
}
