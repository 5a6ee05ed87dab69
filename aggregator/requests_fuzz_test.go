package aggregator

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/mcpagg/mcpagg/upstream"
	"github.com/mcpagg/mcpagg/upstream/rawjson"
)

// Whatever an upstream asks for, what reaches a client is an elicitation that
// says who asks, or roots; also for a client that ignores the case of names.
func FuzzInputRequests(f *testing.F) {
	f.Add([]byte(`{"a":{"method":"elicitation/create","params":{"message":"Who?"}},"b":{"method":"roots/list"}}`))
	f.Add([]byte(`{"a":{"method":"roots/list","Method":"sampling/createMessage","PARAMS":{"message":"x"}}}`))
	f.Add([]byte(`{"a":{"m\u0065thod":"elicitation/create","params":{"mess\u0061ge":"Who?","Message":"I"}}}`))
	f.Add([]byte(`{"a":{"method":"elicitation/create"}}`))
	f.Add([]byte(`[]`))
	m := &member{Upstream: Upstream{Options: upstream.Options{Name: "up"}}}
	r := Request{Era: upstream.ModernEra, ClientCapabilities: json.RawMessage(`{"elicitation":{"form":{},"url":{}},"roots":{},"sampling":{}}`)}
	f.Fuzz(func(t *testing.T, raw []byte) {
		result := rawjson.Object{}
		result.Set("inputRequests", raw)
		if m.publishInputRequests(r, &result) != nil {
			return
		}
		var requests map[string]struct { // this decoder ignores case
			Method string
			Params struct{ Message string }
		}
		if err := json.Unmarshal(result.Get("inputRequests"), &requests); err != nil {
			return // no client can read it
		}
		for name, request := range requests {
			switch request.Method {
			case "roots/list":
			case "elicitation/create":
				if !strings.HasPrefix(request.Params.Message, "[up] ") {
					t.Errorf("%s asks %q", name, request.Params.Message)
				}
			default:
				t.Errorf("%s asks for %q", name, request.Method)
			}
		}
	})
}
