package importer

import (
	"net/url"
	"path"
	"slices"
	"strings"
)

// recognise turns commands that only start something else into that: containers,
// and servers at a URL.
func (s *server) recognise() {
	s.withoutShell()
	if len(s.command) == 0 {
		return
	}
	program := strings.TrimSuffix(path.Base(strings.ReplaceAll(s.command[0], `\`, "/")), ".exe")
	args := s.command[1:]
	switch {
	case (program == "docker" || program == "podman") && len(args) > 0:
		if args[0] == "container" {
			args = args[1:]
		}
		if len(args) == 0 || args[0] != "run" || !s.run(program, args[1:]) {
			s.note("Its command uses %s in a way that cannot be turned into a container block. The gateway does not stop what it leaves running.", program)
		}
	case program == "thv" && len(args) > 0 && args[0] == "run":
		s.runToolHive(args[1:])
	case program == "thv":
		s.note("Its command is ToolHive's. Import what thv export writes instead.")
	case slices.Contains([]string{"npx", "bunx", "pnpm", "yarn"}, program) && isBridge(args):
		s.bridge(afterBridge(args))
	case program == "mcp-remote":
		s.bridge(args)
	}
}

// withoutShell takes away the shell that Windows needs for npx.
func (s *server) withoutShell() {
	if len(s.command) > 2 && strings.EqualFold(strings.TrimSuffix(s.command[0], ".exe"), "cmd") && strings.EqualFold(s.command[1], "/c") {
		s.command = s.command[2:]
	}
}

func isBridge(args []string) bool { return len(afterBridge(args)) < len(args) }

// afterBridge is what follows mcp-remote in the arguments of npx.
func afterBridge(args []string) []string {
	for i, arg := range args {
		if name, _, _ := strings.Cut(arg, "@"); name == "mcp-remote" {
			return args[i+1:]
		}
	}
	return args
}

// bridge turns mcp-remote, which lets clients that only start programs use a URL,
// into the URL.
func (s *server) bridge(args []string) {
	s.command = nil
	for i := 0; i < len(args); i++ {
		option, value, joined := strings.Cut(args[i], "=")
		next := func() string {
			if !joined && i+1 < len(args) {
				i++
				return args[i]
			}
			return value
		}
		switch {
		case !strings.HasPrefix(args[i], "-"):
			if s.url == "" {
				s.url = s.own(args[i])
			}
		case option == "--header":
			s.bridgeHeader(s.own(next()))
		case option == "--transport":
			s.sse = next() == "sse-only"
		case option == "--allow-http" || option == "--debug" || option == "--silent":
		case option == "--host" || option == "--auth-timeout" || option == "--resource" || strings.HasPrefix(option, "--static-oauth"):
			next()
			s.note("mcp-remote signed in with OAuth (%s). Give the server a token instead.", shown(option))
		default:
			s.note("The option %s of mcp-remote was not carried over.", shown(option))
		}
	}
	s.env = map[string]string{} // it was the bridge's
}

func (s *server) bridgeHeader(header string) {
	name, value, ok := cutOutside(header, ":")
	if !ok {
		s.note("A header of mcp-remote without a colon was left out.")
		return
	}
	s.headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
}

// ownBytes bounds what references to own variables may add to a text.
const ownBytes = 1 << 20

// own is text with the references to the server's own variables replaced, where
// a program does that itself.
func (s *server) own(text string) string {
	left := ownBytes
	return reference.ReplaceAllStringFunc(text, func(match string) string {
		value, ok := s.env[parts(match)[0].variable]
		if !ok || len(value) > left {
			return match
		}
		left -= len(value)
		return value
	})
}

// withoutUser moves a user name and password out of the URL into a header, as
// they are sent, and drops what a URL of a server cannot have.
func (s *server) withoutUser() {
	u, err := url.Parse(s.url)
	if err != nil {
		return
	}
	if u.Fragment != "" {
		u.Fragment = ""
		s.note("The part of its URL after # was left out.")
	}
	if u.User != nil {
		password, _ := u.User.Password()
		s.headers["Authorization"] = basic(u.User.Username(), password)
		s.note("The name and password in its URL are a header now.")
		u.User = nil
	}
	s.url = u.String()
}
