package config

import (
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/dynblock"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/zclconf/go-cty/cty"
)

// A decoder fills block structs from files and collects all mistakes.
type decoder struct {
	env      func(string) (string, bool)
	parser   *hclparse.Parser
	contexts map[string]*hcl.EvalContext // by folder, without variables
	mistakes *Mistakes
	inputs   *Inputs
	secrets  map[string]origin  // values that must not be printed
	literal  map[hcl.Range]bool // where secrets are written out
	fetched  *references        // to secrets that are fetched later

	// policiesOnly says that mistakes elsewhere than in the policy block do not matter,
	// and quiet that they do not at the moment.
	policiesOnly, quiet bool
	// emptyFolders says that folders of policies may be empty, or not be there.
	emptyFolders bool
	// unknownUsed says that the policy block refers to what is not known, and
	// localsMatter that it was seen to before.
	unknownUsed, localsMatter bool

	// unreadable says that a part of the configuration could not be read, so
	// that what the rest lacks means nothing.
	unreadable bool

	localNames []string
	local      cty.Value // the object of all locals, as far as they are known
}

func newDecoder(paths []string, env func(string) (string, bool)) *decoder {
	parser, inputs := hclparse.NewParser(), newInputs(paths)
	return &decoder{
		env:      env,
		parser:   parser,
		contexts: map[string]*hcl.EvalContext{},
		mistakes: &Mistakes{Inputs: inputs, files: parser.Files()},
		inputs:   inputs,
		secrets:  map[string]origin{},
		literal:  map[hcl.Range]bool{},
		fetched:  newReferences(),
		local:    cty.EmptyObjectVal,
	}
}

// mistake notes what is wrong at a place, or nowhere in particular if at is nil.
func (d *decoder) mistake(at *hcl.Range, summary, format string, args ...any) {
	diag := &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  at,
	}
	if at != nil && d.literal[*at] {
		diag.Extra = concealLine{}
	}
	d.add(diag)
}

// add notes a mistake, if it matters.
func (d *decoder) add(diag *hcl.Diagnostic) {
	if !d.quiet {
		d.mistakes.add(diag)
	}
}

// report notes what HCL complains about.
func (d *decoder) report(diags hcl.Diagnostics) {
	for _, diag := range diags {
		if diag = d.explain(diag); diag != nil {
			d.add(diag)
		}
	}
}

// finish makes the mistakes ready for printing.
func (d *decoder) finish() *Mistakes {
	d.mistakes.hide(d.secrets)
	d.mistakes.sort()
	return d.mistakes
}

// context is what expressions of a file may use. File names in them are
// relative to the folder of that file.
func (d *decoder) context(file string) *hcl.EvalContext {
	dir := filepath.Dir(file)
	base := d.contexts[dir]
	if base == nil {
		base = &hcl.EvalContext{Functions: d.functions(dir)}
		d.contexts[dir] = base
	}
	ctx := base.NewChild()
	ctx.Variables = map[string]cty.Value{"local": d.local}
	return ctx
}

// decodeFiles fills file from all sources as from one.
func (d *decoder) decodeFiles(sources []parsedFile, file *fileBlock) {
	var localBodies, bodies []hcl.Body
	for _, s := range sources {
		content, rest, diags := s.Body.PartialContent(localsSchema)
		d.report(diags)
		for _, block := range content.Blocks {
			localBodies = append(localBodies, block.Body)
		}
		bodies = append(bodies, rest)
	}
	d.quiet = d.policiesOnly && !d.localsMatter
	d.decodeLocals(localBodies)
	d.quiet = false
	for i, s := range sources {
		bodies[i] = dynblock.Expand(bodies[i], d.context(s.path), dynblock.OptCheckForEach(d.checkForEach))
	}
	d.decode(hcl.MergeBodies(bodies), nil, file)
}

var localsSchema = &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "locals"}}}

// checkForEach refuses a list from the environment, since it would become
// labels, which are printed.
func (d *decoder) checkForEach(value cty.Value, expr hcl.Expression, _ *hcl.EvalContext) hcl.Diagnostics {
	for mark := range value.Marks() {
		if _, fetched := mark.(*secretRef); fetched {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError,
				Summary:  "Invalid for_each",
				Detail:   "A secret is fetched when it is used, so it cannot say which blocks there are.",
				Subject:  expr.Range().Ptr(),
			}}
		}
		if from, ok := mark.(origin); ok && from.isEnv() {
			return hcl.Diagnostics{{
				Severity: hcl.DiagError,
				Summary:  "Invalid for_each",
				Detail:   "A value from the environment is never printed, so it cannot name blocks.",
				Subject:  expr.Range().Ptr(),
			}}
		}
	}
	return nil
}

