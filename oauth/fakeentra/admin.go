package fakeentra

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// adminHelp is what GET / answers.
const adminHelp = `Admin API of the stand-in for Microsoft Entra ID. Bodies are JSON.

GET /switches                     all switches
PATCH /switches                   change some: {"access_token_lifetime":"30s","emit_iss":true}
GET, POST, DELETE /faults         what goes wrong: {"endpoint":"token","times":1,"status":429,"retry_after":"5"}
GET, POST /users, /groups, /apps  the directory; POST adds or replaces
PATCH /users/NAME                 change a person: {"disabled":true}
POST /users/NAME/groups           {"count":300}: be in that many groups
POST /users/NAME/revoke           end all sessions
PUT, DELETE /consents             {"user":"","client":"…","resource":"…","scopes":["mcp.access"]}; user "" is everybody
GET /keys                         the keys
POST /keys                        {"do":"publish|hidden|rotate"} or {"do":"use|remove|issuer","kid":"…","issuer":"…"}
POST /token                       make any token: {"user":"alice@contoso.example","resource":"…","scopes":["mcp.access"]}
GET, DELETE /journal              all requests, with the secrets in them; ?endpoint=token
`

// AdminHandler serves the admin API, which changes everything that the Go API
// does, except for certificates and federated credentials. GET / lists it. It is
// for programs of this machine: browsers, and names that lead here, are refused.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, adminHelp)
	})
	handle(mux, "GET /switches", func(*http.Request, *struct{}) (any, error) { return s.Switches(), nil })
	mux.HandleFunc("PATCH /switches", s.patchSwitches)
	s.adminDirectory(mux)
	s.adminKeys(mux)
	handle(mux, "GET /faults", func(*http.Request, *struct{}) (any, error) { return s.Faults(), nil })
	handle(mux, "POST /faults", func(_ *http.Request, f *Fault) (any, error) { s.Fail(*f); return s.Faults(), nil })
	handle(mux, "DELETE /faults", func(*http.Request, *struct{}) (any, error) { s.ClearFaults(); return s.Faults(), nil })
	handle(mux, "GET /journal", func(r *http.Request, _ *struct{}) (any, error) {
		if endpoint := r.URL.Query().Get("endpoint"); endpoint != "" {
			return s.Requests(endpoint), nil
		}
		return s.Journal(), nil
	})
	handle(mux, "DELETE /journal", func(*http.Request, *struct{}) (any, error) { s.ClearJournal(); return s.Journal(), nil })
	handle(mux, "POST /token", func(_ *http.Request, req *TokenRequest) (any, error) {
		token, err := s.Token(*req)
		return map[string]string{"token": token}, err
	})
	return onlyPrograms(mux)
}

// onlyPrograms refuses what a web page in a browser of this machine could send.
func onlyPrograms(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) || r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			http.Error(w, "The admin API is for programs of this machine.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		next.ServeHTTP(w, r)
	})
}

// handle serves JSON: the body, if there is one, goes into a T.
func handle[T any](mux *http.ServeMux, pattern string, do func(*http.Request, *T) (any, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		in := new(T)
		if err := readJSON(r, in); err != nil {
			adminError(w, err)
			return
		}
		out, err := do(r, in)
		if err != nil {
			adminError(w, err)
			return
		}
		writeJSON(w, out)
	})
}

// durations are written like "90s".
var durations = json.JoinOptions(
	json.WithMarshalers(json.MarshalToFunc(func(e *jsontext.Encoder, d time.Duration) error {
		return e.WriteToken(jsontext.String(d.String()))
	})),
	json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, into *time.Duration) error {
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		if token.Kind() != '"' {
			return errors.New(`a duration is a string such as "90s"`)
		}
		*into, err = time.ParseDuration(token.String())
		return err
	})),
)

func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	if len(body) == 0 {
		return nil
	}
	return json.Unmarshal(body, into, json.RejectUnknownMembers(true), durations)
}

func writeJSON(w http.ResponseWriter, out any) {
	body, err := json.Marshal(out, json.Deterministic(true), durations)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(append(body, '\n')) // the peer is gone if it fails
}

func adminError(w http.ResponseWriter, err error) { http.Error(w, err.Error(), http.StatusBadRequest) }

