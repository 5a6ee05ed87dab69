//go:build e2e

package e2e

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testFeatures compares what server-everything has beside tools.
func testFeatures(t *testing.T, label string, direct, door client) {
	testItems(t, label, direct, door, "resources/list", "resources")
	testItems(t, label, direct, door, "resources/templates/list", "resourceTemplates")
	testItems(t, label, direct, door, "prompts/list", "prompts")

	const document = "demo://resource/static/document/features.md"
	same := func(method string, original, published object) {
		t.Helper()
		want := publishURIs(label, outcome(direct.call(t.Context(), method, original)))
		got := outcome(door.call(t.Context(), method, published))
		if got != want || !strings.Contains(got, "{") {
			t.Errorf("%s: the result is not that of the server%s", method, difference([]byte(got), []byte(want)))
		}
	}
	same("resources/read", object{"uri": document}, object{"uri": label + "+" + document})

	trip := object{"city": "Paris", "state": "Texas"}
	same("prompts/get",
		object{"name": "args-prompt", "arguments": trip},
		object{"name": label + "_args-prompt", "arguments": trip})

	letter := object{"name": "department", "value": "E"}
	same("completion/complete",
		object{"ref": object{"type": "ref/prompt", "name": "completable-prompt"}, "argument": letter},
		object{"ref": object{"type": "ref/prompt", "name": label + "_completable-prompt"}, "argument": letter})

	number := object{"name": "resourceId", "value": "1"}
	const template = "demo://resource/dynamic/text/{resourceId}"
	same("completion/complete",
		object{"ref": object{"type": "ref/resource", "uri": template}, "argument": number},
		object{"ref": object{"type": "ref/resource", "uri": label + "+" + template}, "argument": number})

	links := object{"count": 3}
	same("tools/call",
		object{"name": "get-resource-links", "arguments": links},
		object{"name": label + "_get-resource-links", "arguments": links})
}

// testItems expects every item of a list in the gateway's, which has those of
// other upstreams as well.
func testItems(t *testing.T, label string, direct, door client, method, member string) {
	t.Helper()
	want, got := items(t, direct, method, member), items(t, door, method, member)
	if len(want) == 0 {
		t.Errorf("%s: the server has none", method)
	}
	for _, item := range want {
		item = publishURIs(label, item)
		if member == "prompts" {
			item = strings.Replace(item, `"name":"`, `"name":"`+label+"_", 1)
		}
		if !slices.Contains(got, item) {
			t.Errorf("%s: nothing is like %s\ngot %s", method, item, strings.Join(got, "\n"))
		}
	}
}

func items(t *testing.T, c client, method, member string) (list []string) {
	t.Helper()
	result, err := c.call(t.Context(), method, object{})
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	var page map[string]json.RawMessage
	var raws []json.RawMessage
	if err := json.Unmarshal(result, &page); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(page[member], &raws); err != nil {
		t.Fatalf("%s: %v in %s", method, err, result)
	}
	for _, raw := range raws {
		list = append(list, string(raw))
	}
	return list
}

// demoURI matches the URIs of server-everything where the gateway changes them.
var demoURI = regexp.MustCompile(`("uri(?:Template)?":")(demo:)`)

func publishURIs(label, text string) string {
	return demoURI.ReplaceAllString(text, "${1}"+label+"+$2")
}

// testEnvironment makes sure that a process gets nothing of the gateway's
// environment but what every program needs.
func testEnvironment(t *testing.T, door client) {
	result, err := callTool(t.Context(), door, "everything_get-env", object{})
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Content []struct{ Text string } }
	env := map[string]string{}
	if err := json.Unmarshal(result, &r); err != nil || len(r.Content) != 1 {
		t.Fatalf("%v in %s", err, result)
	}
	if err := json.Unmarshal([]byte(r.Content[0].Text), &env); err != nil {
		t.Fatalf("%v in %s", err, result)
	}
	for name, value := range env {
		if !slices.Contains([]string{"PATH", "HOME", "LANG"}, name) {
			t.Errorf("an upstream sees %s=%s", name, value)
		}
	}
	if env["PATH"] == "" || env["HOME"] == "" {
		t.Errorf("an upstream lacks PATH or HOME: %v", env)
	}
}
