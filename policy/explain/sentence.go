package explain

// Sentence says the same in English, without a full stop.
func (a *Answer) Sentence() string {
	switch {
	case a.Outcome == Always:
		return "always"
	case a.Outcome == Never:
		return "never: " + a.Why
	}
	return "only when " + a.Condition()
}
