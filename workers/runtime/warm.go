package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/model/archive"
)

// warmStart lays the champion out that the trainer may begin from: its model.onnx, and what else its trainer left.
func (t *run) warmStart(ctx context.Context) error {
	if t.spec.WarmStart == nil {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("lay out the champion to begin from: %w", err) }
	p, err := model.Read(ctx, t.blobs, *t.spec.WarmStart, t.o.Keys)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(t.folders.warm, 0o755); err != nil {
		return fail(err)
	}
	if extras, ok := p.Files[model.ExtrasFile]; ok {
		if err := archive.Unpack(extras, t.folders.warm, MaxExtras); err != nil {
			return fail(err)
		}
	}
	onnx, ok := p.Files[model.ModelFile]
	if !ok {
		return nil // it answers by a command
	}
	if err := os.WriteFile(filepath.Join(t.folders.warm, model.ModelFile), onnx, 0o644); err != nil {
		return fail(err)
	}
	return nil
}

// imported takes the model that a person brings: nothing is trained.
func (t *run) imported(ctx context.Context) error {
	blob := t.spec.Import.ONNX
	b, err := t.blobs.Get(ctx, blob.Key)
	if err != nil {
		return fmt.Errorf("fetch the imported model: %w", err)
	}
	if got := digest(b); got != blob.SHA256 {
		return failed("the imported model in blob storage is corrupt: it has sha256 %s, expected %s; import it again", got, blob.SHA256)
	}
	t.result.ONNX = b
	t.out.line(fmt.Sprintf("tidemill: %s is imported (%d bytes), nothing is trained", t.spec.Import.Name, len(b)))
	return nil
}
