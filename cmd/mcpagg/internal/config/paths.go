package config

import (
	"os"
	"path/filepath"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/control"
	"github.com/zclconf/go-cty/cty"
)

// A socketPath is where a socket is to be. The value is its whole path.
type socketPath struct {
	setting
	value string
}

func (v *socketPath) kind() kind { return textKind("path") }

func (v *socketPath) take(in input) {
	v.value = in.socketIn("")
	v.keep(cty.StringVal(v.value).WithSameMarks(in.value))
}

// A storePath is a folder that need not be there yet, in which there will be a
// socket. The value is its whole path.
type storePath struct{ socketPath }

func (v *storePath) take(in input) {
	if path := in.socketIn(socketInStore); path != "" {
		v.value = filepath.Dir(filepath.Dir(path))
	}
	v.keep(cty.StringVal(v.value).WithSameMarks(in.value))
}

const socketInStore = "run/mcpagg.sock"

// socketIn is the whole path of a socket in the path that the input names, or
// "" after noting a mistake.
func (in input) socketIn(below string) string {
	s, ok := in.text()
	if !ok {
		return ""
	}
	path := filepath.Join(within(filepath.Dir(in.at.Filename), s), below)
	switch err := control.CheckPath(path); {
	case s == "":
		in.mistake("This must not be empty.")
	case err != nil && in.secret():
		in.mistake("This is too long for the path of a socket.")
	case err != nil:
		in.mistake("%v.", err)
	default:
		return path
	}
	return ""
}

// socket is the path of the control socket, and the attribute that it comes from.
func (f *fileBlock) socket(env func(string) (string, bool)) (path, from string) {
	switch {
	case f.Server.Socket.given:
		return f.Server.Socket.value, "server.socket"
	case f.Store.Dir.value != "":
		return filepath.Join(f.Store.Dir.value, socketInStore), "store.dir"
	case f.Store.Dir.given:
		return "", "store.dir" // it has a mistake
	}
	return DefaultSocket(env), ""
}

// DefaultSocket is where the control socket is without a configuration, in the
// user's state folder, or "" if there is none.
func DefaultSocket(env func(string) (string, bool)) string {
	state, _ := env("XDG_STATE_HOME")
	home, _ := env("HOME")
	switch {
	case filepath.IsAbs(state):
	case os.Geteuid() == 0:
		state = "/var/lib"
	case filepath.IsAbs(home):
		state = filepath.Join(home, ".local", "state")
	default:
		return ""
	}
	return filepath.Join(state, "mcpagg", socketInStore)
}
