package config

import (
	"encoding/json"
	"io"
	"reflect"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// Show writes the configuration as it is in effect: all files as one, with
// defaults filled in and expressions replaced by their values. What is secret,
// or came from the environment or a file, is replaced by a placeholder.
func (c *Config) Show(w io.Writer) error {
	out := hclwrite.NewEmptyFile()
	showBlock(out.Body(), reflect.ValueOf(c.file).Elem())
	_, err := w.Write(hclwrite.Format(out.Bytes()))
	return err
}

// ShowJSON writes what [Config.Show] does, as the same configuration in JSON.
func (c *Config) ShowJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(jsonBlock(reflect.ValueOf(c.file).Elem()))
}

// showBlock writes what is in the block struct v.
func showBlock(out *hclwrite.Body, v reflect.Value) {
	s := schemaOf(v.Type())
	for _, f := range s.attributes {
		shown, ok := f.attribute(v).show()
		if template, is := f.attribute(v).(*bindTemplate); ok && is {
			out.SetAttributeRaw(f.name, template.tokens())
		} else if ok {
			out.SetAttributeValue(f.name, shown)
		}
	}
	for _, f := range s.blocks {
		for _, child := range f.blocksIn(v) {
			if len(out.Attributes())+len(out.Blocks()) > 0 {
				out.AppendNewline()
			}
			showBlock(out.AppendNewBlock(f.name, f.labelsOf(child)).Body(), child)
		}
	}
}

// jsonBlock is what is in the block struct v, in the shape of a *.hcl.json file.
func jsonBlock(v reflect.Value) map[string]any {
	out := map[string]any{}
	s := schemaOf(v.Type())
	for _, f := range s.attributes {
		if shown, ok := f.attribute(v).show(); ok {
			out[f.name] = ctyjson.SimpleJSONValue{Value: shown}
		}
	}
	for _, f := range s.blocks {
		for _, child := range f.blocksIn(v) {
			into, key := out, f.name
			for _, label := range f.labelsOf(child) { // an object for each label
				if into[key] == nil {
					into[key] = map[string]any{}
				}
				into, key = into[key].(map[string]any), label
			}
			into[key] = jsonBlock(child)
		}
	}
	return out
}

// blocksIn are the block structs in v for this field that hold anything.
func (f field) blocksIn(v reflect.Value) []reflect.Value {
	v = v.FieldByIndex(f.index)
	if f.optional {
		if v.IsNil() {
			return nil
		}
		return []reflect.Value{v.Elem()}
	}
	if !f.many {
		if isEmpty(v) {
			return nil
		}
		return []reflect.Value{v}
	}
	blocks := make([]reflect.Value, v.Len())
	for i := range blocks {
		blocks[i] = v.Index(i)
	}
	return blocks
}

func isEmpty(v reflect.Value) bool { return len(jsonBlock(v)) == 0 }

func (f field) labelsOf(v reflect.Value) []string {
	if !f.labelled {
		return nil
	}
	if f.label != "" {
		return []string{f.label}
	}
	h := v.Addr().Interface().(block).head()
	if f.kinds != nil {
		return []string{h.kind, h.label}
	}
	return []string{h.label}
}

// show is the value as it may be printed, or false if there is none.
func (s *setting) show() (cty.Value, bool) { return placeholders(s.raw, false), s.raw != cty.NilVal }

func (v *secret) show() (cty.Value, bool) { return placeholders(v.raw, true), v.raw != cty.NilVal }

func (v *headers) show() (cty.Value, bool) { return placeholders(v.raw, true), v.raw != cty.NilVal }

func (v *environment) show() (cty.Value, bool) { return placeholders(v.raw, true), v.raw != cty.NilVal }

// placeholders is a value with placeholders for what must not be printed, which is
// every text in it if it is secret.
func placeholders(v cty.Value, secret bool) cty.Value {
	if v == cty.NilVal || v.IsNull() {
		return v
	}
	v, marks := v.Unmark()
	from := origins(marks)
	switch t := v.Type(); {
	case from != "" && secret:
		return cty.StringVal("[secret from " + from + "]")
	case from != "":
		return cty.StringVal("[from " + from + "]")
	case t.IsObjectType() || t.IsMapType():
		shown := map[string]cty.Value{}
		for name, element := range v.AsValueMap() {
			shown[name] = placeholders(element, secret)
		}
		return cty.ObjectVal(shown)
	case t.IsTupleType() || t.IsListType() || t.IsSetType():
		shown := []cty.Value{}
		for _, element := range v.AsValueSlice() {
			shown = append(shown, placeholders(element, secret))
		}
		return cty.TupleVal(shown)
	case secret:
		return cty.StringVal("[secret]")
	}
	return v
}
