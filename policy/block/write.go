package block

import (
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

// Literal is a text as such files have it, in quotes.
func Literal(s string) string {
	return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes())
}

// Format lays a file out as HCL has it, and keeps comments.
func Format(text []byte) []byte { return hclwrite.Format(text) }
