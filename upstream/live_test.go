package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/upstreamtest"
)

// live is a legacy server whose tools ask the client.
func live() upstreamtest.Script {
	return upstreamtest.Script{
		LegacyOnly: true,
		Tools:      []string{},
		Reply: func(r *upstreamtest.Request) upstreamtest.Reply {
			id := fmt.Sprintf(`"ask %s"`, r.ID)
			var params struct{ Arguments json.RawMessage }
			_ = json.Unmarshal(r.Params, &params)
			switch r.Name() {
			case "elicit":
				answer := r.Ask(id, "elicitation/create", string(params.Arguments))
				if answer == nil {
					return upstreamtest.Raw("")
				}
				return upstreamtest.Result(string(answer))
			case "withdraw":
				r.Send(`{"jsonrpc":"2.0","id":41,"method":"elicitation/create","params":{}}`)
				r.Notify("notifications/cancelled", `{"requestId":41}`)
				return upstreamtest.Result(string(r.Ask(id, "roots/list", `{}`)))
			case "hang":
				<-r.Context.Done()
				return upstreamtest.Raw("")
			case "talk":
				for i := range 10 {
					r.Notify("notifications/message", fmt.Sprintf(`{"level":"info","data":{"of":%s,"i":%d},"_meta":{"x":1.0}}`, params.Arguments, i))
					r.Progress(float64(i), fmt.Sprintf(`,"message":"%s"`, params.Arguments))
				}
				return upstreamtest.Result(`{}`)
			}
			return upstreamtest.Result(`{}`)
		},
	}
}

// eachLive runs a test with the live server over each transport on which a
// server can ask during a call.
func eachLive(t *testing.T, test func(t *testing.T, r *running), change ...func(*upstream.Options)) {
	for name, opts := range map[string]func(t *testing.T) upstream.Options{
		"http":    func(t *testing.T) upstream.Options { return upstream.Options{URL: upstreamtest.New(t, live()).URL} },
		"old sse": func(t *testing.T) upstream.Options { return upstream.Options{URL: upstreamtest.New(t, live()).SSEURL} },
		"stdio":   func(*testing.T) upstream.Options { return act("live") },
	} {
		t.Run(name, func(t *testing.T) {
			opts := opts(t)
			for _, c := range change {
				c(&opts)
			}
			if opts.Request == nil { // all calls are of one client
				opts.Request = func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
					return nil, errors.New("it belongs to no call")
				}
			}
			r := run(t, opts)
			test(t, r)
			r.stop() // checks that no goroutine is left
		})
	}
}

type requestHandler = func(ctx context.Context, method string, params json.RawMessage) (json.RawMessage, error)

// asking calls a tool that asks.
func (r *running) asking(ctx context.Context, name, arguments string, serve requestHandler) (json.RawMessage, error) {
	return r.Call(ctx, upstream.Call{Method: "tools/call", Params: toolParams(name, arguments), Request: serve})
}

func TestElicitationDuringACall(t *testing.T) {
	eachLive(t, func(t *testing.T, r *running) {
		for _, test := range []struct {
			result  string
			err     error
			wantEnd string // of the answer that the server gets
		}{
			{result: `{"action":"accept","content":` + odd + `}`, wantEnd: `,"result":{"action":"accept","content":` + odd + `}}`},
			{
				err:     &jsonrpc.Error{Code: -1, Message: "<rejected>", Data: json.RawMessage(odd)},
				wantEnd: `,"error":{"code":-1,"message":"<rejected>","data":` + odd + `}}`,
			},
			{err: errors.New("a secret"), wantEnd: `,"error":{"code":-32603,"message":"the client did not answer"}}`},
		} {
			result, err := r.asking(t.Context(), "elicit", odd, func(_ context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
				if method != "elicitation/create" || string(params) != odd {
					t.Errorf("asked %s %s, want elicitation/create with %s", method, params, odd)
				}
				return json.RawMessage(test.result), test.err
			})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(string(result), test.wantEnd) {
				t.Errorf("the server got %s, want ...%s", result, test.wantEnd)
			}
		}
	})
}

