//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestCompare has a client use all that server-everything offers, once by
// itself and once through the gateway, and compares the two conversations
// message by message.
func TestCompare(t *testing.T) {
	t.Parallel()
	t.Run("stdio", func(t *testing.T) {
		t.Parallel()
		s := everything()
		u := s.upstream()
		u.isolation = "session" // a process like the one that the direct client has
		compare(t, s.argv, u)
	})
	t.Run("streamableHttp", func(t *testing.T) {
		t.Parallel()
		// One of them each: sessions of one process share their resources.
		direct, behind := everythingHTTP(t), everythingHTTP(t)
		compare(t, []string{direct.url}, behind.upstream())
	})
}

// compare runs the client against the server that args name, and against a
// gateway with u behind it.
func compare(t *testing.T, args []string, u upstream) {
	u.prefix, u.requests = new(""), []string{"sampling", "elicitation", "roots"}
	g := startGateway(t, u)
	g.await(t, `catalog changed`)
	direct, through := startConversation(t, args...), startConversation(t, g.url)
	want, got := sortOut(direct.end(t), u.label), sortOut(through.end(t), u.label)
	for _, problem := range got.misplaced {
		t.Error(problem)
	}
	all := want.order
	for _, s := range got.order {
		if want.sequences[s] == nil {
			all = append(all, s)
		}
	}
	for _, s := range all {
		checkSequence(t, s, got.sequences[s], want.sequences[s])
	}
}

// A conversation is a running compare.mjs.
type conversation struct {
	*daemon
	stdout *output
}

func startConversation(t testing.TB, args ...string) conversation {
	t.Helper()
	s, stdout := newSandbox(t), newOutput()
	return conversation{s.start(t, stdout, nil, append(s.script(t, "compare.mjs"), args...)...), stdout}
}

// A record is what a client has sent and got, in order.
type record []entry

type entry struct {
	Step    string
	Sent    bool   // by the client
	Stream  string // that it came on: "session", "request 7", or "" for none
	Message wireMessage
}

func (e entry) isRequest() bool { return e.Message.Method != "" && e.Message.ID != nil }
func (e entry) isAnswer() bool  { return e.Message.Method == "" }

// A wireMessage is a JSON-RPC message as it was; absent members are nil.
type wireMessage struct {
	ID, Params, Result, Error json.RawMessage
	Method                    string
}

func (c conversation) end(t *testing.T) record {
	t.Helper()
	select {
	case <-c.exited:
	case <-time.After(time.Minute):
		t.Fatalf("%s does not end", strings.Join(c.argv, " "))
	}
	var r record
	if err := json.Unmarshal([]byte(c.stdout.String()), &r); err != nil || c.err != nil {
		t.Fatalf("%s: %v, %v in %s", strings.Join(c.argv, " "), c.err, err, short(c.stdout.String()))
	}
	return r
}

// A sequence is the messages of one step whose order means something: those
// that belong to one request, the other notifications of the client, or those of
// the server. Each may have a stream of its own, and
// between streams there is no order.
type sequence struct{ step, about string }

// checkSequence compares the messages of a sequence one by one, up to the first
// that differs.
func checkSequence(t *testing.T, s sequence, got, want []string) {
	t.Helper()
	at := func(list []string, i int) string {
		if i < len(list) {
			return list[i]
		}
		return "nothing"
	}
	for i := range max(len(got), len(want)) {
		g, w := at(got, i), at(want, i)
		if g == w {
			continue
		}
		t.Errorf("step %q, %s: message %d differs (of %d through the gateway, %d of the server)\ngot  %s\nwant %s\nwhere they part%s",
			s.step, s.about, i+1, len(got), len(want), short(g), short(w), difference([]byte(g), []byte(w)))
		return
	}
}

// A sorter takes a record apart. Nothing of it gets lost but for what dropped
// says.
type sorter struct {
	label     string
	order     []sequence
	sequences map[sequence][]string
	misplaced []string // messages that are not on their stream

	last   string            // request of the client
	tokens map[string]string // request by the token for its progress
	asked  map[string]asked  // requests of the server, by id
	counts map[string]int    // of those, by step and method
}

// asked is a request of the server.
type asked struct{ name, about string }

func sortOut(r record, label string) *sorter {
	s := &sorter{label: label, sequences: map[sequence][]string{}, tokens: map[string]string{}, asked: map[string]asked{}, counts: map[string]int{}}
	for _, e := range r {
		if dropped(e.Step, e.Message) {
			continue
		}
		about, text := s.read(e)
		key := sequence{e.Step, about}
		if s.sequences[key] == nil {
			s.order = append(s.order, key)
		}
		s.sequences[key] = append(s.sequences[key], s.neutral(e, text))
		if !onItsStream(e, about) {
			s.misplaced = append(s.misplaced, fmt.Sprintf("step %q, %s: on the stream %q comes %s", e.Step, about, e.Stream, short(text)))
		}
	}
	return s
}

