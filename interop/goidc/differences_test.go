package goidc

import (
	"slices"
	"strings"
	"testing"
)

// family is a table of mutations and the clients that it is tried with.
type family struct {
	name      string
	clients   []string
	mutations []mutation
}

func families() []family {
	return []family{
		{"assertion", []string{"es256", "es256-mtls"}, assertions()},
		{"proof", []string{"es256"}, proofs()},
		{"certificate", []string{"ca", "own", "es256-mtls"}, certificates()},
		{"listener", []string{"es256", "ps256", "eddsa"}, listeners()},
		{"method", []string{"es256", "es256-mtls", "ca"}, methods()},
		{"pair", []string{"es256"}, pairs()},
		{"form", []string{"es256", "ps256", "eddsa", "ca"}, forms()},
	}
}

// TestVerdicts sends each request to both servers.
func TestVerdicts(t *testing.T) {
	w := start(t)
	oracle := startOracle(t, w)
	ours, theirs := newClient(t, w.roots), newClient(t, w.oracleRoots)
	requests, used := 0, map[string]bool{}
	for _, f := range families() {
		for _, m := range f.mutations {
			for _, name := range f.clients {
				requests++
				t.Run(f.name+": "+m.name+": "+name, func(t *testing.T) {
					d := newDraft(w, w.named(t, name))
					m.apply(d)
					var mine, other string
					send := func() {
						r := d.request()
						target := w.Dev.TokenEndpoint
						if r.mtls {
							target = w.Dev.MTLSTokenEndpoint
						}
						mine, other = ours.send(t, target, r), theirs.send(t, oracle, r)
					}
					send()
					if d.twice != nil {
						if !strings.HasPrefix(mine, "issued") || !strings.HasPrefix(other, "issued") {
							t.Fatalf("the first request: holdfast %s, go-oidc %s", mine, other)
						}
						d.twice(d)
						send()
					}
					judge(t, f.name+": "+m.name, name, mine, other, used)
				})
			}
		}
	}
	if requests < 150 {
		t.Errorf("%d requests are fewer than 150", requests)
	}
	for _, d := range differences {
		for _, name := range d.cases {
			if !used[name] {
				t.Errorf("%s is declared a difference, and no request of that name differs", name)
			}
		}
	}
	t.Logf("%d requests", requests)
}

// judge wants the same verdict, or exactly the difference that is declared.
func judge(t *testing.T, name, client, mine, other string, used map[string]bool) {
	t.Helper()
	i := slices.IndexFunc(differences, func(d difference) bool {
		return slices.Contains(d.cases, name) || slices.Contains(d.cases, name+": "+client)
	})
	if i < 0 {
		if mine != other {
			t.Errorf("holdfast %s, go-oidc %s", mine, other)
		}
		return
	}
	d := differences[i]
	used[name], used[name+": "+client] = true, true
	switch {
	case mine == other:
		t.Errorf("both %s: no longer a difference: %s", mine, d.why)
	case !strings.HasPrefix(mine, d.ours) || !strings.HasPrefix(other, d.theirs):
		t.Errorf("holdfast %s, go-oidc %s; declared are %s and %s", mine, other, d.ours, d.theirs)
	}
}
