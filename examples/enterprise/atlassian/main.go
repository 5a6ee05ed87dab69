// Command atlassian is a small stand-in for an MCP server of Jira and Confluence:
// it speaks MCP over HTTP at :8080/mcp, wants the variables that such servers
// want, and keeps issues and pages in memory.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	for _, name := range []string{"JIRA_URL", "JIRA_USERNAME", "JIRA_API_TOKEN", "CONFLUENCE_URL", "CONFLUENCE_API_TOKEN"} {
		if os.Getenv(name) == "" {
			log.Fatalf("%s is not set", name)
		}
	}
	server := newServer(os.Getenv("JIRA_USERNAME"))
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)
	mux := http.NewServeMux()
	mux.Handle("/mcp", handler)
	h := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { h.Close() })
	if err := h.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

type issue struct {
	Key      string   `json:"key"`
	Summary  string   `json:"summary"`
	Reporter string   `json:"reporter"`
	Comments []string `json:"comments"`
}

type page struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Body  string `json:"body"`
}

// A site is what would be at contoso.atlassian.net.
type site struct {
	user string // in whose name issues are made

	mu     sync.Mutex
	issues []*issue
	pages  []*page
}

func newServer(user string) *mcp.Server {
	a := &site{
		user:   user,
		issues: []*issue{{"SHOP-1", "Plan the summer sale", "ada@contoso.com", []string{}}},
		pages:  []*page{{"1", "How we release", "Every Tuesday, by whoever is on duty."}},
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "atlassian-example", Version: "1.0.0"}, nil)
	reads := &mcp.ToolAnnotations{ReadOnlyHint: true}
	mcp.AddTool(s, &mcp.Tool{Name: "jira_search", Description: "Find issues by words in their summaries.", Annotations: reads}, a.searchIssues)
	mcp.AddTool(s, &mcp.Tool{Name: "jira_create_issue", Description: "Create an issue in a project."}, a.createIssue)
	mcp.AddTool(s, &mcp.Tool{Name: "jira_add_comment", Description: "Comment on an issue."}, a.comment)
	mcp.AddTool(s, &mcp.Tool{Name: "jira_delete_issue", Description: "Delete an issue."}, a.deleteIssue)
	mcp.AddTool(s, &mcp.Tool{Name: "confluence_search", Description: "Find pages by words in them.", Annotations: reads}, a.searchPages)
	mcp.AddTool(s, &mcp.Tool{Name: "confluence_create_page", Description: "Write a page."}, a.createPage)
	mcp.AddTool(s, &mcp.Tool{Name: "confluence_delete_page", Description: "Delete a page."}, a.deletePage)
	return s
}

type searchInput struct {
	Query string `json:"query"`
}

func (in searchInput) matches(text string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(in.Query))
}

type issuesOutput struct {
	Issues []issue `json:"issues"`
}

func (a *site) searchIssues(_ context.Context, _ *mcp.CallToolRequest, in searchInput) (*mcp.CallToolResult, issuesOutput, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := issuesOutput{Issues: []issue{}}
	for _, i := range a.issues {
		if in.matches(i.Summary) {
			out.Issues = append(out.Issues, *i)
		}
	}
	return nil, out, nil
}

type createIssueInput struct {
	Project string `json:"project_key"`
	Summary string `json:"summary"`
}

func (a *site) createIssue(_ context.Context, _ *mcp.CallToolRequest, in createIssueInput) (*mcp.CallToolResult, issue, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := &issue{fmt.Sprintf("%s-%d", in.Project, len(a.issues)+1), in.Summary, a.user, []string{}}
	a.issues = append(a.issues, i)
	return nil, *i, nil
}

type commentInput struct {
	Key     string `json:"issue_key"`
	Comment string `json:"comment"`
}

func (a *site) comment(_ context.Context, _ *mcp.CallToolRequest, in commentInput) (*mcp.CallToolResult, issue, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.issues {
		if i.Key == in.Key {
			i.Comments = append(i.Comments, in.Comment)
			return nil, *i, nil
		}
	}
	return nil, issue{}, fmt.Errorf("there is no issue %s", in.Key)
}

type issueInput struct {
	Key string `json:"issue_key"`
}

type deleted struct {
	Deleted string `json:"deleted"`
}

func (a *site) deleteIssue(_ context.Context, _ *mcp.CallToolRequest, in issueInput) (*mcp.CallToolResult, deleted, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, i := range a.issues {
		if i.Key == in.Key {
			a.issues = append(a.issues[:n:n], a.issues[n+1:]...)
			return nil, deleted{in.Key}, nil
		}
	}
	return nil, deleted{}, fmt.Errorf("there is no issue %s", in.Key)
}

type pagesOutput struct {
	Pages []page `json:"pages"`
}

func (a *site) searchPages(_ context.Context, _ *mcp.CallToolRequest, in searchInput) (*mcp.CallToolResult, pagesOutput, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := pagesOutput{Pages: []page{}}
	for _, p := range a.pages {
		if in.matches(p.Title + " " + p.Body) {
			out.Pages = append(out.Pages, *p)
		}
	}
	return nil, out, nil
}

type createPageInput struct {
	Title string `json:"title"`
	Body  string `json:"content"`
}

func (a *site) createPage(_ context.Context, _ *mcp.CallToolRequest, in createPageInput) (*mcp.CallToolResult, page, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &page{fmt.Sprint(len(a.pages) + 1), in.Title, in.Body}
	a.pages = append(a.pages, p)
	return nil, *p, nil
}

type pageInput struct {
	ID string `json:"page_id"`
}

func (a *site) deletePage(_ context.Context, _ *mcp.CallToolRequest, in pageInput) (*mcp.CallToolResult, deleted, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n, p := range a.pages {
		if p.ID == in.ID {
			a.pages = append(a.pages[:n:n], a.pages[n+1:]...)
			return nil, deleted{in.ID}, nil
		}
	}
	return nil, deleted{}, fmt.Errorf("there is no page %s", in.ID)
}
