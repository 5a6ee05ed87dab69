package aggregator

// A Caller is the person or workload behind a client.
type Caller struct {
	// ID is unique and stable, such as `User::"<issuer>#<subject>"`.
	ID string
}

// Anonymous is every caller while the gateway asks nobody to sign in.
var Anonymous = Caller{ID: `User::"anonymous"`}
