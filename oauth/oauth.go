// Package oauth says who is calling: it verifies the bearer token of each
// request and tells clients where to get one.
package oauth
