package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
)

// Visible makes one line of text that somebody else chose, without the control
// characters that would command the terminal.
func Visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// VisibleText is Visible for text of several lines.
func VisibleText(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = Visible(cell)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return strings.Join(lines, "\n")
}

// PrintJSON prints v for other programs to read.
func PrintJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Count is a number of things, such as "1 tool" and "2 tools".
func Count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "cy"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// OnTerminal reports whether somebody sits at the other end of a stream.
func OnTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, _, ok = TerminalSize(file)
	return ok
}

// Width is how many characters fit into a line of the stream: those of a terminal,
// and elsewhere 80.
func Width(stream any) int {
	if file, ok := stream.(*os.File); ok {
		if width, _, ok := TerminalSize(file); ok {
			return max(width, 40)
		}
	}
	return 80
}

// Coloured reports whether colours belong into the stream: on a terminal, unless
// NO_COLOR is set.
func Coloured(stream any) bool {
	return OnTerminal(stream) && os.Getenv("NO_COLOR") == ""
}

// A Colour is what a terminal is told to write in it.
type Colour string

// What colours there are.
const (
	Bold   Colour = "1"
	Dim    Colour = "2"
	Red    Colour = "31"
	Green  Colour = "32"
	Yellow Colour = "33"
	Cyan   Colour = "36"
)

// A Painter colours text, or leaves it if it is false.
type Painter bool

// Paint is a text in a colour.
func (p Painter) Paint(c Colour, text string) string {
	if !p || c == "" || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
