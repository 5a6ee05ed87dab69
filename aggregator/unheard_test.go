package aggregator

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
)

// A question waits while the client may have lost its connection only, and not
// much longer: sessions of clients that are gone must not keep their processes.
func TestQuestionsThatNobodyHearsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSession(oauth.Anonymous, "2025-11-25", nil)
		began := time.Now()
		_, _, detach := s.attach(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := s.ask(t.Context(), s.tell, question{to: s, method: "roots/list"})
			gone <- err
		}()
		time.Sleep(10 * time.Minute) // the client is there, and the person thinks
		detach()
		time.Sleep(30 * time.Second)
		_, _, detach = s.attach(t.Context()) // it has only lost its stream
		time.Sleep(10 * time.Minute)
		select {
		case err := <-gone:
			t.Fatalf("given up after %v: %v", time.Since(began), err)
		default:
		}
		detach()
		left := time.Now()
		if err := <-gone; !errors.Is(err, errUnheard) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(left); took > 2*unheardTime {
			t.Errorf("given up after %v, want %v at most", took, 2*unheardTime)
		}
	})
}
