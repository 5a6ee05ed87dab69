package importer

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// A login is what an .env file says of sign-in with Entra ID. All texts in it may
// hold secrets but for publicURL.
type login struct {
	from             string
	tenant, client   string
	secretName       string // of the variable that holds the client's secret, "" for none
	secret           string
	publicURL        string
	wantsServerBlock bool
}

// readVariables reads an .env file of the setup that the gateway replaces: a
// reverse proxy, proxies for signing in with Entra ID, and servers in containers,
// all of them told what to do by one file.
func readVariables(s Source) (*findings, error) {
	entries, err := parseVariables(string(s.Text))
	if err != nil {
		return nil, err
	}
	f := &findings{}
	l := &login{from: s.Path}
	github := variablesServer("github", "ghcr.io/github/github-mcp-server", s.Path)
	atlassian := variablesServer("atlassian", "ghcr.io/sooperset/mcp-atlassian", s.Path)
	var lost []string
	for _, e := range entries {
		switch {
		case e.value == "" || l.take(e):
		case strings.HasPrefix(e.name, "GITHUB_"):
			github.takeVariable(e)
		case hasAnyPrefix(e.name, "JIRA_", "CONFLUENCE_", "ATLASSIAN_"):
			atlassian.takeVariable(e)
		default:
			lost = append(lost, shown(e.name))
		}
	}
	github.letOut("GITHUB_HOST", "api.github.com:443", "raw.githubusercontent.com:443")
	atlassian.letOut("JIRA_URL")
	atlassian.letOut("CONFLUENCE_URL")
	for _, server := range []*server{github, atlassian} {
		if len(server.env) > 0 {
			server.noteNetwork()
			f.servers = append(f.servers, server)
		}
	}
	if l.tenant != "" || l.client != "" || l.secretName != "" || l.wantsServerBlock {
		f.login = l
	}
	if len(lost) > 0 && (f.login != nil || len(f.servers) > 0) {
		f.notes = append(f.notes, "Nothing here stands for these variables of "+s.Path+": "+strings.Join(lost, ", ")+".")
	}
	return f, nil
}

func hasAnyPrefix(text string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(text, p) })
}

func variablesServer(name, image, from string) *server {
	s := &server{name: name, from: from, env: map[string]string{}, headers: map[string]string{}}
	s.container = &container{image: image}
	s.note("The image is the server's usual one: see that it is the one that you ran, and pin it with mcpagg image pin.")
	return s
}

// letOut lets the container connect to the host of the URL in a variable, or if there
// is none to what is usual. What cannot be listed makes it reach everything.
func (s *server) letOut(variable string, usual ...string) {
	c := s.container
	if text := s.env[variable]; text != "" {
		u, err := url.Parse(text)
		port := ""
		if err == nil {
			port = cmp.Or(u.Port(), "443")
		}
		if err != nil || u.Scheme != "https" || !config.IsDestination(u.Hostname()+":"+port) || looksSecret(text) {
			c.network, c.allow = "bridge", nil
			return
		}
		usual = []string{u.Hostname() + ":" + port}
	}
	for _, destination := range usual {
		if c.network != "bridge" && !slices.Contains(c.allow, destination) {
			c.network, c.allow = "egress", append(c.allow, destination)
		}
	}
}

// takeVariable gives the server a variable, or the image that one names.
func (s *server) takeVariable(e entry) {
	if strings.HasSuffix(e.name, "_IMAGE") && config.IsImage(e.value) {
		s.container.image = e.value
		s.notes = nil
		return
	}
	s.env[e.name] = e.value
}

