package pages

const (
	// maxOpen is how many names or tools are shown at once on the page about a
	// person, and fewOpen how many names on others; the rest is behind a click.
	maxOpen, fewOpen = 12, 5
	// maxNames bounds a list of names.
	maxNames = 500
	// maxPerUpstream bounds the tools of one upstream, and maxTools those of all.
	maxPerUpstream, maxTools = 200, 2000
)

// A list is names of which there may be many.
type list struct {
	Open, Folded []string
	Total, More  int // of all, and of those that are not shown
}

func listOf(names []string, most int) list {
	shown := names[:min(len(names), maxNames)]
	open := min(len(shown), most)
	if len(shown) <= most+3 { // not worth a click
		open = len(shown)
	}
	return list{Open: shown[:open], Folded: shown[open:], Total: len(names), More: len(names) - len(shown)}
}

// A Tool is a tool that a person may use.
type Tool struct {
	Name        string // as published
	Title       string // "" if it has none
	Upstream    string // where it comes from
	Description string // "" if it has none
}

// A shelf holds the tools of one upstream.
type shelf struct {
	Upstream    string
	Tools       []Tool
	Total, More int
}

// shelvesOf groups tools by upstream, in the order in which they come.
func shelvesOf(tools []Tool) []*shelf {
	var shelves []*shelf
	at := make(map[string]*shelf)
	shown := 0
	for _, tool := range tools {
		s := at[tool.Upstream]
		if s == nil {
			s = &shelf{Upstream: tool.Upstream}
			at[tool.Upstream] = s
			shelves = append(shelves, s)
		}
		s.Total++
		if len(s.Tools) == maxPerUpstream || shown == maxTools {
			s.More++
			continue
		}
		s.Tools = append(s.Tools, tool)
		shown++
	}
	return shelves
}
