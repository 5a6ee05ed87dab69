//go:build !race

package survey_test

const raceEnabled = false
