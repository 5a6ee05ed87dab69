package policycmd

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/mcpagg/mcpagg/cmd/mcpagg/internal/cli"
)

// errBack says that somebody wants to answer the question before again.
var errBack = errors.New("back")

// An asker asks questions, one line each.
type asker struct {
	in    *bufio.Scanner
	out   io.Writer
	paint cli.Painter
}

const (
	// mostOffered bounds how many choices are shown at once.
	mostOffered = 20
	// hint is how questions are answered.
	hint = "A number chooses, other text looks for it, Enter takes what is in [ ], b goes back."
)

// line asks for a line. An empty one is the default.
func (a *asker) line(question, otherwise string) (string, error) {
	fmt.Fprintf(a.out, "%s ", a.paint.Paint(cli.Bold, question))
	if otherwise != "" {
		fmt.Fprintf(a.out, "[%s] ", cli.Visible(otherwise))
	}
	if !a.in.Scan() {
		fmt.Fprintln(a.out)
		if err := a.in.Err(); err != nil {
			return "", err
		}
		return "", cli.UsageError("there is no answer, and nothing was written")
	}
	text := strings.TrimSpace(a.in.Text())
	switch text {
	case "":
		return otherwise, nil
	case "b", "back":
		return "", errBack
	}
	return text, nil
}

// choose asks for one of the choices, or where own is true for another text. The first
// is the default.
func (a *asker) choose(question string, choices []string, own bool) (string, error) {
	shown := choices
	for {
		a.offer(shown, nil)
		text, err := a.line(question, shown[0])
		if err != nil || slices.Contains(choices, text) {
			return text, err
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(shown) {
			return shown[n-1], nil
		}
		found := matching(choices, text)
		switch {
		case len(found) == 1:
			return found[0], nil
		case len(found) > 1:
			shown = found
		case own:
			return text, nil
		default:
			fmt.Fprintf(a.out, "Nothing has %q in it.\n", cli.Visible(text))
			shown = choices
		}
	}
}

// some asks for several of the choices. None means all.
func (a *asker) some(question string, choices []string) ([]string, error) {
	shown, chosen := choices, []string{}
	for {
		a.offer(shown, chosen)
		otherwise := "all"
		if len(chosen) > 0 {
			otherwise = "done"
		}
		text, err := a.line(question, otherwise)
		switch {
		case err != nil:
			return nil, err
		case text == "all":
			return nil, nil
		case text == "done":
			return chosen, nil
		}
		numbers, ok := numbersIn(text, len(shown))
		for _, n := range numbers {
			chosen = toggled(chosen, shown[n-1])
		}
		if ok {
			continue
		}
		if shown = matching(choices, text); len(shown) == 0 {
			fmt.Fprintf(a.out, "Nothing has %q in it.\n", cli.Visible(text))
			shown = choices
		}
	}
}

func toggled(list []string, name string) []string {
	if i := slices.Index(list, name); i >= 0 {
		return slices.Delete(list, i, i+1)
	}
	return append(list, name)
}

// numbersIn reads lists such as "1, 3-5".
func numbersIn(text string, most int) (numbers []int, ok bool) {
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, err := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err != nil || err2 != nil || from < 1 || to > most || from > to {
			return nil, false
		}
		for n := from; n <= to; n++ {
			numbers = append(numbers, n)
		}
	}
	return numbers, len(numbers) > 0
}

// matching are the choices with a text in them.
func matching(choices []string, text string) []string {
	var found []string
	for _, c := range choices {
		if strings.Contains(strings.ToLower(c), strings.ToLower(text)) {
			found = append(found, c)
		}
	}
	return found
}

// offer lists choices with their numbers, and marks those that are chosen.
func (a *asker) offer(choices, chosen []string) {
	fmt.Fprintln(a.out)
	for i, c := range choices {
		if i == mostOffered {
			fmt.Fprintf(a.out, "      and %d more: write a part of the name\n", len(choices)-i)
			return
		}
		mark := " "
		if slices.Contains(chosen, c) {
			mark = "*"
		}
		fmt.Fprintf(a.out, "  %s%2d  %s\n", mark, i+1, cli.Visible(c))
	}
}
