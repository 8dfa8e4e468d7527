package main

import (
	"os"
	"runtime"
)

// leastProcessors is how many goroutines may run at once, however few cores
// there are: a commit waits for the disk in a system call, and with a single
// processor everything else would wait with it.
const leastProcessors = 4

// setProcessors leaves a GOMAXPROCS that somebody chose alone.
func setProcessors() {
	if _, chosen := os.LookupEnv("GOMAXPROCS"); !chosen && runtime.GOMAXPROCS(0) < leastProcessors {
		runtime.GOMAXPROCS(leastProcessors)
	}
}
