package recipe

import (
	"context"
	"fmt"

	"github.com/tidemill/tidemill/core/model"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/workers/runtime"
)

// Code is the candidate's source: the one that was packed when the model was applied, else the folder as it is now, packed and
// stored. It is nil for a candidate without source. A folder that can't be packed is an [Impossible].
func Code(ctx context.Context, blobs model.Writer, candidate resource.Candidate) (*events.Blob, error) {
	if candidate.Code != nil || candidate.Source == "" {
		return candidate.Code, nil
	}
	archive, err := runtime.PackSource(candidate.Source)
	if err != nil {
		return nil, impossible("the source of candidate %s can't be packed: %v", candidate.Name, err)
	}
	stored, err := blobs.PutBytes(ctx, "code/"+events.SHA256(archive)+".tar.gz", archive)
	if err != nil {
		return nil, fmt.Errorf("store the source of candidate %s: %w", candidate.Name, err)
	}
	return &stored, nil
}
