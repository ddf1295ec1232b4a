package monitoring

import lru "github.com/hashicorp/golang-lru/v2"

// cache keeps what was read of immutable blobs, by digest.
type cache[T any] struct{ entries *lru.Cache[string, T] }

func newCache[T any](size int) *cache[T] {
	entries, err := lru.New[string, T](size)
	if err != nil {
		panic(err) // only a size below 1 is refused
	}
	return &cache[T]{entries: entries}
}

func (c *cache[T]) get(digest string, read func() (T, error)) (T, error) {
	if x, ok := c.entries.Get(digest); ok {
		return x, nil
	}
	x, err := read()
	if err == nil {
		c.entries.Add(digest, x)
	}
	return x, err
}
