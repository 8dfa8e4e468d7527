package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// work is what is compared: two cells.
type work struct{ name, floor, holdfast string }

func (b *bench) works() []work {
	all := []work{
		{"token, private_key_jwt, every jti durable", "floor durable: token, private_key_jwt", "holdfast: token, private_key_jwt"},
		{"token, private_key_jwt + DPoP, both jti durable", "floor durable: token, private_key_jwt + DPoP", "holdfast: token, private_key_jwt + DPoP"},
		{"token, mTLS", "floor in memory: token, mTLS", "holdfast: token, mTLS"},
		{"gateway, bound token, beside a cached check", "floor: gateway", "holdfast: gateway"},
		{"gateway, bound token, beside no check", "floor: gateway without a check", "holdfast: gateway"},
	}
	const assertion, mutual, proof = ": token, private_key_jwt", ": token, mTLS", ": token, private_key_jwt + DPoP"
	if b.applications > 0 {
		all = append(all, work{fmt.Sprintf("growth, %d applications: token, private_key_jwt, beside the sample world", b.applications), "holdfast" + assertion, "holdfast grown" + assertion},
			work{fmt.Sprintf("growth, %d applications: token, mTLS, beside the sample world", b.applications), "holdfast" + mutual, "holdfast grown" + mutual})
	}
	if b.postgres != "" {
		all = append(all, work{"PostgreSQL: token, private_key_jwt, beside the SQLite floor", "floor durable" + assertion, "holdfast PostgreSQL" + assertion},
			work{"PostgreSQL: token, mTLS", "floor in memory" + mutual, "holdfast PostgreSQL" + mutual})
	}
	if b.peers {
		for _, name := range []string{assertion, proof, mutual} {
			all = append(all, work{"oidc-provider in the place of the floor" + name, "oidc-provider" + name, "holdfast" + name})
		}
	}
	return all
}

// result is what load writes of one run of one cell.
type result struct {
	Name   string
	Conns  int
	Rate   float64
	P99    float64 `json:"p99_ms"`
	Errors int
	CPU    float64 `json:"cpu_s_per_1000"` // seconds for 1000 requests
	DBCPU  float64 `json:"db_cpu_s_per_1000"`
}

// figures are those of one cell at one number of connections, over all rounds.
type figures struct {
	rate, p99, cpu float64 // medians
	least          float64 // of cpu
	errors         int
}

// report prints the figures and the ratios.
func (b *bench) report(w io.Writer, before string) error {
	results, err := b.results()
	if err != nil {
		return err
	}
	var connections []int
	for _, r := range results {
		if !slices.Contains(connections, r.Conns) {
			connections = append(connections, r.Conns)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "Processor time is user and system seconds of the server for 1000 requests: median of the rounds (least), of %d.\n", b.rounds)
	if b.postgres != "" {
		out.WriteString("That of PostgreSQL includes the database's own.\n")
	}
	fmt.Fprintf(&out, "Load of the machine before: %s; after: %s.\n\n", before, machineLoad())
	out.WriteString("| work | connections | floor s/1000 | holdfast s/1000 | **ratio** (of the least) | floor req/s | holdfast req/s | floor p99 ms | holdfast p99 ms | errors |\n")
	out.WriteString("| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n")
	for _, work := range b.works() {
		for _, n := range connections {
			f, h := summarise(results, work.floor, n), summarise(results, work.holdfast, n)
			fmt.Fprintf(&out, "| %s | %d | %.3f (%.3f) | %.3f (%.3f) | **%.2f** (%.2f) | %.0f | %.0f | %.1f | %.1f | %d |\n", work.name, n,
				f.cpu, f.least, h.cpu, h.least, h.cpu/f.cpu, h.least/f.least, f.rate, h.rate, f.p99, h.p99, f.errors+h.errors)
		}
	}
	out.WriteString("\n")
	for _, line := range slices.Concat(b.first, b.replay) {
		fmt.Fprintf(&out, "- %s\n", strings.Join(strings.Fields(line), " "))
	}
	_, err = io.WriteString(w, out.String())
	return err
}

func (b *bench) results() ([]result, error) {
	f, err := os.Open(b.in("results.jsonl"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []result
	for dec := json.NewDecoder(f); dec.More(); {
		var r result
		if err := dec.Decode(&r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// summarise is over the runs of one cell, of which there is at least one.
func summarise(results []result, name string, connections int) figures {
	var rate, p99, cpu []float64
	var f figures
	for _, r := range results {
		if r.Name == name && r.Conns == connections {
			rate, p99, cpu = append(rate, r.Rate), append(p99, r.P99), append(cpu, r.CPU+r.DBCPU)
			f.errors += r.Errors
		}
	}
	f.rate, f.p99, f.cpu, f.least = median(rate), median(p99), median(cpu), slices.Min(cpu)
	return f
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// machineLoad is the machine's load averages, for whoever reads the figures.
func machineLoad() string {
	data, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(data))
	if err != nil || len(fields) < 3 {
		return "unknown"
	}
	return strings.Join(fields[:3], " ")
}
