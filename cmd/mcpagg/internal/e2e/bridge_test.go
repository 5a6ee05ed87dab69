//go:build e2e

package e2e

//lint:file-ignore SA1019 the suite uses sampling and roots, which newer revisions discourage.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A quiz is a tool, or a prompt, that asks its client for something, in one
// round after the other, and answers once it has everything.
type quiz struct {
	name   string
	prompt bool
	rounds [][]quizQuestion
}

type quizQuestion struct {
	key      string // of a modern server; a legacy one has none
	ask      mcp.InputRequest
	optional bool // need not be answered by clients that cannot be asked
}

func one(key string, ask mcp.InputRequest) []quizQuestion {
	return []quizQuestion{{key: key, ask: ask}}
}

func form(message, schema string) mcp.InputRequest {
	return &mcp.ElicitParams{Message: message, RequestedSchema: json.RawMessage(schema)}
}

func prompted(text string) mcp.InputRequest {
	return &mcp.CreateMessageParams{MaxTokens: 100, Messages: []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: text}}}}
}

var (
	nameForm    = form("What is your name?", `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`)
	confirmForm = form("Please confirm", `{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}`)
	contextForm = form("In which context?", `{"type":"object","properties":{"context":{"type":"string"}},"required":["context"]}`)
	colorForm   = form("What is your favorite color?", `{"type":"object","properties":{"color":{"type":"string"}},"required":["color"]}`)
	userForm    = form("Please provide your information", `{"type":"object","properties":{"username":{"type":"string"},"email":{"type":"string"}},"required":["username","email"]}`)

	defaultsForm = form("Test defaults for primitives", `{"type":"object","properties":{
		"name":{"type":"string","default":"John Doe"},
		"age":{"type":"integer","default":30},
		"score":{"type":"number","default":95.5},
		"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},
		"verified":{"type":"boolean","default":true}}}`)
	enumsForm = form("Test enum schemas", `{"type":"object","properties":{
		"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
		"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},
		"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},
		"untitledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"type":"string","enum":["option1","option2","option3"]}},
		"titledMulti":{"type":"array","minItems":1,"maxItems":3,"items":{"anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}}}`)
)

// What the suite's scenarios expect of a server, by names that it gives.
var (
	modernQuizzes = []quiz{ // asked by a modern client
		{name: "test_input_required_result_elicitation", rounds: [][]quizQuestion{one("user_name", nameForm)}},
		{name: "test_input_required_result_sampling", rounds: [][]quizQuestion{one("capital_question", prompted("What is the capital of France?"))}},
		{name: "test_input_required_result_list_roots", rounds: [][]quizQuestion{one("client_roots", &mcp.ListRootsParams{})}},
		{name: "test_input_required_result_request_state", rounds: [][]quizQuestion{one("confirm", confirmForm)}},
		{name: "test_input_required_result_tampered_state", rounds: [][]quizQuestion{one("confirm", confirmForm)}},
		{name: "test_input_required_result_multi_round", rounds: [][]quizQuestion{one("step1", nameForm), one("step2", colorForm)}},
		{name: "test_input_required_result_capabilities", rounds: [][]quizQuestion{
			{{key: "user_name", ask: nameForm, optional: true}}, one("greeting", prompted("Generate a short greeting")),
		}},
		{name: "test_input_required_result_prompt", prompt: true, rounds: [][]quizQuestion{one("user_context", contextForm)}},
	}
	legacyQuizzes = []quiz{ // asked by a legacy client
		{name: "test_sampling", rounds: [][]quizQuestion{one("s", prompted("Test prompt for sampling"))}},
		{name: "test_elicitation", rounds: [][]quizQuestion{one("e", userForm)}},
		{name: "test_elicitation_sep1034_defaults", rounds: [][]quizQuestion{one("e", defaultsForm)}},
		{name: "test_elicitation_sep1330_enums", rounds: [][]quizQuestion{one("e", enumsForm)}},
	}
)

// unanswered fails a call with an error of the protocol, which no scenario
// takes for a result.
func unanswered(key string, answer any, err error) error {
	return &jsonrpc.Error{Code: jsonrpc.CodeInternalError, Message: fmt.Sprintf("%s is answered with %+v, %v", key, answer, err)}
}

// askLive asks everything while the call is in flight, as legacy servers do.
func (q quiz) askLive(ctx context.Context, ss *mcp.ServerSession) error {
	for _, question := range slices.Concat(q.rounds...) {
		var answer mcp.InputResponse
		var err error
		switch ask := question.ask.(type) {
		case *mcp.ElicitParams:
			answer, err = ss.Elicit(ctx, ask)
		case *mcp.CreateMessageParams:
			answer, err = ss.CreateMessage(ctx, ask)
		case *mcp.ListRootsParams:
			answer, err = ss.ListRoots(ctx, ask)
		}
		if (err != nil || !answers(answer)) && !question.optional {
			return unanswered(question.key, answer, err)
		}
	}
	return nil
}

// answers reports whether somebody has really answered.
func answers(answer mcp.InputResponse) bool {
	switch a := answer.(type) {
	case *mcp.ElicitResult:
		return a.Action == "accept" && len(a.Content) > 0
	case *mcp.CreateMessageResult:
		return a.Content != nil
	case *mcp.CreateMessageWithToolsResult: // so a modern server gets it
		return len(a.Content) > 0
	case *mcp.ListRootsResult:
		return len(a.Roots) > 0
	}
	return false
}

