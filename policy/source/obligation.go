package source

import (
	"cmp"
	"slices"
	"time"
)

// Obligations are what a satisfied permit demands. The zero value demands nothing.
type Obligations struct {
	Rates       []Rate // all of them hold; at most one for each Per, the shortest first
	MaxBytesIn  int64  // of the arguments; 0: no bound
	MaxBytesOut int64  // of the result; 0: no bound
	Redact      []Path // out of the result, in structured content and JSON texts
	Audit       bool   // whole arguments into the audit record
}

// A Rate is so many calls in a time.
type Rate struct {
	Calls int
	Per   time.Duration
}

// With is what satisfies both: the lowest rate for each time, the smallest bounds,
// all redactions. Neither is changed.
func (o Obligations) With(other Obligations) Obligations {
	return Obligations{
		Rates:       lowest(o.Rates, other.Rates),
		MaxBytesIn:  smaller(o.MaxBytesIn, other.MaxBytesIn),
		MaxBytesOut: smaller(o.MaxBytesOut, other.MaxBytesOut),
		Redact:      union(o.Redact, other.Redact),
		Audit:       o.Audit || other.Audit,
	}
}

// lowest keeps the fewest calls for each time. 10 a minute and 100 an hour are both
// kept, since each can be the one that is reached first.
func lowest(a, b []Rate) []Rate {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return b
	}
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(a, b Rate) int {
		return cmp.Or(cmp.Compare(a.Per, b.Per), cmp.Compare(a.Calls, b.Calls))
	})
	return slices.CompactFunc(all, func(a, b Rate) bool { return a.Per == b.Per })
}

// smaller is the smaller bound, where 0 is none.
func smaller(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

func union(a, b []Path) []Path {
	if len(b) == 0 {
		return a
	}
	if len(a) == 0 {
		return b
	}
	all := slices.Clone(a)
	for _, path := range b {
		if !slices.ContainsFunc(all, path.equal) {
			all = append(all, path)
		}
	}
	return all
}
