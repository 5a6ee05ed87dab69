package config

import (
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format is a *.hcl file in its canonical layout, comments and all. The error
// is a [*Mistakes] if the file cannot be parsed. path is for messages.
func Format(path string, src []byte) ([]byte, error) {
	d := newDecoder(nil, nil)
	d.mistakes.order = []string{path}
	_, diags := d.parser.ParseHCL(src, path)
	d.reportSyntax(diags)
	if d.unreadable {
		return nil, d.finish()
	}
	return hclwrite.Format(src), nil
}
