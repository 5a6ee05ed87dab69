package main

import (
	"fmt"
	"strings"
	"sync"
)

// maxFailureTexts bounds how many failures are told; all are counted.
const maxFailureTexts = 5

// failures collects what went wrong while measuring. It is safe for
// concurrent use.
type failures struct {
	mu    sync.Mutex
	count int
	texts []string
}

func (f *failures) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if len(f.texts) < maxFailureTexts {
		f.texts = append(f.texts, err.Error())
	}
}

// err returns nil if nothing went wrong.
func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		return nil
	}
	return fmt.Errorf("%d failed:\n  %s", f.count, strings.Join(f.texts, "\n  "))
}
