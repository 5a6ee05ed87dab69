package importer

import (
	"fmt"
	"maps"
	"net/textproto"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/config"
)

// result writes the configuration. It does so twice: see variables.
func (f *findings) result(sources []Source, home string) (*Result, error) {
	w := &writer{variables: newVariables(), home: home}
	w.blocks(f)
	w.variables.again()
	upstreams, blocks := w.blocks(f)
	r := &Result{Upstreams: upstreams, Variables: w.variables.list(), Notes: w.safe(f.notes)}
	text := header(sources, f.servers, r) + strings.Join(blocks, "\n")
	var err error
	if r.HCL, err = config.Format("gateway.hcl", []byte(text)); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return r, nil
}

// A writer writes blocks.
type writer struct {
	variables *variables
	home      string

	label string  // of the upstream that is being written
	s     *server // that is being written
}

// blocks writes all blocks, each as the lines that it has in the file.
func (w *writer) blocks(f *findings) (upstreams []Upstream, blocks []string) {
	if f.login != nil {
		blocks = append(blocks, w.login(f.login)...)
	}
	taken := map[string]bool{}
	for _, s := range f.servers {
		w.s, w.label = s, unique(w.labelOf(s.name), taken)
		if !strings.EqualFold(w.label, s.name) {
			s.note("It was called %s.", w.shown(s.name))
		}
		w.variables.spare = s.off
		block := w.upstream()
		u := Upstream{Label: w.label, Name: w.shown(s.name), From: shown(s.from), Off: s.off, Notes: w.safe(s.notes)}
		if s.off {
			block = commented(block)
		}
		for _, note := range slices.Backward(u.Notes) {
			block = comment(note) + block
		}
		upstreams, blocks = append(upstreams, u), append(blocks, block)
	}
	return upstreams, blocks
}

// safe is notes without those that would tell a secret.
func (w *writer) safe(notes []string) []string {
	safe := []string{}
	for _, note := range notes {
		if w.variables.isHeldIn(note) {
			note = "Something was not carried over that cannot be shown here."
		}
		safe = append(safe, note)
	}
	return safe
}

// header says where the file comes from and what it needs.
func header(sources []Source, servers []*server, r *Result) string {
	var from []string
	for _, s := range sources {
		if s.Path == "-" {
			s.Path = "standard input"
		}
		from = append(from, shown(s.Path))
	}
	text := comment("Written by mcpagg import from " + strings.Join(from, ", ") + ".")
	if slices.ContainsFunc(servers, func(s *server) bool { return len(s.command) > 0 }) {
		text += "#\n" + comment("Programs get the variables in env, and otherwise only PATH, HOME and LANG.")
	}
	if slices.ContainsFunc(servers, func(s *server) bool { return s.container != nil }) {
		text += "#\n" + comment("Containers have a read-only root but for /tmp, no privileges, and do not run as root.")
	}
	for _, group := range []struct {
		title string
		has   func(Variable) bool
	}{
		{"It needs these variables in the gateway's environment:", Variable.isNeeded},
		{"These have defaults here:", func(v Variable) bool { return v.Optional && !v.Spare }},
		{"Only what is a comment needs these:", func(v Variable) bool { return v.Spare }},
	} {
		names := ""
		for _, v := range r.Variables {
			if group.has(v) {
				names += "#   " + v.Name + "\n"
			}
		}
		if names != "" {
			text += "#\n" + comment(group.title) + names
		}
	}
	for _, note := range r.Notes {
		text += "#\n" + comment(note)
	}
	return text + "\n"
}

