package lock

import (
	"fmt"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// maxArguments bounds how many arguments of a tool are shown.
const maxArguments = 100

// Arguments says what the tool takes, in a line for each argument at the top of
// its input schema, such as "path (string, required): the file to read".
func (p Pin) Arguments() []string {
	schema := object(jsontext.Value(p.InputSchema))
	properties, required := object(schema["properties"]), names(schema["required"])
	var all []string
	for _, name := range union(properties, nil) {
		if len(all) == maxArguments {
			return append(all, fmt.Sprintf("and %d more", len(properties)-maxArguments))
		}
		line := fmt.Sprintf("%s (%s, %s)", bounded(name), typeOf(properties[name]), presence(slices.Contains(required, name)))
		if d := object(properties[name])["description"]; d.Kind() == '"' {
			line += ": " + bounded(unquoted(d))
		}
		all = append(all, line)
	}
	return all
}

// Hints are the annotations, such as "readOnlyHint true".
func (p Pin) Hints() []string {
	var all []string
	annotations := object(jsontext.Value(p.Annotations))
	for _, name := range union(annotations, nil) {
		all = append(all, bounded(name)+" "+bounded(string(annotations[name])))
	}
	return all[:min(len(all), maxArguments)]
}

// presence says whether an argument must be there.
func presence(required bool) string {
	if required {
		return "required"
	}
	return "optional"
}
