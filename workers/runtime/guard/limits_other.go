//go:build !linux

package guard

// Limits bound each process of a trial by itself; 0 is no limit. They need Linux.
type Limits struct {
	OpenFiles int
	FileSize  int64 // bytes of one file
}

// Apply does nothing here: a process that runs can't be given limits.
func (l Limits) Apply(int) error { return nil }
