package aggregator

import (
	"context"
	"errors"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

func invalidParams(format string, args ...any) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf(format, args...)}
}

// unknown answers for a name that is not published and for one that the caller
// may not see: nothing tells them apart.
func unknown(kind, name string) error {
	return invalidParams("unknown %s %q", kind, name)
}

// callFailed turns what went wrong on the way to an upstream, and is no answer
// of it, into an error for the client. Its text names the upstream.
func callFailed(err error) error {
	var answer *jsonrpc.Error
	if errors.As(err, &answer) {
		return answer
	}
	if errors.Is(err, context.Canceled) {
		return err // nobody is left to read an answer
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: err.Error()}
}
