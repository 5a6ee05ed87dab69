//go:build race

package survey_test

// slowdown is how much slower the race detector makes everything.
const slowdown = 12
