package config

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	ctyyaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// An origin marks a value that must not be printed, and says where it came
// from, such as "env GITHUB_TOKEN".
type origin string

func (o origin) isEnv() bool { return strings.HasPrefix(string(o), "env ") }

func (o origin) placeholder() string { return "[from " + string(o) + "]" }

// origins lists where a marked value came from, in order; "" if it is not
// marked.
func origins(marks cty.ValueMarks) string {
	var from []string
	for mark := range marks {
		if o, ok := mark.(origin); ok {
			from = append(from, string(o))
		}
	}
	slices.Sort(from)
	return strings.Join(from, ", ")
}

// functions are those that expressions of a file in dir may call.
func (d *decoder) functions(dir string) map[string]function.Function {
	fs := maps.Clone(pureFunctions)
	fs["env"] = d.envFunction()
	fs["file"] = d.fileFunction(dir)
	for name, instead := range map[string]string{
		"env":        "write the name itself",
		"file":       "write the path itself",
		"jsondecode": "keep each value as a secret of its own",
		"yamldecode": "keep each value as a secret of its own",
		"trim":       "leave trim out: a line break that ends a file is no part of the secret",
	} {
		fs[name] = knownOnly(fs[name], name, instead)
	}
	fs["secret"] = d.secretFunction()
	return fs
}

var pureFunctions = map[string]function.Function{
	"can":        tryfunc.CanFunc,
	"coalesce":   coalesceFunction,
	"concat":     stdlib.ConcatFunc,
	"format":     formatFunction,
	"jsondecode": discreet(stdlib.JSONDecodeFunc),
	"merge":      stdlib.MergeFunc,
	"trim":       trimFunction,
	"try":        tryfunc.TryFunc,
	"yamldecode": discreet(ctyyaml.YAMLDecodeFunc),
}

// functionNames are the names of all functions.
var functionNames = slices.Sorted(maps.Keys(newDecoder(nil, nil).functions(".")))

// A functionError is what one of our functions says to the writer of the file.
type functionError struct{ summary, detail string }

func (e *functionError) Error() string { return strings.TrimSuffix(e.detail, ".") }

func (d *decoder) envFunction() function.Function {
	return function.New(&function.Spec{
		Params:   []function.Parameter{{Name: "name", Type: cty.String, AllowMarked: true}},
		VarParam: &function.Parameter{Name: "default", Type: cty.String, AllowNull: true},
		Type:     function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			name, shown := nameIn(args[0])
			value, ok := d.env(name)
			switch {
			case len(args) > 2:
				return cty.NilVal, &functionError{"Too many arguments", "env takes a name and, if it likes, a default."}
			case ok && !utf8.ValidString(value):
				return cty.NilVal, &functionError{"Invalid environment variable", shown + " is not valid UTF-8."}
			case ok:
				return d.marked(value, origin("env "+shown)), nil
			case len(args) == 2:
				return args[1], nil
			}
			return cty.NilVal, &functionError{"Missing environment variable", notSet(name, shown)}
		},
	})
}

func notSet(name, shown string) string {
	if shown != name {
		return "The variable " + shown + " is not set."
	}
	return fmt.Sprintf("%s is not set. Set it, or give a default: env(%q, \"…\").", name, name)
}

// nameIn is the name in an argument of a function, and how to show it.
func nameIn(arg cty.Value) (name, shown string) {
	arg, marks := arg.Unmark()
	if from := origins(marks); from != "" {
		return arg.AsString(), "named by " + from
	}
	return arg.AsString(), arg.AsString()
}

// fileLimit bounds what file() reads.
const fileLimit = 1 << 20

func (d *decoder) fileFunction(dir string) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "path", Type: cty.String, AllowMarked: true}},
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			path, shown := nameIn(args[0])
			text, err := d.inputs.readFile(within(dir, path), fileLimit)
			if err != nil {
				return cty.NilVal, &functionError{"Unreadable file", fmt.Sprintf("file %s: %v.", shown, err)}
			}
			return d.marked(text, origin("file "+shown)), nil
		},
	})
}

// readText reads a text of at most limit bytes, in UTF-8.
func readText(path string, limit int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", cause(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	switch {
	case err != nil:
		return "", cause(err)
	case len(text) > limit:
		return "", fmt.Errorf("larger than %d MiB", limit>>20)
	case !utf8.Valid(text):
		return "", fmt.Errorf("not text in UTF-8")
	}
	return string(text), nil
}

// within is path as seen from dir.
func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return absolute(filepath.Join(dir, path))
}

// marked is a text that must not be printed. It is also kept, so that it can
// be taken out of the messages of libraries, unless it is so short that it
// would be found everywhere.
func (d *decoder) marked(text string, from origin) cty.Value {
	if trimmed := strings.TrimSpace(text); len(trimmed) >= 4 {
		d.secrets[trimmed] = from
	}
	return cty.StringVal(text).Mark(from)
}

// formatFunction is format, which puts secrets that are fetched later in as they
// are: other verbs than %s and %v would change what stands for them.
var formatFunction = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "format", Type: cty.String, AllowMarked: true}},
	VarParam: &function.Parameter{Name: "values", Type: cty.DynamicPseudoType, AllowNull: true, AllowMarked: true, AllowUnknown: true},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		format, _ := args[0].Unmark()
		if slices.ContainsFunc(args, isFetched) && otherVerb.MatchString(strings.ReplaceAll(format.AsString(), "%%", "")) {
			return cty.NilVal, &functionError{"Invalid format", "A secret is fetched when it is used: with one, format takes %s and %v only."}
		}
		return stdlib.FormatFunc.Call(args)
	},
})

// otherVerb is a verb of format that does more than to put a value in.
var otherVerb = regexp.MustCompile(`%([^sv]|$)`)

var trimFunction = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "text", Type: cty.String}},
	VarParam: &function.Parameter{Name: "characters", Type: cty.String},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		switch text := args[0].AsString(); len(args) {
		case 1:
			return cty.StringVal(strings.TrimSpace(text)), nil
		case 2:
			return cty.StringVal(strings.Trim(text, args[1].AsString())), nil
		default:
			return cty.NilVal, &functionError{"Too many arguments", "trim takes a text and, if it likes, the characters to remove."}
		}
	},
})

// discreet is a decoding function of one text whose errors do not quote the
// text if it is marked.
func discreet(decode function.Function) function.Function {
	hide := func(arg cty.Value, err error) error {
		if from := origins(arg.Marks()); err != nil && from != "" {
			return &functionError{"Invalid text", "The text from " + from + " cannot be decoded."}
		}
		return err
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "text", Type: cty.String, AllowMarked: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			t, err := decode.ReturnTypeForValues(args)
			return t, hide(args[0], err)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v, err := decode.Call(args)
			return v, hide(args[0], err)
		},
	})
}
