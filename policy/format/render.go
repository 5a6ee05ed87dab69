package format

import "bytes"

// maxIndent is how far lines are indented at most, in columns: a policy that is deep
// enough would otherwise be mostly spaces.
const maxIndent = 2 * lineWidth

// render lays a doc out in lines of at most that many columns, where it can. There
// are no empty lines in it, and no spaces at the ends of lines.
func render(d *doc, most int) []byte {
	r := renderer{most: most}
	if d != nil {
		r.ahead = append(r.ahead, piece{doc: d})
	}
	for len(r.ahead) > 0 {
		r.put(r.pop())
	}
	return bytes.TrimRight(r.out.Bytes(), "\n")
}

// A piece is a doc that is still to come, in lines that are indented that far.
type piece struct {
	doc    *doc
	indent int
	flat   bool // no line ends in it
}

// A renderer lays out one doc. What is ahead is in reverse.
type renderer struct {
	most   int
	out    bytes.Buffer
	ahead  []piece
	look   []piece // for fits
	column int
	spaces int  // that come before the next text
	begun  bool // the line has text
}

func (r *renderer) pop() piece {
	p := r.ahead[len(r.ahead)-1]
	r.ahead = r.ahead[:len(r.ahead)-1]
	return p
}

func (r *renderer) put(p piece) {
	switch p.doc.kind {
	case docText:
		r.write(p.doc)
	case docHard:
		r.newline(p)
	case docLine, docBreak:
		switch {
		case !p.flat:
			r.newline(p)
		case p.doc.kind == docLine:
			r.write(space)
		}
	case docGroup:
		p.flat = p.flat || r.fits(p.doc)
		r.push(p)
	default:
		r.push(p)
	}
}

// push puts the parts of a piece ahead.
func (r *renderer) push(p piece) { r.ahead = pushParts(r.ahead, p) }

func pushParts(to []piece, p piece) []piece {
	for i := len(p.doc.parts) - 1; i >= 0; i-- {
		to = append(to, piece{p.doc.parts[i], p.indent + p.doc.depth, p.flat})
	}
	return to
}

func (r *renderer) write(d *doc) {
	r.column += d.width
	if d == space {
		r.spaces++
		return
	}
	for ; r.spaces > 0; r.spaces-- {
		r.out.WriteByte(' ')
	}
	r.out.WriteString(d.text)
	r.begun = true
}

// newline ends the line, unless nothing is in it. What comes next knows how far it is
// indented: where lines of a deeper level end, this is less than theirs.
func (r *renderer) newline(p piece) {
	indent := p.indent
	if n := len(r.ahead); n > 0 {
		indent = r.ahead[n-1].indent
	}
	if r.begun {
		r.out.WriteByte('\n')
	}
	indent = min(indent, maxIndent)
	r.begun, r.column, r.spaces = false, indent, indent
	if r.out.Len() == 0 {
		r.spaces = 0
	}
}

// fits reports whether a group fits into what is left of the line, together with what
// comes after it in that line.
func (r *renderer) fits(d *doc) bool {
	column, next := r.column, len(r.ahead)
	look := append(r.look[:0], piece{doc: d, flat: true})
	defer func() { r.look = look }()
	for {
		if len(look) == 0 {
			if next == 0 {
				return true
			}
			next--
			look = append(look, piece{doc: r.ahead[next].doc})
		}
		p := look[len(look)-1]
		look = look[:len(look)-1]
		switch p.doc.kind {
		case docHard:
			return !p.flat
		case docText:
			column += p.doc.width
		case docLine, docBreak:
			if !p.flat {
				return true
			}
			if p.doc.kind == docLine {
				column++
			}
		default:
			look = pushParts(look, p)
		}
		if column > r.most {
			return false
		}
	}
}