// next is what to ask for next, as modern servers do, and the state that says
// so when it has been answered. There is nothing once the quiz is over.
func (q quiz) next(state string, responses mcp.InputResponseMap) (mcp.InputRequestMap, string, error) {
	round := 0
	if state != "" {
		var err error
		if round, err = strconv.Atoi(state); err != nil || round < 1 || round > len(q.rounds) {
			return nil, "", &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("the state is %q", state)}
		}
		for _, question := range q.rounds[round-1] {
			if answer := responses[question.key]; !answers(answer) {
				return nil, "", unanswered(question.key, answer, nil)
			}
		}
	}
	if round == len(q.rounds) {
		return nil, "", nil
	}
	requests := mcp.InputRequestMap{}
	for _, question := range q.rounds[round] {
		requests[question.key] = question.ask
	}
	return requests, strconv.Itoa(round + 1), nil
}

// startQuizServer starts a server that knows nothing of the other era.
func startQuizServer(t *testing.T, isModern bool, quizzes []quiz) (address string) {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "quiz", Version: "1"}, nil)
	for _, q := range quizzes {
		done := &mcp.TextContent{Text: "Everything has been answered."}
		if q.prompt {
			s.AddPrompt(&mcp.Prompt{Name: q.name}, func(ctx context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
				return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: done}}}, q.askLive(ctx, r.Session)
			})
			continue
		}
		s.AddTool(&mcp.Tool{Name: q.name, InputSchema: json.RawMessage(`{"type":"object"}`)}, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			if !isModern {
				return &mcp.CallToolResult{Content: []mcp.Content{done}}, q.askLive(ctx, r.Session)
			}
			requests, state, err := q.next(r.Params.RequestState, r.Params.InputResponses)
			if err != nil || requests != nil {
				return &mcp.CallToolResult{InputRequests: requests, RequestState: state}, err
			}
			return &mcp.CallToolResult{Content: []mcp.Content{done}}, nil
		})
	}
	serve := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: isModern})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if (r.Header.Get("Mcp-Protocol-Version") == modernVersion) != isModern {
			http.Error(w, "this server does not speak that version", http.StatusBadRequest)
			return
		}
		serve.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// TestBridgedConformance runs the scenarios of the protocol's conformance suite
// in which a server asks its client for something, each with a client of the
// other era than the server behind the gateway.
//
// Two of the modern ones are not for a legacy server: ignore-extra-params answers
// a question that it has not been asked, by a key that such a server cannot give,
// and multiple-input-requests wants three questions in one result, of which a
// client may get some later where they come one by one.
func TestBridgedConformance(t *testing.T) {
	t.Run("modern client, legacy server", func(t *testing.T) {
		address := startBridge(t, startQuizServer(t, false, modernQuizzes), "test_input_required_result_elicitation")
		for _, scenario := range []string{
			"basic-elicitation", "basic-sampling", "basic-list-roots", "request-state", "multi-round", "missing-input-response",
			"non-tool-request", "result-type", "tampered-state", "capability-check", "validate-input", "unsupported-methods",
		} {
			address := address
			if scenario == "basic-elicitation" {
				address = startKeyTranslator(t, address, "1", "user_name")
			}
			testScenario(t, "input-required-result-"+scenario, modernVersion, address)
		}
	})
	t.Run("legacy client, modern server", func(t *testing.T) {
		address := startBridge(t, startQuizServer(t, true, legacyQuizzes), "test_sampling")
		for _, scenario := range []string{"tools-call-sampling", "tools-call-elicitation", "elicitation-sep1034-defaults", "elicitation-sep1330-enums"} {
			testScenario(t, scenario, legacyVersion, address)
		}
	})
}

// startBridge puts a server behind a gateway that publishes its own names.
func startBridge(t *testing.T, server, tool string) (address string) {
	t.Helper()
	g := startGateway(t, upstream{label: "up", url: server, prefix: new(""), requests: []string{"sampling", "elicitation", "roots"}})
	eventually(t, func() string {
		list, err := listTools(t.Context(), modern(t, g.url))
		if err != nil || !slices.Contains(names(list), tool) {
			return fmt.Sprintf("the gateway lists %v, %v", names(list), err)
		}
		return ""
	})
	return g.url
}

// testScenario runs one scenario, of which everything must succeed.
func testScenario(t *testing.T, scenario, version, address string) {
	t.Run(scenario, func(t *testing.T) {
		r := suite{tools: conformanceAlpha, args: []string{"--scenario", scenario, "--spec-version", version}}.run(t, address)
		for _, id := range r.ids() {
			if c := r[id]; c.Status != "SUCCESS" && c.Status != "INFO" {
				t.Errorf("%s is %s: %s", id, c.Status, c.ErrorMessage)
			}
		}
		if r.count("SUCCESS") == 0 {
			t.Errorf("nothing has been checked: %v", r)
		}
	})
}

// startKeyTranslator stands between a client that knows a question by the key
// that one server gives it and a gateway that has to find one of its own, since
// a legacy server's questions have none.
func startKeyTranslator(t *testing.T, gateway, own, known string) (address string) {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	rename := func(body io.Reader, member, from, to string) (io.ReadCloser, int64, error) {
		raw, err := io.ReadAll(body)
		raw = bytes.ReplaceAll(raw, fmt.Appendf(nil, `"%s":{"%s":`, member, from), fmt.Appendf(nil, `"%s":{"%s":`, member, to))
		return io.NopCloser(bytes.NewReader(raw)), int64(len(raw)), err
	}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Body, r.Out.ContentLength, _ = rename(r.In.Body, "inputResponses", known, own) // cut short, the request fails
		},
		ModifyResponse: func(r *http.Response) (err error) {
			r.Body, r.ContentLength, err = rename(r.Body, "inputRequests", own, known)
			r.Header.Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
			return err
		},
	})
	t.Cleanup(s.Close)
	return s.URL + target.Path
}
