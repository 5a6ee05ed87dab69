package config

import (
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// FuzzQuote checks that a text that is written is the text that is read, alone and
// between other parts of a template.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", `"\`, "${x}", "$", "$$", "%", "%%{", "a$%$", "\x00\n\t\r", "${", "$${x}", "ä\u0301\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return // not text
		}
		s = cty.StringVal(s).AsString() // in its normal form, as all of them
		for src, want := range map[string]string{
			Quote(s):                           s,
			`"${"x"}` + QuoteIn(s) + `${"y"}"`: cty.StringVal("x" + s + "y").AsString(),
		} {
			expr, diags := hclsyntax.ParseExpression([]byte(src), "x.hcl", hcl.InitialPos)
			if diags.HasErrors() {
				t.Fatalf("%q is written as %s: %v", s, src, diags)
			}
			value, diags := expr.Value(nil)
			if diags.HasErrors() || value.AsString() != want {
				t.Errorf("%q is written as %s, which is %#v: %v", want, src, value, diags)
			}
		}
	})
}
