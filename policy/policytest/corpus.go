package policytest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// WriteCorpus keeps cases in a file, one in each line, compressed.
func WriteCorpus(path string, all []Known) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	for _, k := range all {
		if err := e.Encode(k); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// ReadCorpus reads what WriteCorpus wrote.
func ReadCorpus(path string) ([]Known, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	var all []Known
	for d := json.NewDecoder(z); ; {
		var k Known
		switch err := d.Decode(&k); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, err
		}
		all = append(all, k)
	}
}
