package source

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// annotationNames are the annotations that mean something.
var annotationNames = []string{"id", "deny_message", "observe", "rate", "max_bytes_in", "max_bytes_out", "redact_result", "audit"}

// alsoMeant are names that people may take for one of them.
var alsoMeant = map[string]string{
	"maxbytes": "max_bytes_in or @max_bytes_out", "maxbytesinput": "max_bytes_in", "maxbytesoutput": "max_bytes_out",
	"redact": "redact_result", "redactresults": "redact_result", "ratelimit": "rate", "denymsg": "deny_message",
	"denialmessage": "deny_message",
}

// Bounds of annotations.
const (
	maxMessage = 1000 // characters of a deny message
	maxRedact  = 32   // paths
	maxCalls   = 1_000_000_000
)

// annotations reads those of the policy into it.
func (c *check) annotations() {
	demands := "" // the first obligation
	for _, a := range c.policy.AST.Annotations {
		name, value := string(a.Key), string(a.Value)
		switch name {
		case "id":
			c.id(value)
		case "deny_message":
			c.denyMessage(value)
		case "observe":
			c.observe(value)
		case "rate", "max_bytes_in", "max_bytes_out", "redact_result", "audit":
			if demands == "" {
				demands = name
			}
			c.obligation(name, value)
		default:
			c.unknownAnnotation(name)
		}
	}
	switch {
	case demands == "":
	case !c.policy.Permit:
		c.mistake("@"+demands, fmt.Sprintf("@%s stands on a forbid, which demands nothing", demands), "put it on the permits")
	case c.policy.Observe:
		c.mistake("@"+demands, fmt.Sprintf("@%s stands on a policy with @observe, which is not in effect", demands), "remove one of them")
	}
}

// unknownAnnotation is free text, unless it is a misspelt name.
func (c *check) unknownAnnotation(name string) {
	meant := near(name, annotationNames)
	if also := alsoMeant[fold(name)]; also != "" {
		meant = also
	}
	if meant != "" {
		c.mistake("@"+name, fmt.Sprintf("the annotation @%s means nothing", plain(name)), fmt.Sprintf("did you mean @%s?", meant))
	}
}

func (c *check) id(value string) {
	if value == "" || !printable(value, maxID) {
		c.mistake("@id", "an id is one line of 1 to 200 characters", `such as @id("engineers-open-issues")`)
		return
	}
	c.policy.ID = value
}

func (c *check) denyMessage(value string) {
	if strings.TrimSpace(value) == "" || !printable(value, maxMessage) {
		c.mistake("@deny_message", fmt.Sprintf("a deny message is one paragraph of 1 to %d characters", maxMessage),
			`such as @deny_message("Ask for access at https://access.example.com")`)
		return
	}
	c.policy.DenyMessage = value
}

func (c *check) observe(value string) {
	switch value {
	case "", "true":
		c.policy.Observe = true
	case "false":
	default:
		c.badValue("observe", value, `write @observe, or @observe("false")`)
	}
}

// obligation reads one of them into the policy.
func (c *check) obligation(name, value string) {
	o := &c.policy.Obligations
	switch name {
	case "rate":
		c.rate(value)
	case "max_bytes_in":
		o.MaxBytesIn = c.bytes(name, value)
	case "max_bytes_out":
		o.MaxBytesOut = c.bytes(name, value)
	case "redact_result":
		c.redact(value)
	case "audit":
		if o.Audit = value == "full"; !o.Audit {
			c.badValue(name, value, `write @audit("full")`)
		}
	}
}

var rateForm = regexp.MustCompile(`^([1-9][0-9]{0,9})/([smhd])$`)

func (c *check) rate(value string) {
	parts := rateForm.FindStringSubmatch(value)
	if parts == nil {
		c.badValue("rate", value, `write calls per s, m, h or d, such as @rate("10/m")`)
		return
	}
	calls, err := strconv.Atoi(parts[1])
	if err != nil || calls > maxCalls {
		c.badValue("rate", value, fmt.Sprintf("the most is %d calls", maxCalls))
		return
	}
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[parts[2]]
	c.policy.Obligations.Rates = []Rate{{Calls: calls, Per: per}}
}

var bytesForm = regexp.MustCompile(`^([1-9][0-9]{0,8})(B|KiB|MiB|GiB)?$`)

// bytes is a number of bytes, 0 if value is none.
func (c *check) bytes(name, value string) int64 {
	parts := bytesForm.FindStringSubmatch(value)
	if parts == nil {
		c.badValue(name, value, fmt.Sprintf(`write a number of bytes, KiB or MiB, such as @%s("64KiB")`, name))
		return 0
	}
	n, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return 0 // which nine digits never are
	}
	return n * map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[parts[2]]
}

// redact reads paths with commas between them.
func (c *check) redact(value string) {
	list := splitPaths(value)
	if len(list) > maxRedact {
		c.mistake("@redact_result", fmt.Sprintf("@redact_result has more than %d paths", maxRedact), `write $..name for a name at any depth`)
		return
	}
	for _, text := range list {
		path, err := ParsePath(text)
		if err != nil {
			c.mistake("@redact_result", fmt.Sprintf("@redact_result has the path %s: %v", quoted(text), err),
				`write paths such as @redact_result("$.items[*].email, $..phone")`)
			continue
		}
		c.policy.Obligations.Redact = union(c.policy.Obligations.Redact, []Path{path})
	}
}

// splitPaths cuts at the commas outside of brackets.
func splitPaths(s string) []string {
	var list []string
	start, quote := 0, byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0 && c == quote && i+1 < len(s) && s[i+1] == ']':
			quote = 0
		case quote == 0 && (c == '\'' || c == '"') && i > 0 && s[i-1] == '[':
			quote = c
		case quote == 0 && c == ',':
			list = append(list, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(list, strings.TrimSpace(s[start:]))
}

func (c *check) badValue(name, value, remedy string) {
	c.mistake("@"+name, fmt.Sprintf("@%s has the value %s", name, quoted(value)), remedy)
}
