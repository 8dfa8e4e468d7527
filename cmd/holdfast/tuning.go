package main

import (
	"os"
	"runtime"
)

// leastProcessors is how many goroutines may run at once in a process that
// writes to the database, even on one core: a commit waits for the disk in a
// system call, and with a single processor everything else would wait with it.
// More than one beside it would only steal work from each other.
const leastProcessors = 2

// setProcessors leaves a GOMAXPROCS that somebody chose alone. A process that
// commits nothing, such as the gateway, does best with Go's own choice.
func setProcessors() {
	if _, chosen := os.LookupEnv("GOMAXPROCS"); !chosen && runtime.GOMAXPROCS(0) < leastProcessors {
		runtime.GOMAXPROCS(leastProcessors)
	}
}

// reserve is how many bytes a long-running part may allocate between two garbage
// collections beside what lives in it.
const reserve = 8 << 20

// spareCollector lets the heap grow by reserve before it is collected, until
// release is called. Without it Go collects every 4 MiB where little lives, that
// is every 300 requests. The bytes are never touched, so they are addresses and
// not memory.
func spareCollector() (release func()) {
	untouched := make([]byte, reserve)
	return func() { runtime.KeepAlive(untouched) }
}
