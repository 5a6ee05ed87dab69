package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// explain turns a complaint of HCL into one for somebody who does not know HCL,
// where we know more than it does; nil drops it. It also takes out the
// expression, whose values would be printed.
func (d *decoder) explain(diag *hcl.Diagnostic) *hcl.Diagnostic {
	said := *diag
	said.Expression, said.EvalContext = nil, nil

	var failed *functionError
	call, isCall := diag.Extra.(hclsyntax.FunctionCallDiagExtra)
	unknown, isUnknown := diag.Extra.(hclsyntax.FunctionCallUnknownDiagExtra)
	switch {
	case strings.Contains(diag.Detail, "not yet known"):
		return nil // follows from a local that failed
	case isCall && errors.As(call.FunctionCallError(), &failed):
		said.Summary, said.Detail = failed.summary, failed.detail
		if diag.Context != nil {
			said.Subject = diag.Context // all of the call, not only its name
		}
	case isUnknown:
		name := unknown.CalledFunctionName()
		said.Summary = "Unknown function"
		said.Detail = fmt.Sprintf("There is no function named %q.%s", name, didYouMean(name, functionNames))
	case diag.Summary == "Unknown variable":
		said.Detail += d.variableHint(diag)
	case diag.Summary == "Unsupported attribute":
		if name, ok := d.missingLocal(diag); ok {
			said.Summary = "Unknown local"
			said.Detail = fmt.Sprintf("There is no local named %q.%s", name, didYouMean(name, d.localNames))
		}
	default:
		inOurWords(&said)
	}
	return &said
}

// inOurWords rewrites what HCL says of the structure of a file: what it calls
// an argument is an attribute here, since tools have arguments.
func inOurWords(said *hcl.Diagnostic) {
	kind, ok := strings.CutPrefix(strings.Replace(said.Summary, "Missing kind for", "Missing name for", 1), "Missing name for ")
	if ok {
		labels := `"name"`
		if strings.Contains(said.Detail, "(kind, name)") {
			labels = `"kind" "name"`
		}
		said.Summary = "Missing label"
		said.Detail = fmt.Sprintf("Write: %s %s {", kind, labels)
		return
	}
	if strings.Contains(said.Detail, "has dynamic marks") {
		said.Detail = "A value from the environment, a file or a secret is never printed, so it cannot be a label."
		return
	}
	summary, known := map[string]string{
		"Attribute redefined":             "Duplicate attribute",
		"Duplicate argument":              "Duplicate attribute",
		"Extraneous JSON object property": "Unknown attribute",
		"Missing required argument":       "Missing attribute",
		"Unsupported argument":            "Unknown attribute",
		"Unsupported block type":          "Unknown block",
	}[said.Summary]
	if known {
		said.Summary = summary
		said.Detail = strings.NewReplacer("An argument", "An attribute", "No argument", "No attribute",
			"argument", "attribute", "block type is", "block is").Replace(said.Detail)
	}
}

// variableHint helps somebody who forgot the quotes.
func (d *decoder) variableHint(diag *hcl.Diagnostic) string {
	if diag.Subject == nil || strings.Contains(diag.Detail, "Did you mean") {
		return ""
	}
	file := d.parser.Files()[diag.Subject.Filename]
	if file == nil || !diag.Subject.CanSliceBytes(file.Bytes) {
		return ""
	}
	name := string(diag.Subject.SliceBytes(file.Bytes))
	if rest := file.Bytes[diag.Subject.End.Byte:]; len(rest) > 0 && strings.ContainsRune(".[", rune(rest[0])) {
		return "" // not a word alone
	}
	if name == "local" {
		return " Locals are set in a locals block."
	}
	if name == strings.ToUpper(name) {
		return fmt.Sprintf(" For the environment variable, write env(%q).", name)
	}
	return fmt.Sprintf(" For the text, write %q.", name)
}

// missingLocal is the local that diag complains about, if that is its point.
func (d *decoder) missingLocal(diag *hcl.Diagnostic) (string, bool) {
	if diag.Expression == nil {
		return "", false
	}
	name, ok := "", false
	for _, t := range diag.Expression.Variables() {
		local, at, isLocal := localIn(t)
		if isLocal && !slices.Contains(d.localNames, local) && diag.Subject != nil && at.Overlaps(*diag.Subject) {
			name, ok = local, true
		}
	}
	return name, ok
}

// DidYouMean is a sentence, after a blank, that suggests the candidate that was probably
// meant; "" if none is near.
func DidYouMean(given string, candidates []string) string { return didYouMean(given, candidates) }

// didYouMean suggests the candidate that was probably meant; "" if none is near.
func didYouMean(given string, candidates []string) string {
	best, distance := "", 3
	for _, candidate := range candidates {
		if n := levenshtein.Distance(strings.ToLower(given), candidate, nil); n < distance {
			best, distance = candidate, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" Did you mean %q?", best)
}

// place is a range as a person would say it.
func place(at hcl.Range) string {
	return fmt.Sprintf("%s:%d", at.Filename, at.Start.Line)
}
