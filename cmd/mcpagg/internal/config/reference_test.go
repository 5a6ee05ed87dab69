package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/hashicorp/hcl/v2/hclwrite"
)

// TestReference keeps docs/configuration.md and schema.json true to the code.
// With -update it writes them.
func TestReference(t *testing.T) {
	docs := parseComments(t)
	golden(t, "../../../../docs/configuration.md", reference(t, docs))
	golden(t, "schema.json", schemaFile(t, docs))
}

// golden compares a file with what it should hold, or writes it with -update.
func golden(t *testing.T, path string, want []byte) {
	t.Helper()
	path = filepath.Join(packageDir, path)
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; write it anew with: go generate ./cmd/mcpagg/internal/config", path)
	}
}

// functionDocs are the functions that expressions can call.
var functionDocs = []struct{ name, call, result string }{
	{"can", `can(EXPRESSION)`, `whether the expression has a value`},
	{"coalesce", `coalesce(VALUE, …)`, `the first value that is not null`},
	{"concat", `concat(LIST, …)`, `one list of all the elements`},
	{"env", `env("NAME")`, `the environment variable; a mistake if it is not set`},
	{"env", `env("NAME", DEFAULT)`, `the environment variable, or the default if it is not set`},
	{"file", `file("PATH")`, `the text in a file of at most 1 MiB, with the line break that often ends it`},
	{"format", `format("%s-%d", VALUE, …)`, `text made of values, as with printf`},
	{"jsondecode", `jsondecode(TEXT)`, `the value that a JSON text describes`},
	{"merge", `merge(MAP, …)`, `one map of all the entries; later ones win`},
	{"secret", `secret("SOURCE", "NAME")`, `a secret from the source of that name, fetched when it is used`},
	{"trim", `trim(TEXT)`, `the text without white space at its ends`},
	{"trim", `trim(TEXT, CHARACTERS)`, `the text without these characters at its ends`},
	{"try", `try(EXPRESSION, …)`, `the first expression that has a value`},
	{"yamldecode", `yamldecode(TEXT)`, `the value that a YAML text describes`},
}

func TestFunctionsAreDocumented(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range functionDocs {
		documented[f.name] = true
	}
	if got := slices.Sorted(maps.Keys(documented)); !slices.Equal(got, functionNames) {
		t.Errorf("documented functions %q, want %q", got, functionNames)
	}
}

