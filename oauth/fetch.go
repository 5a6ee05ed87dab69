package oauth

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	// fetchTimeout bounds one answer of a provider, and maxDocument its size in
	// bytes: those of the largest providers have about 20 KiB.
	fetchTimeout = 10 * time.Second
	maxDocument  = 256 << 10
)

// newHTTPClient fetches metadata and keys. It follows no redirect, since that
// would let one provider's server speak for another.
func newHTTPClient() *http.Client {
	return &http.Client{
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// fetchJSON reads one document of a provider into v, which names its members.
// Members that stand twice are refused. It returns the document as it came.
func fetchJSON(ctx context.Context, client *http.Client, url string, v any) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err // names the URL
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "text/html" {
		return nil, fmt.Errorf("%s answers a web page instead of JSON; is the URL right, and is no proxy in between?", url)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", url, err)
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("%s answers more than %d KiB", url, maxDocument>>10)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return nil, fmt.Errorf("%s does not answer the JSON that it should: it is %w", url, badJSON(err))
	}
	return body, nil
}
