package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Bounds of a line, in bytes.
const (
	maxLine      = 128 << 10
	maxArguments = 64 << 10 // that are written whole
	maxLooked    = 1 << 10  // of a text that a condition looked at
	maxReasons   = 16       // of each kind: a number
	maxDepth     = 16       // of what a condition looked at: a number of levels
)

// A line is a record as it is written, with its members in this order.
type line struct {
	Time       string          `json:"time"`
	Kind       Kind            `json:"kind"`
	Version    int             `json:"version,omitempty"`
	Salt       string          `json:"salt,omitempty"`
	Mode       Arguments       `json:"mode,omitempty"`
	Count      int64           `json:"count,omitempty"`
	Act        string          `json:"act,omitempty"`
	Who        string          `json:"who,omitempty"`
	What       string          `json:"what,omitempty"`
	Old        string          `json:"old,omitempty"`
	New        string          `json:"new,omitempty"`
	Error      string          `json:"error,omitempty"`
	Decision   Decision        `json:"decision,omitempty"`
	Reference  string          `json:"reference,omitempty"`
	Action     string          `json:"action,omitempty"`
	Upstream   string          `json:"upstream,omitempty"`
	Object     string          `json:"object,omitempty"`
	Published  string          `json:"published,omitempty"`
	Caller     string          `json:"caller,omitempty"`
	Name       string          `json:"name,omitempty"`
	Client     string          `json:"client,omitempty"`
	Provider   string          `json:"provider,omitempty"`
	Session    string          `json:"session,omitempty"`
	IP         string          `json:"ip,omitempty"`
	Principal  *Principal      `json:"principal,omitempty"`
	Earlier    *Earlier        `json:"earlier,omitempty"`
	Reasons    []Reason        `json:"reasons,omitempty"`
	Errors     []Reason        `json:"errors,omitempty"`
	Observed   []Reason        `json:"observed,omitempty"`
	Why        string          `json:"why,omitempty"`
	Told       string          `json:"told,omitempty"`
	Candidate  *Candidate      `json:"candidate,omitempty"`
	Looked     any             `json:"looked,omitempty"`
	Arguments  json.RawMessage `json:"arguments,omitempty"`
	Bytes      int             `json:"arguments_bytes,omitempty"`
	SHA256     string          `json:"arguments_sha256,omitempty"`
	Generation uint64          `json:"generation,omitempty"`
	Policies   string          `json:"policies,omitempty"`
	Micros     int64           `json:"micros,omitempty"`
}

// timeFormat has a fixed width, so that lines sort by time.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// lines are records on their way to the file. Not safe for concurrent use.
type lines struct {
	salt string
	mode Arguments
	out  bytes.Buffer
	to   *json.Encoder // into out
}

func newLines(salt string, mode Arguments) *lines {
	ls := &lines{salt: salt, mode: mode}
	ls.to = json.NewEncoder(&ls.out)
	ls.to.SetEscapeHTML(false)
	return ls
}

// add writes a record as one line of maxLine bytes at most.
func (ls *lines) add(r *Record) {
	l := lineOf(r)
	ls.argue(&l, r)
	if r.Looked != nil {
		if looked := ls.looked(r.Looked()); len(looked) > 0 {
			l.Looked = looked
		}
	}
	begin := ls.out.Len()
	if err := ls.to.Encode(&l); err == nil && ls.out.Len()-begin <= maxLine {
		return
	}
	ls.out.Truncate(begin)
	ls.reduce(&l)
	_ = ls.to.Encode(&l) // what could not be encoded is gone
}

// put writes a line of the log's own.
func (ls *lines) put(l line) {
	l.Time = time.Now().UTC().Format(timeFormat)
	_ = ls.to.Encode(&l) // all of it can be encoded
}

// begin puts a line ahead of the others that says how they are to be read.
func (ls *lines) begin(torn bool, before string) {
	rest := bytes.Clone(ls.out.Bytes())
	ls.out.Reset()
	if torn {
		ls.out.WriteByte('\n')
	}
	ls.put(line{Kind: kindOpened, Version: 1, Salt: ls.salt, Mode: ls.mode, Old: before})
	ls.out.Write(rest)
}

// records counts those among the lines.
func (ls *lines) records() (n int64) {
	for text := range bytes.Lines(ls.out.Bytes()) {
		var l struct{ Kind Kind }
		if json.Unmarshal(text, &l) == nil && (l.Kind == KindDecision || l.Kind == KindAct) {
			n++
		}
	}
	return n
}

