package importer

import (
	"errors"
	"maps"
	"slices"
	"strings"
)

// readJSON finds the servers in a file of a client or of ToolHive.
func readJSON(from string, value any) (*findings, error) {
	if list, ok := value.([]any); ok {
		return readWorkloads(from, list)
	}
	file, _ := newObject(value)
	if isRunConfig(file) {
		return &findings{servers: []*server{readRunConfig(from, file)}}, nil
	}
	var found findings
	known := false
	for _, list := range serverLists(file) {
		known = true
		for _, name := range slices.Sorted(maps.Keys(list.servers.fields)) {
			entry, ok := list.servers.object(name)
			if !ok {
				found.notes = append(found.notes, "The entry "+shown(name)+" of "+from+" is no object, and was left out.")
				continue
			}
			s := readServer(name, from, entry)
			if list.project != "" {
				s.note("It belonged to the project %s.", shown(list.project))
			}
			found.servers = append(found.servers, s)
		}
	}
	if !known {
		return nil, errors.New("this is no file of MCP servers that is known: neither mcpServers, servers nor mcp is in it")
	}
	return &found, nil
}

// A serverList maps names to servers.
type serverList struct {
	servers *object
	project string // the path of the one that it is for, "" for none
}

// serverLists are the objects in a file that map names to servers: mcpServers of
// Claude and others, also by project; servers of VS Code, also in its settings;
// and mcp of OpenCode.
func serverLists(file *object) []serverList {
	var lists []serverList
	add := func(in *object, project string, names ...string) {
		for _, name := range names {
			if list, ok := in.object(name); ok {
				lists = append(lists, serverList{list, project})
			}
		}
	}
	add(file, "", "mcpServers", "servers", "mcp.servers")
	if mcp, ok := file.object("mcp"); ok {
		if _, nested := mcp.object("servers"); nested {
			add(mcp, "", "servers")
		} else {
			add(file, "", "mcp")
		}
	}
	if projects, ok := file.object("projects"); ok {
		for _, path := range slices.Sorted(maps.Keys(projects.fields)) {
			if project, ok := projects.object(path); ok {
				add(project, path, "mcpServers")
			}
		}
	}
	return lists
}

// lostFields say what becomes of fields that have no counterpart, "" for those
// that need none.
var lostFields = map[string]string{
	"alwaysAllow":   "",
	"autoApprove":   "",
	"description":   "",
	"dev":           "",
	"gallery":       "",
	"icon":          "",
	"name":          "",
	"trust":         "",
	"version":       "",
	"envFile":       "The variables in its envFile were not read: list them in env.",
	"headersHelper": "A program made its headers (headersHelper). Write the headers out, or give a token.",
	"oauth":         "The client signed in with OAuth. Give the server a token instead.",
	"auth":          "The client signed in by itself (auth). Give the server a token instead.",
	"timeout":       "Its timeout was left out: see connect_timeout and call_timeout.",
}

func readServer(name, from string, entry *object) *server {
	s := &server{name: name, from: from}
	if len(entry.fields) > maxFields {
		s.off = true
		s.note("It has more than %d fields.", maxFields)
		return s
	}
	kind := strings.ToLower(entry.text("type", "transport", "transportType"))
	s.command = entry.words("command")
	s.command = append(s.command, entry.words("args")...)
	s.url = entry.text("url", "serverUrl", "httpUrl")
	s.env = entry.texts("env", "environment")
	s.headers = entry.texts("headers", "requestInit")
	s.dir = entry.text("cwd")
	s.allow = entry.words("includeTools", "enabledTools", "tools")
	s.deny = entry.words("excludeTools", "disabledTools", "disabled_tools")
	s.sse = kind == "sse"
	disabled, _ := entry.flag("disabled")
	enabled, given := entry.flag("enabled")
	if s.off = disabled || given && !enabled; s.off {
		s.note("It was disabled.")
	}
	if s.url != "" && len(s.command) > 0 {
		s.note("It had both a url and a command; the command was left out.")
		s.command = nil
	}
	if kind == "ws" || kind == "websocket" || kind == "sdk" {
		s.off = true
		s.note("Its transport is not one that the gateway speaks.")
	}
	s.splitCommand()
	s.recognise()
	s.noteFields(entry)
	return s
}

// noteFields says which fields were not carried over.
func (s *server) noteFields(entry *object) {
	for _, name := range slices.Sorted(maps.Keys(entry.fields)) {
		switch lost, known := lostFields[name]; {
		case isNothing(entry.fields[name]):
		case lost != "":
			s.note("%s", lost)
		case !known && !entry.asked[name]:
			s.note("The field %s was not carried over.", shown(name))
		}
	}
	for _, name := range entry.strange {
		s.note("Something in the field %s is of an unexpected type, and was left out.", shown(name))
	}
}

// isNothing reports whether a field says no more than if it were not there.
func isNothing(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// splitCommand takes apart a command that was written as one text.
func (s *server) splitCommand() {
	if len(s.command) == 1 && strings.Contains(s.command[0], " ") && !strings.ContainsAny(s.command[0], `/\"'$`) {
		s.command = strings.Fields(s.command[0])
	}
}
