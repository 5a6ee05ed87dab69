package source

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

// Bounds of a ToolHive configuration. YAML takes time for what is nested deep.
const (
	maxToolHive  = maxFileSize
	maxYAML      = 256 << 10
	maxYAMLDepth = 200
)

// What is in a ToolHive configuration.
var (
	toolHiveKeys = []string{"version", "type", "cedar"}
	cedarKeys    = []string{"policies", "entities_json"}
	// claimKeys say where ToolHive takes claims from.
	claimKeys = []string{"primary_upstream_provider", "group_claim_name", "group_entity_type", "role_claim_name", "multi_valued_claims"}
)

// ToolHive makes policy files, and entities in JSON or nil, of a ToolHive
// authorization configuration (JSON or YAML), as its option --authz-config takes
// it. Each policy is a file of its own, FILE#policies[N] from 0. The error is
// [Mistakes].
func ToolHive(f File) (policies []File, entities []byte, err error) {
	t := toolHive{file: f}
	if m, ok := checkText(f); !ok {
		return nil, nil, Mistakes{m}
	}
	root, ok := t.read()
	if ok {
		policies, entities = t.root(root)
	}
	if err := t.mistakes.asError(); err != nil {
		return nil, nil, err
	}
	return policies, entities, nil
}

// A toolHive is a configuration that is read.
type toolHive struct {
	file     File
	mistakes Mistakes
}

// mistake notes a mistake where the text first has the word, "" for the beginning.
func (t *toolHive) mistake(word, text, remedy string) {
	line, column := syntax.Place(t.file.Text, max(bytes.Index(t.file.Text, []byte(word)), 0))
	t.mistakes = append(t.mistakes, Mistake{t.file.Name, line, column, text, remedy})
}

// read makes maps, lists and texts of the file.
func (t *toolHive) read() (any, bool) {
	text := bytes.TrimSpace(bytes.TrimPrefix(t.file.Text, []byte("\uFEFF")))
	if len(t.file.Text) > maxToolHive {
		t.mistake("", fmt.Sprintf("the file is larger than %d MiB", maxToolHive>>20), "move its policies into *.cedar files")
		return nil, false
	}
	switch {
	case len(text) == 0:
		return nil, true
	case text[0] == '{':
		return t.readJSON()
	}
	return t.readYAML()
}

func (t *toolHive) readJSON() (any, bool) {
	var root any
	err := json.Unmarshal(bytes.TrimPrefix(t.file.Text, []byte("\uFEFF")), &root)
	if err == nil {
		return root, true
	}
	at := 0
	if wrong := (*jsontext.SyntacticError)(nil); errors.As(err, &wrong) {
		at, err = int(wrong.ByteOffset), wrong.Err
	}
	line, column := syntax.Place(t.file.Text, at)
	t.mistakes = append(t.mistakes, Mistake{t.file.Name, line, column, "this is no JSON: " + plain(err.Error()), "in JSON, a text is one line with \\n and \\\""})
	return nil, false
}

var yamlPlace = regexp.MustCompile(`^on line (\d+), column (\d+): (.*)$`)

func (t *toolHive) readYAML() (any, bool) {
	if len(t.file.Text) > maxYAML || yamlDepth(t.file.Text) > maxYAMLDepth {
		t.mistake("", fmt.Sprintf("YAML of more than %d KiB, or nested more than %d deep", maxYAML>>10, maxYAMLDepth), "move its policies into *.cedar files")
		return nil, false
	}
	// Of no type: to convert to one takes forever where aliases name aliases.
	root, err := yaml.Unmarshal(t.file.Text, cty.DynamicPseudoType)
	if err == nil {
		return fromYAML(root, "cedar", "policies"), true
	}
	m := Mistake{File: t.file.Name, Line: 1, Column: 1, Text: "this is no YAML: " + plain(err.Error())}
	if parts := yamlPlace.FindStringSubmatch(err.Error()); parts != nil {
		m.Line, _ = strconv.Atoi(parts[1]) // digits
		m.Column, _ = strconv.Atoi(parts[2])
		m.Text = "this is no YAML: " + plain(parts[3])
	}
	t.mistakes = append(t.mistakes, m)
	return nil, false
}

