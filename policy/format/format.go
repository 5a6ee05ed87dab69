// Package format lays out files of policies: in lines of at most 80 columns where
// that can be, with all their comments, and always in the same way.
//
//	text, err := format.Source("policies/github.cedar", text)
//
// The layout is that of Cedar's own formatter, of which this is not a translation: it
// also takes what cedar-go takes beyond Cedar, and loses no comment.
package format

import (
	"bytes"
	"fmt"

	"github.com/mcpagg/mcpagg/policy/syntax"
)

const (
	lineWidth = 80 // columns
	indent    = 2
)

// Source lays out the text of a file. The error is a [*syntax.Error] if it cannot be
// read. What comes out is read again: if it were to mean anything else, or lacked a
// comment, there is an error, and no text.
func Source(name string, source []byte) ([]byte, error) {
	source = bytes.TrimPrefix(source, []byte("\uFEFF"))
	file, err := syntax.Parse(name, source)
	if err != nil {
		return nil, err
	}
	made := layout(file)
	again, err := syntax.Parse(name, made)
	if err != nil {
		return nil, fmt.Errorf("%s: what the formatter made of this cannot be read (%w); please report that", name, err)
	}
	if err := sameFiles(file, again); err != nil {
		return nil, fmt.Errorf("%s: what the formatter made of this %w; please report that", name, err)
	}
	return made, nil
}

// layout is the text of a file as it should be.
func layout(file *syntax.File) []byte {
	var out bytes.Buffer
	tokens, rest := scan(file.Text)
	w := writer{tokens: tokens}
	for i, p := range file.Policies {
		if i > 0 {
			out.WriteByte('\n')
		}
		out.Write(render(w.policy(p), lineWidth))
		out.WriteByte('\n')
	}
	for _, remark := range rest {
		out.WriteString(remark)
		out.WriteByte('\n')
	}
	return out.Bytes()
}
