//go:build postgres

package once

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-auth/holdfast/internal/store"
	"github.com/holdfast-auth/holdfast/internal/store/postgrestest"
)

const (
	wanted    = 100_000 // attempts that were told an outcome
	calm      = 10_000  // of them the last ones, without faults
	callers   = 64
	rivals    = 4 // attempts at one thing at once, from both nodes
	untilEach = time.Second
	leastPart = 10 // percent of the attempts that are at each kind
)

// history is what happened, each attempt with the time between question and answer.
type history struct {
	begun time.Time
	mu    sync.Mutex
	all   []porcupine.Operation
	told  atomic.Int64 // outcomes that are known
	lost  atomic.Int64
	names names

	kills, restarts int
}

// try sends one attempt to a node and notes what became of it; false: the node is
// down, and it was not sent.
func (h *history) try(n *node, a attempt, caller int) bool {
	call := time.Since(h.begun)
	o, err := n.ask(a)
	if err != nil {
		time.Sleep(5 * time.Millisecond)
		return false
	}
	end := int64(time.Since(h.begun))
	if o == unknown {
		end = math.MaxInt64 // it may happen at any later time
		h.lost.Add(1)
		time.Sleep(20 * time.Millisecond) // a node without database answers at once
	} else {
		h.told.Add(1)
	}
	if a.next != "" && (o == first || o == unknown) {
		h.names.add(a)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, porcupine.Operation{ClientId: caller, Input: a, Call: int64(call), Output: o, Return: end})
	return true
}

// names are those of the tokens that registrations may have had, the latest last.
type names struct {
	mu   sync.Mutex
	of   map[attempt][]string
	made int
}

func (n *names) add(a attempt) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of[a.thing()] = append(n.of[a.thing()], a.next)
}

// ask makes a request of a registration: by its latest token, or, as whoever did not
// hear of it or stole another one, by one of the two before.
func (n *names) ask(a attempt) attempt {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := append([]string{firstToken}, n.of[a]...)
	switch turn := rand.IntN(20); {
	case turn < 2:
		a.what = recovery
	case turn < 10:
		a.what = rotate
	default:
		a.what = use
	}
	if a.what != recovery {
		a.presented = known[len(known)-1-rand.IntN(min(3, len(known)))]
	}
	if a.what != use {
		n.made++
		a.next = fmt.Sprintf("t%d", n.made)
	}
	return a
}

