package aggregator

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mcpagg/mcpagg/oauth"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

func call(caller, name, arguments string) Request {
	r := Request{Caller: &oauth.Caller{ID: caller, Client: oauth.Client{ID: "vscode"}}, Method: "tools/call"}
	r.Params.Set("name", rawjson.String(name))
	r.Params.Set("arguments", json.RawMessage(arguments))
	return r
}

// with is a request with another client.
func with(client string, r Request) Request {
	r.Caller.Client.ID = client
	return r
}

func TestSealedStatesBelongToTheirCall(t *testing.T) {
	s, up, other := newSealer(), &member{}, &member{}
	up.Name, other.Name = "up", "other"
	state := s.seal(bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), upstreamState, `x"y`)
	for name, test := range map[string]struct {
		of    binding
		state string
		opens bool
	}{
		"the same call":        {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), state, true},
		"written otherwise":    {bindingOf(call("ann", "t", "{ \"b\" : [1.0],\n\"\\u0061\":9007199254740993}"), up), state, true},
		"another number":       {bindingOf(call("ann", "t", `{"a":9007199254740992,"b":[1.0]}`), up), state, false},
		"another caller":       {bindingOf(call("bob", "t", `{"a":9007199254740993,"b":[1.0]}`), up), state, false},
		"another client":       {bindingOf(with("opencode", call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`)), up), state, false},
		"another tool":         {bindingOf(call("ann", "u", `{"a":9007199254740993,"b":[1.0]}`), up), state, false},
		"another upstream":     {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), other), state, false},
		"one letter different": {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), state[:20] + flip(state[20]) + state[21:], false},
		"cut short":            {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), state[:30], false},
		"another gateway's":    {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), newSealer().seal(bindingOf(call("ann", "t", `{}`), up), upstreamState, "x"), false},
		"the upstream's own":   {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), `x"y`, false},
		"nothing":              {bindingOf(call("ann", "t", `{"a":9007199254740993,"b":[1.0]}`), up), "", false},
	} {
		kind, got, err := s.open(test.of, test.state)
		if opened := err == nil; opened != test.opens || opened && (got != `x"y` || kind != upstreamState) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func flip(b byte) string {
	if b == 'A' {
		return "B"
	}
	return "A"
}

func TestSealedStatesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, of := newSealer(), binding{1}
		state := s.seal(of, parkedState, "id")
		time.Sleep(stateLife - time.Second)
		if _, got, err := s.open(of, state); got != "id" || err != nil {
			t.Errorf("just before: %q, %v", got, err)
		}
		time.Sleep(time.Second)
		if _, _, err := s.open(of, state); err == nil || !strings.Contains(err.Error(), "expired") {
			t.Errorf("when it has expired: %v", err)
		}
	})
}

func FuzzOpenState(f *testing.F) {
	s, of := newSealer(), binding{1}
	f.Add(s.seal(of, parkedState, "id"))
	f.Add(stateVersion)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if kind, state, err := s.open(of, text); err == nil && (kind != parkedState || state != "id") {
			t.Errorf("%q opens as %q", text, state)
		}
	})
}
