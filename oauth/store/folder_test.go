package store_test

import "os"

func chmod(dir string) error { return os.Chmod(dir, 0o700) }
