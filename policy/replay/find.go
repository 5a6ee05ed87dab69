package replay

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// errFound ends reading.
var errFound = errors.New("found")

// Find is the record with that reference or time, or whose reference or time alone begins
// like that. A time is as in the file, such as 2026-11-28T09:30:00.123456Z.
func Find(logs []Log, id string) (*Record, error) {
	if id == "" {
		return nil, errors.New("a record is found by the reference that the caller was told, or by its time")
	}
	var found []*Record
	_, err := Each(logs, time.Time{}, func(r *Record) error {
		text := r.ID()
		switch {
		case text == id:
			found = []*Record{r}
			return errFound
		case strings.HasPrefix(text, id) && len(found) < 3:
			found = append(found, r)
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errFound):
		return nil, err
	case len(found) == 0:
		return nil, fmt.Errorf("no record has the reference, or the time, %q", id)
	case len(found) > 1:
		return nil, fmt.Errorf("%q is of several records, such as %s and %s", id, found[0].ID(), found[1].ID())
	}
	return found[0], nil
}
