package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/spf13/cobra"
)

func newCallCommand() *cobra.Command {
	var (
		target targetFlags
		input  string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "call TOOL",
		Short: "Make one tool call through a gateway, as a client would",
		Long: `Make one tool call through a gateway, as a client would. TOOL is a published
name, see 'mcpagg catalog'. The text of the result is printed, or with --json the
whole result. The exit code is 1 if the call failed or the tool reports an error.`,
		Example: `  mcpagg call notes_add --input '{"text": "buy milk"}'
  mcpagg call notes_list --url http://127.0.0.1:8080/mcp --json
  mcpagg call notes_list --url https://mcp.contoso.com/mcp --token-file token
  echo '{"text": "from a file"}' | mcpagg call notes_add --input -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			arguments, err := readInput(input, cmd.InOrStdin())
			if err != nil {
				return err
			}
			return target.with(cmd.Context(), cmd.ErrOrStderr(), func(ctx context.Context, c *client) error {
				result, err := c.call(ctx, args[0], arguments)
				if err != nil {
					_ = reportGaps(cmd.ErrOrStderr(), c.gateway) // they may be why
					return &exitError{Code: exitRunTime, Err: fmt.Errorf("calling %s: %w%s", args[0], err, referenceOf(err))}
				}
				return printResult(cmd.OutOrStdout(), result, asJSON)
			})
		},
	}
	target.add(cmd)
	cmd.Flags().StringVar(&input, "input", "{}", "arguments as a JSON object, @FILE, or - for standard input")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the whole result as JSON")
	return cmd
}

// referenceOf is the line that says where a gateway's audit log has the refusal, "" for
// another error.
func referenceOf(err error) string {
	var answer *jsonrpc.Error
	var data struct{ Reference string }
	if !errors.As(err, &answer) || json.Unmarshal(answer.Data, &data) != nil || data.Reference == "" || len(data.Reference) > 64 {
		return ""
	}
	return "\nReference: " + visibleText(data.Reference)
}

// readInput reads the value of --input, which must be a JSON object.
func readInput(input string, stdin io.Reader) (json.RawMessage, error) {
	raw := []byte(input)
	var err error
	if input == "-" {
		raw, err = io.ReadAll(stdin)
	} else if path, ok := strings.CutPrefix(input, "@"); ok {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, usageError("--input: %w", err)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil || object == nil {
		return nil, usageError("--input is not a JSON object such as '{\"text\": \"hello\"}'")
	}
	return raw, nil
}

// printResult prints a tool's result for a person, or as it is.
func printResult(w io.Writer, result json.RawMessage, asJSON bool) error {
	var r struct {
		Content           []json.RawMessage
		StructuredContent json.RawMessage
		IsError           bool
	}
	err := json.Unmarshal(result, &r)
	switch {
	case asJSON || err != nil:
		_, err = fmt.Fprintf(w, "%s\n", result)
	case len(r.Content) == 0 && r.StructuredContent != nil:
		_, err = fmt.Fprintf(w, "%s\n", r.StructuredContent)
	default:
		err = printContent(w, r.Content)
	}
	if err == nil && r.IsError {
		err = &exitError{Code: exitRunTime, Err: errors.New("the tool reports an error")}
	}
	return err
}

func printContent(w io.Writer, blocks []json.RawMessage) error {
	for _, raw := range blocks {
		var block struct {
			Type, Text, MimeType, URI string
			Data                      string
			Resource                  struct{ URI, Text string }
		}
		line := string(raw)
		if json.Unmarshal(raw, &block) == nil {
			switch block.Type {
			case "text":
				line = block.Text
			case "image", "audio":
				line = fmt.Sprintf("[%s, %s, %d characters of base64; --json prints it]", block.Type, block.MimeType, len(block.Data))
			case "resource_link":
				line = "[resource " + block.URI + "]"
			case "resource":
				line = "[resource " + block.Resource.URI + "]\n" + block.Resource.Text
			}
		}
		if _, err := fmt.Fprintln(w, visibleText(line)); err != nil {
			return err
		}
	}
	return nil
}