// A request that the server cancels ends; if it still waits for its turn,
// nobody is asked.
func TestServerCancelsItsRequest(t *testing.T) {
	eachLive(t, func(t *testing.T, r *running) {
		var asked sync.WaitGroup
		result, err := r.asking(t.Context(), "withdraw", "{}", func(ctx context.Context, method string, _ json.RawMessage) (json.RawMessage, error) {
			if method == "elicitation/create" {
				asked.Add(1)
				defer asked.Done()
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return json.RawMessage(`{"roots":[]}`), nil
		})
		if err != nil || !strings.Contains(string(result), `"result":{"roots":[]}`) {
			t.Errorf("got %s, %v, want the answer to roots/list", result, err)
		}
		asked.Wait()
	})
}

func TestCallIsCancelledWhileItIsAsked(t *testing.T) {
	eachLive(t, func(t *testing.T, r *running) {
		ctx, cancel := context.WithCancel(t.Context())
		returned, ended := make(chan struct{}), make(chan struct{})
		_, err := r.asking(ctx, "elicit", "{}", func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
			defer close(ended)
			cancel()
			<-ctx.Done()
			<-returned // the server gets no answer that it could answer the call with
			return nil, ctx.Err()
		})
		close(returned)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		<-ended
	})
}

func TestConnectionEndsWhileServerAsks(t *testing.T) {
	eachLive(t, func(t *testing.T, r *running) {
		ended := make(chan struct{})
		_, err := r.asking(t.Context(), "elicit", "{}", func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
			defer close(ended)
			go r.stop()
			<-ctx.Done()
			return nil, ctx.Err()
		})
		wantError(t, err, "stopped")
		<-ended
	})
}

// A person may take longer to answer than a call may take.
func TestTimeOfACallStopsWhileItIsAsked(t *testing.T) {
	eachLive(t, func(t *testing.T, r *running) {
		result, err := r.asking(t.Context(), "elicit", "{}", func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
			return r.declineLate(ctx, t)
		})
		if err != nil || !strings.Contains(string(result), "decline") {
			t.Errorf("got %s, %v, want the answer", result, err)
		}
	}, shortCalls)
}

func TestTimeOfCallsStopsWhileTheConnectionIsAsked(t *testing.T) {
	opts := act("live")
	shortCalls(&opts)
	var r *running
	opts.Request = func(ctx context.Context, _ string, _ json.RawMessage) (json.RawMessage, error) {
		return r.declineLate(ctx, t)
	}
	r = run(t, opts)
	if got := r.mustTool(t, "elicit", "{}"); !strings.Contains(got, "decline") {
		t.Errorf("got %s, want the answer", got)
	}
}

func shortCalls(o *upstream.Options) {
	o.CallTimeout, o.ConnectTimeout = 300*time.Millisecond, 10*time.Second
}

// declineLate answers when more time has passed than a call may take.
func (r *running) declineLate(ctx context.Context, t *testing.T) (json.RawMessage, error) {
	_, err := r.tool(ctx, "hang", "{}")
	wantError(t, err, "no answer within 300ms")
	return json.RawMessage(`{"action":"decline"}`), nil
}

func TestEachCallGetsItsOwnRequests(t *testing.T) {
	r := run(t, upstream.Options{URL: upstreamtest.New(t, live()).URL})
	var calls, asked sync.WaitGroup
	asked.Add(8)
	for i := range 8 {
		calls.Go(func() {
			arguments := fmt.Sprintf(`{"i":%d}`, i)
			result, err := r.asking(t.Context(), "elicit", arguments, func(_ context.Context, _ string, params json.RawMessage) (json.RawMessage, error) {
				asked.Done()
				asked.Wait() // all are asked before one answers
				return params, nil
			})
			if err != nil || !strings.Contains(string(result), `"result":`+arguments) {
				t.Errorf("call %d: %s, %v", i, result, err)
			}
		})
	}
	calls.Wait()
}

// Where calls share a stream, whose request it is can be told for one call only.
func TestRequestOfNobodyKnowsWhichCall(t *testing.T) {
	for name, request := range map[string]requestHandler{
		"served":  func(context.Context, string, json.RawMessage) (json.RawMessage, error) { return nil, nil },
		"refused": nil,
	} {
		t.Run(name, func(t *testing.T) {
			srv := upstreamtest.New(t, live())
			r := run(t, upstream.Options{URL: srv.SSEURL, Request: request})
			ctx, cancel := context.WithCancel(t.Context())
			var other sync.WaitGroup
			other.Go(func() { _, _ = r.tool(ctx, "hang", "{}") })
			defer other.Wait()
			defer cancel()
			eventually(t, "the other call is under way", func() bool { return len(srv.Requests("tools/call")) == 1 })
			result, err := r.asking(t.Context(), "elicit", "{}", func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				t.Error("the call's handler serves what may belong to the other call")
				return nil, nil
			})
			want := `"result":{}`
			if request == nil {
				want = `"error":{"code":-32601,`
			}
			if err != nil || !strings.Contains(string(result), want) {
				t.Errorf("got %s, %v, want %s", result, err, want)
			}
		})
	}
}

