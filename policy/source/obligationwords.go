package source

import (
	"fmt"
	"strings"
	"time"
)

// Words say in English what is demanded, each without a full stop.
func (o Obligations) Words() []string {
	var all []string
	for _, r := range o.Rates {
		calls := "calls"
		if r.Calls == 1 {
			calls = "call"
		}
		all = append(all, fmt.Sprintf("at most %d %s in %s", r.Calls, calls, inWords(r.Per)))
	}
	if o.MaxBytesIn > 0 {
		all = append(all, fmt.Sprintf("the arguments have %d bytes at most", o.MaxBytesIn))
	}
	if o.MaxBytesOut > 0 {
		all = append(all, fmt.Sprintf("the result has %d bytes at most", o.MaxBytesOut))
	}
	if len(o.Redact) > 0 {
		paths := make([]string, len(o.Redact))
		for i, path := range o.Redact {
			paths[i] = path.String()
		}
		all = append(all, "taken out of the result: "+strings.Join(paths, ", "))
	}
	if o.Audit {
		all = append(all, "the arguments are in the audit record as they come")
	}
	return all
}

// inWords is the time of a rate.
func inWords(d time.Duration) string {
	switch d {
	case 24 * time.Hour:
		return "a day"
	case time.Hour:
		return "an hour"
	case time.Minute:
		return "a minute"
	case time.Second:
		return "a second"
	}
	return d.String()
}
