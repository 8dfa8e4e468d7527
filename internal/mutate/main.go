package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// errSurvived means that the tool did its work and the tests did not.
var errSurvived = errors.New("checks survived their removal")

func main() {
	var o options
	packages := flag.String("pkg", "", "only these packages, separated by commas")
	flag.BoolVar(&o.list, "list", false, "print the checks and run nothing")
	flag.BoolVar(&o.verbose, "v", false, "print the checks that were killed too, and by which test")
	flag.IntVar(&o.workers, "p", 2, "how many tests run at once")
	flag.Parse()
	if *packages != "" {
		o.packages = strings.Split(*packages, ",")
	}
	o.open = open()
	o.root, o.targets, o.equivalents, o.out = ".", targets(), equivalents(), os.Stdout
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "mutate: error:", err)
		if errors.Is(err, errSurvived) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}

type options struct {
	root        string // folder of go.mod
	targets     []target
	equivalents []equivalent
	open        map[string]int // by file: survivors that a case is owed for
	packages    []string       // none means all
	list        bool
	verbose     bool
	workers     int
	out         io.Writer
}

func run(ctx context.Context, o options) error {
	start := time.Now()
	chosen, err := o.choose()
	if err != nil {
		return err
	}
	sites, err := findAll(o.root, chosen)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range sites {
			fmt.Fprintf(o.out, "%s:%d: %s\n", s.File, s.Line, s.Source)
		}
		fmt.Fprintf(o.out, "%d checks\n", len(sites))
		return nil
	}
	r, err := prepare(ctx, o, chosen, sites)
	if err != nil {
		return err
	}
	defer r.close()
	if err := r.learnReach(ctx); err != nil {
		return err
	}
	results := r.runAll(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	return report(o, chosen, results, time.Since(start))
}

func (o options) choose() ([]target, error) {
	if len(o.packages) == 0 {
		return o.targets, nil
	}
	var chosen []target
	for _, name := range o.packages {
		i := slices.IndexFunc(o.targets, func(t target) bool { return t.Package == strings.Trim(name, "./") })
		if i < 0 {
			return nil, fmt.Errorf("%s is not in the table of targets", name)
		}
		chosen = append(chosen, o.targets[i])
	}
	return chosen, nil
}

// findAll numbers the checks of all targets from 1.
func findAll(root string, chosen []target) ([]site, error) {
	var all []site
	for _, t := range chosen {
		names, err := t.sources(root)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			sites, err := findSites(root, t.Package, name)
			if err != nil {
				return nil, err
			}
			all = append(all, sites...)
		}
	}
	for i := range all {
		all[i].Number = i + 1
	}
	return all, nil
}

// report prints one line a check and the summary.
func report(o options, chosen []target, results []result, took time.Duration) error {
	known := slices.DeleteFunc(slices.Clone(o.equivalents), func(e equivalent) bool {
		return !slices.ContainsFunc(chosen, func(t target) bool { return t.Package == e.folder() })
	})
	used := make([]bool, len(known))
	var killed, survived, excused, owed, faults int
	open := maps.Clone(o.open)
	for _, r := range results {
		i := slices.IndexFunc(known, func(e equivalent) bool { return e.is(r.site) })
		if i >= 0 {
			used[i] = true
		}
		place := fmt.Sprintf("%s:%d: %s", r.File, r.Line, r.Source)
		switch {
		case r.killer != "" && i >= 0:
			faults++
			fmt.Fprintf(o.out, "%s: killed by %s, but in the table of equivalents\n", place, r.killer)
		case r.killer != "":
			killed++
			if o.verbose {
				fmt.Fprintf(o.out, "%s: killed by %s\n", place, r.killer)
			}
		case i >= 0:
			excused++
			fmt.Fprintf(o.out, "%s: equivalent: %s\n", place, known[i].Reason)
		case open[r.File] > 0:
			open[r.File]--
			owed++
			fmt.Fprintf(o.out, "%s: OPEN: a case is owed\n", place)
		default:
			survived++
			how := ""
			if !r.reached {
				how = " (no test reaches it)"
			}
			fmt.Fprintf(o.out, "%s: SURVIVED%s\n", place, how)
		}
	}
	for i, e := range known {
		if !used[i] {
			faults++
			fmt.Fprintf(o.out, "%s: %s: no such check, but in the table of equivalents\n", e.File, e.Source)
		}
	}
	if owed > 0 {
		fmt.Fprintf(o.out, "%d checks are open: no case of their package or its killers notices their loss yet\n", owed)
	}
	fmt.Fprintf(o.out, "%d checks: %d killed, %d survived, %d equivalent, in %.0f s\n", len(results), killed, survived, excused, took.Seconds())
	if survived > 0 || faults > 0 {
		return errSurvived
	}
	return nil
}

func (e equivalent) folder() string { return e.File[:max(0, strings.LastIndexByte(e.File, '/'))] }

func (e equivalent) is(s site) bool {
	return e.File == s.File && e.Function == s.Function && e.Source == s.Source
}
