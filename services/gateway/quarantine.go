package gateway

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tidemill/tidemill/core/lake"
	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/gateway/projection"
)

type QuarantineInput struct {
	DatasetInput
	Ordinal uint64 `path:"ordinal"`
}

func (s *Service) quarantineRoutes(h huma.API) {
	const path = "/api/v1/datasets/{dataset}/quarantine"
	on(s, h, http.MethodGet, path, "list-quarantine", "Refused rows by segment, newest first",
		func(_ context.Context, in *DatasetInput) (*answer[api.List[api.Quarantine]], error) {
			_, err := s.find(resource.KindDataset, in.Dataset)
			return listed(s.projection.Quarantine(in.Dataset), err)
		})
	on(s, h, http.MethodGet, path+"/{ordinal}/rows", "list-quarantined-rows", "Refused rows with their reasons",
		func(ctx context.Context, in *struct {
			QuarantineInput
			Limit  int64 `query:"limit" minimum:"1" maximum:"100000" default:"100"`
			Offset int64 `query:"offset" minimum:"0"`
		}) (*answer[api.List[api.QuarantinedRow]], error) {
			return listed(s.refusedRows(ctx, in.QuarantineInput, in.Offset, in.Limit))
		})
	on(s, h, http.MethodPost, path+"/{ordinal}/release", "release-quarantine", "Let refused rows back in, without the checks of their values",
		func(ctx context.Context, in *QuarantineInput) (*answer[api.Asked], error) {
			return answered(s.release(ctx, *in))
		})
	on(s, h, http.MethodPost, path+"/{ordinal}/drop", "drop-quarantine", "Leave refused rows out for good",
		func(ctx context.Context, in *QuarantineInput) (*answer[api.Asked], error) {
			return answered(s.drop(ctx, *in))
		})
}

// refused finds the refused rows of a segment.
func (s *Service) refused(in QuarantineInput) (api.Quarantine, events.Blob, error) {
	if _, err := s.find(resource.KindDataset, in.Dataset); err != nil {
		return api.Quarantine{}, events.Blob{}, err
	}
	q, blob, ok := s.projection.Refused(in.Dataset, in.Ordinal)
	if !ok {
		return q, blob, fail(http.StatusNotFound, "'tidemill quarantine list "+in.Dataset+"' names the segments that have some",
			"segment %d of %s has no refused rows", in.Ordinal, in.Dataset)
	}
	return q, blob, nil
}

func (s *Service) refusedRows(ctx context.Context, in QuarantineInput, offset, limit int64) ([]api.QuarantinedRow, error) {
	_, blob, err := s.refused(in)
	if err != nil {
		return nil, err
	}
	path, err := s.host.Blobs.Local(ctx, blob)
	if err != nil {
		return nil, err
	}
	list, err := lake.ReadQuarantine(ctx, s.host.Engine, path, offset, limit)
	out := make([]api.QuarantinedRow, len(list))
	for i, r := range list {
		out[i] = api.QuarantinedRow{Row: r.Raw, Reason: string(r.Refusal.Reason), Column: r.Refusal.Column, Detail: r.Refusal.Detail,
			Sequence: r.Sequence, Offset: r.Offset}
	}
	return out, err
}

// held finds refused rows that nobody has decided about.
func (s *Service) held(in QuarantineInput) (api.Quarantine, events.Blob, error) {
	q, blob, err := s.refused(in)
	if err == nil && q.State != projection.Held {
		err = fail(http.StatusConflict, "", "the refused rows of segment %d of %s were %s already", in.Ordinal, in.Dataset, q.State)
	}
	return q, blob, err
}

// release gives the rows a new place among the rows, and then says so: should the process die between the two, a second release
// is the same batch, and ingestion takes a batch once.
func (s *Service) release(ctx context.Context, in QuarantineInput) (api.Asked, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	q, blob, err := s.held(in)
	if err != nil {
		return api.Asked{}, err
	}
	if q.Reasons[unreadableReason] == q.Rows {
		return api.Asked{}, fail(http.StatusConflict, "publish a file that can be read", "segment %d of %s is a file that can't be read; it holds no rows to release", in.Ordinal, in.Dataset)
	}
	_, err = s.announce(ctx, in.Dataset, events.RowsFile{Batch: events.DeriveID("release", in.Dataset, fmt.Sprint(in.Ordinal)),
		Name: fmt.Sprintf("refused rows of segment %d", in.Ordinal), Format: lake.FormatQuarantine, File: blob, Rows: q.Rows, Release: in.Ordinal})
	if err != nil {
		return api.Asked{}, refusal(err)
	}
	return s.ask(ctx, events.QuarantineReleasedType, decisionID(in, "released"), in.Dataset,
		events.QuarantineReleased{Dataset: in.Dataset, Ordinal: in.Ordinal, Rows: q.Rows})
}

// unreadableReason is ingestion's reason for the rows of a file that it could not read.
const unreadableReason = "unreadable"

func (s *Service) drop(ctx context.Context, in QuarantineInput) (api.Asked, error) {
	s.deciding.Lock()
	defer s.deciding.Unlock()
	q, _, err := s.held(in)
	if err != nil {
		return api.Asked{}, err
	}
	return s.ask(ctx, events.QuarantineDroppedType, decisionID(in, "dropped"), in.Dataset,
		events.QuarantineDropped{Dataset: in.Dataset, Ordinal: in.Ordinal, Rows: q.Rows})
}

func decisionID(in QuarantineInput, what string) string {
	return events.DeriveID("quarantine", in.Dataset, fmt.Sprint(in.Ordinal), what)
}

// ask says a wish and acknowledges it.
func (s *Service) ask(ctx context.Context, t events.Type, id, subject string, payload any) (api.Asked, error) {
	f, err := s.say(ctx, t, id, subject, payload)
	return api.Asked{ID: f.ID, Seq: f.Seq}, err
}
