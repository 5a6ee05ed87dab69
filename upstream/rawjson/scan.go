package rawjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds how deep objects and arrays may be nested, as in
// encoding/json.
const maxDepth = 10_000

// A scanner finds where JSON values end (RFC 8259), without decoding them. Its
// methods report false for what is no JSON, and leave it to explain to say
// why.
type scanner struct {
	raw []byte
	at  int // offset of what comes next
	// strict refuses what can be read in more than one way: see CheckStrict.
	strict   bool
	overflow string // number that decoded found too large, "" for none
}

// peek skips white space and returns what comes next, 0 at the end.
func (s *scanner) peek() byte {
	for ; s.at < len(s.raw); s.at++ {
		switch c := s.raw[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips white space and then c, if that comes next.
func (s *scanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.at++
	return true
}

// ended reports whether nothing but white space is left.
func (s *scanner) ended() bool { return s.peek() == 0 && s.at == len(s.raw) }

// value skips one value and the white space before it. depth is how many
// objects and arrays it is in.
func (s *scanner) value(depth int) bool {
	switch s.peek() {
	case '"':
		_, ok := s.text()
		return ok
	case '{':
		return s.object(depth+1, func([]byte) bool { return s.value(depth + 1) })
	case '[':
		return s.array(depth+1, func() bool { return s.value(depth + 1) })
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

// object skips an object, which names no member twice if s is strict. member
// gets each name, as it was sent with its quotes, and skips the value.
func (s *scanner) object(depth int, member func(key []byte) bool) bool {
	if s.at++; depth > maxDepth {
		return false
	}
	if s.take('}') {
		return true
	}
	var seen names
	for {
		if s.peek() != '"' {
			return false
		}
		from := s.at
		plain, ok := s.text()
		if !ok {
			return false
		}
		key := s.raw[from:s.at:s.at]
		if s.strict && !seen.add(unquoted(key, plain)) || !s.take(':') || !member(key) {
			return false
		}
		if !s.take(',') {
			return s.take('}')
		}
	}
}

// array skips an array. element skips each of its elements.
func (s *scanner) array(depth int, element func() bool) bool {
	if s.at++; depth > maxDepth {
		return false
	}
	if s.take(']') {
		return true
	}
	for {
		if !element() {
			return false
		}
		if !s.take(',') {
			return s.take(']')
		}
	}
}

// text skips a string. plain says that it means what stands between its
// quotes: it has no escapes and is ASCII.
func (s *scanner) text() (plain, ok bool) {
	s.at++
	plain, from := true, s.at
	for {
		s.at = special(s.raw, s.at)
		if s.at == len(s.raw) {
			return false, false
		}
		switch c := s.raw[s.at]; {
		case c == '"':
			s.at++
			return plain, plain || !s.strict || utf8.Valid(s.raw[from:s.at])
		case c == '\\':
			if plain = false; !s.escape() {
				return false, false
			}
		case c < ' ':
			return false, false
		default: // not ASCII
			plain = false
			for s.at < len(s.raw) && s.raw[s.at] >= utf8.RuneSelf {
				s.at++
			}
		}
	}
}

// special returns the offset from which raw has a byte that is not plain text
// inside a string: a quote, a backslash, a control character or no ASCII.
func special(raw []byte, at int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for ; at+8 <= len(raw); at += 8 {
		// The lowest high bit that is set marks the first such byte.
		eight := binary.LittleEndian.Uint64(raw[at:])
		quotes, backslashes := eight^ones*'"', eight^ones*'\\'
		if found := (eight | (eight - ones*' ') | (quotes - ones) | (backslashes - ones)) & highs; found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for ; at < len(raw); at++ {
		if c := raw[at]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return at
}

// escape skips one escape in a string, or two that make one character.
func (s *scanner) escape() bool {
	if s.at++; s.at == len(s.raw) {
		return false
	}
	switch s.raw[s.at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.at++
		return true
	case 'u':
	default:
		return false
	}
	first, ok := s.hex()
	if !ok || !s.strict || first < 0xd800 || first > 0xdfff {
		return ok
	}
	if first > 0xdbff || s.at+2 > len(s.raw) || string(s.raw[s.at:s.at+2]) != `\u` {
		return false // half of a surrogate pair
	}
	s.at++
	second, ok := s.hex()
	return ok && 0xdc00 <= second && second <= 0xdfff
}

// hex skips the u of an escape and the four digits after it.
func (s *scanner) hex() (code uint16, ok bool) {
	if s.at+5 > len(s.raw) {
		return 0, false
	}
	for _, c := range s.raw[s.at+1 : s.at+5] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		code = code<<4 | uint16(c)
	}
	s.at += 5
	return code, true
}

func (s *scanner) word(word string) bool {
	if !bytes.HasPrefix(s.raw[s.at:], []byte(word)) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) number() bool {
	s.sign("-")
	if s.at < len(s.raw) && s.raw[s.at] == '0' {
		s.at++
	} else if !s.digits() {
		return false
	}
	if s.at < len(s.raw) && s.raw[s.at] == '.' {
		if s.at++; !s.digits() {
			return false
		}
	}
	if s.at < len(s.raw) && s.raw[s.at]|0x20 == 'e' {
		s.at++
		s.sign("+-")
		return s.digits()
	}
	return true
}

// sign skips one of these signs, if one is there.
func (s *scanner) sign(signs string) {
	if s.at < len(s.raw) && strings.IndexByte(signs, s.raw[s.at]) >= 0 {
		s.at++
	}
}

// digits skips one digit or more.
func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.raw) && '0' <= s.raw[s.at] && s.raw[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// decoded is value, and what it holds: nil, a bool, a string, an int64 where
// the number is an integer of that size and a float64 where not, a []any or a
// map[string]any. It fails for a number that is too large.
func (s *scanner) decoded(depth int) (v any, ok bool) {
	from := 0
	switch s.peek() {
	case '{':
		o := map[string]any{}
		ok = s.object(depth+1, func(key []byte) (ok bool) {
			name := string(unquoted(key, false))
			o[name], ok = s.decoded(depth + 1)
			return ok
		})
		return o, ok
	case '[':
		a := []any{}
		ok = s.array(depth+1, func() bool {
			element, ok := s.decoded(depth + 1)
			a = append(a, element)
			return ok
		})
		return a, ok
	case '"':
		from = s.at
		plain, ok := s.text()
		if !ok {
			return nil, false
		}
		return string(unquoted(s.raw[from:s.at], plain)), true
	case 't':
		return true, s.word("true")
	case 'f':
		return false, s.word("false")
	case 'n':
		return nil, s.word("null")
	}
	if from = s.at; !s.number() {
		return nil, false
	}
	text := string(s.raw[from:s.at])
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.overflow = text
	}
	return f, err == nil
}

// unquoted is what a string means. plain as from text; false looks again.
func unquoted(quoted []byte, plain bool) []byte {
	if inside := quoted[1 : len(quoted)-1]; plain || special(quoted, 1) == len(quoted)-1 {
		return inside
	}
	name, _ := jsontext.AppendUnquote(nil, quoted) // its error only reports replaced UTF-8
	return name
}

// nameOf is name as a string, which for the names that most messages consist
// of is the same one each time.
func nameOf(name []byte) string {
	switch string(name) {
	case "jsonrpc":
		return "jsonrpc"
	case "id":
		return "id"
	case "method":
		return "method"
	case "params":
		return "params"
	case "result":
		return "result"
	case "name":
		return "name"
	case "arguments":
		return "arguments"
	case "_meta":
		return "_meta"
	case "content":
		return "content"
	case "resultType":
		return "resultType"
	case "io.modelcontextprotocol/protocolVersion":
		return "io.modelcontextprotocol/protocolVersion"
	case "io.modelcontextprotocol/clientInfo":
		return "io.modelcontextprotocol/clientInfo"
	case "io.modelcontextprotocol/clientCapabilities":
		return "io.modelcontextprotocol/clientCapabilities"
	}
	return string(name)
}

// names finds names that come twice: by looking at all of them while they are
// few, as they mostly are, and in a set beyond that.
type names struct {
	few  [8][]byte
	n    int             // of few
	many map[string]bool // nil while few has room
}

// add reports whether the name is a new one. It keeps it.
func (n *names) add(name []byte) bool {
	if n.many != nil {
		if n.many[string(name)] {
			return false
		}
		n.many[string(name)] = true
		return true
	}
	for _, have := range n.few[:n.n] {
		if bytes.Equal(have, name) {
			return false
		}
	}
	if n.n < len(n.few) {
		n.few[n.n] = name
		n.n++
		return true
	}
	n.many = map[string]bool{string(name): true}
	for _, have := range n.few {
		n.many[string(have)] = true
	}
	return true
}