// yamlDepth is how deep brackets, and lists that begin in one line, can be in each
// other. Brackets in texts count too, which are closed there.
func yamlDepth(text []byte) int {
	deepest, brackets, dashes := 0, 0, 0
	for i, c := range text {
		spaced := i+1 < len(text) && text[i+1] == ' '
		switch {
		case c == '[' || c == '{':
			brackets++
		case c == ']' || c == '}':
			brackets = max(brackets-1, 0)
		case spaced && (c == '-' || c == '?' || c == ':'):
			dashes++
		case c != ' ':
			dashes = 0
		}
		deepest = max(deepest, brackets, dashes)
	}
	return deepest
}

// fromYAML is v as JSON would have it. Of what is deeper than a member, only that of
// the names in within is there, since aliases can make it endless.
func fromYAML(v cty.Value, within ...string) any {
	switch {
	case v.IsNull():
		return nil
	case v.Type().IsObjectType():
		object := map[string]any{}
		for key, member := range v.AsValueMap() {
			if len(within) > 0 && key == within[0] {
				object[key] = fromYAML(member, within[1:]...)
			} else {
				object[key] = scalar(member)
			}
		}
		return object
	case v.Type().IsTupleType():
		list := []any{}
		for _, member := range v.AsValueSlice() {
			list = append(list, scalar(member))
		}
		return list
	}
	return scalar(v)
}

// scalar is v if it is a text or a number, else nil or something that is neither.
func scalar(v cty.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Type() == cty.String:
		return v.AsString()
	case v.Type() == cty.Number:
		number, _ := v.AsBigFloat().Float64()
		return number
	}
	return false
}

// root reads the whole.
func (t *toolHive) root(root any) (policies []File, entities []byte) {
	object, ok := root.(map[string]any)
	if !ok {
		t.mistake("", "this is no ToolHive authorization configuration", "it has version, type and cedar")
		return nil, nil
	}
	t.keys(object, toolHiveKeys)
	if v := object["version"]; v != "1.0" && v != float64(1) {
		t.mistake("version", "the version is not 1.0", `write version "1.0"`)
	}
	if object["type"] != "cedarv1" {
		t.mistake("type", "the type is not cedarv1", "no other type is known here")
	}
	inner, ok := object["cedar"].(map[string]any)
	if !ok {
		t.mistake("cedar", "cedar is not there, or is no object", "it has policies and entities_json")
		return nil, nil
	}
	t.keys(inner, cedarKeys)
	return t.policies(inner["policies"]), t.entities(inner["entities_json"])
}

// keys complains about those that mean nothing, in the order of the text.
func (t *toolHive) keys(object map[string]any, known []string) {
	var strange []string
	for key := range object {
		if !slices.Contains(known, key) {
			strange = append(strange, key)
		}
	}
	slices.Sort(strange)
	for _, key := range strange[:min(len(strange), shownSyntax)] {
		remedy := didYouMean(key, known, "remove it")
		if slices.Contains(claimKeys, key) {
			remedy = "remove it; what callers are comes from auth"
		}
		t.mistake(key, fmt.Sprintf("%s means nothing here", quoted(key)), remedy)
	}
}

func (t *toolHive) policies(v any) []File {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		t.mistake("policies", "policies is no list of policies", `write ["permit(principal, action, resource);"]`)
		return nil
	}
	if len(list) > maxPolicies {
		t.mistake("policies", fmt.Sprintf("there are more than %d policies", maxPolicies), "name groups, tags or upstreams instead of people and tools")
		return nil
	}
	var files []File
	for i, member := range list {
		text, ok := member.(string)
		if !ok {
			t.mistake("policies", fmt.Sprintf("policies[%d] is no text", i), "write each policy as a text")
			continue
		}
		files = append(files, File{Name: fmt.Sprintf("%s#policies[%d]", t.file.Name, i), Text: []byte(text)})
	}
	return files
}

func (t *toolHive) entities(v any) []byte {
	text, ok := v.(string)
	if !ok && v != nil {
		t.mistake("entities_json", "entities_json is no text", `write a text with JSON in it, such as "[]"`)
		return nil
	}
	if text = strings.TrimSpace(text); text == "" || text == "[]" {
		return nil
	}
	return []byte(text)
}
