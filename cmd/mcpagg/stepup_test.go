package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// TestStepUp has somebody add a note, for which their first sign-in is too weak: the
// client has them sign in again, and the provider wants more of them.
func TestStepUp(t *testing.T) {
	t.Parallel()
	h, client := newHome(t), buildClient(t)
	address, block := freeAddress(t), startFakeEntra(t, h)
	const open = "permit(principal, action, resource);"
	if strings.Count(block, strconv.Quote(open)) != 1 {
		t.Fatalf("there is no policy to change in\n%s", block)
	}
	strong := open + ` forbid(principal, action, resource == Tool::"notes/add") unless { context.auth.acrs.contains("c1") };`
	block = strings.Replace(block, strconv.Quote(open), strconv.Quote(strong), 1)
	h.write(t, "gateway.hcl", fmt.Sprintf("server {\n  listen = %q\n}\n\n", address)+block+"\n"+notesBlock)
	g := h.start(t, "--listen", address)
	g.awaitStates(t, "notes connected")
	for _, tt := range []struct {
		args   []string
		want   string
		levels int // how often somebody had to sign in more strongly so far
	}{
		{[]string{"notes_list"}, "There are no notes.", 0},
		{[]string{"notes_add", `{"text": "buy milk"}`}, "Noted as number 1.", 1},
		{[]string{"notes_add", `{"text": "drink it"}`}, "Noted as number 2.", 2}, // with a client anew
	} {
		out, err := exec.Command(client, append([]string{"--url", g.url, "--as", "alice@contoso.example"}, tt.args...)...).CombinedOutput()
		if !strings.Contains(string(out), tt.want) {
			t.Errorf("%q prints %s (%v); want %q in it", tt.args, out, err, tt.want)
		}
		if n := strings.Count(g.written(), `why="the person has to sign in more strongly"`); n != tt.levels {
			t.Errorf("%q: %d sessions were ended for a stronger sign-in, want %d", tt.args, n, tt.levels)
		}
	}
}
