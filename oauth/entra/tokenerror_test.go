package entra_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mcpagg/mcpagg/oauth/entra"
)

const (
	traceID       = "0b7a2f1c-1111-4222-8333-444455556666"
	correlationID = "6c1f6c8e-1111-4222-8333-444455556666"
)

// body is an error as Entra writes it.
func body(oauth, text string, code int, more string) []byte {
	description, err := json.Marshal(fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: 2026-11-27 18:00:00Z", code, text, traceID, correlationID))
	if err != nil {
		panic(err)
	}
	return fmt.Appendf(nil, `{"error":%q,"error_description":%s,"error_codes":[%d],"timestamp":"2026-11-27 18:00:00Z","trace_id":%q,"correlation_id":%q%s}`,
		oauth, description, code, traceID, correlationID, more)
}

func TestTokenErrorIsReadWhole(t *testing.T) {
	e, ok := entra.ParseTokenError(400, body("interaction_required", "Due to a configuration change you must use multi-factor authentication.", 50076, `,"suberror":"basic_action","claims":"{\"access_token\":{}}"`))
	if !ok {
		t.Fatal("it is not read")
	}
	if e.OAuth != "interaction_required" || e.Suberror != "basic_action" || !slices.Equal(e.Numbers, []int{50076}) || e.Claims == "" || e.TraceID != traceID || e.CorrelationID != correlationID {
		t.Errorf("it is %+v", e)
	}
	if c, ok := e.Code(); !ok || c.Number != 50076 {
		t.Errorf("its code is %+v, %v", c, ok)
	}
	want := "the identity provider answered interaction_required/basic_action, AADSTS50076 (trace id " + traceID + ", correlation id " + correlationID + ")"
	if e.Error() != want {
		t.Errorf("error %q, want %q", e, want)
	}
	want = "AADSTS50076: Due to a configuration change you must use multi-factor authentication. (trace id " + traceID + ", correlation id " + correlationID + ")"
	if got := e.Description(); got != want {
		t.Errorf("description %q, want %q", got, want)
	}
}

func TestCodesComeFromTheDescriptionIfNeedBe(t *testing.T) {
	e, ok := entra.ParseTokenError(400, []byte(`{"error":"invalid_grant","error_description":"AADSTS700082: expired"}`))
	if !ok || !slices.Equal(e.Numbers, []int{700082}) {
		t.Errorf("it is %+v, %v", e, ok)
	}
	if got := e.Description(); got != "AADSTS700082: expired" {
		t.Errorf("description %q", got)
	}
}

func TestDescriptionNamesNobody(t *testing.T) {
	for _, text := range []string{
		"User account 'ada@contoso.com' from identity provider 'live.com' does not exist",
		"User account {ada@contoso.com} does not exist",
		"upn=ada_contoso.com#EXT#@fabrikam.onmicrosoft.com is a guest",
		"ada@contoso.com,grace@contoso.com",
		"\"ada@contoso.com\"\r\nada@contoso.com",
	} {
		e, ok := entra.ParseTokenError(400, body("invalid_grant", text, 50020, ""))
		if !ok {
			t.Fatalf("%q is not read", text)
		}
		for _, out := range []string{e.Description(), e.Error()} {
			if strings.Contains(out, "@") || strings.Contains(out, "ada") || strings.ContainsAny(out, "\r\n") {
				t.Errorf("%q is told as %q", text, out)
			}
		}
	}
}

func TestKindsOfTokenErrors(t *testing.T) {
	for _, tt := range []struct {
		status                 int
		oauth                  string
		temporary, needsPerson bool
	}{
		{400, "invalid_grant", false, true},
		{400, "interaction_required", false, true},
		{401, "invalid_client", false, false},
		{400, "temporarily_unavailable", true, false},
		{429, "invalid_request", true, false},
		{503, "invalid_grant", true, true},
	} {
		e, ok := entra.ParseTokenError(tt.status, body(tt.oauth, "x", 50033, ""))
		if !ok || e.Temporary() != tt.temporary || e.NeedsPerson() != tt.needsPerson {
			t.Errorf("%d %s: temporary %v, needs the person %v", tt.status, tt.oauth, e.Temporary(), e.NeedsPerson())
		}
	}
}

func TestWhatIsNoTokenError(t *testing.T) {
	for _, body := range []string{"", "<html>Service unavailable</html>", "null", "[]", `{"error":{"code":"x"}}`, `{"error":""}`, `{"error":"Something went wrong"}`, `{"message":"x"}`, `{"error":"` + strings.Repeat("a", 65) + `"}`} {
		if e, ok := entra.ParseTokenError(503, []byte(body)); ok {
			t.Errorf("%q is read as %+v", body, e)
		}
	}
}

func FuzzParseTokenError(f *testing.F) {
	f.Add(body("invalid_grant", "User account 'ada@contoso.com' does not exist", 50020, `,"suberror":"bad_token","claims":"{}"`))
	f.Add([]byte(`{"error":"invalid_grant","error_description":"Trace ID: @"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, ok := entra.ParseTokenError(400, body)
		if !ok {
			return
		}
		for _, text := range []string{e.Error(), e.Description()} {
			if strings.ContainsAny(text, "@\r\n") || len(text) > 1000 || !utf8.ValidString(text) {
				t.Fatalf("%q is told as %q", body, text)
			}
		}
	})
}
