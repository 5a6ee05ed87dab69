package pages

import "net/http"

// A ProblemPage tells a person why they cannot go on.
type ProblemPage struct {
	Gateway string // the host that the person knows it by
	Title   string // "" is "This sign-in cannot go on"
	Text    string // what is wrong, in whole sentences
	Advice  string // what the person can do; "" is UsualAdvice
	Error   string // the code of the problem, for whoever is asked for help; "" for none
	// Back leads to another page of the gateway, such as /me; "" for none.
	Back     string
	BackText string // what the link says
}

// UsualAdvice is what a person can do when the program in front of them made a
// request that cannot be.
const UsualAdvice = "Go back to the program that opened this page and sign in from there again. If this page returns, show it to who runs the gateway."

var problemPage = parse("problem.html")

// Problem shows a problem, with a status of HTTP.
func Problem(w http.ResponseWriter, status int, p ProblemPage) {
	if p.Title == "" {
		p.Title = "This sign-in cannot go on"
	}
	if p.Advice == "" {
		p.Advice = UsualAdvice
	}
	response{status: status, page: problemPage, data: p}.write(w)
}
