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
