package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"
)

// An operation is one measured request with its answer checked. n differs from
// request to request of one caller.
type operation func(c *caller, n int) (time.Duration, error)

// callEcho calls an echo tool with a text of its own and expects it back.
func callEcho(tool string) operation {
	return func(c *caller, n int) (time.Duration, error) {
		text := "hello, upstream " + strconv.Itoa(n)
		result, took, err := c.request("tools/call", tool, callMembers(tool, `"text":"`+text+`"`))
		if err != nil {
			return took, err
		}
		got, err := resultText(result, c.era)
		if err == nil && got != text {
			err = fmt.Errorf("wrong answer %.100q to %q", got, text)
		}
		return took, err
	}
}

// callBlob calls a blob tool and expects that many KiB.
func callBlob(tool string, kib int) operation {
	return func(c *caller, _ int) (time.Duration, error) {
		result, took, err := c.request("tools/call", tool, callMembers(tool, `"kib":`+strconv.Itoa(kib)))
		if err != nil {
			return took, err
		}
		got, err := resultText(result, c.era)
		if err == nil && len(got) != kib<<10 {
			err = fmt.Errorf("wrong answer of %d bytes instead of %d KiB", len(got), kib)
		}
		return took, err
	}
}

func callMembers(tool, arguments string) []byte {
	return []byte(`"name":"` + tool + `","arguments":{` + arguments + `}`)
}

// resultText returns the text of a tool result that has nothing else.
func resultText(result json.RawMessage, e era) (string, error) {
	var r struct {
		Type    string `json:"resultType"`
		IsError bool   `json:"isError"`
		Content []struct {
			Type, Text string
		}
	}
	if err := json.Unmarshal(result, &r); err != nil {
		return "", err
	}
	if r.IsError || len(r.Content) != 1 || r.Content[0].Type != "text" || e == modern && r.Type != "complete" {
		return "", fmt.Errorf("wrong result %.200s", result)
	}
	return r.Content[0].Text, nil
}

// listTools reads all pages of tools/list and expects so many tools. It counts
// them, since decoding them takes longer than many a gateway does; the first
// list of each caller is decoded too.
func listTools(want int) operation {
	return func(c *caller, n int) (took time.Duration, err error) {
		var (
			count  int
			cursor []byte
		)
		for more := true; more; {
			result, pageTook, err := c.request("tools/list", "", cursor)
			took += pageTook
			if err != nil {
				return took, err
			}
			if n == 0 {
				if err := checkTools(result); err != nil {
					return took, err
				}
			}
			count += bytes.Count(result, []byte(`"inputSchema":`))
			if cursor, more, err = nextCursor(result); err != nil {
				return took, err
			}
		}
		if count != want {
			return took, fmt.Errorf("%w: %d instead of %d", errIncomplete, count, want)
		}
		return took, nil
	}
}

// errIncomplete is a list that lacks tools, as while a gateway is starting.
var errIncomplete = errors.New("wrong number of tools")

// nextCursor returns the member that asks for the page after this one.
func nextCursor(result json.RawMessage) (member []byte, more bool, err error) {
	if !bytes.Contains(result, []byte(`"nextCursor"`)) {
		return nil, false, nil
	}
	var page struct {
		NextCursor json.RawMessage `json:"nextCursor"`
	}
	if err := json.Unmarshal(result, &page); err != nil {
		return nil, false, err
	}
	if len(page.NextCursor) <= len(`""`) {
		return nil, false, nil
	}
	return append([]byte(`"cursor":`), page.NextCursor...), true, nil
}

// checkTools refuses a page with a tool that has no name of its own or no schema.
func checkTools(result json.RawMessage) error {
	var page struct {
		Tools []struct {
			Name        string
			InputSchema json.RawMessage
		}
	}
	if err := json.Unmarshal(result, &page); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, tool := range page.Tools {
		if tool.Name == "" || seen[tool.Name] || tool.InputSchema == nil {
			return fmt.Errorf("the list holds a damaged or repeated tool %q", tool.Name)
		}
		seen[tool.Name] = true
	}
	return nil
}

// A sample is what one measurement saw of the callers' side.
type sample struct {
	took    []time.Duration // sorted
	elapsed time.Duration
}

func (s sample) rate() float64 { return float64(len(s.took)) / s.elapsed.Seconds() }

// apply has every caller repeat the operation for d.
func apply(ctx context.Context, callers []*caller, d time.Duration, op operation, failed func(error)) sample {
	var (
		wg    sync.WaitGroup
		took  = make([][]time.Duration, len(callers))
		start = time.Now()
	)
	for i, c := range callers {
		wg.Go(func() {
			for n := 1; time.Since(start) < d && ctx.Err() == nil; n++ {
				one, err := op(c, n*len(callers)+i)
				if err != nil {
					if ctx.Err() == nil {
						failed(err)
					}
					return // one failure fails the run
				}
				took[i] = append(took[i], one)
			}
		})
	}
	wg.Wait()
	s := sample{took: slices.Concat(took...), elapsed: time.Since(start)}
	slices.Sort(s.took)
	return s
}

// warm prepares callers for a measurement with unmeasured requests, which open
// connections and fill pools. A connection that has been idle for long is
// replaced first, since the far side may close it at any moment.
func warm(callers []*caller, times int, op operation) error {
	for _, c := range callers {
		c.disconnect()
		for n := range times {
			if _, err := op(c, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// openCallers opens n callers of one subject.
func openCallers(s *subject, e era, n int) ([]*caller, error) {
	callers := make([]*caller, n)
	for i := range callers {
		callers[i] = s.newCaller(e)
		if err := callers[i].open(); err != nil {
			return nil, err
		}
	}
	return callers, nil
}

const mcpPath = "/mcp"

func endCallers(callers []*caller) {
	for _, c := range callers {
		c.end()
	}
}
