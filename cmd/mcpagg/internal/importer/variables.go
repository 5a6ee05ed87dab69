package importer

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// variables are those that a configuration gets values from instead of holding
// them itself. They are collected twice: only the second time it is known which
// names references use, and which texts are secret.
type variables struct {
	byName     map[string]*Variable
	referenced map[string]bool // by ${NAME}, which says nothing of the value
	secrets    map[string]bool // all values that were replaced
	spare      bool            // what is written now will be a comment
}

func newVariables() *variables {
	return &variables{byName: map[string]*Variable{}, referenced: map[string]bool{}, secrets: map[string]bool{}}
}

// again forgets all but what the next time needs to know.
func (v *variables) again() { v.byName = map[string]*Variable{} }

// refer notes that a variable is needed.
func (v *variables) refer(name string, optional bool) {
	v.referenced[name] = true
	known := v.use(name)
	known.Optional = known.Optional && optional
}

// use is the variable of a name, which is made if need be.
func (v *variables) use(name string) *Variable {
	known := v.byName[name]
	if known == nil {
		known = &Variable{Name: name, Optional: true, Spare: true}
		v.byName[name] = known
	}
	known.Spare = known.Spare && v.spare
	return known
}

// assign notes the value of a variable that was referred to.
func (v *variables) assign(name, value string) {
	v.secrets[value] = true
	v.refer(name, false)
	if known := v.byName[name]; known.Value == nil {
		known.Value = &value
	}
}

// hold is a variable for a secret: the one that is wanted, or one with the label
// before if that has another value.
func (v *variables) hold(wanted, label, value string) string {
	v.secrets[value] = true
	own := variableOf(label) + "_" + wanted
	for i := 1; ; i++ {
		name := wanted
		switch {
		case i == 2 || i == 1 && steersGateway(wanted):
			name = own
		case i > 2:
			name = own + "_" + strconv.Itoa(i-1)
		}
		known := v.byName[name]
		if v.referenced[name] || known != nil && *known.Value != value {
			continue
		}
		known = v.use(name)
		known.Value, known.Optional = &value, false
		return name
	}
}

// steersGateway reports whether the gateway itself, or an engine that it starts,
// heeds a variable.
func steersGateway(name string) bool {
	upper := strings.ToUpper(name)
	return slices.Contains([]string{"PATH", "HOME", "LANG", "USER", "SHELL", "TMPDIR", "PWD", "IFS", "ENV", "BASH_ENV"}, upper) ||
		strings.HasSuffix(upper, "_PROXY") ||
		hasAnyPrefix(upper, "GO", "SSL_", "LD_", "LC_", "DOCKER_", "CONTAINER", "PODMAN_", "XDG_", "OTEL_", "MCPAGG_")
}

// list is all of them in the order of their names, without those that are always
// set.
func (v *variables) list() []Variable {
	list := []Variable{}
	for _, name := range slices.Sorted(maps.Keys(v.byName)) {
		if name != "HOME" && name != "PATH" {
			list = append(list, *v.byName[name])
		}
	}
	return list
}

// Least lengths of a secret for that a text which holds it, or is it, is taken
// for one as well.
const (
	heldLength = 8
	sameLength = 4
)

// isHeldIn reports whether a text holds a value that was replaced elsewhere.
func (v *variables) isHeldIn(text string) bool {
	for secret := range v.secrets {
		if len(secret) >= sameLength && text == secret || len(secret) >= heldLength && strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

// EnvFile is the variables whose values are known as lines of NAME='value', for
// shells.
func EnvFile(variables []Variable) []byte {
	var b strings.Builder
	for _, v := range variables {
		if v.Value != nil {
			b.WriteString(v.Name + "='" + strings.ReplaceAll(*v.Value, "'", `'\''`) + "'\n")
		}
	}
	return []byte(b.String())
}
