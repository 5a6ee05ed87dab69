package aggregator

// Figures are how much of everything there is at a moment.
type Figures struct {
	// Sessions are those of legacy clients that are open. Modern clients have
	// none.
	Sessions int
	// Streams are those that clients of both eras hold open to hear of changes.
	Streams int

	// Generation counts the catalogs so far.
	Generation uint64
	// Tools, Prompts, Resources and Templates are published, Hidden are not; see
	// [Catalog].
	Tools, Prompts, Resources, Templates, Hidden int

	// Memory is what the containers that run may use together, and MemoryLimit
	// what all may, in bytes; 0 means any amount.
	Memory, MemoryLimit int64
}

// Figures counts what there is now.
func (g *Gateway) Figures() Figures {
	c := g.Catalog()
	f := Figures{
		Generation: c.Generation,
		Tools:      len(c.tools.inOrder), Prompts: len(c.prompts.inOrder),
		Resources: len(c.resources.inOrder), Templates: len(c.templates.inOrder), Hidden: len(c.Hidden),
		Streams: g.listeners.count(),
	}
	f.Memory, f.MemoryLimit = g.containers.Usage()
	for _, s := range g.sessions.all() {
		f.Sessions++
		if s.listens() {
			f.Streams++
		}
	}
	return f
}

func (ls *listeners) count() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return len(ls.open)
}
