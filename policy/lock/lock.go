// Package lock keeps what somebody has reviewed of the tools behind the gateway:
// a [Pin] for each definition, in the file mcpagg.lock beside the configuration.
// An upstream can change at any time what its tools say of themselves, and what
// they say decides what models do with them and what policies allow. A definition
// that is not as its pin has it has drifted, and is not believed any more.
//
//	file, err := lock.Read("/etc/mcpagg/mcpagg.lock")
//	now, err := lock.PinOf(definition) // as the upstream sent it
//	if was, ok := file.Upstreams["github"].Tools["create_issue"]; !ok || !was.Equal(now) {
//		changes := was.Diff(now) // for people to read
//	}
package lock

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	stdjson "encoding/json"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Name is the name of the file, which is beside the first configuration file.
const Name = "mcpagg.lock"

// A File is what was reviewed of all upstreams, by their labels.
type File struct{ Upstreams map[string]Upstream }

// An Upstream is what was reviewed of one. A tool that Tools lacks was not.
type Upstream struct {
	// Image is the digest of the image, such as "sha256:…", that its container ran
	// from then; "" if it has none.
	Image string
	// Tools are by original name. It is not nil.
	Tools map[string]Pin
}

// A Pin is a definition as it was reviewed: all of it that models and policies
// see. Icons, _meta and the like are not in it. The JSON is canonical: members
// are sorted, and strings have one form; numbers are as they were sent. It never
// changes.
type Pin struct {
	Title, Description string // "" if it has none
	// Annotations and OutputSchema are nil if it has none.
	Annotations, InputSchema, OutputSchema stdjson.RawMessage
}

// Drift says what becomes of tools whose upstream was reviewed, but not this
// definition. Whichever it is, they are neither pinned nor read-only for policies.
type Drift string

const (
	// Warn only says it, besides that.
	Warn Drift = "warn"
	// Distrust is the default, also for "": nothing is believed of what the tool
	// says of itself, and overrides of annotations do not count: they were written
	// for another definition.
	Distrust Drift = "distrust"
	// Hide does not publish the tool.
	Hide Drift = "hide"
)

// maxPin bounds what is kept of one definition, in bytes.
const maxPin = 256 << 10

// PinOf is the pin of a definition as an upstream sent it. It fails if what is to
// be pinned can be read in more than one way, or takes more than 256 KiB. A
// member that is null is one that is not there.
func PinOf(definition stdjson.RawMessage) (Pin, error) {
	var d struct {
		Title        string         `json:"title"`
		Description  string         `json:"description"`
		Annotations  jsontext.Value `json:"annotations"`
		InputSchema  jsontext.Value `json:"inputSchema"`
		OutputSchema jsontext.Value `json:"outputSchema"`
	}
	if err := json.Unmarshal(definition, &d); err != nil {
		return Pin{}, explain(err)
	}
	p := Pin{Title: d.Title, Description: d.Description}
	err := errors.Join(
		canonical("annotations", withoutNulls(d.Annotations), &p.Annotations),
		canonical("inputSchema", d.InputSchema, &p.InputSchema),
		canonical("outputSchema", d.OutputSchema, &p.OutputSchema),
	)
	switch {
	case err != nil:
		return Pin{}, err
	case p.InputSchema == nil:
		return Pin{}, errors.New("it has no input schema")
	case p.size() > maxPin:
		return Pin{}, fmt.Errorf("it takes more than %d KiB", maxPin>>10)
	}
	if string(p.Annotations) == "{}" { // which says as much as none
		p.Annotations = nil
	}
	return p, nil
}

// canonical makes the canonical form of an object, which may be absent.
func canonical(name string, v jsontext.Value, into *stdjson.RawMessage) error {
	switch {
	case len(v) == 0 || v.Kind() == 'n':
		return nil
	case v.Kind() != '{':
		return fmt.Errorf("%s is not an object", name)
	}
	v = v.Clone()
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)); err != nil {
		return fmt.Errorf("%s: %w", name, explain(err))
	}
	*into = stdjson.RawMessage(v)
	return nil
}

// withoutNulls drops the members of an object that are null; anything else stays
// as it is.
func withoutNulls(v jsontext.Value) jsontext.Value {
	var members map[string]jsontext.Value
	if !bytes.Contains(v, []byte("null")) || v.Kind() != '{' || json.Unmarshal(v, &members) != nil {
		return v
	}
	for name, value := range members {
		if value.Kind() == 'n' {
			delete(members, name)
		}
	}
	out, err := json.Marshal(members)
	if err != nil {
		panic("lock: " + err.Error()) // it was read from JSON
	}
	return out
}

func (p Pin) size() int {
	return len(p.Title) + len(p.Description) + len(p.Annotations) + len(p.InputSchema) + len(p.OutputSchema)
}

// Equal reports whether both pin the same definition.
func (p Pin) Equal(o Pin) bool {
	return p.Title == o.Title && p.Description == o.Description && bytes.Equal(p.Annotations, o.Annotations) &&
		bytes.Equal(p.InputSchema, o.InputSchema) && bytes.Equal(p.OutputSchema, o.OutputSchema)
}

// Hash is the SHA-256 of the definition, in hex.
func (p Pin) Hash() string {
	text, err := json.Marshal(p.text())
	if err != nil {
		panic("lock: " + err.Error()) // it was read from JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// explain puts a decoding error in the words of whoever has the definition.
func explain(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%w%s", syntax.Err, within(syntax.JSONPointer))
	case errors.As(err, &semantic) && semantic.Err != nil:
		return fmt.Errorf("%w%s", semantic.Err, within(semantic.JSONPointer))
	case errors.As(err, &semantic):
		return fmt.Errorf("%s is not what belongs here%s", nameOf(semantic.JSONKind), within(semantic.JSONPointer))
	}
	return err
}

func nameOf(k jsontext.Kind) string {
	switch k {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	}
	return "a value"
}

func within(at jsontext.Pointer) string {
	if at == "" {
		return ""
	}
	return fmt.Sprintf(" at %.200q", Visible(string(at)))
}
