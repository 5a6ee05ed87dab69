package brake

import (
	"context"
	"math/rand/v2"
	"sync"
)

// Enter is Check for a call or a stream that begins now, and remembers it until leave
// is called: a block that stops it meanwhile ends the context that Enter returns, for
// a cause that is a *[Blocked]. leave may be called several times, and must be once.
// If the subject is blocked already, the context has ended, and leave does nothing.
func (b *Brake) Enter(ctx context.Context, s Subject) (_ context.Context, leave func(), blocked *Block) {
	ctx, cancel := context.WithCancelCause(ctx)
	f := &flight{subject: s, stop: cancel, in: &b.flights.shards[rand.Uint32()%shards]}
	f.in.add(f)
	// Only now: a block that Check does not know yet finds the flight.
	if r := b.rules.Load(); r != nil {
		if blocked = r.find(&s); blocked != nil {
			f.in.remove(f)
			cancel(&Blocked{blocked})
			return ctx, func() {}, blocked
		}
	}
	return ctx, f.leave, nil
}

// shards is how many locks flights share, so that few wait for each other.
const shards = 16

// flights are the calls and streams that are under way.
type flights struct{ shards [shards]shard }

type shard struct {
	mu    sync.Mutex
	first *flight // guarded by mu
	_     [48]byte
}

// A flight is one of them.
type flight struct {
	// Set by Enter, never changed.
	subject Subject
	stop    context.CancelCauseFunc
	in      *shard

	next, previous *flight // guarded by in.mu
	left           bool    // guarded by in.mu
}

func (s *shard) add(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.next = s.first
	if f.next != nil {
		f.next.previous = f
	}
	s.first = f
}

// remove may be called several times.
func (s *shard) remove(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.left {
		return
	}
	f.left = true
	if f.previous == nil {
		s.first = f.next
	} else {
		f.previous.next = f.next
	}
	if f.next != nil {
		f.next.previous = f.previous
	}
}

func (f *flight) leave() {
	f.in.remove(f)
	f.stop(nil)
}

// cancel ends what is blocked. It does not wait for it.
func (fs *flights) cancel(r *rules) {
	if r == nil {
		return
	}
	for i := range fs.shards {
		for _, f := range fs.shards[i].all() {
			if b := r.find(&f.subject); b != nil {
				f.stop(&Blocked{b})
			}
		}
	}
}

func (s *shard) all() (all []*flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := s.first; f != nil; f = f.next {
		all = append(all, f)
	}
	return all
}
