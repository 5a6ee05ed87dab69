package aggregator

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/policy/source"
)

// oblige sees to what the satisfied permits demand before the request goes on. Its
// error is a *denied.
func (q *quotas) oblige(r Request, o source.Obligations) error {
	if size := int64(len(r.about.arguments.raw)); o.MaxBytesIn > 0 && size > o.MaxBytesIn {
		return deniedByPolicy("max_bytes_in", fmt.Sprintf("the arguments have %d bytes, and may have %s", size, formatBytes(o.MaxBytesIn)))
	}
	if len(o.Rates) == 0 {
		return nil
	}
	worst, wait := q.take(r, o.Rates, time.Now())
	if wait == 0 {
		return nil
	}
	return deniedByPolicy("rate", fmt.Sprintf("more than %d calls in %s; try again in %d s",
		worst.Calls, formatTime(worst.Per), int(math.Ceil(wait.Seconds()))))
}

// mark gives the caller the labels of a tool before it is called, so that another
// request knows of them, and counts the call.
func (g *Gateway) mark(ctx context.Context, r Request, labels []string) error {
	if g.labels == nil {
		return nil
	}
	client := clientOf(r.Caller)
	if err := g.labels.Mark(ctx, r.Caller.ID, client, labels); err != nil {
		g.log.Warn("a call is refused, since its labels cannot be kept", append(r.attributes(), "err", err)...)
		return &denied{reason: "labels", answer: &jsonrpc.Error{
			Code: codeBusy, Message: "the gateway cannot keep what it must remember of this call, and so does not make it; try again later",
		}}
	}
	g.labels.Count(r.Caller.ID, client)
	return nil
}

// formatTime is a time as the obligations of policies name it.
func formatTime(d time.Duration) string {
	switch d {
	case time.Second:
		return "a second"
	case time.Minute:
		return "a minute"
	case time.Hour:
		return "an hour"
	case 24 * time.Hour:
		return "a day"
	}
	return d.String()
}
