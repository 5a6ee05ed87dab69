package authserver

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"time"
)

// ReadBody reads a whole body of a type and size.
func ReadBody(w http.ResponseWriter, r *http.Request, wantType, oauth string, most int64) ([]byte, *Problem) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != wantType {
		return nil, &Problem{Status: http.StatusUnsupportedMediaType, OAuth: oauth, Text: "The body must be " + wantType + "."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &Problem{Status: http.StatusRequestEntityTooLarge, OAuth: oauth, Text: "The body is too large."}
	case err != nil:
		return nil, &Problem{Status: http.StatusBadRequest, OAuth: oauth, Text: "The body did not arrive within 10 seconds."}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // an answer may take longer
	return body, nil
}
