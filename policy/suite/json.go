package suite

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/mcpagg/mcpagg/policy"
)

// jsonReport is a report for machines.
type jsonReport struct {
	Tests    []jsonTest    `json:"tests"`
	Failed   int           `json:"failed"`
	Cases    int           `json:"cases"`
	Seconds  float64       `json:"seconds"`
	Coverage *jsonCoverage `json:"coverage,omitempty"`
}

type jsonTest struct {
	Name     string        `json:"name"`
	File     string        `json:"file"`
	Line     int           `json:"line"`
	Passed   bool          `json:"passed"`
	Failures []jsonFailure `json:"failures,omitempty"`
}

type jsonFailure struct {
	Line     int             `json:"line"`
	Case     string          `json:"case"`
	Persona  string          `json:"persona"`
	Error    string          `json:"error,omitempty"`
	Expected string          `json:"expected,omitempty"`
	Got      string          `json:"got,omitempty"`
	By       []policy.Reason `json:"by,omitempty"`
	Why      string          `json:"why,omitempty"`
	Message  string          `json:"message,omitempty"`
}

type jsonCoverage struct {
	Policies   Covered         `json:"policies"`
	Conditions Covered         `json:"conditions"`
	Tools      Covered         `json:"tools"`
	Undecided  []policy.Reason `json:"undecided"`
	Constant   []jsonConstant  `json:"constant"`
	Uncalled   []string        `json:"uncalled"`
}

type jsonConstant struct {
	policy.Reason
	Condition int    `json:"condition"`
	Word      string `json:"word"`
	Was       string `json:"was"`
}

// MarshalJSON writes the report as one object.
func (r *Report) MarshalJSON() ([]byte, error) {
	all := jsonReport{Tests: []jsonTest{}, Failed: len(r.Failed()), Cases: r.Cases(), Seconds: r.Took.Seconds(), Coverage: r.Coverage.json()}
	for _, result := range r.Results {
		t := jsonTest{Name: result.Test.Name, File: result.Test.File(), Line: result.Test.Line(), Passed: len(result.Failures) == 0}
		for _, f := range result.Failures {
			t.Failures = append(t.Failures, jsonFailure{
				f.Case.Line(), f.Case.what(), f.Persona, f.Error, f.Expected, f.Got, f.By, f.Why, f.Message,
			})
		}
		all.Tests = append(all.Tests, t)
	}
	return json.Marshal(all)
}

func (c *Coverage) json() *jsonCoverage {
	if c == nil {
		return nil
	}
	all := &jsonCoverage{
		Policies: c.Policies, Conditions: c.Conditions, Tools: c.Tools,
		Undecided: append([]policy.Reason{}, c.Undecided...), Constant: []jsonConstant{}, Uncalled: append([]string{}, c.Uncalled...),
	}
	for _, one := range c.Constant {
		all.Constant = append(all.Constant, jsonConstant{one.Policy, one.Condition, one.Word, one.Was})
	}
	return all
}

// The elements of JUnit's format, as far as those who read it agree on them.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes the report in JUnit's XML: a suite for each file, a case for each
// test. What could not be decided is an error, all else that fails a failure.
func (r *Report) WriteJUnit(w io.Writer) error {
	all := junitSuites{Time: seconds(r.Took.Seconds())}
	for _, result := range r.Results {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != result.Test.File() {
			all.Suites = append(all.Suites, junitSuite{Name: result.Test.File()})
		}
		s := &all.Suites[len(all.Suites)-1]
		s.add(result)
	}
	for _, s := range all.Suites {
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (s *junitSuite) add(result Result) {
	t := result.Test
	c := junitCase{Class: t.File(), Name: t.Name, File: t.File(), Line: t.Line(), Time: seconds(result.Took.Seconds())}
	s.Tests++
	if len(result.Failures) > 0 {
		var b strings.Builder
		failed := false
		for i := range result.Failures {
			f := &result.Failures[i]
			f.writeText(&b, t)
			failed = failed || f.Error == ""
		}
		first := &result.Failures[0]
		problem := &junitProblem{Message: first.short(), Text: b.String()}
		if failed {
			c.Failure = problem
			s.Failures++
		} else {
			c.Error = problem
			s.Errors++
		}
	}
	s.Cases = append(s.Cases, c)
}

// short is the failure in a line.
func (f *Failure) short() string {
	if f.Error != "" {
		return f.Case.what() + ": " + f.Error
	}
	return fmt.Sprintf("%s as %s: expected %s, got %s", f.Case.what(), f.Persona, f.Expected, f.Got)
}

func seconds(s float64) string { return fmt.Sprintf("%.6f", s) }
