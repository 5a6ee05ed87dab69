package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/control"
)

// runningFlags say which running gateway a command means.
type runningFlags struct {
	config []string
	socket string
}

func (f *runningFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	cmd.Flags().StringVar(&f.socket, "socket", "", "control socket of the gateway, instead of the one that its configuration names")
	cmd.MarkFlagsMutuallyExclusive("config", "socket")
}

// A runningGateway is one that is reached by its control socket.
type runningGateway struct {
	client *http.Client
	socket string
	config []string // what it must have been started with; nil for anything
}

// find says where the gateway is; it need not be there.
func (f *runningFlags) find(cmd *cobra.Command) (*runningGateway, error) {
	g := &runningGateway{socket: f.socket}
	if f.socket == "" {
		path, from, err := socketOf(f.config, cmd.Flags().Changed("config"))
		if err != nil {
			return nil, usageError("%w\nName the socket of the gateway with --socket.", err)
		}
		if g.socket = path; from == "" && cmd.Flags().Changed("config") {
			g.config = absolute(f.config) // every gateway without a socket of its own would be there
		}
	}
	if g.socket == "" {
		return nil, usageError("neither XDG_STATE_HOME nor HOME is set; name the socket of the gateway with --socket")
	}
	g.client = control.Client(g.socket)
	return g, nil
}

// socketOf is the control socket of a configuration, or the default one where
// none was asked for and none is here.
func socketOf(paths []string, asked bool) (path, from string, err error) {
	if _, err := os.Stat(paths[0]); !asked && errors.Is(err, fs.ErrNotExist) {
		return config.DefaultSocket(os.LookupEnv), "", nil
	}
	return config.Socket(paths, os.LookupEnv)
}

// absolute are paths from the root.
func absolute(paths []string) []string {
	all := make([]string, len(paths))
	for i, path := range paths {
		all[i] = path
		if abs, err := filepath.Abs(path); err == nil {
			all[i] = abs
		}
	}
	return all
}

// status asks how the gateway does.
func (g *runningGateway) status(ctx context.Context) (s status, err error) {
	if err := g.ask(ctx, http.MethodGet, "/status", nil, &s); err != nil {
		return s, err
	}
	if g.config != nil && !slices.EqualFunc(g.config, s.Config.Paths, sameFile) {
		return s, fmt.Errorf("the gateway at %s runs with %s, not with %s; one with server.socket can be told apart, or name it with --socket",
			g.socket, strings.Join(s.Config.Paths, ", "), strings.Join(g.config, ", "))
	}
	return s, nil
}

func sameFile(a, b string) bool {
	if a == b {
		return true
	}
	one, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(one, other)
}

// ask sends a request, with a body unless that is nil, and decodes the answer.
func (g *runningGateway) ask(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, control.URL+path, content)
	if err != nil {
		return err
	}
	resp, err := g.client.Do(req)
	switch {
	case control.IsAbsent(err):
		return fmt.Errorf("no gateway answers at %s\nIs it running? Start it with: mcpagg serve -c gateway.hcl", g.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the socket %s is for the gateway's own user and root: run this as one of them", g.socket)
	case control.IsClosed(err):
		return fmt.Errorf("the gateway at %s hung up: it is about to end, or this is run by another user than its own and root", g.socket)
	case err != nil:
		return fmt.Errorf("asking the gateway at %s: %w", g.socket, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return g.refusal(resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("the answer of the gateway at %s: %w", g.socket, err)
	}
	return nil
}

// refusal is why the gateway has not done what it was asked to.
func (g *runningGateway) refusal(resp *http.Response) error {
	var said refusal
	if json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said) != nil || said.Error == "" {
		return fmt.Errorf("the gateway at %s answers %s; is it of another version?", g.socket, resp.Status)
	}
	return errors.New(said.Error)
}