func TestRequestOnTheCallsStreamWithoutHandler(t *testing.T) {
	r := run(t, upstream.Options{
		URL: upstreamtest.New(t, live()).URL,
		Request: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			t.Error("the connection's handler serves what belongs to a call")
			return nil, nil
		},
	})
	if got := r.mustTool(t, "elicit", "{}"); !strings.Contains(got, `"error":{"code":-32601,`) {
		t.Errorf("got %s, want a refusal", got)
	}
}

func TestRequestAndNotificationsOfNoCall(t *testing.T) {
	answers := make(chan string, 1)
	s := live()
	s.Answered = func(r *upstreamtest.Request) { answers <- string(r.Body) }
	srv := upstreamtest.New(t, s)
	notes := make(chan string, 10)
	run(t, upstream.Options{
		URL: srv.URL,
		Request: func(_ context.Context, method string, params json.RawMessage) (json.RawMessage, error) {
			return json.RawMessage(fmt.Sprintf(`{"method":%q,"params":%s}`, method, params)), nil
		},
		Notify: func(method string, params json.RawMessage) { notes <- method + " " + string(params) },
	})
	eventually(t, "the GET stream is open", func() bool { return srv.Streams() == 1 })
	srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
	srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7}}`) // of no call
	srv.Broadcast(`{"jsonrpc":"2.0","id":1,"method":"roots/list","params":` + odd + `}`)
	if got, want := <-answers, `{"jsonrpc":"2.0","id":1,"result":{"method":"roots/list","params":`+odd+`}}`; got != want {
		t.Errorf("answer %s, want %s", got, want)
	}
	for _, note := range []string{
		`notifications/message {"data":` + odd + `}`,
		`notifications/elicitation/complete {"elicitationId":"1"}`,
		`notifications/resources/updated {"uri":"a:b","_meta":{"x":1.0}}`,
	} {
		method, params, _ := strings.Cut(note, " ")
		srv.Broadcast(fmt.Sprintf(`{"jsonrpc":"2.0","method":%q,"params":%s}`, method, params))
		if got := <-notes; got != note {
			t.Errorf("got %s, want %s", got, note)
		}
	}
}

// Log messages come on a call's own stream over HTTP. Where there is only one
// stream, they belong to the only call, if all are of one client.
func TestLogAndProgressInOrder(t *testing.T) {
	eachLive(t, func(t *testing.T, r *running) {
		calls := 1
		if strings.HasSuffix(t.Name(), "/http") {
			calls = 8
		}
		var wg sync.WaitGroup
		for n := range calls {
			wg.Go(func() {
				var want []string
				for i := range 10 {
					want = append(want, logLine(n, i), fmt.Sprintf("notifications/progress %d %d", i, n))
				}
				if diff := cmp.Diff(want, r.talk(t, n)); diff != "" {
					t.Errorf("notifications of call %d (-want +got):\n%s", n, diff)
				}
			})
		}
		wg.Wait()
	}, func(o *upstream.Options) {
		o.Notify = func(method string, params json.RawMessage) { t.Errorf("of no call: %s", what(method, params)) }
	})
}

// Nobody knows whose call a log message belongs to where clients share a
// process, but it comes before the answer.
func TestLogOfASharedProcess(t *testing.T) {
	var unclaimed, want, wantCall []string
	opts := act("live")
	opts.Notify = func(method string, params json.RawMessage) { unclaimed = append(unclaimed, what(method, params)) }
	got := run(t, opts).talk(t, 1)
	for i := range 10 {
		want, wantCall = append(want, logLine(1, i)), append(wantCall, fmt.Sprintf("notifications/progress %d 1", i))
	}
	if diff := cmp.Diff(want, unclaimed); diff != "" {
		t.Errorf("notifications of no call (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantCall, got); diff != "" {
		t.Errorf("notifications of the call (-want +got):\n%s", diff)
	}
}

// talk calls the tool that logs and makes progress, and returns what came of it.
func (r *running) talk(t *testing.T, n int) (got []string) {
	_, err := r.Call(t.Context(), upstream.Call{
		Method: "tools/call", Params: toolParams("talk", fmt.Sprint(n)), Progress: true,
		Notify: func(method string, params json.RawMessage) { got = append(got, what(method, params)) },
	})
	if err != nil {
		t.Error(err)
	}
	return got
}

func logLine(of, i int) string {
	return fmt.Sprintf(`notifications/message {"level":"info","data":{"of":%d,"i":%d},"_meta":{"x":1.0}}`, of, i)
}

// what is a notification as text, without the token of progress.
func what(method string, params json.RawMessage) string {
	if method != "notifications/progress" {
		return method + " " + string(params)
	}
	var p struct {
		Progress int
		Message  string
	}
	_ = json.Unmarshal(params, &p)
	return fmt.Sprintf("%s %d %s", method, p.Progress, p.Message)
}

func TestLogLevelOfAModernCall(t *testing.T) {
	s := live()
	s.LegacyOnly = false
	srv := upstreamtest.New(t, s)
	r := run(t, upstream.Options{URL: srv.URL})
	var got []string
	_, err := r.Call(t.Context(), upstream.Call{
		Method: "tools/call", Params: toolParams("talk", "1"), LogLevel: json.RawMessage(`"debug"`),
		Notify: func(method string, _ json.RawMessage) { got = append(got, method) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 10 || got[9] != "notifications/message" {
		t.Errorf("notifications %q, want 10 log messages and no progress", got)
	}
	const want = `"io.modelcontextprotocol/logLevel":"debug"`
	if sent := srv.Requests("tools/call")[0].Params; !strings.Contains(string(sent), want) || strings.Contains(string(sent), "progressToken") {
		t.Errorf("params %s, want %s and no progressToken", sent, want)
	}
}

func TestHandshakeSaysWhoTheClientIs(t *testing.T) {
	srv := upstreamtest.New(t, live())
	run(t, upstream.Options{
		URL:                srv.URL,
		ClientInfo:         json.RawMessage(`{"name":"c","version":"2","x":1.0}`),
		ClientCapabilities: json.RawMessage(`{"roots":{"listChanged":true},"y":1.0}`),
	})
	const want = `{"protocolVersion":"2025-11-25","capabilities":{"roots":{"listChanged":true},"y":1.0},"clientInfo":{"name":"c","version":"2","x":1.0}}`
	if got := string(srv.Requests("initialize")[0].Params); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNotificationOfTheClient(t *testing.T) {
	srv := upstreamtest.New(t, live())
	r := run(t, upstream.Options{URL: srv.URL})
	if err := r.Notify(t.Context(), "notifications/roots/list_changed", json.RawMessage(`{"a":1.0}`)); err != nil {
		t.Fatal(err)
	}
	if got := srv.Requests("notifications/roots/list_changed"); len(got) != 1 || string(got[0].Params) != `{"a":1.0}` {
		t.Errorf("the server got %v", got)
	}
	r.stop()
	wantError(t, r.Notify(t.Context(), "notifications/roots/list_changed", nil), "stopped")
}

// testChangedList checks that a list that has changed is fetched, and no other.
func testChangedList(t *testing.T, srv *upstreamtest.Server, r *running) {
	eventually(t, "the stream is open", func() bool { return srv.Streams() == 1 })
	srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/resources/list_changed"}`)
	eventually(t, "the list is there", func() bool { return r.Listing().Resources != nil && r.Listing().Templates != nil })
	if l := r.Listing(); l.Tools != nil || l.Prompts != nil || len(l.Resources) != 1 {
		t.Errorf("listing %+v, want resources and templates only", l)
	}
	if r.Listing().Era == upstream.ModernEra {
		return // without a session that could be another one
	}
	srv.ForgetSessions()
	srv.DropStreams()
	eventually(t, "a new session", func() bool { return r.Status().Connects == 3 })
	if l := r.Listing(); l.Resources != nil {
		t.Errorf("a new session has %s", l.Resources)
	}
}

