package oauth_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLog says once for each token who signed in, and whose tokens are refused.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, newInternet(), entraProvider())
		token := sign(t, accessToken(), nil)
		for range 3 {
			s.admit(token)
			time.Sleep(2 * time.Minute) // it is verified again
		}
		s.admit(sign(t, with(accessToken(), object{"uti": "another"}), nil))
		if n := strings.Count(s.log.String(), "msg=\"signed in\""); n != 2 {
			t.Errorf("%d sign-ins in the log, want 2:\n%s", n, s.log)
		}
		s.refuse(sign(t, with(accessToken(), object{"scp": "other"}), nil), 403, "subject="+tenant+"/"+alice)
		s.refuse(sign(t, appToken(), nil), 401, "subject="+tenant+"/ada00000")
		s.refuse(sign(t, with(accessToken(), object{"aud": "other"}), nil), 401, "not for this gateway")
		if strings.Contains(s.log.String(), "Alice") || strings.Contains(s.log.String(), "alice@") {
			t.Errorf("the log has a name:\n%s", s.log)
		}
	})
}
