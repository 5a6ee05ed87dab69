package clientdoc

import (
	"slices"
	"time"
)

const (
	// maxDocuments are kept, each of less than 5 KiB. The one that was not asked
	// for the longest gives way.
	maxDocuments = 1000
	// staleFor is how much longer than fresh a document counts while it cannot be
	// fetched.
	staleFor = 24 * time.Hour

	// refusedFor is for how long a document that was refused is not fetched again,
	// and failedFor the same after an outage. The draft wants errors not to be kept
	// (section 5.2); these are short, so that nobody waits long for what he has
	// mended, and are all that stands between a stranger and a fetch for each of his
	// requests.
	refusedFor = time.Minute
	failedFor  = 10 * time.Second
	// maxFailures are remembered until those that are over are forgotten. The rate
	// of fetches makes for no more than 320 that are not.
	maxFailures = 500
)

// A cache is the documents and failures that are known, by client id. It is not
// safe for concurrent use.
type cache struct {
	documents map[string]*kept
	failures  map[string]failure
}

type kept struct {
	doc         *Document
	fresh, used time.Time // until when it is fresh; when it was last asked for
}

type failure struct {
	err   error // a *Refused or *Unavailable
	until time.Time
}

func newCache() cache {
	return cache{documents: map[string]*kept{}, failures: map[string]failure{}}
}

// lookUp returns the document of an id, or why there is none; neither, if it has
// to be fetched.
func (c *cache) lookUp(id string, now time.Time) (*Document, error) {
	if k := c.documents[id]; k != nil && now.Before(k.fresh) {
		k.used = now
		return k.doc, nil
	}
	if f, ok := c.failures[id]; ok && now.Before(f.until) {
		if doc := c.stale(id, now); doc != nil {
			return doc, nil
		}
		return nil, f.err
	}
	return nil, nil
}

// stale returns a document that counts while it cannot be fetched, if there is
// one.
func (c *cache) stale(id string, now time.Time) *Document {
	k := c.documents[id]
	if k == nil || !now.Before(k.fresh.Add(staleFor)) {
		return nil
	}
	k.used = now
	return k.doc
}

// keep notes a document, and returns the one before it, which may be nil.
func (c *cache) keep(doc *Document, fresh, now time.Time) (previous *Document) {
	if k := c.documents[doc.ID]; k != nil {
		previous = k.doc
	} else if len(c.documents) >= maxDocuments {
		c.forgetOldest()
	}
	c.documents[doc.ID] = &kept{doc: doc, fresh: fresh, used: now}
	return previous
}

// forgetOldest looks at all documents, which is cheap next to the fetch that
// came before.
func (c *cache) forgetOldest() {
	oldest := ""
	for id, k := range c.documents {
		if oldest == "" || k.used.Before(c.documents[oldest].used) {
			oldest = id
		}
	}
	delete(c.documents, oldest)
}

// refuse notes that there is no document any more.
func (c *cache) refuse(id string, err *Refused, now time.Time) {
	delete(c.documents, id)
	c.fail(id, failure{err: err, until: now.Add(refusedFor)}, now)
}

// miss notes that a document could not be fetched.
func (c *cache) miss(id string, err *Unavailable, now time.Time) {
	c.fail(id, failure{err: err, until: now.Add(failedFor)}, now)
}

func (c *cache) fail(id string, f failure, now time.Time) {
	if len(c.failures) >= maxFailures {
		for old, f := range c.failures {
			if !now.Before(f.until) {
				delete(c.failures, old)
			}
		}
	}
	c.failures[id] = f
}

// sameClient reports whether nothing has changed that a person has agreed to.
func sameClient(a, b *Document) bool {
	return a.Name == b.Name && a.URI == b.URI && slices.Equal(a.Redirects, b.Redirects)
}
