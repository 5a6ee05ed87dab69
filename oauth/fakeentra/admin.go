package fakeentra

import "net/http"

// AdminHandler serves the admin API: at /journal, all requests.
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /journal", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, http.StatusOK, s.Journal()) })
	return mux
}
