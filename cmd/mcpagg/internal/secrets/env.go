package secrets

import "context"

// Env is the environment of the gateway. A name is that of a variable, without
// the prefix.
type Env struct {
	Prefix string
	// LookUp looks a variable up, as [os.LookupEnv] does.
	LookUp func(string) (string, bool)
}

// Get implements [Source].
func (e Env) Get(_ context.Context, name string) (string, error) {
	value, ok := e.LookUp(e.Prefix + name)
	if !ok {
		return "", refused("the environment variable %s is not set; set it and start the gateway anew", e.Prefix+name)
	}
	return value, nil
}