// decode fills a block from its body. The marks are those that everything in
// the body has.
func (d *decoder) decode(body hcl.Body, marks cty.ValueMarks, b block) {
	v := reflect.ValueOf(b).Elem()
	schema := schemaOf(v.Type())
	d.fillDefaults(v)
	content, diags := body.Content(schema.hcl())
	d.report(diags)
	for _, f := range schema.attributes {
		if attr, ok := content.Attributes[f.name]; ok {
			d.decodeAttribute(attr, marks, f.attribute(v))
		}
	}
	seen := map[string]hcl.Range{}
	_, whole := b.(*fileBlock)
	for _, child := range content.Blocks {
		f := schema.block(child.Type)
		if whole {
			d.quiet = d.policiesOnly && child.Type != policyType
		}
		if d.isFirst(child, seen) {
			d.decodeBlock(child, marks, f.blockIn(v))
		} else {
			d.decodeBlock(child, marks, f.another()) // for the mistakes in it
		}
	}
	if whole {
		d.quiet = d.policiesOnly
	}
	b.check(d)
}

// isFirst reports whether a block is the first with its type and label, and
// notes a mistake if it is not.
func (d *decoder) isFirst(child *hcl.Block, seen map[string]hcl.Range) bool {
	name := child.Type
	for _, label := range child.Labels {
		name += fmt.Sprintf(" %q", label)
	}
	if first, ok := seen[name]; ok {
		d.mistake(&child.DefRange, "Duplicate "+child.Type, "%s is already defined at %s.", name, place(first))
		return false
	}
	seen[name] = child.DefRange
	return true
}

func (d *decoder) decodeBlock(child *hcl.Block, marks cty.ValueMarks, into block) {
	h := into.head()
	h.at = child.DefRange
	if last := len(child.Labels) - 1; last >= 0 {
		h.label, h.at = child.Labels[last], child.LabelRanges[last]
	}
	if len(child.Labels) > 1 {
		h.kind = child.Labels[0]
	}
	if marked, ok := child.Body.(interface{ BodyValueMarks() cty.ValueMarks }); ok {
		marks = cty.NewValueMarks(marks, marked.BodyValueMarks())
	}
	d.decode(child.Body, marks, into)
}

// decodeAttribute gives an attribute its value. null leaves the default.
func (d *decoder) decodeAttribute(attr *hcl.Attribute, marks cty.ValueMarks, into value) {
	if t, ok := into.(*bindTemplate); ok {
		t.stands(attr.Name, attr.Expr.Range())
		t.takeExpr(input{d: d, attribute: attr.Name, expr: attr.Expr, at: attr.Expr.Range()})
		return
	}
	result, diags := attr.Expr.Value(d.context(attr.Expr.Range().Filename))
	d.report(diags)
	if bare, _ := result.Unmark(); bare.IsNull() && !diags.HasErrors() {
		return
	}
	into.stands(attr.Name, attr.Expr.Range())
	if diags.HasErrors() || !result.IsWhollyKnown() {
		d.unknownUsed = d.unknownUsed || !d.quiet
		return
	}
	in := input{d: d, attribute: attr.Name, value: result.WithMarks(marks), expr: attr.Expr, at: attr.Expr.Range()}
	if _, ok := into.(fetchable); !ok && isFetched(in.value) {
		in.mistake("A secret is fetched when it is used, and this has to be known before. secret() is for attributes that are secret, such as token, headers and env; use env() or file() here.")
		return
	}
	into.keep(in.value)
	into.take(in)
}

// fillDefaults gives the attributes of a block, and of the blocks in it that
// can stand once, their defaults.
func (d *decoder) fillDefaults(v reflect.Value) {
	schema := schemaOf(v.Type())
	for _, f := range schema.attributes {
		if f.fallback == "" {
			continue
		}
		attr, text := f.attribute(v), cty.StringVal(f.fallback)
		attr.keep(text)
		attr.take(input{d: d, attribute: f.name, value: text})
	}
	for _, f := range schema.blocks {
		if !f.many && !f.optional {
			d.fillDefaults(v.FieldByIndex(f.index))
		}
	}
}