func TestCallsOnly(t *testing.T) {
	for _, era := range []upstream.Era{upstream.LegacyEra, upstream.ModernEra} {
		t.Run(string(era), func(t *testing.T) {
			s := contract()
			s.LegacyOnly = era == upstream.LegacyEra
			srv := upstreamtest.New(t, s)
			notes := make(chan string, 1)
			r := run(t, upstream.Options{URL: srv.URL, CallsOnly: true, Notify: func(method string, _ json.RawMessage) { notes <- method }})
			l := r.Listing()
			if l == nil || l.Era != era || l.ServerInfo == nil || l.Capabilities == nil || l.Instructions == "" || l.Tools != nil {
				t.Errorf("listing %+v, want all but definitions", l)
			}
			if era == upstream.LegacyEra {
				eventually(t, "the GET stream is open", func() bool { return srv.Streams() == 1 })
				srv.Broadcast(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`)
				if got := <-notes; got != "notifications/message" {
					t.Errorf("notified of %s, want the log message", got)
				}
				srv.ForgetSessions()
				srv.DropStreams()
				eventually(t, "a new session", func() bool { return r.Status().Connects == 2 })
			}
			r.mustTool(t, "odd", "{}")
			defer testChangedList(t, srv, r)
			for _, req := range srv.Requests("") {
				if strings.HasSuffix(req.Method, "/list") {
					t.Errorf("sent %s", req.Method)
				}
			}
		})
	}
}