func TestOnceOnTwoNodes(t *testing.T) {
	pg := postgrestest.Start(t)
	dsn := pg.Fresh(t)
	s, err := store.Open(t.Context(), dsn, store.Options{Create: true, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := makeOwners(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	things := makeThings(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	nodes := []*node{{dsn: dsn, why: map[string]int{}}, {dsn: dsn, why: map[string]int{}}}
	for _, n := range nodes {
		n.start(t)
		t.Cleanup(n.kill)
	}
	h := &history{begun: time.Now(), names: names{of: map[attempt][]string{}}}
	faults := make(chan struct{})
	var attempts, wg = atomic.Int64{}, sync.WaitGroup{}
	for caller := range callers {
		wg.Go(func() {
			for h.told.Load() < wanted {
				i := attempts.Add(1)
				place := i / rivals
				if rand.IntN(10) == 0 { // long after
					place = rand.Int64N(place + 1)
				}
				a := things(place)
				if a.kind == registrationKind {
					a = h.names.ask(a)
				}
				for at := int(i); !h.try(nodes[at%len(nodes)], a, caller); at++ {
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(faults)
		disturb(t, pg, nodes, h)
	}()
	go func() {
		wg.Wait()
		close(done)
	}()
	<-faults
	lost := h.lost.Load()
	<-done
	if more := h.lost.Load() - lost; more > 0 {
		t.Errorf("%d answers were lost without a fault", more)
	}
	report(t, h, nodes)
}

// makeThings makes what has to be made, and returns what the attempt of a place is
// at: kinds take turns by their shares.
func makeThings(t *testing.T, s *store.Store) func(place int64) attempt {
	t.Helper()
	var turns []string
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		for range kinds[name].share {
			turns = append(turns, name)
		}
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	at := func(place int64) attempt {
		n := int64(len(turns))
		place %= wanted / rivals * 6 / 5 / n * n // more come again to what there is
		kind := turns[place%n]
		if rounds := kinds[kind].rounds; rounds > 1 {
			place = place/(rounds*n)*n + place%n
		}
		return attempt{kind: kind, key: fmt.Sprintf("thing-%d", place)}
	}
	made := map[attempt]bool{}
	for place := range int64(2 * wanted / rivals) {
		a := at(place)
		if make := kinds[a.kind].make; make != nil && !made[a] {
			made[a] = true
			if err := make(t.Context(), s, a.key); err != nil {
				t.Fatal(err)
			}
		}
	}
	return at
}

// disturb kills nodes and restarts the database in turns, until only calm is left.
func disturb(t *testing.T, pg *postgrestest.Server, nodes []*node, h *history) {
	for round := 0; h.told.Load() < wanted-calm; round++ {
		time.Sleep(untilEach)
		n := nodes[round/2%len(nodes)]
		switch round % 4 {
		case 0, 2:
			n.kill()
			n.start(t)
			h.kills++
		case 1, 3:
			n.kill() // while the database is away too
			h.kills++
			h.restarts++
			if err := pg.Restart(round%4 == 3); err != nil {
				t.Error(err)
				return
			}
			n.start(t)
		}
	}
	time.Sleep(2 * time.Second) // errors only during the gap + 2 s
}

func report(t *testing.T, h *history, nodes []*node) {
	firsts, twice := map[attempt]int{}, 0
	count, asked := map[string]map[outcome]int{}, map[what]map[outcome]int{use: {}, rotate: {}, recovery: {}}
	for kind := range kinds {
		count[kind] = map[outcome]int{}
	}
	for _, o := range h.all {
		a, out := o.Input.(attempt), o.Output.(outcome)
		count[a.kind][out]++
		if a.what != "" {
			asked[a.what][out]++
		} else if out == first {
			if firsts[a]++; firsts[a] == 2 {
				twice++
			}
		}
	}
	for kind, n := range count {
		all := n[first] + n[again] + n[busy] + n[unknown]
		t.Logf("%s: %.1f %% of the attempts: %d first, %d again, %d busy, %d unknown", kind, 100*float64(all)/float64(len(h.all)), n[first], n[again], n[busy], n[unknown])
		if n[first] == 0 || n[again] == 0 || 100*all < leastPart*len(h.all) {
			t.Errorf("%s: too little happened", kind)
		}
	}
	for what, n := range asked {
		t.Logf("%s of a registration: %d done, %d refused, %d unknown", what, n[first], n[again], n[unknown])
		if n[first] == 0 || (n[again] == 0) != (what == recovery) { // a recovery is refused to nobody here
			t.Errorf("%s: too little happened", what)
		}
	}
	t.Logf("%d attempts, %d double successes, in %v; %d nodes killed, %d restarts of the database",
		len(h.all), twice, time.Since(h.begun).Round(time.Second), h.kills, h.restarts)
	for i, n := range nodes {
		for why, times := range n.why {
			t.Logf("node %d, %d times: %s", i, times, why)
		}
	}
	if twice > 0 {
		t.Errorf("%d double successes", twice)
	}
	begun := time.Now()
	defer func() { t.Logf("porcupine took %v", time.Since(begun).Round(time.Millisecond)) }()
	switch porcupine.CheckOperationsTimeout(model.ToModel(), h.all, 2*time.Minute) {
	case porcupine.Illegal:
		t.Error("there is no order of the attempts in which each thing is consumed at most once, by somebody who was told so, and no token works after its end")
	case porcupine.Unknown:
		t.Error("porcupine did not come to an end")
	}
}
