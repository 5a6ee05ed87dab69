package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fillerSchema has the ten properties of a typical search tool.
const fillerSchema = `{"type":"object","properties":{` +
	`"text":{"type":"string","description":"Words to look for; quote a phrase, put a minus before what must not occur."},` +
	`"repository":{"type":"string","description":"Repository as owner/name; all readable ones if omitted.","pattern":"^[^/]+/[^/]+$"},` +
	`"author":{"type":"string","description":"Only what this person wrote."},` +
	`"status":{"type":"string","enum":["draft","open","merged","closed"],"description":"Only entries with this status."},` +
	`"tags":{"type":"array","items":{"type":"string"},"maxItems":20,"description":"Only entries that carry every one of these tags."},` +
	`"created_after":{"type":"string","format":"date","description":"Only entries created after this day."},` +
	`"include_archived":{"type":"boolean","default":false,"description":"Whether to look into archived repositories too."},` +
	`"order":{"type":"string","enum":["newest","oldest","relevance"],"default":"relevance","description":"Order of the answer."},` +
	`"limit":{"type":"integer","minimum":1,"maximum":200,"default":50,"description":"Most entries to return."},` +
	`"cursor":{"type":"string","description":"Where to go on, from the previous answer."}` +
	`},"required":["text"]}`

// definitions returns a JSON array of n tools: echo, sleep, blob and fillers.
func definitions(n int) string {
	tools := []string{
		definition(echoTool, "Returns the text it is given.",
			`{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}`),
		definition(sleepTool, "Waits for some milliseconds.",
			`{"type":"object","properties":{"ms":{"type":"integer","minimum":0}},"required":["ms"]}`),
		definition(blobTool, "Returns some KiB of text.",
			`{"type":"object","properties":{"kib":{"type":"integer","minimum":0}},"required":["kib"]}`),
	}
	for i := len(tools); i < n; i++ {
		tools = append(tools, definition(toolName(i),
			fmt.Sprintf("Searches collection %d and returns the entries that match all of the given conditions, most relevant first.", i),
			fillerSchema))
	}
	return "[" + strings.Join(tools, ",") + "]"
}

// toolName is the name of the tool of this number.
func toolName(i int) string {
	if own := []string{echoTool, sleepTool, blobTool}; i < len(own) {
		return own[i]
	}
	return fmt.Sprintf("search_%03d", i)
}

func definition(name, description, schema string) string {
	return fmt.Sprintf(`{"name":%q,"description":%q,"inputSchema":%s}`, name, description, schema)
}

// Bounds on what one call can ask for.
const (
	maxSleep   = time.Minute
	maxBlobKiB = 16 << 10
)

// callTool returns the result of a tools/call.
func (u *upstream) callTool(ctx context.Context, m *message) (string, *refusal) {
	text, err := "", error(nil) // a JSON string
	switch name := m.Params.Name; {
	case name == echoTool:
		text, err = echo(m.Params.Arguments)
	case name == sleepTool:
		text, err = doze(ctx, m.Params.Arguments)
	case name == blobTool:
		text, err = u.blob(m.Params.Arguments)
	case strings.HasPrefix(name, "search_"):
		text = `"no entries"`
	default:
		return "", refuse(http.StatusBadRequest, codeParams, "no tool %q", name)
	}
	if err != nil {
		return "", refuse(http.StatusBadRequest, codeParams, "%s: %v", m.Params.Name, err)
	}
	foot := "}]}"
	if eraOf(m) == modern {
		foot = `}],"resultType":"complete"}`
	}
	return `{"content":[{"type":"text","text":` + text + foot, nil
}

func echo(arguments json.RawMessage) (string, error) {
	var in struct {
		Text *string `json:"text"`
	}
	if err := decodeStrictly(arguments, &in); err != nil {
		return "", err
	}
	if in.Text == nil {
		return "", errors.New("no text")
	}
	quoted, err := json.Marshal(*in.Text)
	return string(quoted), err
}

func doze(ctx context.Context, arguments json.RawMessage) (string, error) {
	var in struct {
		MS int64 `json:"ms"`
	}
	if err := decodeStrictly(arguments, &in); err != nil {
		return "", err
	}
	sleep(ctx, min(time.Duration(in.MS)*time.Millisecond, maxSleep))
	return `"slept ` + strconv.FormatInt(in.MS, 10) + ` ms"`, nil
}

func (u *upstream) blob(arguments json.RawMessage) (string, error) {
	var in struct {
		KiB int `json:"kib"`
	}
	if err := decodeStrictly(arguments, &in); err != nil {
		return "", err
	}
	if in.KiB < 0 || in.KiB > maxBlobKiB {
		return "", fmt.Errorf("kib must be from 0 to %d", maxBlobKiB)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.blobText == "" || u.blobKiB != in.KiB {
		u.blobKiB, u.blobText = in.KiB, `"`+strings.Repeat("x", in.KiB<<10)+`"`
	}
	return u.blobText, nil
}

// decodeStrictly refuses arguments that the tool does not know.
func decodeStrictly(arguments json.RawMessage, in any) error {
	d := json.NewDecoder(bytes.NewReader(arguments))
	d.DisallowUnknownFields()
	return d.Decode(in)
}
