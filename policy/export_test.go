package policy

// Rulings counts those that an engine remembers: by its own count, and one by one.
func (e *Engine) Rulings() (counted, found int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for at := e.classes.recent.Front(); at != nil; at = at.Next() {
		c := at.Value.(*class)
		c.mu.RLock()
		found += len(c.rulings)
		c.mu.RUnlock()
	}
	return int(e.rulings.Load()), found
}
