package guard

// process is what is known of one process.
type process struct {
	pid, parent, group int
	start              uint64 // in clock ticks since the machine started; with pid, it names the process for ever
	rss                int64  // bytes
	terminal           bool   // it has a controlling one
	zombie             bool   // it has ended and waits for its parent
}
