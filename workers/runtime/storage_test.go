package runtime_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/tidemill/tidemill/events"
)

// What a worker needs of blob storage beyond what a runner needs.

func (m *memory) Open(_ context.Context, key string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.m[key]
	if !ok {
		return nil, fmt.Errorf("no object %s: %w", key, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (m *memory) PutFile(ctx context.Context, key, path string) (events.Blob, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return events.Blob{}, err
	}
	return m.PutBytes(ctx, key, b)
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.m, key)
	return nil
}

func (m *memory) List(_ context.Context, prefix string) ([]events.Blob, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []events.Blob
	for key := range m.m {
		if strings.HasPrefix(key, prefix) {
			out = append(out, events.Blob{Key: key})
		}
	}
	slices.SortFunc(out, func(a, b events.Blob) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// keys are the names of the objects under a prefix.
func (m *memory) keys(prefix string) []string {
	found, _ := m.List(context.Background(), prefix) // it doesn't fail
	out := []string{}
	for _, b := range found {
		out = append(out, b.Key)
	}
	return out
}
