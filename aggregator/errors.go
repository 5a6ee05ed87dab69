package aggregator

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// codeDenied is the error of a request that its caller may not make.
const codeDenied = -32003

// A denied error is a refusal of the gateway's own, which the caller may do
// something about.
type denied struct {
	reason string // in a word or two, for the log
	// argument is the one for which it is refused; "" for none, or if it is not known.
	argument string
	answer   *jsonrpc.Error
	// asResult says that a tools/call has it as a result, which models read: they
	// may do better next time.
	asResult bool
}

func (d *denied) Error() string { return d.answer.Error() }
func (d *denied) Unwrap() error { return d.answer }

// why is the reason for the audit file.
func (d *denied) why() string {
	if d.argument == "" {
		return d.reason
	}
	return d.reason + ": " + d.argument
}

// deniedByPolicy is a denial of the policies, or of what they demand.
func deniedByPolicy(reason, message string) *denied {
	return &denied{reason: reason, answer: &jsonrpc.Error{Code: codeDenied, Message: message}, asResult: true}
}

func isDenied(err error) bool { return errors.As(err, new(*denied)) }

func invalidParams(format string, args ...any) *jsonrpc.Error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

// unknown answers for a name that is not published and for one that the caller
// may not see: nothing tells them apart.
func unknown(kind, name string) *jsonrpc.Error {
	return invalidParams("unknown %s %q", kind, name)
}

// codeNoResource is the legacy era's error for a resource that does not exist;
// the modern era has invalid params for it (MCP 2026-07-28, "Resources").
const codeNoResource = -32002

func noResource(uri string) *jsonrpc.Error {
	return &jsonrpc.Error{Code: codeNoResource, Message: fmt.Sprintf("unknown resource %q", uri)}
}

// notFoundIn gives the error for a missing resource the code that the client's
// era has for it. from is the era that the error comes from: invalid params of
// the modern one that name a URI are of that kind.
func notFoundIn(client, from upstream.Era, err error) error {
	var answer *jsonrpc.Error
	if isDenied(err) || !errors.As(err, &answer) {
		return err
	}
	code := answer.Code
	switch data, _ := rawjson.ParseObject(answer.Data); {
	case client == upstream.ModernEra && code == codeNoResource:
		code = jsonrpc.CodeInvalidParams
	case client == upstream.LegacyEra && from == upstream.ModernEra && code == jsonrpc.CodeInvalidParams && data.Get("uri") != nil:
		code = codeNoResource
	}
	return &jsonrpc.Error{Code: code, Message: answer.Message, Data: answer.Data}
}

// callFailed turns what went wrong on the way to an upstream, and is no answer
// of it, into an error for the client. Its text names the upstream.
func callFailed(err error) error {
	if d := (*denied)(nil); errors.As(err, &d) {
		return d
	}
	var answer *jsonrpc.Error
	if errors.As(err, &answer) {
		return answer
	}
	if errors.Is(err, context.Canceled) {
		return err // nobody is left to read an answer
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: err.Error()}
}
