package pages

import "time"

// A moment is a time as people and as programs read it.
type moment struct {
	Words string // seen from now, such as "5 minutes ago" and "in 30 days"
	UTC   string // such as "27 November 2026, 21:47 UTC"
	Stamp string // RFC 3339
}

func momentAt(t, now time.Time) moment {
	t = t.UTC()
	return moment{Words: relative(now.Sub(t)), UTC: t.Format("2 January 2006, 15:04 UTC"), Stamp: t.Format(time.RFC3339)}
}

// relative says how long ago something was; a negative duration is to come.
func relative(ago time.Duration) string {
	const day = 24 * time.Hour
	length := ago.Abs().Round(time.Minute)
	words := ""
	switch {
	case length < time.Minute && ago >= 0:
		return "just now"
	case length < time.Minute:
		return "in a moment"
	case length < time.Hour:
		words = count(int(length/time.Minute), "minute", "minutes")
	case length < 2*day:
		words = count(int(length/time.Hour), "hour", "hours")
	case length < 90*day:
		words = count(int(length/day), "day", "days")
	case length < 730*day:
		words = count(int(length/(30*day)), "month", "months")
	default:
		words = count(int(length/(365*day)), "year", "years")
	}
	if ago < 0 {
		return "in " + words
	}
	return words + " ago"
}
