package suite

import (
	"fmt"
	"io"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
	"github.com/mcpagg/mcpagg/policy/block"
)

// WriteText writes what failed, one paragraph a test, and under it what came of all.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, result := range r.Failed() {
		fmt.Fprintf(&b, "FAIL  %s\n", block.Plain(result.Test.Name))
		for i := range result.Failures {
			result.Failures[i].writeText(&b, result.Test)
		}
		b.WriteString("\n")
	}
	if r.Coverage != nil {
		r.Coverage.writeText(&b)
	}
	b.WriteString(r.summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (f *Failure) writeText(b *strings.Builder, t *Test) {
	c := f.Case
	fmt.Fprintf(b, "  %s:%d: %s as %s\n", t.File(), c.Line(), c.what(), block.Plain(f.Persona))
	if f.Error != "" {
		fmt.Fprintf(b, "    error     %s\n", f.Error)
		return
	}
	fmt.Fprintf(b, "    expected  %s\n", f.Expected)
	fmt.Fprintf(b, "    got       %s\n", f.Got)
	for _, p := range f.By {
		fmt.Fprintf(b, "              %s:%d: %s\n", p.File, p.Line, block.Plain(p.ID))
	}
	if f.Why != "" {
		fmt.Fprintf(b, "    why       %s\n", block.Plain(f.Why))
	}
	for _, p := range f.got.failed {
		fmt.Fprintf(b, "              %s:%d: %s cannot be evaluated: %s\n", p.File, p.Line, block.Plain(p.ID), block.Plain(p.Error))
	}
	if f.Message != "" {
		fmt.Fprintf(b, "    message   %s\n", block.Quote(f.Message))
	}
}

// what is the case in a few words, such as call github/create_issue.
func (c *Case) what() string { return string(c.Verb) + " " + block.Plain(c.Name) }

func (r *Report) summary() string {
	failed := len(r.Failed())
	all := fmt.Sprintf("%s, %s in %.2f s", counted(len(r.Results), "test"), counted(r.Cases(), "case"), r.Took.Seconds())
	if failed == 0 {
		return "ok    " + all
	}
	return fmt.Sprintf("FAIL  %d of %s", failed, all)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (c *Coverage) writeText(b *strings.Builder) {
	fmt.Fprintf(b, "coverage  %s of policies, %s of conditions, %s of tools\n", c.Policies, c.Conditions, c.Tools)
	for _, p := range c.Undecided {
		fmt.Fprintf(b, "  %s:%d: %s decided nothing\n", p.File, p.Line, block.Plain(p.ID))
	}
	for _, one := range c.Constant {
		fmt.Fprintf(b, "  %s: condition %d (%s) of %s was %s\n", place(one.Policy), one.Condition, one.Word, block.Plain(one.Policy.ID), one.Was)
	}
	for i, tool := range c.Uncalled {
		if i == mostUncalled {
			fmt.Fprintf(b, "  and %d more tools; --json has all\n", len(c.Uncalled)-i)
			break
		}
		fmt.Fprintf(b, "  no test calls %s\n", block.Plain(tool))
	}
	b.WriteString("\n")
}

// mostUncalled bounds how many tools are listed.
const mostUncalled = 20

func place(r policy.Reason) string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

// String is such as 3/4.
func (c Covered) String() string { return fmt.Sprintf("%d/%d", c.Covered, c.All) }
