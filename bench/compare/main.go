// Command compare measures holdfast beside the floor: a small program, not part
// of this repository, that does only the necessary work for one client. Both run
// at once, pinned to one core, and are loaded in turn from another; what is
// compared is the processor time of a request.
//
//	go run ./bench/compare [-shared DIR] [-rounds N] [-d TIME] [-c CONNECTIONS]
//		[-applications N [-tokens N]] [-postgres URL [-postgres-pid PID]] [-peers]
//
// DIR (or SHARED_BENCH in the environment) has the sources of the two programs
// floor and load; they are built in a copy. Needs Linux with taskset, and is run
// at the root of the repository. Progress goes to stderr, the report, in
// Markdown, to stdout.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	shared      string
	rounds      int
	time        time.Duration
	connections string
	serverCore  string
	loadCore    string

	applications int
	tokens       int
	postgres     string
	postgresPID  int
	peers        bool
}

func main() {
	var o options
	flag.StringVar(&o.shared, "shared", cmp.Or(os.Getenv("SHARED_BENCH"), "../shared/bench"), "folder with the sources of floor and load")
	flag.IntVar(&o.rounds, "rounds", 3, "how often to run each cell")
	flag.DurationVar(&o.time, "d", 3*time.Second, "measured time of each cell")
	flag.StringVar(&o.connections, "c", "8,32", "numbers of connections")
	flag.StringVar(&o.serverCore, "server-core", "0", "the core that the servers share")
	flag.StringVar(&o.loadCore, "load-core", "1", "the core of the load and of the upstream")
	flag.IntVar(&o.applications, "applications", 0, "also measure with so many applications")
	flag.IntVar(&o.tokens, "tokens", 1_000_000, "single uses that live beside those applications")
	flag.StringVar(&o.postgres, "postgres", "", "also measure on this empty PostgreSQL database (URL of a superuser)")
	flag.IntVar(&o.postgresPID, "postgres-pid", 0, "its process, to count what it costs")
	flag.BoolVar(&o.peers, "peers", false, "also measure oidc-provider, which npm fetches")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := compare(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// compare makes both worlds in a folder that is gone afterwards, measures, and
// prints what it found.
func compare(ctx context.Context, o options) error {
	folder, err := os.MkdirTemp("", "holdfast-compare-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b := &bench{options: o, folder: folder, ctx: ctx}
	defer b.stop()
	if err := b.build(); err != nil {
		return err
	}
	if err := b.furnish(); err != nil {
		return err
	}
	before := machineLoad()
	if err := b.start(); err != nil {
		return err
	}
	for round := range o.rounds {
		if err := b.round(round); err != nil {
			return err
		}
	}
	if err := b.replays(); err != nil {
		return err
	}
	return b.report(os.Stdout, before)
}