// take notes what a variable says of sign-in, or reports that it says nothing of
// it.
func (l *login) take(e entry) bool {
	bare := e.name
	for _, prefix := range []string{"MCP_", "GATEWAY_", "ENTRA_", "AZURE_AD_", "AZURE_", "AAD_", "OIDC_", "OAUTH_", "MS_"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	switch bare {
	case "TENANT_ID", "TENANT":
		l.tenant = e.value
	case "CLIENT_ID", "APP_ID":
		l.client = e.value
	case "CLIENT_SECRET":
		l.secretName, l.secret = e.name, e.value
	case "PUBLIC_URL", "PUBLIC_BASE_URL", "BASE_URL", "SERVER_URL", "EXTERNAL_URL":
		return l.takeURL(e.value)
	case "DOMAIN", "PUBLIC_HOST", "PUBLIC_HOSTNAME", "SERVER_NAME", "SITE_ADDRESS", "CADDY_DOMAIN":
		if strings.Contains(e.value, "://") {
			return l.takeURL(e.value)
		}
		return l.takeURL("https://" + e.value)
	default:
		return false
	}
	return true
}

// takeURL takes a URL that the gateway can have as public_url.
func (l *login) takeURL(text string) bool {
	u, err := url.Parse(text)
	if err != nil || !isWebURL(u) || u.User != nil || u.RawQuery != "" || u.Fragment != "" || looksSecret(text) {
		return false
	}
	l.publicURL, l.wantsServerBlock = strings.TrimSuffix(text, "/"), true
	return true
}

func isWebURL(u *url.URL) bool {
	port := true
	if u.Port() != "" {
		_, port = number(u.Port(), 65535)
	}
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && port
}

// An entry is one variable of an .env file.
type entry struct{ name, value string }

// parseVariables reads lines of NAME=VALUE, as shells and docker compose write
// them: with export before, with quotes, which may hold line breaks, and with
// comments.
func parseVariables(text string) ([]entry, error) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\ufeff"), "\r\n", "\n")
	var entries []entry
	for line := 1; text != ""; {
		n := 0
		e, rest, ok := parseVariable(text)
		if !ok {
			return nil, fmt.Errorf("line %d: this is neither JSON nor NAME=VALUE", line)
		}
		n = strings.Count(text[:len(text)-len(rest)], "\n")
		line, text = line+n, rest
		if e.name != "" {
			entries = append(entries, e)
		}
	}
	switch {
	case len(entries) == 0:
		return nil, errors.New("there is nothing in it")
	case len(entries) > maxVariables:
		return nil, fmt.Errorf("there are more than %d variables in it", maxVariables)
	}
	return expanded(entries), nil
}

// parseVariable reads one line, or more if its value is in quotes. The entry has
// no name if the line is empty or a comment.
func parseVariable(text string) (e entry, rest string, ok bool) {
	line, rest, _ := strings.Cut(text, "\n")
	line = strings.TrimSpace(line)
	if line == "" || line[0] == '#' {
		return e, rest, true
	}
	name, value, found := strings.Cut(strings.TrimPrefix(line, "export "), "=")
	if e.name = strings.TrimSpace(name); !found || !config.IsVariable(e.name) {
		return e, rest, false
	}
	value = strings.TrimSpace(value)
	if value == "" || value[0] != '"' && value[0] != '\'' {
		e.value, _, _ = strings.Cut(value, " #")
		e.value = strings.TrimSpace(e.value)
		return e, rest, true
	}
	_, quoted, _ := strings.Cut(text, "=")
	quoted = strings.TrimLeft(quoted, " \t")
	return quotedVariable(e, quoted[0], quoted[1:])
}

// quotedVariable reads a value up to the quote that ends it, and the rest of its
// line.
func quotedVariable(e entry, quote byte, text string) (entry, string, bool) {
	var value strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			e.value = value.String()
			_, rest, _ := strings.Cut(text[i:], "\n")
			return e, rest, true
		case c == '\\' && quote == '"' && i+1 < len(text):
			i++
			value.WriteString(unescaped(text[i]))
		default:
			value.WriteByte(c)
		}
	}
	return e, "", false
}

func unescaped(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case '"', '\\', '$', '`':
		return string(c)
	}
	return `\` + string(c)
}

// expanded replaces references to variables that the file itself sets before.
func expanded(entries []entry) []entry {
	known := &server{env: map[string]string{}}
	for i, e := range entries {
		entries[i].value = known.own(e.value)
		known.env[e.name] = entries[i].value
	}
	return entries
}
