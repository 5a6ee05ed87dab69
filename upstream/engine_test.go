package upstream

import (
	"io"
	"strings"
	"testing"
)

func TestAnswersOfEnginesAreBounded(t *testing.T) {
	var b bounded
	n, err := io.Copy(&b, io.LimitReader(endless{}, 3*maxEngineOutput+1)) // as exec.Cmd does
	if n != 3*maxEngineOutput+1 || err != nil {
		t.Errorf("copied %d bytes, %v", n, err)
	}
	if kept := b.String(); len(kept) != maxEngineOutput || strings.Trim(kept, "x") != "" {
		t.Errorf("%d bytes are kept", len(kept))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}
