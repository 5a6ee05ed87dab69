//go:build race

package survey_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
