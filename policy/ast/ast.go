// Package ast names what the packages of policy use of cedar-go's x/exp: the
// syntax tree of a policy, and the evaluation of one node. x/exp makes no promise
// of compatibility, so that nothing else imports it.
package ast

import (
	"strings"

	"github.com/cedar-policy/cedar-go"
	public "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// The nodes of a policy's tree.
type (
	Policy     = ast.Policy
	Condition  = ast.ConditionType
	Annotation = ast.AnnotationType
	Position   = ast.Position

	ScopeAll   = ast.ScopeTypeAll
	ScopeEq    = ast.ScopeTypeEq
	ScopeIn    = ast.ScopeTypeIn
	ScopeInSet = ast.ScopeTypeInSet
	ScopeIs    = ast.ScopeTypeIs
	ScopeIsIn  = ast.ScopeTypeIsIn

	Node           = ast.IsNode
	Or             = ast.NodeTypeOr
	And            = ast.NodeTypeAnd
	Not            = ast.NodeTypeNot
	IfThenElse     = ast.NodeTypeIfThenElse
	LessThan       = ast.NodeTypeLessThan
	LessOrEqual    = ast.NodeTypeLessThanOrEqual
	GreaterThan    = ast.NodeTypeGreaterThan
	GreaterOrEqual = ast.NodeTypeGreaterThanOrEqual
	Equals         = ast.NodeTypeEquals
	NotEquals      = ast.NodeTypeNotEquals
	In             = ast.NodeTypeIn
	Is             = ast.NodeTypeIs
	IsIn           = ast.NodeTypeIsIn
	Has            = ast.NodeTypeHas
	Access         = ast.NodeTypeAccess
	HasTag         = ast.NodeTypeHasTag
	GetTag         = ast.NodeTypeGetTag
	Like           = ast.NodeTypeLike
	Add            = ast.NodeTypeAdd
	Sub            = ast.NodeTypeSub
	Mult           = ast.NodeTypeMult
	Negate         = ast.NodeTypeNegate
	Contains       = ast.NodeTypeContains
	ContainsAll    = ast.NodeTypeContainsAll
	ContainsAny    = ast.NodeTypeContainsAny
	IsEmpty        = ast.NodeTypeIsEmpty
	Call           = ast.NodeTypeExtensionCall
	Value          = ast.NodeValue
	Record         = ast.NodeTypeRecord
	RecordElement  = ast.RecordElementNode
	Set            = ast.NodeTypeSet
	Variable       = ast.NodeTypeVariable

	// BinaryNode, UnaryNode and StrOpNode are what several of these embed.
	BinaryNode = ast.BinaryNode
	UnaryNode  = ast.UnaryNode
	StrOpNode  = ast.StrOpNode

	// Env is what a node is evaluated in.
	Env = eval.Env
)

// Forbid is the effect of policies that deny.
const Forbid = ast.EffectForbid

// Of is the tree of a parsed policy. It must not be changed.
func Of(p *cedar.Policy) *Policy { return (*Policy)(p.AST()) }

// Compile makes a policy of a tree, which must not be changed any more.
func Compile(p *Policy) *cedar.Policy { return cedar.NewPolicyFromAST((*public.Policy)(p)) }

// Inspect calls f for a node and, while that says so, for all below it.
func Inspect(n Node, f func(Node) bool) { ast.Inspect(ast.NewNode(n), f) }

// Eval evaluates one node.
func Eval(n Node, env Env) (types.Value, error) { return eval.Eval(n, env) }

// A Schema is a schema of Cedar whose references all lead somewhere.
type Schema = resolved.Schema

// The types of attributes in a schema.
type (
	SchemaType    = resolved.IsType
	StringType    = resolved.StringType
	LongType      = resolved.LongType
	BoolType      = resolved.BoolType
	ExtensionType = resolved.ExtensionType
	SetType       = resolved.SetType
	RecordType    = resolved.RecordType
	EntityRefType = resolved.EntityType
)

// ReadSchema reads a schema in Cedar's own syntax. file is named in errors.
func ReadSchema(file string, text []byte) (*Schema, error) {
	var s schema.Schema
	s.SetFilename(file)
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, err
	}
	return s.Resolve()
}

// Declared are the entity types that a part of a schema declares, in no order.
func Declared(file string, text []byte) ([]types.EntityType, error) {
	var s schema.Schema
	s.SetFilename(file)
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, err
	}
	var all []types.EntityType
	for name := range s.AST().Entities {
		all = append(all, types.EntityType(name))
	}
	for name := range s.AST().Enums {
		all = append(all, types.EntityType(name))
	}
	for space, n := range s.AST().Namespaces {
		for name := range n.Entities {
			all = append(all, types.EntityType(string(space)+"::"+string(name)))
		}
	}
	return all, nil
}

// A Validator compares policies with a schema as strictly as Cedar's own does.
type Validator = validate.Validator

// NewValidator makes a validator.
func NewValidator(s *Schema) *Validator { return validate.New(s, validate.WithStrict()) }

// CheckEntity reports in what an entity differs from its declaration.
func CheckEntity(s *Schema, e types.Entity) error { return validate.New(s).Entity(e) }

// SchemaJSON is a schema in Cedar's JSON format.
func SchemaJSON(file string, text []byte) ([]byte, error) {
	var s schema.Schema
	s.SetFilename(file)
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, err
	}
	return s.MarshalJSON()
}

// CheckPolicy reports what the strict validator of Cedar has against a policy.
func CheckPolicy(s *Schema, p *Policy) error {
	return validate.New(s, validate.WithStrict()).Policy("policy", p)
}

// Text is a node as Cedar writes it.
func Text(n Node) string {
	p := Policy{
		Effect: ast.EffectPermit, Principal: ScopeAll{}, Action: ScopeAll{}, Resource: ScopeAll{},
		Conditions: []Condition{{Condition: ast.ConditionWhen, Body: n}},
	}
	text := string(Compile(&p).MarshalCedar())
	_, text, _ = strings.Cut(text, "when { ")
	return strings.TrimSuffix(text, " };")
}
