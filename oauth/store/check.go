package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
)

const (
	// A record of the engine is its length, sequence, time, length of the subject;
	// then subject, headers with their length if there are any, data, checksum.
	recordHead = 22
	recordSum  = 8
	hasHeaders = 1 << 31 // in the length
	maxRecord  = 32 << 20
	// sequenceFlags say that a record was erased, or erases another.
	sequenceFlags = 3 << 62
)

// checkBlocks reports whether the engine's files are whole, before it opens them:
// it would cut a file off at the first record that is not, and go on without the
// rest. acknowledged is the last sequence that has to be there; seen is the last one
// that is.
func checkBlocks(dir string, acknowledged uint64) (seen uint64, err error) {
	if dir == "" {
		return 0, nil
	}
	folder := filepath.Join(dir, "jetstream", "$G", "streams", streamName, "msgs")
	names, err := filepath.Glob(filepath.Join(folder, "*.blk"))
	if err != nil {
		return 0, err
	}
	numbers := make([]int, 0, len(names))
	for _, name := range names {
		n, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(name), ".blk"))
		if err != nil {
			return 0, fmt.Errorf("%s is not one of its files", name)
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		name := filepath.Join(folder, strconv.Itoa(n)+".blk")
		data, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		whole, last := checkBlock(data, n)
		seen = max(seen, last)
		cut := i == len(numbers)-1 && unfinished(data[whole:]) && seen >= acknowledged
		if whole < len(data) && !cut {
			return 0, fmt.Errorf("%s is not whole at byte %d of %d", name, whole, len(data))
		}
	}
	if seen < acknowledged {
		return 0, fmt.Errorf("it ends at revision %d, but %d was stored", seen, acknowledged)
	}
	return seen, nil
}

// checkBlock returns how many bytes of a block are whole records, and the last
// sequence of them.
func checkBlock(block []byte, number int) (whole int, last uint64) {
	key := sha256.Sum256(fmt.Appendf(nil, "%s-%d", streamName, number))
	for whole < len(block) {
		n := wholeRecord(block[whole:], key[:])
		if n == 0 {
			break
		}
		last = max(last, binary.LittleEndian.Uint64(block[whole+4:])&^sequenceFlags)
		whole += n
	}
	return whole, last
}

// unfinished reports whether a record ends early, or holds nothing yet. The last
// block may end in one, which was being written when the process was killed.
func unfinished(rest []byte) bool {
	if len(rest) < recordHead {
		return true
	}
	length := binary.LittleEndian.Uint32(rest) &^ hasHeaders
	return length < maxRecord && int(length) > len(rest) || len(bytes.Trim(rest, "\x00")) == 0
}

// wholeRecord returns the length of the record at the start of data, or 0 if it is
// not whole.
func wholeRecord(data, key []byte) int {
	if len(data) < recordHead {
		return 0
	}
	length := binary.LittleEndian.Uint32(data)
	headers := length&hasHeaders != 0
	length &^= hasHeaders
	subject := int(binary.LittleEndian.Uint16(data[20:]))
	body := recordHead + subject
	if headers {
		body += 4
	}
	if length > maxRecord || int(length) > len(data) || body+recordSum > int(length) {
		return 0
	}
	h, err := highwayhash.New64(key)
	if err != nil {
		return 0
	}
	h.Write(data[4:20])
	h.Write(data[recordHead : recordHead+subject])
	h.Write(data[body : length-recordSum])
	if !bytes.Equal(h.Sum(nil), data[length-recordSum:length]) {
		return 0
	}
	return int(length)
}