// patchSwitches changes the switches that the body names.
func (s *Server) patchSwitches(w http.ResponseWriter, r *http.Request) {
	changed := s.Switches()
	if err := readJSON(r, &changed); err != nil {
		adminError(w, err)
		return
	}
	s.Switch(func(sw *Switches) { *sw = changed })
	writeJSON(w, changed)
}

// adminDirectory serves people, groups, apps and consents.
func (s *Server) adminDirectory(mux *http.ServeMux) {
	handle(mux, "GET /users", func(*http.Request, *struct{}) (any, error) { return s.Users(), nil })
	handle(mux, "POST /users", func(_ *http.Request, u *User) (any, error) { return s.AddUser(*u), nil })
	mux.HandleFunc("PATCH /users/{user}", s.patchUser)
	handle(mux, "POST /users/{user}/groups", func(r *http.Request, in *struct {
		Count int `json:"count"`
	},
	) (any, error) {
		return s.SetGroupCount(r.PathValue("user"), in.Count)
	})
	handle(mux, "POST /users/{user}/revoke", func(r *http.Request, _ *struct{}) (any, error) {
		if !s.Revoke(r.PathValue("user")) {
			return nil, noPerson(r.PathValue("user"))
		}
		return struct{}{}, nil
	})
	handle(mux, "GET /groups", func(*http.Request, *struct{}) (any, error) { return s.Groups(), nil })
	handle(mux, "POST /groups", func(_ *http.Request, g *Group) (any, error) { return s.AddGroup(*g), nil })
	handle(mux, "GET /apps", func(*http.Request, *struct{}) (any, error) { return s.Apps(), nil })
	handle(mux, "POST /apps", func(_ *http.Request, a *App) (any, error) { return s.AddApp(*a), nil })
	type consents struct {
		User     string   `json:"user"`
		Client   string   `json:"client"`
		Resource string   `json:"resource"`
		Scopes   []string `json:"scopes"`
	}
	handle(mux, "PUT /consents", func(_ *http.Request, c *consents) (any, error) {
		s.Consent(c.User, c.Client, c.Resource, c.Scopes...)
		return struct{}{}, nil
	})
	handle(mux, "DELETE /consents", func(_ *http.Request, c *consents) (any, error) {
		s.Withdraw(c.User, c.Client, c.Resource, c.Scopes...)
		return struct{}{}, nil
	})
}

// patchUser changes what the body names about a person.
func (s *Server) patchUser(w http.ResponseWriter, r *http.Request) {
	changed, ok := s.User(r.PathValue("user"))
	err := noPerson(r.PathValue("user"))
	if ok {
		err = readJSON(r, &changed)
	}
	if err != nil {
		adminError(w, err)
		return
	}
	s.ChangeUser(changed.ID, func(u *User) { *u = changed })
	writeJSON(w, changed)
}

func noPerson(name string) error { return fmt.Errorf("there is no person %q", clip(name)) }

// adminKeys serves the keys.
func (s *Server) adminKeys(mux *http.ServeMux) {
	handle(mux, "GET /keys", func(*http.Request, *struct{}) (any, error) { return s.keys.List(), nil })
	handle(mux, "POST /keys", func(_ *http.Request, in *struct {
		Do     string `json:"do"`
		Kid    string `json:"kid"`
		Issuer string `json:"issuer"`
	},
	) (any, error) {
		kid, err := s.changeKeys(in.Do, in.Kid, in.Issuer)
		return map[string]any{"kid": kid, "keys": s.keys.List()}, err
	})
}

func (s *Server) changeKeys(do, kid, issuer string) (string, error) {
	known := true
	switch do {
	case "publish":
		return s.keys.Publish()
	case "hidden":
		return s.keys.Hidden()
	case "rotate":
		return s.keys.Rotate()
	case "use":
		known = s.keys.Use(kid)
	case "remove":
		known = s.keys.Remove(kid)
	case "issuer":
		known = s.keys.SetIssuer(kid, issuer)
	default:
		return "", fmt.Errorf("%q is nothing to do with keys; publish, hidden, rotate, use, remove and issuer are", clip(do))
	}
	if !known {
		return "", fmt.Errorf("there is no key %q", clip(kid))
	}
	return kid, nil
}
