//go:build race

package suite_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
