package egress

import (
	"debug/elf"
	"errors"
	"fmt"
	"slices"
)

// CheckStatic reports why a program cannot run as the relay in a container,
// whose image may hold no libraries, or nil. path names its file.
func CheckStatic(path string) error {
	const remedy = "build it with CGO_ENABLED=0 for Linux, as make build does"
	file, err := elf.Open(path)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return fmt.Errorf("%s is no Linux program; %s", path, remedy)
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if slices.ContainsFunc(file.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("%s needs libraries that a container may not have; %s", path, remedy)
	}
	return nil
}