// comment is a text as comment lines of moderate width.
func comment(text string) string {
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > 80 && line != "#" {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}

// commented is a block as a comment, laid out as it would be without.
func commented(block string) string {
	formatted, err := config.Format("gateway.hcl", []byte(block))
	if err != nil {
		formatted = []byte(block)
	}
	var b strings.Builder
	for line := range strings.Lines(string(formatted)) {
		b.WriteString("# " + line)
	}
	return b.String()
}

var notInLabels = regexp.MustCompile(`[^a-z0-9]+`)

// labelOf makes a label of the name of a server.
func (w *writer) labelOf(name string) string {
	if w.isSecret("", name) {
		return "server"
	}
	label := strings.Trim(notInLabels.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if label != "" && !config.IsLabel(label) {
		label = "mcp-" + label
	}
	label = strings.Trim(label[:min(len(label), 32)], "-")
	if label == "" {
		return "server"
	}
	return label
}

// unique is label, with a number if it is taken.
func unique(label string, taken map[string]bool) string {
	name := label
	for i := 2; taken[name]; i++ {
		name = label + "-" + strconv.Itoa(i)
	}
	taken[name] = true
	return name
}

// upstream is the block of the server.
func (w *writer) upstream() string {
	s := w.s
	var b strings.Builder
	fmt.Fprintf(&b, "upstream %q {\n", w.label)
	switch {
	case s.url != "":
		b.WriteString(w.remote())
	case s.container != nil:
		b.WriteString(w.container())
	case len(s.command) > 0 && s.command[0] != "":
		b.WriteString(attribute("command", w.command(s.command)))
		b.WriteString(w.env())
		b.WriteString(w.dir())
	default:
		s.off = true
		s.note("It has neither a command nor a url.")
	}
	if tags := w.list("tags", s.tags); tags != "[]" {
		b.WriteString(attribute("tags", tags))
	}
	b.WriteString(w.tools())
	return b.String() + "}\n"
}

func attribute(name, value string) string { return name + " = " + value + "\n" }

// remote is what makes the upstream an HTTP server.
func (w *writer) remote() string {
	text := w.url() + w.headers()
	if w.s.sse {
		text += attribute("protocol", `"sse"`)
	}
	if len(w.s.env) > 0 {
		w.s.note("It had variables, which a server at a URL does not have.")
	}
	return text
}

func (w *writer) url() string {
	s := w.s
	if !reference.MatchString(s.url) {
		s.withoutUser()
		if u, err := url.Parse(s.url); err != nil || !isWebURL(u) {
			s.off = true
			s.note("Its URL is not an http or https URL.")
		}
	} else if _, behind, _ := strings.Cut(s.url, "://"); strings.Contains(strings.SplitN(behind, "/", 2)[0], "@") {
		s.off = true
		s.note("Its URL has a user name or password in it, which it cannot have here: write a header.")
	}
	variable := variableOf(w.label + "_url")
	var list []part
	for _, p := range parts(s.url) {
		if p.text != "" && urlHoldsSecret(p.text) {
			list = append(list, part{variable: w.variables.hold(variable, w.label, p.text)})
		} else {
			list = append(list, w.part("url", variable, p))
		}
	}
	return attribute("url", w.expression(list))
}

// urlHoldsSecret reports whether a part of a URL may be one.
func urlHoldsSecret(text string) bool {
	if looksSecret(text) || uuid.MatchString(text) {
		return true
	}
	pieces := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("/?&#", r) })
	for i, piece := range pieces {
		name, value, query := strings.Cut(piece, "=")
		isHost := i == 1 && strings.HasPrefix(text, pieces[0]+"//")
		if query && isSecret(name, value) || !isHost && looksSecret(piece) {
			return true
		}
	}
	return false
}

func (w *writer) headers() string {
	s := w.s
	token := ""
	entries := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.headers)) {
		value := strings.TrimSpace(s.headers[name])
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		scheme, rest, _ := strings.Cut(value, " ")
		switch _, twice := entries[canonical]; {
		case !config.IsHeader(name):
			s.note("The header %s was left out: the gateway sets it itself, or it cannot be one.", w.shown(name))
		case twice || token != "" && canonical == "Authorization":
			s.note("The header %s was there twice.", w.shown(name))
		case w.shown(name) == "…" || strings.ContainsFunc(value, isControl):
			s.note("A header that cannot be carried over was left out.")
		case canonical == "Authorization" && strings.EqualFold(scheme, "Bearer") && strings.TrimSpace(rest) != "":
			token = w.value("token", variableOf(w.label+"_token"), strings.TrimSpace(rest))
		default:
			known := "secret" // as which any header counts that is not known to be none
			if plainHeader.MatchString(canonical) {
				known = name
			}
			entries[canonical] = w.value(known, variableOf(w.label+"_"+name), value)
		}
	}
	text := ""
	if token != "" {
		text = attribute("token", token)
	}
	return text + mapping("headers", entries)
}

// plainHeader matches headers that say what a client wants, and not who it is.
var plainHeader = regexp.MustCompile(`^(Accept.*|User-Agent|Host|Origin|Referer|Cache-Control|X-Mcp-.*)$`)

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// shown is a name for people to read, if it is no secret.
func (w *writer) shown(name string) string {
	if w.variables.isHeldIn(name) {
		return "…"
	}
	return shown(name)
}

func (w *writer) env() string {
	s := w.s
	entries := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.env)) {
		if !config.IsVariable(name) || w.shown(name) == "…" || strings.ContainsRune(s.env[name], 0) {
			s.note("A variable that cannot be carried over was left out.")
			continue
		}
		entries[name] = w.value(name, variableOf(name), s.env[name])
	}
	return mapping("env", entries)
}

var bareKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// mapping is an attribute with a map of expressions, or "" if that is empty.
func mapping(name string, entries map[string]string) string {
	if len(entries) == 0 {
		return ""
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		value := entries[key]
		if !bareKey.MatchString(key) || slices.Contains([]string{"for", "null", "true", "false"}, key) {
			key = config.Quote(key)
		}
		lines = append(lines, key+" = "+value)
	}
	if len(lines) == 1 {
		return attribute(name, "{ "+lines[0]+" }")
	}
	return attribute(name, "{\n"+strings.Join(lines, "\n")+"\n}")
}

func (w *writer) dir() string {
	dir := w.homely(w.s.dir)
	if dir == "" || strings.ContainsRune(dir, 0) {
		return ""
	}
	if !filepath.IsAbs(dir) && !reference.MatchString(dir) {
		w.s.note("Its folder is seen from the folder of this file.")
	}
	return attribute("dir", w.value("cwd", variableOf(w.label+"_dir"), dir))
}

// homely is a path with the home directory for ~.
func (w *writer) homely(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && w.home != "" {
		return w.home + "/" + rest
	}
	return path
}

// container is the container block.
func (w *writer) container() string {
	s, c := w.s, w.s.container
	text := attribute("image", w.value("image", variableOf(w.label+"_image"), c.image))
	if len(c.args) > 0 {
		text += attribute("args", w.command(c.args))
	}
	text += w.env()
	if c.port > 0 {
		text += attribute("port", strconv.Itoa(c.port))
	}
	if c.port > 0 && c.network == "" && c.profile == "" {
		c.network = "egress" // with nothing in it, since it had no network
	}
	var mounts []string
	for _, m := range c.mounts {
		mounts = append(mounts, w.homely(m))
	}
	if len(mounts) > 0 {
		text += attribute("mounts", w.list("mount", mounts))
	}
	for _, a := range []struct{ name, value string }{
		{"permission_profile", w.homely(c.profile)}, {"network", c.network}, {"memory", c.memory}, {"user", c.user}, {"pull", c.pull}, {"runtime", c.runtime},
	} {
		if a.value != "" {
			text += attribute(a.name, w.value(a.name, variableOf(w.label+"_"+a.name), a.value))
		}
	}
	if c.pids > 0 {
		text += attribute("pids", strconv.Itoa(c.pids))
	}
	if n, err := strconv.ParseFloat(c.cpus, 64); err == nil {
		text += attribute("cpus", strconv.FormatFloat(n, 'f', -1, 64))
	}
	if s.dir != "" {
		s.note("Its working folder was the client's own, and was left out.")
	}
	if c.network == "egress" {
		text += "\negress {\n" + attribute("allow", w.list("egress", c.allow)) + "}\n"
	}
	text = "container {\n" + text + "}\n"
	if c.port > 0 && s.sse {
		text = attribute("protocol", `"sse"`) + text
	}
	return text
}

