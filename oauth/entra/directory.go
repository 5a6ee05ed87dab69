package entra

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mcpagg/mcpagg/oauth/client"
)

const (
	// Of one list, maxPages and maxListed bound the pages and the objects, and
	// maxPage the size of a page in bytes.
	maxPages  = 100
	maxListed = 50_000
	maxPage   = 4 << 20
	// pageTimeout bounds one request for a page and its answer.
	pageTimeout = 10 * time.Second
	// maxNext bounds the address of the next page, in bytes.
	maxNext = 8 << 10
)

// A directory is a tenant as Microsoft Graph shows it. It is safe for concurrent
// use.
type directory struct {
	// Set by the maker, never changed.
	tenant   string
	clientID string
	base     string // with the version, without a slash at its end
	tokens   *tokenSource
	http     *http.Client
	slots    chan struct{} // holds a token for each request under way

	mu   sync.Mutex
	busy *busyError // what Graph said last when it had too much to do; guarded by mu
}

// A busyError means that Graph must not be asked until then.
type busyError struct {
	text  string
	until time.Time
}

func (e *busyError) Error() string { return e.text }

// An object is one of a directory.
type object struct {
	Type string `json:"@odata.type"`
	ID   string `json:"id"`
	Name string `json:"displayName"`
}

// A page is a part of a list.
type page struct {
	Objects *[]object `json:"value"`
	Next    string    `json:"@odata.nextLink"`
}

// list asks for groups, all pages of them.
func (d *directory) list(ctx context.Context, query string) ([]object, error) {
	var all []object
	seen := map[string]bool{}
	for next := d.base + query; next != ""; {
		seen[next] = true
		p, err := d.page(ctx, next)
		if err != nil {
			return nil, err
		}
		some, err := p.groups()
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(all) > maxListed {
			return nil, fmt.Errorf("there are more than %d groups at Microsoft Graph", maxListed)
		}
		if next = p.Next; next != "" {
			if err := d.checkNext(next, seen); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// groups are those on a page, with their ids in lower case.
func (p *page) groups() ([]object, error) {
	var groups []object
	for _, o := range *p.Objects {
		if o.Type != "" && o.Type != "#microsoft.graph.group" {
			continue
		}
		if !IsTenantID(o.ID) {
			return nil, fmt.Errorf("among the groups of Microsoft Graph is the id %.60q, which is none", o.ID)
		}
		o.ID = strings.ToLower(o.ID)
		groups = append(groups, o)
	}
	return groups, nil
}

// checkNext makes sure that there is an end, and that the gateway's token goes to
// nobody else.
func (d *directory) checkNext(next string, seen map[string]bool) error {
	switch {
	case len(seen) >= maxPages:
		return fmt.Errorf("there are more than %d pages of groups at Microsoft Graph", maxPages)
	case seen[next]:
		return errors.New("the pages of Microsoft Graph go round in circles")
	case !d.isOwn(next):
		return errors.New("the next page of groups is not at Microsoft Graph, so it is not asked for")
	}
	return nil
}

// isOwn reports whether an address is one of this Graph and its version, so that
// the gateway's token may be sent there.
func (d *directory) isOwn(address string) bool {
	if len(address) > maxNext {
		return false
	}
	base, errBase := url.Parse(d.base)
	u, err := url.Parse(address)
	return errBase == nil && err == nil && u.User == nil && u.Opaque == "" && u.Fragment == "" &&
		u.Scheme == base.Scheme && strings.EqualFold(u.Host, base.Host) &&
		strings.HasPrefix(u.Path, base.Path+"/") && path.Clean(u.Path) == u.Path
}

// page asks for one page. A token that Graph does not take is replaced once.
func (d *directory) page(ctx context.Context, address string) (*page, error) {
	token, err := d.tokens.get(ctx)
	if err != nil {
		return nil, err
	}
	a, err := d.get(ctx, address, token)
	if err == nil && (a.Status == http.StatusUnauthorized || a.Status == http.StatusForbidden) {
		stale := token
		if token, err = d.tokens.replace(ctx, stale); err == nil && token != stale {
			a, err = d.get(ctx, address, token)
		}
	}
	if err != nil {
		return nil, err
	}
	if a.Status != http.StatusOK {
		return nil, d.problem(a)
	}
	p := &page{}
	if err = a.Decode(p); err == nil && p.Objects == nil {
		err = errors.New("the answer has no list")
	}
	if err != nil {
		return nil, fmt.Errorf("asking Microsoft Graph: %w", err)
	}
	return p, nil
}

// get sends one request when it is its turn, unless Graph is known to be busy.
func (d *directory) get(ctx context.Context, address, token string) (*client.Answer, error) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	case <-ctx.Done():
		return nil, errors.New("there is too much to ask Microsoft Graph at once")
	}
	if busy := d.isBusy(); busy != nil {
		return nil, busy
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	a, err := client.Do(d.http, req, pageTimeout, maxPage)
	if err != nil {
		return nil, fmt.Errorf("asking Microsoft Graph at %s: %w", req.URL.Host, err)
	}
	return a, nil
}

func (d *directory) isBusy() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.busy != nil && time.Now().Before(d.busy.until) {
		return d.busy
	}
	return nil
}

// A graphError is an answer of Graph that is no success.
type graphError struct {
	status int
	text   string
}

func (e *graphError) Error() string { return e.text }

// isUnknown reports whether Graph does not know what it was asked about.
func isUnknown(err error) bool {
	var e *graphError
	return errors.As(err, &e) && e.status == http.StatusNotFound
}

// problem is what an answer means and what to do about it.
func (d *directory) problem(a *client.Answer) error {
	said := fmt.Sprintf("Microsoft Graph answered HTTP %d%s", a.Status, details(a))
	switch {
	case a.Status == http.StatusTooManyRequests, a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "":
		wait := a.RetryAfter(busyPause)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.busy = &busyError{said + ", it is busy and asked again in " + wait.Round(time.Second).String(), time.Now().Add(wait)}
		return d.busy
	case a.IsRedirect():
		said += ", a redirect, which is not followed"
	case a.Status == http.StatusUnauthorized:
		said += fmt.Sprintf(": it does not take the gateway's own token for the tenant %s; check cloud and the clock of this machine", d.tenant)
	case a.Status == http.StatusForbidden:
		said += fmt.Sprintf(": give the app %s the application permission GroupMember.Read.All of Microsoft Graph in the tenant %s, and grant admin consent", d.clientID, d.tenant)
	}
	return &graphError{a.Status, said}
}

// details are what an answer of Graph has for Microsoft's support: its error code
// and the id of the request. The message is left out, since it may be about a
// person.
func details(a *client.Answer) string {
	var found struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(a.Body, &found) // what is no error of Graph has no code
	details := ""
	if code := found.Error.Code; code != "" && isErrorCode(strings.ToLower(code)) {
		details = ", " + code
	}
	if id := idOrNone(a.Header.Get("request-id")); id != "" {
		details += " (request id " + id + ")"
	}
	return details
}
