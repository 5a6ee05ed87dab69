package upstream

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestEventReader(t *testing.T) {
	for _, tc := range []struct {
		name, stream string
		want         []string // name|id|data
	}{
		{"simple", "data: a\n\n", []string{"message||a"}},
		{"no space", "data:a\n\n", []string{"message||a"}},
		{"two spaces", "data:  a\n\n", []string{"message|| a"}},
		{"CRLF", "event: x\r\ndata: a\r\n\r\ndata: b\r\n\r\n", []string{"x||a", "message||b"}},
		{"CR", "data: a\r\rdata: b\r\r", []string{"message||a", "message||b"}},
		{"lines", "data: a\ndata\ndata: b\n\n", []string{"message||a\n\nb"}},
		{"comments", ": hello\n\n:\ndata: a\n: there\n\n", []string{"message||a"}},
		{"ids stay", "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []string{"message|1|a", "message|1|b", "message||c"}},
		{"id without data", "id: 7\ndata:\n\ndata: x\n\n", []string{"message|7|x"}},
		{"NUL in id", "id: 1\x002\ndata: a\n\n", []string{"message||a"}},
		{"byte order mark", "\ufeffdata: a\n\n", []string{"message||a"}},
		{"unfinished", "data: a\n\ndata: b\n", []string{"message||a"}},
		{"unknown field", "foo: bar\ndata: a\n\n", []string{"message||a"}},
		{"colons", "data: a: b\n\n", []string{"message||a: b"}},
		{"name is for one event", "event: x\n\ndata: a\n\n", []string{"message||a"}},
		{"long", "data: " + strings.Repeat("x", 100_000) + "\n\n", []string{"message||" + strings.Repeat("x", 100_000)}},
		{"nothing", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tc.stream), iotest.OneByteReader(strings.NewReader(tc.stream))} {
				var got []string
				events := newEventReader(r, 1<<20)
				for {
					ev, err := events.next()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, ev.name+"|"+ev.id+"|"+string(ev.data))
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A stream on which little comes must not keep what a large event has needed.
func TestLastingStreamKeepsNoLargeBuffer(t *testing.T) {
	events := newEventReader(strings.NewReader("data: "+strings.Repeat("x", 100_000)+"\n\ndata: y\n\n"), 1<<20)
	defer events.release()
	events.lasts = true
	for {
		ev, err := events.next()
		if err == io.EOF {
			break
		}
		if err != nil || len(ev.data) != 100_000 && string(ev.data) != "y" {
			t.Fatalf("%.20q, %v", ev.data, err)
		}
	}
	if got := len(*events.buffer); got > eventBuffer {
		t.Errorf("keeps %d bytes", got)
	}
}

func TestEventTooLarge(t *testing.T) {
	for _, stream := range []string{"data: " + strings.Repeat("x", 101) + "\n\n", strings.Repeat("data: x\n", 200) + "\n"} {
		_, err := newEventReader(strings.NewReader(stream), 100).next()
		if !isOversize(err) {
			t.Errorf("error %v", err)
		}
	}
	endless := newEventReader(endlessReader{}, 1000)
	if _, err := endless.next(); !isOversize(err) {
		t.Errorf("endless line: %v", err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func FuzzEventReader(f *testing.F) {
	f.Add([]byte("id: 1\nevent: x\r\ndata: a\rdata: b\n\n: c\ndata"), 10)
	f.Add([]byte("\ufeffretry: 5\ndata: {}\n\n"), 100)
	f.Fuzz(func(t *testing.T, stream []byte, max int) {
		max = max&0xffff + 1
		whole, single := newEventReader(bytes.NewReader(stream), max), newEventReader(iotest.OneByteReader(bytes.NewReader(stream)), max)
		for {
			a, errA := whole.next()
			b, errB := single.next()
			if diff := cmp.Diff(a, b, cmp.AllowUnexported(event{})); diff != "" || (errA == nil) != (errB == nil) {
				t.Fatalf("depends on how it is read: %v, %v\n%s", errA, errB, diff)
			}
			if errA != nil {
				return
			}
			if len(a.data) == 0 || len(a.data) > max {
				t.Fatalf("event of %d bytes, limit %d", len(a.data), max)
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"result":{"a":1.0}}`))
	f.Add([]byte(`[{"id":"x","error":{"code":-1e3,"message":"m","data":[1]}},{"method":"m","params":{}}]`))
	f.Add([]byte(`{"id":1,"id":2,"result":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		err := eachMessage(raw, func(m message) {
			if m.isAnswer() && m.result == nil && m.err == nil {
				t.Errorf("an answer with neither result nor error")
			}
			for _, part := range []json.RawMessage{m.id, m.params, m.result} {
				if part != nil && !bytes.Contains(raw, part) {
					t.Errorf("%q is no part of %q", part, raw)
				}
			}
		})
		if err == nil && !json.Valid(raw) {
			t.Errorf("accepted %q", raw)
		}
	})
}

func TestParseMessage(t *testing.T) {
	for raw, ok := range map[string]bool{
		`{"jsonrpc":"2.0","id":1,"result":{}}`:             true,
		`{"id":1,"error":{"code":-32000.0,"message":"x"}}`: true,
		`{"id":1,"result":{},"error":null}`:                true,
		`{"method":"m"}`:                                   true,
		`[{"method":"m"},{"id":1,"result":1}]`:             true,
		`{}`:                                               false,
		`{"id":1}`:                                         false,
		`{"id":1,"error":"text"}`:                          false,
		`{"id":1,"error":{"message":"no code"}}`:           false,
		`{"id":1,"id":2,"result":{}}`:                      false,
		`{"id":1,"result":{}} {"id":2,"result":{}}`:        false,
		`"text"`: false, `null`: false, ``: false, `{"id":1,"res`: false,
	} {
		if err := eachMessage([]byte(raw), func(message) {}); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted: %v", raw, err, ok)
		}
	}
}

func TestHeaderValue(t *testing.T) {
	for text, want := range map[string]string{
		"create_issue":        "create_issue",
		"":                    "",
		"a b":                 "a b",
		" a":                  "=?base64?IGE=?=",
		"a ":                  "=?base64?YSA=?=",
		"ü":                   "=?base64?w7w=?=",
		"a\r\nX-Evil: 1":      "=?base64?YQ0KWC1FdmlsOiAx?=",
		"=?base64?eA==?=":     "=?base64?PT9iYXNlNjQ/ZUE9PT89?=",
		"=?base64?unfinished": "=?base64?unfinished",
	} {
		if got := headerValue(text); got != want {
			t.Errorf("headerValue(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzHeaderValue(f *testing.F) {
	f.Add("plain")
	f.Add("größe\n")
	f.Add("=?base64?eA==?=")
	f.Fuzz(func(t *testing.T, text string) {
		value := headerValue(text)
		for _, c := range []byte(value) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q in a header", value)
			}
		}
		if decoded := decodeHeaderValue(t, value); decoded != text {
			t.Fatalf("%q arrives as %q", text, decoded)
		}
		// A header that a server reads is the one that was sent.
		h := http.Header{"Mcp-Name": {value}}
		var wire bytes.Buffer
		if err := h.Write(&wire); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(strings.TrimPrefix(wire.String(), "Mcp-Name: "), "\r\n"); got != value {
			t.Fatalf("%q is written as %q", value, got)
		}
	})
}

func TestIdentify(t *testing.T) {
	for _, tc := range []struct {
		head, tail string
		id         int64
		note       bool
	}{
		{`{"jsonrpc":"2.0","id":5,"result":{"a":"xx`, `xx"}}`, 5, false},
		{` { "id" : 5 , "jsonrpc":"2.0","result":"xx`, `xx"}`, 5, false},
		{`{"result":{"id":9,"a":"xx`, `xx"},"jsonrpc":"2.0","id":5}`, 5, false},
		{`{"result":{"id":9,"a":"xx`, `xx"},"id": 5, "jsonrpc":"2.0"}`, 5, false},
		{`{"jsonrpc":"2.0","method":"notifications/message","params":{"a":"xx`, `xx","id":5}}`, 0, true},
		{`{"result":{"a":"xx`, `xx","id":5}}`, 0, false},
		{`xxxx`, `xxxx`, 0, false},
	} {
		id, note := identify([]byte(tc.head), []byte(tc.tail))
		if id != tc.id || note != tc.note {
			t.Errorf("%s…%s: got %d, %v; want %d, %v", tc.head, tc.tail, id, note, tc.id, tc.note)
		}
	}
}

func FuzzIdentify(f *testing.F) {
	f.Add([]byte(`{"id":5,"result":`), []byte(`}`))
	f.Fuzz(func(t *testing.T, head, tail []byte) { identify(head, tail) })
}

func TestLineReader(t *testing.T) {
	long := strings.Repeat("y", 100_000)
	lines := newLineReader(strings.NewReader("a\n\n"+strings.Repeat("x", 1000)+"\n"+long+"end\nlast"), 1000)
	for i, want := range []struct{ line, tail string }{
		{"a", ""},
		{"", ""},
		{strings.Repeat("x", 1000), ""},
		{strings.Repeat("y", 1000), strings.Repeat("y", 253) + "end"},
		{"last", ""},
	} {
		line, tail, err := lines.next()
		if err != nil || string(line) != want.line || string(tail) != want.tail {
			t.Errorf("line %d: %.20q (%d), tail %q, %v", i, line, len(line), tail, err)
		}
	}
	if _, _, err := lines.next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestRedact(t *testing.T) {
	s := secrets{"true", "hunter2hunter2"}
	if got, want := s.redact("true: hunter2hunter2!"), "true: [redacted]!"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := printable("a\x1b[1m\n\tb  "+strings.Repeat("é", 20), 10), "a [1m b é…"; got != want {
		t.Errorf("printable: got %q, want %q", got, want)
	}
	if got := noAnswer(60_000_000_000).Error(); got != "no answer within 60s" {
		t.Error(got)
	}
	if got := strconv.Quote(string(asLine([]byte("{\n\"a\":\r\n1}")))); got != `"{ \"a\":  1}\n"` {
		t.Error(got)
	}
}

func decodeHeaderValue(t *testing.T, value string) string {
	encoded, ok := strings.CutPrefix(value, base64Prefix)
	if !ok || !strings.HasSuffix(encoded, base64Suffix) {
		return value
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, base64Suffix))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
