package syntax

import "github.com/cedar-policy/cedar-go/types"

type (
	Span struct{ Start, End int }
	File struct {
		Name     string
		Text     []byte
		Policies []*Policy
		lines    []int // where they begin
	}
)

type Policy struct {
	Span
	Annotations                 []*Annotation
	Permit                      bool
	Effect                      Span
	Principal, Action, Resource *Scope
	Conditions                  []*Condition
	Index                       int
}
type Annotation struct {
	Span
	Name, Value         string
	NameSpan, ValueSpan Span
	HasValue            bool
}
type Scope struct {
	Span
	Variable, Op string
	Type         string
	TypeSpan     Span
	Entities     []*Node
	List         bool
}
type Condition struct {
	Span
	Unless bool
	Body   *Node
}
type Kind int

const (
	Literal Kind = iota
	EntityRef
	Variable
	If
	Or
	And
	Not
	Negate
	Compare
	Arithmetic
	In
	Is
	Has
	Like
	Attribute
	Index
	Method
	Function
	Set
	Record
	Paren
)

type Name struct {
	Text string
	Span
}

type Node struct {
	Path []Name
	Kind Kind
	Span
	Name     string
	NameSpan Span
	Value    types.Value
	Pattern  types.Pattern
	Args     []*Node
}