// lineOf is what there is to write of a record whatever the arguments are. All
// of it takes less than 120 KiB.
func lineOf(r *Record) line {
	l := line{
		Time: r.Time.UTC().Format(timeFormat), Kind: r.Kind,
		Act: cut(r.Act, 64), Who: cut(r.Who, 256), What: cut(r.What, 1024), Old: cut(r.Old, 1024), New: cut(r.New, 1024), Error: cut(r.Error, 1024),
		Decision: Decision(cut(string(r.Decision), 32)), Reference: cut(r.Reference, 64), Action: cut(r.Action, 64),
		Upstream: cut(r.Upstream, 128), Object: cut(r.Object, 4096), Published: cut(r.Published, 4096),
		Caller: cut(r.Caller, 1024), Name: cut(r.Name, 256), Client: cut(r.Client, 1024), Provider: cut(r.Provider, 128),
		Session: cut(r.Session, 128), IP: cut(r.IP, 64),
		Reasons: cutReasons(r.Reasons), Errors: cutReasons(r.Errors), Observed: cutReasons(r.Observed), Why: cut(r.Why, 1024), Told: cut(r.Told, 256),
		Generation: r.Generation, Policies: cut(r.Policies, 128), Micros: r.Micros,
	}
	if r.Principal != nil {
		l.Principal = r.Principal.Bound()
	}
	if r.Earlier != nil {
		l.Earlier = r.Earlier.Bound()
	}
	if c := r.Candidate; c != nil {
		l.Candidate = &Candidate{Decision(cut(string(c.Decision), 32)), cutReasons(c.Reasons)}
	}
	return l
}

func cutReasons(all []Reason) []Reason {
	all = slices.Clone(all[:min(len(all), maxReasons)])
	for i, r := range all {
		all[i] = Reason{cut(r.ID, 256), cut(r.File, 512), r.Line, cut(r.Error, 512)}
	}
	return all
}

// argue writes of the arguments what is to be written.
func (ls *lines) argue(l *line, r *Record) {
	whole := r.Full || ls.mode == Full
	switch {
	case r.Arguments == nil || !whole && ls.mode == None:
	case whole && len(r.Arguments) <= maxArguments && utf8.Valid(r.Arguments) && json.Valid(r.Arguments):
		l.Arguments, l.Bytes = r.Arguments, len(r.Arguments)
	default:
		l.Bytes, l.SHA256 = len(r.Arguments), ls.hash(r.Arguments)
	}
}

// reduce makes a line short in which values take too much room.
func (ls *lines) reduce(l *line) {
	if l.Arguments != nil {
		l.Bytes, l.SHA256, l.Arguments = len(l.Arguments), ls.hash(l.Arguments), nil
	}
	if l.Looked != nil {
		text, _ := json.Marshal(l.Looked)
		l.Looked = ls.digest(text)
	}
}

// A digest stands for a text that is too long.
type digest struct {
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

func (ls *lines) digest(text []byte) digest { return digest{len(text), ls.hash(text)} }

// hash is the SHA-256 of the salt and the text, in hex.
func (ls *lines) hash(text []byte) string {
	h := sha256.New()
	h.Write([]byte(ls.salt))
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil))
}

// fromElsewhere are the beginnings of the paths of values that do not come from
// arguments. Others may: bind blocks make parts of the context of them.
var fromElsewhere = []string{"principal in", "principal.", "resource.", "context.app", "context.auth", "context.session", "context.ip", "context.now"}

// looked is what may be written of the values that conditions looked at.
func (ls *lines) looked(values map[string]any) map[string]any {
	shown := make(map[string]any, len(values))
	for path, v := range values {
		if ls.mode != None || comesFromElsewhere(path) {
			shown[key(path)] = ls.shorten(v, maxDepth)
		}
	}
	return shown
}

func comesFromElsewhere(path string) bool {
	return slices.ContainsFunc(fromElsewhere, func(begin string) bool {
		rest, ok := strings.CutPrefix(path, begin)
		return ok && (strings.HasSuffix(begin, ".") || rest == "" || rest[0] == '.')
	})
}

// shorten replaces long texts in v by digests, and what is below depth levels.
func (ls *lines) shorten(v any, depth int) any {
	switch v := v.(type) {
	case nil, bool, int, int64:
		return v
	case string:
		if len(v) > maxLooked {
			return ls.digest([]byte(v))
		}
		return v
	case []any:
		if depth > 0 {
			all := make([]any, len(v))
			for i := range v {
				all[i] = ls.shorten(v[i], depth-1)
			}
			return all
		}
	case map[string]any:
		if depth > 0 {
			all := make(map[string]any, len(v))
			for name, value := range v {
				all[key(name)] = ls.shorten(value, depth-1)
			}
			return all
		}
	}
	text, err := json.Marshal(v)
	switch {
	case err != nil:
		return nil
	case len(text) > maxLooked:
		return ls.digest(text)
	}
	return json.RawMessage(text)
}

// key is the name of a member. Two that are alike in JSON are one.
func key(name string) string { return cut(strings.ToValidUTF8(name, "\ufffd"), maxLooked) }

// cut makes a text short that takes more than n bytes in JSON.
func cut(text string, n int) string {
	if len(text) <= n/6 { // no byte takes more than six
		return text
	}
	const more = "…"
	used, fits := 0, 0
	for i, r := range text {
		if used <= n-len(more) {
			fits = i
		}
		used += width(r)
		if used > n {
			return text[:fits] + more
		}
	}
	return text
}

// width is how many bytes a character takes in JSON at most.
func width(r rune) int {
	switch {
	case r < ' ' || r == utf8.RuneError || r == '\u2028' || r == '\u2029' || r == 0x7f:
		return 6
	case r == '"' || r == '\\':
		return 2
	}
	return utf8.RuneLen(r)
}
