package upstream

import (
	"strings"
	"testing"
)

func TestProcessOfAnOwner(t *testing.T) {
	o := owner{pid: 7, began: "4242"}
	stat := func(state, began string) string {
		return "7 (a) Z (b) " + state + strings.Repeat(" 1", 18) + " " + began + " 2 3"
	}
	for name, test := range map[string]struct {
		stat string
		want bool
	}{
		"the same":       {stat("S", "4242"), false},
		"another":        {stat("S", "4243"), true},
		"a zombie":       {stat("Z", "4242"), true},
		"hidden":         {"", false},
		"not understood": {"7 (a) S 1 1", false},
	} {
		if began := beginIn(test.stat); o.isNot(began) != test.want {
			t.Errorf("%s: it began at %q, and isNot is not %v", name, began, test.want)
		}
	}
	if beginOf(thisProcess().pid) != thisProcess().began || thisProcess().outlived(thisProcess().String()) {
		t.Error("this process is not itself")
	}
}