func reference(t *testing.T, docs comments) []byte {
	var functions strings.Builder
	for _, f := range functionDocs {
		fmt.Fprintf(&functions, "| `%s` | %s |\n", f.call, f.result)
	}
	tmpl, err := template.ParseFiles(filepath.Join(packageDir, "reference.md.tmpl"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := documentedBlocks(reflect.TypeFor[fileBlock](), nil)
	var contents, sections strings.Builder
	for i, b := range blocks {
		if i > 0 {
			contents.WriteString(", ")
		}
		fmt.Fprintf(&contents, "[%s](#%s)", b.title(), b.anchor())
		sections.WriteString(b.section(t, docs))
	}
	var out bytes.Buffer
	err = tmpl.Execute(&out, map[string]string{
		"Functions": functions.String(),
		"Contents":  contents.String(),
		"Blocks":    strings.TrimRight(sections.String(), "\n"),
		"Mistake":   sampleMistake(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sampleMistake(t *testing.T) string {
	out := run(t, archive("-- gateway.hcl --\nupstream \"github\" {\n  url  = \"https://api.githubcopilot.com/mcp/\"\n  tokn = env(\"GITHUB_TOKEN\")\n}\n"))
	return out.text
}

// A documentedBlock is a block with the blocks around it.
type documentedBlock struct {
	field
	path []string
}

func documentedBlocks(t reflect.Type, path []string) []documentedBlock {
	var blocks []documentedBlock
	for _, f := range schemaOf(t).blocks {
		inner := append(slices.Clone(path), f.name)
		blocks = append(blocks, documentedBlock{f, inner})
		blocks = append(blocks, documentedBlocks(f.typ, inner)...)
	}
	return blocks
}

func (b documentedBlock) title() string  { return strings.Join(b.path, ".") }
func (b documentedBlock) anchor() string { return strings.Join(b.path, "") }

func (b documentedBlock) section(t *testing.T, docs comments) string {
	var out strings.Builder
	prose, example := docs.of(t, b.typ.Name(), "")
	fmt.Fprintf(&out, "\n## %s\n\n%s\n\n```hcl\n%s```\n\n", b.title(), prose, example)
	s := schemaOf(b.typ)
	if len(s.attributes) > 0 {
		out.WriteString("| attribute | type | default | meaning |\n|---|---|---|---|\n")
	}
	for _, f := range s.attributes {
		text, _ := docs.of(t, b.owner(f), b.fieldName(f))
		v := reflect.New(f.typ).Interface().(value)
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.name, v.kind().name, defaultText(f), strings.ReplaceAll(text, "\n", " "))
	}
	if len(s.blocks) > 0 {
		var names []string
		for _, f := range s.blocks {
			names = append(names, fmt.Sprintf("[`%s`](#%s)", f.name, b.anchor()+f.name))
		}
		fmt.Fprintf(&out, "\nBlocks in it: %s.\n", strings.Join(names, ", "))
	}
	return out.String()
}

func defaultText(f field) string {
	v := reflect.New(f.typ).Interface().(value)
	switch {
	case f.fallback == "":
		return ""
	case v.kind().json["type"] == "integer", v.kind().json["type"] == "boolean":
		return "`" + f.fallback + "`"
	}
	return fmt.Sprintf("`%q`", f.fallback)
}

// owner is the struct in which a field of the block is declared, which may be
// one that the block's embeds.
func (b documentedBlock) owner(f field) string {
	if len(f.index) == 1 {
		return b.typ.Name()
	}
	return b.typ.FieldByIndex(f.index[:len(f.index)-1]).Type.Name()
}

func (b documentedBlock) fieldName(f field) string { return b.typ.FieldByIndex(f.index).Name }

// comments are the comments of the block structs, by type and field; the field is
// "" for the type's own.
type comments map[[2]string]*ast.CommentGroup

func parseComments(t *testing.T) comments {
	docs := comments{}
	for _, name := range []string{"blocks.go", "authblocks.go", "policyblocks.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(packageDir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		docs.add(file)
	}
	return docs
}

// add takes the comments of the structs in a file.
func (c comments) add(file *ast.File) {
	for _, decl := range file.Decls {
		decl, ok := decl.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		spec := decl.Specs[0].(*ast.TypeSpec)
		c[[2]string{spec.Name.Name, ""}] = decl.Doc
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			if len(f.Names) > 0 {
				c[[2]string{spec.Name.Name, f.Names[0].Name}] = f.Doc
			}
		}
	}
}

// of returns a comment's text and the example in it.
func (c comments) of(t *testing.T, typ, field string) (prose, example string) {
	group := c[[2]string{typ, field}]
	if group == nil {
		t.Fatalf("%s.%s has no comment", typ, field)
	}
	var paragraphs []string
	for _, block := range new(comment.Parser).Parse(group.Text()).Content {
		switch block := block.(type) {
		case *comment.Code:
			example += strings.ReplaceAll(block.Text, "\t", "")
		case *comment.Paragraph:
			var text strings.Builder
			for _, part := range block.Text {
				text.WriteString(string(part.(comment.Plain)))
			}
			paragraphs = append(paragraphs, text.String())
		}
	}
	return strings.Join(paragraphs, "\n\n"), example
}

// TestExamplesInReference loads the example of every block.
func TestExamplesInReference(t *testing.T) {
	docs := parseComments(t)
	for _, b := range documentedBlocks(reflect.TypeFor[fileBlock](), nil) {
		t.Run(b.title(), func(t *testing.T) {
			_, example := docs.of(t, b.typ.Name(), "")
			if got := string(hclwrite.Format([]byte(example))); got != example {
				t.Errorf("the example is not formatted; want\n%s", got)
			}
			out := run(t, archive("-- env --\nGITHUB_TOKEN=ghp_0123\nVAULT_SECRET_ID=secret-id-1\n-- gateway.hcl --\n"+inContext(b.path, example)))
			if out.err != nil {
				t.Error(out.err)
			}
		})
	}
}

// inContext puts the example of a block into the blocks around it.
func inContext(path []string, example string) string {
	headers := map[string]string{
		"server": "server", "secrets": `secrets "vault" "x"`, "auth": `auth "entra" "x"`, "upstream": `upstream "x"`, "tools": "tools", "override": `override "x"`, "container": "container", "policy": "policy",
	}
	for _, outer := range slices.Backward(path[:len(path)-1]) {
		switch {
		case outer == "upstream" && path[1] != "container":
			example += "command = [\"mcpagg\"]\n"
		case outer == "container":
			example += "image = \"x\"\nnetwork = \"egress\"\n"
		}
		switch outer {
		case "secrets":
			example += "url = \"https://vault.contoso.com\"\n"
		case "policy":
			example += "inline = \"permit(principal, action, resource);\"\n"
		case "auth":
			example += "mode = \"resource-server\"\ntenant_id = \"6c1f6c8e-0000-0000-0000-000000000000\"\n" +
				"client_id = \"0b7a2f1c-0000-0000-0000-000000000000\"\n"
		}
		example = headers[outer] + " {\n" + example + "}\n"
	}
	if path[0] == "auth" {
		example += openPolicy
	}
	if path[0] != "upstream" {
		example += "upstream \"notes\" {\n  command = [\"mcpagg\"]\n}\n"
	}
	return example
}

func schemaFile(t *testing.T, docs comments) []byte {
	root := jsonSchema(t, docs, documentedBlock{field: field{typ: reflect.TypeFor[fileBlock]()}})
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	properties := root["properties"].(map[string]any)
	properties["locals"] = map[string]any{"type": "object", "description": "Names for values, used as ${local.NAME}."}
	properties["dynamic"] = map[string]any{"type": "object", "description": "Blocks made from the elements of a list or map."}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// jsonSchema describes a block.
func jsonSchema(t *testing.T, docs comments, b documentedBlock) map[string]any {
	properties := map[string]any{}
	s := schemaOf(b.typ)
	for _, f := range s.attributes {
		text, _ := docs.of(t, b.owner(f), b.fieldName(f))
		one := maps.Clone(reflect.New(f.typ).Interface().(value).kind().json)
		if one["type"] != "string" {
			one = map[string]any{"anyOf": []any{one, templateSchema}}
		}
		one["description"] = strings.ReplaceAll(text, "\n", " ")
		if f.fallback != "" {
			one["default"] = f.fallback
		}
		properties[f.name] = one
	}
	for _, f := range s.blocks {
		properties[f.name] = labelledSchema(f, jsonSchema(t, docs, documentedBlock{field: f}))
	}
	prose, _ := docs.of(t, b.typ.Name(), "")
	return map[string]any{
		"type":                 "object",
		"description":          strings.ReplaceAll(prose, "\n", " "),
		"properties":           properties,
		"additionalProperties": false,
	}
}

// templateSchema is a text that is computed when the configuration is loaded.
var templateSchema = map[string]any{"type": "string", "pattern": `\$\{`}

func labelledSchema(f field, block map[string]any) map[string]any {
	switch {
	case f.kinds != nil:
		kinds := map[string]any{}
		for _, kind := range f.kinds {
			kinds[kind] = map[string]any{"type": "object", "additionalProperties": block}
		}
		return map[string]any{"type": "object", "properties": kinds, "additionalProperties": false}
	case f.label != "":
		return map[string]any{"type": "object", "properties": map[string]any{f.label: block}, "additionalProperties": false}
	case f.labelled:
		return map[string]any{"type": "object", "additionalProperties": block}
	}
	return block
}
