package gateway

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/tidemill/tidemill/core/resource"
	"github.com/tidemill/tidemill/events"
	"github.com/tidemill/tidemill/services/api"
	"github.com/tidemill/tidemill/services/internal/catalog"
)

type DatasetInput struct {
	Dataset string `path:"dataset"`
}

func (s *Service) datasetRoutes(h huma.API) {
	const path = "/api/v1/datasets"
	on(s, h, http.MethodGet, path, "list-datasets", "Datasets as they stand", s.listDatasets)
	on(s, h, http.MethodGet, path+"/{dataset}", "get-dataset", "A dataset as it stands",
		func(ctx context.Context, in *DatasetInput) (*answer[api.Dataset], error) {
			r, err := s.find(resource.KindDataset, in.Dataset)
			if err != nil {
				return nil, err
			}
			return answered(s.dataset(ctx, r))
		})
	on(s, h, http.MethodGet, path+"/{dataset}/batches/{batch}", "get-batch", "How far a published file is",
		func(ctx context.Context, in *struct {
			DatasetInput
			Batch string `path:"batch"`
		}) (*answer[api.Batch], error) {
			if _, err := s.find(resource.KindDataset, in.Dataset); err != nil {
				return nil, err
			}
			return answered(s.batch(ctx, in.Dataset, in.Batch))
		})
	on(s, h, http.MethodGet, path+"/{dataset}/segments", "list-segments", "Segments of a dataset, newest first",
		func(_ context.Context, in *struct {
			DatasetInput
			Limit int `query:"limit" minimum:"1" default:"100"`
		}) (*answer[api.List[api.Segment]], error) {
			_, err := s.find(resource.KindDataset, in.Dataset)
			return listed(s.projection.Segments(in.Dataset, in.Limit), err)
		})
	s.quarantineRoutes(h)
}

func (s *Service) listDatasets(ctx context.Context, _ *struct{}) (*answer[api.List[api.Dataset]], error) {
	var out []api.Dataset
	for _, r := range s.host.Catalog.List(resource.KindDataset) {
		d, err := s.dataset(ctx, r)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return listed(out, nil)
}

func (s *Service) dataset(ctx context.Context, r catalog.Resource) (api.Dataset, error) {
	d := s.projection.Dataset(r.Name())
	d.Revision = r.Revision
	var err error
	d.Waiting, err = s.waiting(ctx, r.Name(), d.Cursor)
	return d, err
}

// waiting counts the messages of a dataset in ROWS that are not done. A message of which some rows are done counts.
func (s *Service) waiting(ctx context.Context, dataset string, cursor events.Cursor) (int64, error) {
	stream, err := s.host.JS.Stream(ctx, events.StreamRows)
	if err != nil {
		return 0, err
	}
	st := stream.CachedInfo().State
	from := cursor.Sequence + 1
	if cursor.Offset > 0 {
		from = cursor.Sequence
	}
	from = max(from, st.FirstSeq, 1)
	if from > st.LastSeq {
		return 0, nil
	}
	// The newest message tells at once when nothing waits, as is usual. GetLastMsgForSubject reads it; it is one row, or small.
	last, err := stream.GetLastMsgForSubject(ctx, events.RowsSubject(dataset))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case last.Sequence < from:
		return 0, nil
	case st.NumSubjects == 1 && st.NumDeleted == 0:
		return int64(last.Sequence - from + 1), nil // all of them are this dataset's
	}
	return s.pending(ctx, dataset, from)
}

// pending lets the broker count what a reader would still get.
func (s *Service) pending(ctx context.Context, dataset string, from uint64) (int64, error) {
	c, err := s.host.JS.CreateConsumer(ctx, events.StreamRows, jetstream.ConsumerConfig{
		FilterSubject: events.RowsSubject(dataset), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, HeadersOnly: true,
	})
	if err != nil {
		return 0, err
	}
	info := c.CachedInfo()
	return int64(info.NumPending), s.host.JS.DeleteConsumer(ctx, events.StreamRows, info.Name)
}
