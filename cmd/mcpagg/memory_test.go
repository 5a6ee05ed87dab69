package main

import (
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  int64 // 0 for none
	}{
		{"no cgroups", nil, 0},
		{"of version 1", map[string]string{"proc/self/cgroup": "4:memory:/a\n"}, 0},
		{"no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0},
		{"in a container", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 536870912},
		{"of the unit", map[string]string{"proc/self/cgroup": "0::/system.slice/a.service\n", "sys/fs/cgroup/system.slice/a.service/memory.max": "1000\n"}, 1000},
		{"of what the unit is in", map[string]string{
			"proc/self/cgroup":                       "1:name=x:/\n0::/b.slice/a\n",
			"sys/fs/cgroup/b.slice/memory.max":       "500\n",
			"sys/fs/cgroup/b.slice/a/memory.max":     "1000\n",
			"sys/fs/cgroup/other.slice/a/memory.max": "5\n",
		}, 500},
		{"no number", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "lots\n"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := fstest.MapFS{}
			for name, text := range test.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, ok := cgroupLimit(root)
			if got != test.want || ok != (test.want > 0) {
				t.Errorf("got %d, %v, want %d", got, ok, test.want)
			}
		})
	}
}
