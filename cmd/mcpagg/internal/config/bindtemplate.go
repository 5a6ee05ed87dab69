package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"

	"github.com/mcpagg/mcpagg/policy/facts"
)

// A bindTemplate is the id of an entity that is made of arguments. It is not
// evaluated, since the arguments are those of each call.
type bindTemplate struct {
	setting
	value []facts.Part
	text  string // as it was written
}

func (v *bindTemplate) kind() kind { return textKind("template, such as `\"${lower(input.repo)}\"`") }

// take is not called: see takeExpr.
func (v *bindTemplate) take(input) {}

// A bindMistake is what cannot stand in a template, and why.
type bindMistake struct {
	at   hcl.Range
	said string
}

const bindAllows = "Only text, arguments such as ${input.owner}, and lower(), upper() and trim() around an argument can stand here."

func (v *bindTemplate) takeExpr(in input) {
	expr, problem := in.templateExpr()
	if problem == nil {
		v.value, problem = partsOf(expr)
	}
	if problem != nil {
		in.at = problem.at
		in.mistake("%s %s", problem.said, bindAllows)
		return
	}
	if len(v.value) == 0 {
		in.mistake("This must not be empty.")
		return
	}
	v.text = templateOf(v.value, inTemplate)
	v.keep(cty.StringVal(v.text))
}

// templateExpr is the expression as it is written. In JSON it is a text that holds a
// template.
func (in input) templateExpr() (hclsyntax.Expression, *bindMistake) {
	if native, ok := hcl.UnwrapExpression(in.expr).(hclsyntax.Expression); ok {
		return native, nil
	}
	text, _ := in.expr.Value(nil)
	if text.IsNull() || !text.IsKnown() || text.Type() != cty.String {
		return nil, &bindMistake{in.at, "This is no text."}
	}
	expr, diags := hclsyntax.ParseTemplate([]byte(text.AsString()), in.at.Filename, in.at.Start)
	if diags.HasErrors() {
		return nil, &bindMistake{in.at, diags[0].Detail}
	}
	return expr, nil
}

// partsOf takes an expression apart.
func partsOf(expr hclsyntax.Expression) ([]facts.Part, *bindMistake) {
	switch e := expr.(type) {
	case *hclsyntax.TemplateExpr:
		return partsOfAll(e.Parts)
	case *hclsyntax.TemplateWrapExpr:
		return partsOf(e.Wrapped)
	case *hclsyntax.ParenthesesExpr:
		return partsOf(e.Expression)
	case *hclsyntax.LiteralValueExpr:
		if e.Val.Type() != cty.String {
			return nil, &bindMistake{e.SrcRange, "This is no text."}
		}
		if e.Val.AsString() == "" {
			return nil, nil
		}
		return []facts.Part{{Literal: e.Val.AsString()}}, nil
	case *hclsyntax.ScopeTraversalExpr:
		return argumentOf(e)
	case *hclsyntax.FunctionCallExpr:
		return partOfCall(e)
	}
	return nil, &bindMistake{expr.Range(), "This would have to be computed."}
}

func partsOfAll(exprs []hclsyntax.Expression) ([]facts.Part, *bindMistake) {
	var all []facts.Part
	for _, expr := range exprs {
		parts, problem := partsOf(expr)
		if problem != nil {
			return nil, problem
		}
		all = append(all, parts...)
	}
	return all, nil
}

// argumentOf is the argument that a path from input leads to.
func argumentOf(e *hclsyntax.ScopeTraversalExpr) ([]facts.Part, *bindMistake) {
	if root := e.Traversal.RootName(); root != "input" {
		return nil, &bindMistake{e.SrcRange, fmt.Sprintf("There is no %q here.%s", root, didYouMean(root, []string{"input"}))}
	}
	var path []string
	for _, step := range e.Traversal[1:] {
		switch s := step.(type) {
		case hcl.TraverseAttr:
			path = append(path, s.Name)
		case hcl.TraverseIndex:
			if s.Key.Type() != cty.String {
				return nil, &bindMistake{e.SrcRange, "An element of a list cannot be named."}
			}
			path = append(path, s.Key.AsString())
		}
	}
	if len(path) == 0 {
		return nil, &bindMistake{e.SrcRange, "This stands for all arguments, and one has to be named."}
	}
	return []facts.Part{{Argument: path}}, nil
}

// bindFunctions are what can stand around an argument.
var bindFunctions = []string{"lower", "upper", "trim"}

func partOfCall(e *hclsyntax.FunctionCallExpr) ([]facts.Part, *bindMistake) {
	if !slices.Contains(bindFunctions, e.Name) {
		return nil, &bindMistake{e.NameRange, fmt.Sprintf("There is no function %q here.%s", e.Name, didYouMean(e.Name, bindFunctions))}
	}
	var parts []facts.Part
	for _, arg := range e.Args {
		more, problem := partsOf(arg)
		if problem != nil {
			return nil, problem
		}
		parts = append(parts, more...)
	}
	if len(parts) != 1 || parts[0].Argument == nil {
		return nil, &bindMistake{e.Range(), fmt.Sprintf("There has to be one argument of the tool in %s().", e.Name)}
	}
	part := &parts[0]
	switch {
	case e.Name == "trim":
		part.Trim = true
	case part.Case != "":
		return nil, &bindMistake{e.Range(), fmt.Sprintf("There is %s() around this already.", part.Case)}
	default:
		part.Case = e.Name
	}
	return parts, nil
}

// templateOf writes a template that comes to the same parts.
func templateOf(parts []facts.Part, literal func(string) string) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Argument == nil {
			b.WriteString(literal(p.Literal))
			continue
		}
		text := "input"
		for _, name := range p.Argument {
			if hclsyntax.ValidIdentifier(name) {
				text += "." + name
			} else {
				text += "[" + string(hclwrite.TokensForValue(cty.StringVal(name)).Bytes()) + "]"
			}
		}
		if p.Trim {
			text = "trim(" + text + ")"
		}
		if p.Case != "" {
			text = p.Case + "(" + text + ")"
		}
		b.WriteString("${" + text + "}")
	}
	return b.String()
}

// inTemplate is a text as it stands in a template.
func inTemplate(literal string) string {
	return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(literal)
}

// tokens are the template in quotes.
func (v *bindTemplate) tokens() hclwrite.Tokens {
	text := templateOf(v.value, func(literal string) string {
		quoted := hclwrite.TokensForValue(cty.StringVal(literal)).Bytes()
		return string(quoted[1 : len(quoted)-1])
	})
	return hclwrite.Tokens{{Type: hclsyntax.TokenQuotedLit, Bytes: []byte(`"` + text + `"`)}}
}
