package features

// Unstream makes o compute by statements.
func (o *Online) Unstream() { o.unstreamed.Store(true) }

// Streams tells whether o computes by streams.
func (o *Online) Streams() bool { return !o.unstreamed.Load() }
