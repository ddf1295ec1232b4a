package together

// Waiting is how many wait.
func (g *Group[J]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
