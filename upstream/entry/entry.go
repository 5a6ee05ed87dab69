// Package entry is how a server in a container gets what is not to pass through
// the container's engine: the values of its environment, which the engine
// would show to whoever asks and keep on disk, and its stdin and stdout, which
// docker would copy through two of its services.
//
// The gateway's own program is what the engine starts. It connects to a Unix
// socket in a folder that the gateway and the container both see, gets the
// environment and the pipes from there, and then becomes the image's program:
//
//	gateway                               in the container
//	Listen(path)
//	Handover{…}.Serve(ctx, listener)  <-- Enter(path, ["node", "server.js"])
//	    environment, pipes            -->  execve
//
// A folder belongs to one container, and a socket serves one connection, so
// that what the container runs later finds nobody there.
package entry

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

const (
	// maxEnvironment bounds the environment, which the kernel does, too
	// (execve(2), "Limits on size of arguments and environment").
	maxEnvironment = 4 << 20
	// CannotConnect begins what Enter complains of if the socket cannot be reached
	// from the container.
	CannotConnect = "connecting to the gateway: "
	// handoverTime bounds the handing over once the container is there.
	handoverTime = 10 * time.Second
)

// A Handover is what a container is given.
type Handover struct {
	// Env is added to the environment of the image; it wins.
	Env map[string]string
	// Root lets the program run as root. What its user's name stands for is up to
	// the image, and is known in the container only.
	Root bool
	// Files become the first file descriptors of the program: stdin, stdout.
	// It keeps those of its engine where there are none.
	Files []*os.File `json:"-"`
}

// Serve hands over to the first who connects to l, and closes l. It fails if ctx
// ends before. The files stay open.
func (h Handover) Serve(ctx context.Context, l *net.UnixListener) error {
	defer l.Close()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	conn, err := l.AcceptUnix()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if err := conn.SetDeadline(time.Now().Add(handoverTime)); err != nil {
		return err
	}
	if err := h.send(conn); err != nil {
		return fmt.Errorf("handing over to the container: %w", err)
	}
	// The other end closes the connection when it has all.
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("handing over to the container: %w", errors.Join(errors.New("it has not taken over"), err))
	}
	return nil
}

// admits reports why a user must not run the program, or nil.
func (h Handover) admits(uid int) error {
	if uid == 0 && !h.Root {
		return errors.New("the image's user is root, by another name; set container.user to run it as somebody else")
	}
	return nil
}

// send writes the length of the handover as a JSON object, with the files beside
// it, and the object.
func (h Handover) send(conn *net.UnixConn) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if len(text) > maxEnvironment {
		return fmt.Errorf("the environment is larger than %d bytes", maxEnvironment)
	}
	head := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
	if _, _, err := conn.WriteMsgUnix(head, rights(h.Files), nil); err != nil {
		return err
	}
	_, err = conn.Write(text)
	return err
}
