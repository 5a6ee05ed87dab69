//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A model stands in for a language model, in the wire formats of Anthropic's
// Messages and OpenAI's Chat Completions. It makes the calls of its script, one
// per turn, and then says "DONE" and what the last one gave.
type model struct {
	url    string
	script []scriptedCall

	mu      sync.Mutex
	offered []string // guarded by mu; the tools of the latest request that had any
	results []string // guarded by mu; what the calls gave, in their order
}

type scriptedCall struct {
	tool      string // as the agent names it
	arguments object
}

func startModel(t testing.TB, script ...scriptedCall) *model {
	m := &model{script: script}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/messages", m.messages)
	mux.HandleFunc("POST /v1/chat/completions", m.completions)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	m.url = s.URL
	return m
}

// A chat is what both formats say in a request, as far as it matters here.
type chat struct {
	Model    string
	Messages []chatMessage
	Tools    []struct {
		Name     string // Messages
		Function struct{ Name string }
	}
}

type chatMessage struct {
	Role    string
	Content json.RawMessage // text or blocks
}

// next notes what the agent offers and hands back, and returns the call to make
// or, after the last one, what to say. Requests without tools, such as for a
// title, are none of the script's turns.
func (m *model) next(body io.Reader, results func(chat) []string) (turn *scriptedCall, say string, err error) {
	var c chat
	if err := json.NewDecoder(body).Decode(&c); err != nil {
		return nil, "", err
	}
	if len(c.Tools) == 0 {
		return nil, "A title", nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offered = nil
	for _, tool := range c.Tools {
		m.offered = append(m.offered, tool.Name+tool.Function.Name)
	}
	m.results = results(c)
	if n := len(m.results); n < len(m.script) {
		return &m.script[n], "", nil
	}
	return nil, strings.Join(append([]string{"DONE"}, m.results[max(0, len(m.results)-1):]...), " "), nil
}

// seen returns what the agent offered and what the calls gave.
func (m *model) seen() (offered, results []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.offered, m.results
}

func (m *model) messages(w http.ResponseWriter, r *http.Request) {
	turn, say, err := m.next(r.Body, toolResults)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	block, delta, stop := object{"type": "text", "text": ""}, object{"type": "text_delta", "text": say}, "end_turn"
	if turn != nil {
		block = object{"type": "tool_use", "id": "toolu_" + turn.tool, "name": turn.tool, "input": object{}}
		delta = object{"type": "input_json_delta", "partial_json": string(encode(turn.arguments))}
		stop = "tool_use"
	}
	message := object{
		"id": "msg_1", "type": "message", "role": "assistant", "model": "scripted", "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "usage": object{"input_tokens": 1, "output_tokens": 1},
	}
	stream(w,
		object{"type": "message_start", "message": message},
		object{"type": "content_block_start", "index": 0, "content_block": block},
		object{"type": "content_block_delta", "index": 0, "delta": delta},
		object{"type": "content_block_stop", "index": 0},
		object{"type": "message_delta", "delta": object{"stop_reason": stop}, "usage": object{"output_tokens": 1}},
		object{"type": "message_stop"},
	)
}

// toolResults are the results in a request of the Messages format.
func toolResults(c chat) (results []string) {
	for _, m := range c.Messages {
		var blocks []struct {
			Type    string
			Content json.RawMessage
		}
		if json.Unmarshal(m.Content, &blocks) != nil {
			continue // plain text
		}
		for _, b := range blocks {
			if b.Type == "tool_result" {
				results = append(results, string(b.Content))
			}
		}
	}
	return results
}

func (m *model) completions(w http.ResponseWriter, r *http.Request) {
	turn, say, err := m.next(r.Body, toolMessages)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	delta, finish := object{"role": "assistant", "content": say}, "stop"
	if turn != nil {
		function := object{"name": turn.tool, "arguments": string(encode(turn.arguments))}
		call := object{"index": 0, "id": "call_" + turn.tool, "type": "function", "function": function}
		delta, finish = object{"role": "assistant", "tool_calls": []any{call}}, "tool_calls"
	}
	stream(w, completion(delta, nil), completion(object{}, finish))
	fmt.Fprint(w, "data: [DONE]\n\n")
}

func completion(delta object, finish any) object {
	return object{
		"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "scripted",
		"choices": []any{object{"index": 0, "delta": delta, "finish_reason": finish}},
		"usage":   object{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
	}
}

// toolMessages are the results in a request of the Chat Completions format.
func toolMessages(c chat) (results []string) {
	for _, m := range c.Messages {
		if m.Role == "tool" {
			results = append(results, string(m.Content))
		}
	}
	return results
}

// stream sends events; those with a type are named after it.
func stream(w http.ResponseWriter, events ...object) {
	w.Header().Set("Content-Type", "text/event-stream")
	var b strings.Builder
	for _, e := range events {
		if kind, ok := e["type"]; ok {
			fmt.Fprintf(&b, "event: %s\n", kind)
		}
		fmt.Fprintf(&b, "data: %s\n\n", encode(e))
	}
	fmt.Fprint(w, b.String())
}