// onItsStream reports whether a message came where it belongs in Streamable
// HTTP: on the stream of its request, or on the session's. An answer may come
// without a stream, and a log message on any.
func onItsStream(e entry, about string) bool {
	switch {
	case e.Sent:
		return true
	case e.isAnswer():
		return e.Stream == "" || e.Stream == about
	case strings.HasPrefix(about, "request "):
		return e.Stream == about
	case e.Message.Method == "notifications/message":
		return e.Stream != ""
	default:
		return e.Stream == "session"
	}
}

// read finds what a message belongs to, and writes it with a name in place of
// its id. The ids of the client are the same in both conversations.
func (s *sorter) read(e entry) (about, text string) {
	m := e.Message
	way, name := "<", string(m.ID)
	if e.Sent {
		way = ">"
	}
	switch {
	case e.isRequest() && e.Sent:
		about = "request " + name
		s.last = about
		if token := m.token(); token != "" {
			s.tokens[token] = about
		}
	case e.isRequest():
		name = s.nameOf(e)
		if about = s.last; m.Method == "roots/list" {
			about = name
		}
		s.asked[string(m.ID)] = asked{name, about}
	case e.isAnswer() && e.Sent:
		about, name = s.asked[string(m.ID)].about, s.asked[string(m.ID)].name
	case e.isAnswer():
		about = "request " + name
	case m.Method == "notifications/progress":
		about = s.tokens[m.token()]
	case m.Method == "notifications/cancelled":
		about = s.last
	case e.Sent:
		about = "notifications of the client"
	default:
		about = "notifications"
	}
	return about, strings.TrimSpace(fmt.Sprintf("%s [%s] %s %s%s%s", way, name, m.Method, m.Params, m.Result, m.Error))
}

// nameOf counts the requests of the server in a step.
func (s *sorter) nameOf(e entry) string {
	name := e.Step + ", " + e.Message.Method
	s.counts[name]++
	return fmt.Sprintf("%s %d", name, s.counts[name])
}

// token is the progress token of a request or of progress.
func (m wireMessage) token() string {
	var p struct {
		ProgressToken json.RawMessage
		Meta          struct{ ProgressToken json.RawMessage } `json:"_meta"`
	}
	_ = json.Unmarshal(m.Params, &p) // without params there is none
	return string(p.ProgressToken) + string(p.Meta.ProgressToken)
}

// dropped are the messages that are not compared: server-everything adds tools
// when it has got to know its client. Through the gateway, the client's first
// list is the whole one; over HTTP, the client may not listen yet.
func dropped(step string, m wireMessage) bool {
	return step == "initialize" && m.Method == "notifications/tools/list_changed"
}

// ownAnswers are the steps in which the gateway refuses by itself what the
// server would refuse: what is not in its catalog, what the schema of a tool
// does not accept, and what it does not support.
var ownAnswers = []string{
	"unknown tool", "wrong arguments", "missing arguments", "unknown method", "unknown prompt",
	"complete an unknown prompt", "setLevel wrong",
}

// What differs between two runs of one server.
var (
	// sessions of HTTP servers, and elicitations
	uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	// dynamic resources say when they were made, some of them in base64
	clock = regexp.MustCompile(`\d{1,2}:\d{2}:\d{2}.[AP]M`)
	blob  = regexp.MustCompile(`"blob":"[^"]*"`)
	// simulated log messages have a random level
	simulated = regexp.MustCompile(`"level":"\w+","data":"\w+[- ]level[- ]message`)
)

// neutral takes out of a message what may differ.
func (s *sorter) neutral(e entry, text string) string {
	got := !e.Sent && e.isAnswer()
	switch refused := e.Message.Error != nil || strings.Contains(text, `"isError":true`); {
	case got && strings.Contains(text, `"protocolVersion"`):
		return "< an introduction" // with the capabilities, name, version and instructions of the one that it is
	case got && e.Step == "get-env":
		return "< an environment" // TestServers looks into it
	case got && refused && slices.Contains(ownAnswers, e.Step):
		return "< refused"
	}
	// The gateway says which upstream asks.
	if e.Message.Method == "elicitation/create" || e.Message.Error != nil {
		text = strings.Replace(text, `"message":"[`+s.label+`] `, `"message":"`, 1)
	}
	text = blob.ReplaceAllStringFunc(text, readable)
	text = clock.ReplaceAllString(text, "<time>")
	text = uuid.ReplaceAllString(text, "<uuid>")
	return simulated.ReplaceAllString(text, `"level":"<random>","data":"<random>`)
}

// readable decodes a blob if it is text.
func readable(member string) string {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(member, `"blob":"`), `"`))
	if err != nil || !utf8.Valid(data) {
		return member
	}
	return fmt.Sprintf(`"blob":%q`, data)
}
