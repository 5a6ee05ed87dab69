//go:build !race

package survey_test

const slowdown = 1
