package lock_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArguments(t *testing.T) {
	p := pinOf(t, `{"inputSchema":{"required":["to"],"properties":{
		"to":{"type":"string","description":"Whom to tell.\nNobody else."},
		"how":{"enum":["mail","fax"]},
		"n":{"type":["integer","null"],"description":5},
		"x\u202e":true}},"annotations":{"readOnlyHint":false,"title":"Tell\u0007"}}`)
	want := []string{`how (enum ["mail","fax"], optional)`, "n (integer or null, optional)", `to (string, required): Whom to tell.\nNobody else.`, "x<U+202E> (anything, optional)"}
	if diff := cmp.Diff(want, p.Arguments()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := strings.Join(p.Hints(), ", "); got != `readOnlyHint false, title "Tell\u0007"` {
		t.Errorf("hints %s", got)
	}
	var many strings.Builder
	for i := range 250 {
		fmt.Fprintf(&many, `"a%d":{},`, i)
	}
	if got := pinOf(t, `{"inputSchema":{"properties":{`+many.String()+`"z":{}}}}`).Arguments(); len(got) != 101 || got[100] != "and 151 more" {
		t.Errorf("%d lines, the last is %q", len(got), got[len(got)-1])
	}
}
