package once

import (
	"testing"

	"github.com/anishathalye/porcupine"
)

// outcome is what an attempt to consume something was told.
type outcome string

const (
	first   outcome = "first"   // it was there, and is this one's
	again   outcome = "again"   // it had been consumed
	busy    outcome = "busy"    // somebody else is about to consume it: nothing happened
	unknown outcome = "unknown" // the answer was lost, or said that nobody knows
)

// attempt is one, at one thing.
type attempt struct{ kind, key string }

// model has two states for each thing: consumed, or not. Only an attempt that was
// told so, or whose answer was lost, may have consumed it.
var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[attempt][]porcupine.Operation{}
		for _, o := range history {
			byKey[o.Input.(attempt)] = append(byKey[o.Input.(attempt)], o)
		}
		var all [][]porcupine.Operation
		for _, one := range byKey {
			all = append(all, one)
		}
		return all
	},
	Init: func() []any { return []any{false} },
	Step: func(state, _, output any) []any {
		consumed := state.(bool)
		switch output.(outcome) {
		case first:
			if consumed {
				return nil
			}
			return []any{true}
		case again:
			if !consumed {
				return nil
			}
			return []any{true}
		case busy:
			return []any{consumed}
		}
		return []any{consumed, true}
	},
}

func TestModel(t *testing.T) {
	at := func(begin, end int64, o outcome) porcupine.Operation {
		return porcupine.Operation{Input: attempt{"jti", "x"}, Call: begin, Return: end, Output: o}
	}
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		want    bool
	}{
		{"one is the first, all others come again", []porcupine.Operation{at(1, 4, again), at(2, 5, first), at(3, 6, again), at(7, 8, again)}, true},
		{"two are the first", []porcupine.Operation{at(1, 4, first), at(2, 5, first)}, false},
		{"two are the first, long after one another", []porcupine.Operation{at(1, 2, first), at(3, 4, again), at(5, 6, first)}, false},
		{"one comes again, and nobody was the first", []porcupine.Operation{at(1, 2, again)}, false},
		{"one is told to wait, whatever becomes of it", []porcupine.Operation{at(1, 2, busy), at(3, 5, first), at(4, 6, busy)}, true},
		{"two are the first, and one is told to wait", []porcupine.Operation{at(1, 2, busy), at(3, 5, first), at(4, 6, first)}, false},
		{"one comes again before the first began", []porcupine.Operation{at(1, 2, again), at(3, 4, first)}, false},
		{"one comes again after an answer that was lost", []porcupine.Operation{at(1, 100, unknown), at(3, 4, again)}, true},
		{"one is the first after an answer that was lost", []porcupine.Operation{at(1, 100, unknown), at(3, 4, first), at(5, 6, again)}, true},
		{"two are the first after an answer that was lost", []porcupine.Operation{at(1, 100, unknown), at(3, 4, first), at(5, 6, first)}, false},
		{"one is the first after one came again after an answer that was lost", []porcupine.Operation{at(1, 100, unknown), at(3, 4, again), at(5, 6, first)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(model.ToModel(), c.history); got != c.want {
				t.Errorf("accepted: %v", got)
			}
		})
	}
}