// list is a list of texts.
func (w *writer) list(name string, texts []string) string {
	var list []string
	for i, text := range texts {
		list = append(list, w.value(name, variableOf(fmt.Sprintf("%s_%s_%d", w.label, name, i+1)), text))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

// command is the words of a command, or the arguments of one. What an option says
// tells whether the next word is secret.
func (w *writer) command(words []string) string {
	var list []string
	held := len(w.variables.byName)
	option := ""
	for i, word := range words {
		if strings.ContainsRune(word, 0) {
			w.s.off = true
			w.s.note("Its command has a NUL character in it.")
		}
		variable := variableOf(fmt.Sprintf("%s_arg_%d", w.label, i))
		if option != "" {
			variable = variableOf(w.label + "_" + option)
		}
		list = append(list, w.word(option, variable, word))
		if option = ""; strings.HasPrefix(word, "-") && !strings.Contains(word, "=") && !w.isSecret("", word) {
			option = strings.TrimLeft(word, "-")
		}
	}
	if len(w.variables.byName) > held && slices.ContainsFunc(words, func(word string) bool { return w.variables.isHeldIn(word) }) {
		w.s.note("A secret may stand on its command line, where everybody on this machine can see it: give it in env if the server can take it there.")
	}
	return "[" + strings.Join(list, ", ") + "]"
}

var assignment = regexp.MustCompile(`^-{0,2}[A-Za-z_][A-Za-z0-9_.-]*$`)

// word is one word of a command, which may be NAME=VALUE or --name=value.
func (w *writer) word(option, variable, word string) string {
	name, value, ok := cutOutside(word, "=")
	splitsSecret := w.variables.isHeldIn(word) && !w.variables.isHeldIn(value)
	if !ok || !assignment.MatchString(name) || w.isSecret("", name) || splitsSecret {
		return w.value(option, variable, word)
	}
	list := []part{{text: name + "="}}
	for _, p := range parts(value) {
		list = append(list, w.part(name, variableOf(w.label+"_"+name), p))
	}
	return w.expression(list)
}

func (w *writer) tools() string {
	text := w.patterns("allow", w.s.allow) + w.patterns("deny", w.s.deny)
	if text == "" {
		return ""
	}
	return "\ntools {\n" + text + "}\n"
}

// patterns is a list of names of tools, "" if it is not given or allows all.
func (w *writer) patterns(name string, names []string) string {
	if names == nil || slices.Contains(names, "*") && name == "allow" {
		return ""
	}
	var list []string
	for _, n := range names {
		if n == "" || strings.ContainsAny(n, "?[]{}") || w.shown(n) == "…" {
			w.s.note("A pattern for tools that is not one here was left out.")
			continue
		}
		list = append(list, config.Quote(n))
	}
	return attribute(name, "["+strings.Join(list, ", ")+"]")
}

// value is a text as an expression. Where it may be secret, which name tells, too,
// that is the variable.
func (w *writer) value(name, variable, text string) string {
	var list []part
	for _, p := range parts(text) {
		list = append(list, w.part(name, variable, p))
	}
	return w.expression(list)
}

// part is a part without a secret in it, and notes what it needs.
func (w *writer) part(name, variable string, p part) part {
	switch {
	case p.variable != "" && (w.variables.isHeldIn(p.variable) || isToken(p.variable)):
		return part{variable: w.variables.hold(variable, w.label, p.variable)}
	case p.variable != "":
		w.refer(&p)
	case p.file == "" && p.text != "" && w.isSecret(name, p.text):
		return part{variable: w.variables.hold(variable, w.label, p.text)}
	case p.file != "" && w.isSecret("", p.file):
		return part{variable: w.variables.hold(variable, w.label, p.file)}
	}
	return p
}

// refer notes that a variable is referred to. A default that may be secret becomes
// its value.
func (w *writer) refer(p *part) {
	if p.note != "" {
		w.s.note("%s", p.note)
	}
	if p.fallback != nil && w.isSecret(p.variable, *p.fallback) {
		w.variables.assign(p.variable, *p.fallback)
		p.fallback = nil
		return
	}
	w.variables.refer(p.variable, p.fallback != nil)
}

func (w *writer) isSecret(name, text string) bool {
	return isSecret(name, text) || w.variables.isHeldIn(text)
}

// expression is parts as HCL.
func (w *writer) expression(list []part) string {
	if len(list) == 1 {
		if list[0].variable == "" && list[0].file == "" {
			return config.Quote(list[0].text)
		}
		return w.call(list[0])
	}
	var b strings.Builder
	for _, p := range list {
		if p.variable == "" && p.file == "" {
			b.WriteString(config.QuoteIn(p.text))
		} else {
			b.WriteString("${" + w.call(p) + "}")
		}
	}
	return `"` + b.String() + `"`
}

// call is the function that a reference stands for.
func (w *writer) call(p part) string {
	switch {
	case p.file != "":
		return "trim(file(" + config.Quote(w.homely(p.file)) + "))"
	case p.fallback != nil:
		return "env(" + config.Quote(p.variable) + ", " + config.Quote(*p.fallback) + ")"
	}
	return "env(" + config.Quote(p.variable) + ")"
}

// login is what an .env file says of the gateway itself. Sign-in is not read by
// the gateway yet, so that it stands there as a comment.
func (w *writer) login(l *login) []string {
	w.s, w.label = &server{}, "login"
	w.variables.spare = true
	var blocks []string
	if l.publicURL != "" {
		blocks = append(blocks, comment("It listens on 127.0.0.1:8080 only, as long as there is no sign-in: what stands before it has the certificate.")+
			"server {\n"+attribute("public_url", config.Quote(l.publicURL))+"}\n")
	}
	if l.tenant == "" && l.client == "" && l.secretName == "" {
		return blocks
	}
	text := `auth "entra" "main" {` + "\n" + attribute("mode", `"entra-compat"`)
	for _, a := range []struct{ name, variable, value string }{
		{"tenant_id", "ENTRA_TENANT_ID", l.tenant},
		{"client_id", "ENTRA_CLIENT_ID", l.client},
		{"client_secret", l.secretName, l.secret},
	} {
		if a.value != "" {
			text += attribute(a.name, w.value(a.name, variableOf(a.variable), a.value))
		}
	}
	return append(blocks, comment("Sign-in is not read by this version yet: this is what it will look like. Until then, whoever reaches the gateway may use all of it.")+
		commented(text+"}\n"))
}
