package clientdoc

import (
	"context"
	"errors"
	"time"
)

const (
	// fetchesPerSecond are made in the long run, of all documents together, and
	// fetchBurst at once. Documents that are known need none.
	fetchesPerSecond = 5
	fetchBurst       = 20
	// maxFlights are under way at once, and maxWaiting wait for one of them.
	maxFlights = 10
	maxWaiting = 100
	// flightTime bounds a fetch whatever the HTTP client does.
	flightTime = 10 * time.Second
)

// A flight is one fetch, which is over when done is closed.
type flight struct {
	done    chan struct{}
	waiting int // guarded by Fetcher.mu

	// Set before done is closed.
	doc *Document
	err error
}

var errBusy = errors.New("too many are fetched already")

// joinLocked returns the fetch of an id, and whether the caller is the first to
// want it and has to fly it.
func (f *Fetcher) joinLocked(id string) (fl *flight, first bool, err error) {
	fl = f.flights[id]
	switch {
	case fl != nil && fl.waiting < maxWaiting:
		fl.waiting++
		return fl, false, nil
	case fl != nil || len(f.flights) >= maxFlights || !f.rate.Allow():
		return nil, false, &Unavailable{Text: "Too many clients' metadata documents are being fetched right now. Try again in a moment.", Cause: errBusy}
	}
	fl = &flight{done: make(chan struct{})}
	f.flights[id] = fl
	return fl, true, nil
}

// fly fetches a document for all who wait, so also if ctx ends.
func (f *Fetcher) fly(ctx context.Context, fl *flight, id, host string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTime)
	defer cancel()
	began := time.Now()
	doc, freshFor, err := f.fetch(ctx, id, host)
	f.note(fl, id, doc, freshFor, err)
	f.report(id, err, time.Since(began))
}

// note puts what came of a fetch into the cache, and ends the flight.
func (f *Fetcher) note(fl *flight, id string, doc *Document, freshFor time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	var refused *Refused
	var unavailable *Unavailable
	switch {
	case err == nil:
		if old := f.cache.keep(doc, now.Add(freshFor), now); old != nil && !sameClient(old, doc) {
			f.log.Info("client metadata document has changed", "client", id, "redirects", doc.Redirects, "before", old.Redirects)
		}
	case errors.As(err, &refused):
		f.cache.refuse(id, refused, now)
	case errors.As(err, &unavailable):
		f.cache.miss(id, unavailable, now)
		if stale := f.cache.stale(id, now); stale != nil {
			doc, err = stale, nil
		}
	}
	fl.doc, fl.err = doc, err
	delete(f.flights, id)
	close(fl.done)
}

// report writes a line for each fetch that failed. There are no more of them
// than fetches.
func (f *Fetcher) report(id string, err error, took time.Duration) {
	var unavailable *Unavailable
	switch {
	case err == nil:
	case errors.As(err, &unavailable):
		f.log.Warn("client metadata document could not be fetched", "client", id, "err", causeOf(unavailable), "took", took)
	default:
		f.log.Warn("client metadata document refused", "client", id, "err", err, "took", took)
	}
}

func (fl *flight) wait(ctx context.Context) (*Document, error) {
	select {
	case <-fl.done:
		return fl.doc, fl.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
