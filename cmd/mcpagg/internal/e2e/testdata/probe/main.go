// Command probe is an MCP server that tells how it is confined and misbehaves
// when it is asked to. It is the only file of an image.
//
//	probe stdio          the server, over stdin and stdout
//	probe http ADDRESS   the same, over Streamable HTTP
//	probe chatty         the same over stdio, after words that are no messages
//	probe deaf           the same, which neither the end of stdin nor SIGTERM ends
//	probe exit STATUS    says so on stderr, and ends
//	probe tell NAME      tells a variable on stderr, and ends
//	probe lines          writes back each line
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(mode string, args []string) error {
	switch mode {
	case "stdio":
		return newServer().Run(context.Background(), &mcp.StdioTransport{})
	case "http":
		handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return newServer() }, nil)
		return http.ListenAndServe(args[0], handler)
	case "chatty":
		fmt.Println("Welcome to the probe!\n{\"level\": \"info\"}\n\x1b[1mready\x1b[0m")
		return newServer().Run(context.Background(), &mcp.StdioTransport{})
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
		_ = newServer().Run(context.Background(), &mcp.StdioTransport{})
		wait()
	case "exit":
		status, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "probe: I do not like it here")
		os.Exit(status)
	case "tell":
		fmt.Fprintf(os.Stderr, "probe: %s is %s\n", args[0], os.Getenv(args[0]))
		os.Exit(1)
	case "lines":
		return writeBack(os.Stdin, os.Stdout)
	case "wait":
		wait()
	default:
		return fmt.Errorf("no mode %q", mode)
	}
	return nil
}

// wait does not return. Sleeping, unlike a select without cases, is no deadlock
// to Go's runtime.
func wait() {
	for {
		time.Sleep(time.Hour)
	}
}

func writeBack(r io.Reader, w io.Writer) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := lines.ReadBytes('\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
		if err != nil {
			return nil
		}
	}
}

// calls counts what this process was asked by tool count.
var calls atomic.Int64

func newServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "probe", Version: "1"}, nil)
	add(s, "echo", func(in struct {
		Message string `json:"message"`
	},
	) (string, error) {
		return "Echo: " + in.Message, nil
	})
	add(s, "confinement", func(struct{}) (string, error) { return confinement() })
	add(s, "count", func(struct{}) (string, error) { return strconv.FormatInt(calls.Add(1), 10), nil })
	add(s, "variable", func(in struct {
		Name string `json:"name"`
	},
	) (string, error) {
		value, ok := os.LookupEnv(in.Name)
		return fmt.Sprintf("%q %v", value, ok), nil
	})
	add(s, "read", func(in struct {
		Path string `json:"path"`
	},
	) (string, error) {
		data, err := os.ReadFile(in.Path)
		return string(data), err
	})
	add(s, "write", func(in struct {
		Path string `json:"path"`
	},
	) (string, error) {
		return "written", os.WriteFile(in.Path, []byte("written by the probe\n"), 0o644)
	})
	add(s, "dial", func(in struct {
		Address string `json:"address"`
	},
	) (string, error) {
		conn, err := net.DialTimeout("tcp", in.Address, 5*time.Second)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return "connected", nil
	})
	add(s, "tunnel", func(in struct {
		Target string `json:"target"`
	},
	) (string, error) {
		return tunnel(in.Target)
	})
	add(s, "allocate", func(in struct {
		MiB int `json:"mib"`
	},
	) (string, error) {
		return allocate(in.MiB), nil
	})
	add(s, "fork", func(struct{}) (string, error) { return fork(), nil })
	add(s, "end", func(in struct {
		Status int `json:"status"`
	},
	) (string, error) {
		fmt.Fprintln(os.Stderr, "probe: the end was asked for")
		os.Exit(in.Status)
		return "", nil
	})
	return s
}

// add adds a tool whose result is a text.
func add[In any](s *mcp.Server, name string, do func(In) (string, error)) {
	mcp.AddTool(s, &mcp.Tool{Name: name}, func(_ context.Context, _ *mcp.CallToolRequest, in In) (*mcp.CallToolResult, any, error) {
		text, err := do(in)
		if err != nil {
			return nil, nil, err
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	})
}

// confinement is what the kernel says of this process, one fact a line.
func confinement() (string, error) {
	var b strings.Builder
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "Uid", "Gid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp":
			fmt.Fprintf(&b, "%s=%s\n", name, strings.Join(strings.Fields(value), ","))
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return "", err
	}
	var names []string
	for _, i := range interfaces {
		names = append(names, i.Name)
	}
	fmt.Fprintf(&b, "interfaces=%s\n", strings.Join(names, ","))
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "core=%d\n", core.Cur)
	for _, dir := range []string{"/", "/dev", "/run", "/var", "/tmp"} {
		fmt.Fprintf(&b, "writable %s=%v\n", dir, os.WriteFile(dir+"/probe", nil, 0o600) == nil)
	}
	return b.String(), nil
}

// tunnel asks the proxy of its environment for a connection, and returns all that
// comes back, after words of its own.
func tunnel(target string) (string, error) {
	proxy := strings.TrimPrefix(os.Getenv("HTTPS_PROXY"), "http://")
	if proxy == "" {
		proxy = "127.0.0.1:3128"
	}
	conn, err := net.DialTimeout("tcp", proxy, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\nhello", target); err != nil {
		return "", err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	return string(text), err
}

// kept keeps what was allocated.
var kept [][]byte

func allocate(mib int) string {
	for range mib {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = 1
		}
		kept = append(kept, block)
	}
	return fmt.Sprintf("%d MiB are in use", len(kept))
}

// fork starts processes that stay, until no more can be had.
func fork() string {
	const enough = 1000
	for n := range enough {
		if _, err := os.StartProcess("/proc/self/exe", []string{"probe", "wait"}, &os.ProcAttr{Files: []*os.File{nil, nil, nil}}); err != nil {
			return fmt.Sprintf("%d processes, then: %v", n, err)
		}
	}
	return fmt.Sprintf("%d processes", enough)
}
