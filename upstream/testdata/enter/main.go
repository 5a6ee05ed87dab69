// Command enter stands for the gateway's program in tests of containers: it is
// small, and static.
package main

import (
	"fmt"
	"os"

	"github.com/mcpagg/mcpagg/upstream/entry"
)

// It is called as: enter enter --socket PATH -- PROGRAM ARGUMENT…
func main() {
	fmt.Fprintln(os.Stderr, entry.Enter(os.Args[3], os.Args[5:]))
	os.Exit(127)
}
