package entry

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFiles are taken over.
const maxFiles = 3

// rights is the control message that passes files on (unix(7), SCM_RIGHTS).
func rights(files []*os.File) []byte {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	if len(fds) == 0 {
		return nil
	}
	return unix.UnixRights(fds...)
}

// Enter takes over what the gateway has for this container, from the socket, and
// becomes the program argv. It returns only if it cannot.
func Enter(socket string, argv []string) error {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		return fmt.Errorf(CannotConnect+"%w", err)
	}
	h, files, err := takeOver(conn)
	if err != nil {
		return fmt.Errorf("taking over from the gateway: %w", err)
	}
	if err := h.admits(os.Getuid()); err != nil {
		return err
	}
	for name, value := range h.Env {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
	}
	for i, fd := range files {
		if err := errors.Join(unix.SetNonblock(fd, false), unix.Dup3(fd, i, 0)); err != nil {
			return fmt.Errorf("taking over file descriptor %d: %w", i, err)
		}
	}
	program, err := exec.LookPath(argv[0])
	if errors.Is(err, exec.ErrDot) {
		err = nil // as the engines do
	}
	if err != nil {
		for cause := err; cause != nil; cause = errors.Unwrap(cause) {
			err = cause // the program's name is said already
		}
		return fmt.Errorf("the image has no program %q: %w", argv[0], err)
	}
	return fmt.Errorf("starting %s: %w", program, syscall.Exec(program, argv, os.Environ()))
}

// takeOver reads what Handover.Serve sends, and closes the connection.
func takeOver(conn *net.UnixConn) (h Handover, files []int, err error) {
	defer conn.Close()
	head, control := make([]byte, 4), make([]byte, unix.CmsgSpace(4*maxFiles))
	n, nControl, _, _, err := conn.ReadMsgUnix(head, control)
	if err != nil {
		return h, nil, err
	}
	if files, err = filesIn(control[:nControl]); err != nil {
		return h, nil, err
	}
	if _, err := io.ReadFull(conn, head[n:]); err != nil {
		return h, nil, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxEnvironment {
		return h, nil, errors.New("the environment is too large")
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(conn, text); err != nil {
		return h, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return h, files, d.Decode(&h)
}

// filesIn are the descriptors in a control message.
func filesIn(control []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	return unix.ParseUnixRights(&messages[0])
}
