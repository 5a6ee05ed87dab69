package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// pipeBuffer is how much of each direction is in memory, in bytes.
const pipeBuffer = 16 << 10

// errIdle says that nothing was sent either way for too long.
var errIdle = errors.New("nothing was sent for long")

// pipe copies what a sends to b, and the other way, until both have ended, one
// has failed, or neither has sent anything for the time of idle, if that is not
// 0. The end of one direction is passed on while the other goes on. The caller closes both; after
// a failure they are closed already.
func pipe(a, b net.Conn, idle time.Duration) (ab, ba int64, err error) {
	var mu sync.Mutex
	fail := func(cause error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			err = cause
		}
		_ = a.Close()
		_ = b.Close()
	}
	moved := func() {}
	if idle > 0 {
		timer := time.AfterFunc(idle, func() { fail(errIdle) })
		defer timer.Stop()
		moved = func() { timer.Reset(idle) }
	}
	oneWay := func(dst, src net.Conn, n *int64) {
		if err := copyTo(dst, src, n, moved); err != nil {
			fail(err)
		}
	}
	var back sync.WaitGroup
	back.Go(func() { oneWay(a, b, &ba) })
	oneWay(b, a, &ab)
	back.Wait()
	mu.Lock()
	defer mu.Unlock()
	return ab, ba, err
}

// copyTo copies until src ends, and then ends dst as well. n counts bytes.
func copyTo(dst, src net.Conn, n *int64, moved func()) error {
	buf := make([]byte, pipeBuffer)
	for {
		read, err := src.Read(buf)
		if read > 0 {
			moved()
			written, err := dst.Write(buf[:read])
			*n += int64(written)
			if err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			closeWrite(dst)
			return nil
		case err != nil:
			return err
		}
	}
}

// closeWrite says that nothing more will be sent. A connection that cannot say
// so is closed.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}

// closeWith closes c when ctx ends or the returned function is called.
func closeWith(ctx context.Context, c io.Closer) (now func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	return func() {
		stop()
		_ = c.Close()
	}
}
