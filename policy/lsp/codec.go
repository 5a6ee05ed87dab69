package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/sourcegraph/jsonrpc2"
)

// Bounds of a message. A text of 4 MiB, which is the most that a file of policies may
// have, fits even where much of it is escaped.
const (
	maxMessage = 16 << 20 // bytes of its content
	maxHeader  = 4 << 10  // bytes of all its header fields
)

// A boundedCodec reads messages that are not too large, and writes them as the library
// does, which would read 4 GiB.
type boundedCodec struct {
	jsonrpc2.VSCodeObjectCodec

	mu     sync.Mutex
	failed error // why nothing more can be read; guarded by mu
}

// ReadObject implements [jsonrpc2.ObjectCodec].
func (c *boundedCodec) ReadObject(r *bufio.Reader, v any) error {
	err := readMessage(r, v)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, os.ErrClosed) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.failed = err
	}
	return err
}

// failure is why nothing more could be read, nil if the client closed the connection.
func (c *boundedCodec) failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func readMessage(r *bufio.Reader, into any) error {
	length, err := readHeader(r)
	if err != nil {
		return err
	}
	content := make([]byte, length)
	if _, err := io.ReadFull(r, content); err != nil {
		return fmt.Errorf("reading a message of %d bytes: %w", length, err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return errors.New("a message is no JSON-RPC")
	}
	return nil
}

// readHeader is the length of the content that follows.
func readHeader(r *bufio.Reader) (int, error) {
	length, left := -1, maxHeader
	for {
		line, err := readLine(r, left)
		if err != nil {
			return 0, err
		}
		left -= len(line)
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "Content-Length") {
			continue
		}
		length, err = strconv.Atoi(strings.TrimSpace(value))
		if err != nil || length < 0 || length > maxMessage {
			return 0, fmt.Errorf("a message has the length %.40q; it may have %d bytes", value, maxMessage)
		}
	}
	if length < 0 {
		return 0, errors.New("a message has no Content-Length")
	}
	return length, nil
}

// readLine is the next line with its end, of at most so many bytes.
func readLine(r *bufio.Reader, most int) (string, error) {
	var line []byte
	for len(line) < most {
		c, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		line = append(line, c)
		if c == '\n' {
			return string(line), nil
		}
	}
	return "", fmt.Errorf("the header of a message has more than %d bytes", maxHeader)
}
