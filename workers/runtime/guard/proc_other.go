//go:build !linux

package guard

// Without /proc a trial is its process group: see the package's comment.

func list() []int              { return nil }
func read(int) (process, bool) { return process{}, false }
func environ(int) []string     { return nil }
func folder(int) string        { return "" }
func share(int) (int64, bool)  { return 0, false }
func reap(process)             {}

// OutOfMemoryKills counts how often the kernel has killed a process for lack of memory; it is told on Linux alone.
func OutOfMemoryKills() (int64, bool) { return 0, false }

func setTag(int, uint64) error { return nil }
func tagOf(int) uint64         { return 0 }
func namespace() string        { return "" }
