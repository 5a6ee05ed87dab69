// Command github is a small stand-in for GitHub's MCP server: it speaks MCP over
// standard input and output, wants a token as the real one does, and keeps
// repositories, issues and pull requests in memory.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func main() {
	if os.Getenv("GITHUB_PERSONAL_ACCESS_TOKEN") == "" {
		log.Fatal("GITHUB_PERSONAL_ACCESS_TOKEN is not set")
	}
	if err := newServer().Run(context.Background(), &mcp.StdioTransport{}); err != nil {
		log.Fatal(err)
	}
}

type repository struct {
	Name        string `json:"full_name"`
	Description string `json:"description"`
}

type issue struct {
	Number   int      `json:"number"`
	Title    string   `json:"title"`
	State    string   `json:"state"`
	Comments []string `json:"comments"`
}

// A hub is what would be at api.github.com.
type hub struct {
	mu           sync.Mutex
	repositories []repository
	issues       map[string][]*issue // by repository, as are pull requests
	pulls        map[string][]*issue
}

func newServer() *mcp.Server {
	h := &hub{
		repositories: []repository{{"contoso/shop", "The web shop"}, {"contoso/site", "The public site"}},
		issues:       map[string][]*issue{"contoso/shop": {{1, "The cart forgets its items", "open", []string{}}}},
		pulls:        map[string][]*issue{"contoso/shop": {{2, "Remember the cart", "open", []string{}}}},
	}
	s := mcp.NewServer(&mcp.Implementation{Name: "github-example", Version: "1.0.0"}, nil)
	reads := &mcp.ToolAnnotations{ReadOnlyHint: true}
	mcp.AddTool(s, &mcp.Tool{Name: "search_repositories", Description: "Find repositories by words in their names and descriptions.", Annotations: reads}, h.search)
	mcp.AddTool(s, &mcp.Tool{Name: "list_issues", Description: "List the issues of a repository.", Annotations: reads}, h.listIssues)
	mcp.AddTool(s, &mcp.Tool{Name: "create_issue", Description: "Open an issue in a repository."}, h.createIssue)
	mcp.AddTool(s, &mcp.Tool{Name: "add_issue_comment", Description: "Comment on an issue."}, h.comment)
	mcp.AddTool(s, &mcp.Tool{Name: "list_pull_requests", Description: "List the pull requests of a repository.", Annotations: reads}, h.listPulls)
	mcp.AddTool(s, &mcp.Tool{Name: "merge_pull_request", Description: "Merge a pull request."}, h.merge)
	mcp.AddTool(s, &mcp.Tool{Name: "delete_repository", Description: "Delete a repository and all that is in it."}, h.deleteRepository)
	return s
}

type searchInput struct {
	Query string `json:"query"`
}

type searchOutput struct {
	Items []repository `json:"items"`
}

func (h *hub) search(_ context.Context, _ *mcp.CallToolRequest, in searchInput) (*mcp.CallToolResult, searchOutput, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := searchOutput{Items: []repository{}}
	for _, r := range h.repositories {
		if strings.Contains(strings.ToLower(r.Name+" "+r.Description), strings.ToLower(in.Query)) {
			out.Items = append(out.Items, r)
		}
	}
	return nil, out, nil
}

type repositoryInput struct {
	Owner string `json:"owner"`
	Repo  string `json:"repo"`
}

func (in repositoryInput) name() string { return in.Owner + "/" + in.Repo }

type issuesOutput struct {
	Items []issue `json:"items"`
}

func (h *hub) listIssues(_ context.Context, _ *mcp.CallToolRequest, in repositoryInput) (*mcp.CallToolResult, issuesOutput, error) {
	return h.list(h.issues, in)
}

func (h *hub) listPulls(_ context.Context, _ *mcp.CallToolRequest, in repositoryInput) (*mcp.CallToolResult, issuesOutput, error) {
	return h.list(h.pulls, in)
}

func (h *hub) list(of map[string][]*issue, in repositoryInput) (*mcp.CallToolResult, issuesOutput, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := issuesOutput{Items: []issue{}}
	for _, i := range of[in.name()] {
		out.Items = append(out.Items, *i)
	}
	return nil, out, nil
}

type createInput struct {
	repositoryInput
	Title string `json:"title"`
}

func (h *hub) createIssue(_ context.Context, _ *mcp.CallToolRequest, in createInput) (*mcp.CallToolResult, issue, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := in.name()
	i := &issue{Number: len(h.issues[name]) + len(h.pulls[name]) + 1, Title: in.Title, State: "open", Comments: []string{}}
	h.issues[name] = append(h.issues[name], i)
	return nil, *i, nil
}

type commentInput struct {
	repositoryInput
	Number int    `json:"issue_number"`
	Body   string `json:"body"`
}

func (h *hub) comment(_ context.Context, _ *mcp.CallToolRequest, in commentInput) (*mcp.CallToolResult, issue, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, err := find(h.issues[in.name()], in.Number)
	if err != nil {
		return nil, issue{}, err
	}
	i.Comments = append(i.Comments, in.Body)
	return nil, *i, nil
}

type mergeInput struct {
	repositoryInput
	Number int `json:"pullNumber"`
}

func (h *hub) merge(_ context.Context, _ *mcp.CallToolRequest, in mergeInput) (*mcp.CallToolResult, issue, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pull, err := find(h.pulls[in.name()], in.Number)
	if err != nil {
		return nil, issue{}, err
	}
	pull.State = "merged"
	return nil, *pull, nil
}

func (h *hub) deleteRepository(_ context.Context, _ *mcp.CallToolRequest, in repositoryInput) (*mcp.CallToolResult, any, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, r := range h.repositories {
		if r.Name == in.name() {
			h.repositories = append(h.repositories[:i:i], h.repositories[i+1:]...)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "deleted " + r.Name}}}, nil, nil
		}
	}
	return nil, nil, fmt.Errorf("there is no repository %s", in.name())
}

func find(list []*issue, number int) (*issue, error) {
	for _, i := range list {
		if i.Number == number {
			return i, nil
		}
	}
	return nil, fmt.Errorf("there is no number %d", number)
}
