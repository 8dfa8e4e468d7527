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
type attempt struct {
	kind, key string
	request
}

// request is what is asked of a registration; nothing else is asked anything.
type request struct {
	what      what
	presented string // name of the token by which it is asked; "" for a recovery
	next      string // name of the token that is given out; "" for use
}

type what string

const (
	use      what = "use"    // GET by a registration access token
	rotate   what = "rotate" // PUT by one, which gives out its successor
	recovery what = "recovery"
)

// firstToken is the name of the token that a registration begins with.
const firstToken = "t0"

// thing is a state: consumed or not, or what tokens a registration has.
type thing struct {
	consumed bool
	last     string // name of the token that was given out last
	before   string // of the one before, until last is used; "" for none
}

// model says what may have happened to each thing. Only an attempt that was told so,
// or whose answer was lost, may have changed it.
var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[attempt][]porcupine.Operation{}
		for _, o := range history {
			of := o.Input.(attempt).thing()
			byKey[of] = append(byKey[of], o)
		}
		var all [][]porcupine.Operation
		for _, one := range byKey {
			all = append(all, one)
		}
		return all
	},
	Init: func() []any { return []any{thing{last: firstToken}} },
	Step: func(state, input, output any) []any {
		is := state.(thing)
		becomes, good := is.after(input.(attempt).request)
		switch output.(outcome) {
		case first:
			if good {
				return []any{becomes}
			}
			return nil
		case again:
			if !good {
				return []any{is}
			}
			return nil
		case busy:
			return []any{is}
		}
		if good {
			return []any{is, becomes}
		}
		return []any{is}
	},
}

// thing is what the attempt is at.
func (a attempt) thing() attempt { return attempt{kind: a.kind, key: a.key} }

// after is what becomes of it when it is asked; good is false when that is refused.
func (is thing) after(r request) (becomes thing, good bool) {
	switch held := r.presented == is.last || r.presented == is.before; r.what {
	case use:
		if r.presented == is.last {
			is.before = ""
		}
		return is, held
	case rotate:
		return thing{last: r.next, before: r.presented}, held
	case recovery:
		return thing{last: r.next}, true
	}
	return thing{consumed: true}, !is.consumed
}

func TestModel(t *testing.T) {
	at := func(begin, end int64, o outcome) porcupine.Operation {
		return porcupine.Operation{Input: attempt{kind: "jti", key: "x"}, Call: begin, Return: end, Output: o}
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

func TestModelOfRegistration(t *testing.T) {
	at := func(begin, end int64, o outcome, r request) porcupine.Operation {
		return porcupine.Operation{Input: attempt{kind: "registration_token", key: "x", request: r}, Call: begin, Return: end, Output: o}
	}
	get := func(token string) request { return request{use, token, ""} }
	put := func(token, next string) request { return request{rotate, token, next} }
	restore := func(next string) request { return request{recovery, "", next} }
	for _, c := range []struct {
		name    string
		history []porcupine.Operation
		want    bool
	}{
		{"the one before is good until its successor is used", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, get("t0")), at(5, 6, first, get("t1")), at(7, 8, again, get("t0"))}, true},
		{"the one before is good after its successor was used", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, get("t1")), at(5, 6, first, get("t0"))}, false},
		{"the one before gives out another successor after its successor was used", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, get("t1")), at(5, 6, first, put("t0", "t2"))}, false},
		{"the one before is good while its successor is used", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 6, first, get("t1")), at(4, 5, first, get("t0"))}, true},
		{"a PUT by the successor uses it", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, put("t1", "t2")), at(5, 6, first, get("t0"))}, false},
		{"a successor that was lost is ended by another one", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, put("t0", "t2")), at(5, 6, again, get("t1")), at(7, 8, first, get("t2"))}, true},
		{"a successor is good although another one was given out", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, put("t0", "t2")), at(5, 6, first, get("t1"))}, false},
		{"a token is good after a recovery", []porcupine.Operation{at(1, 2, first, restore("t1")), at(3, 4, first, get("t0"))}, false},
		{"the one before is good after a recovery", []porcupine.Operation{
			at(1, 2, first, put("t0", "t1")), at(3, 4, first, restore("t2")), at(5, 6, first, get("t0"))}, false},
		{"what a recovery gives out is refused", []porcupine.Operation{at(1, 2, first, restore("t1")), at(3, 4, again, get("t1"))}, false},
		{"what a PUT gives out is refused", []porcupine.Operation{at(1, 2, first, put("t0", "t1")), at(3, 4, again, get("t1"))}, false},
		{"a token is refused that nobody ended", []porcupine.Operation{at(1, 2, again, get("t0"))}, false},
		{"a recovery whose answer was lost ends a token later", []porcupine.Operation{
			at(1, 100, unknown, restore("t1")), at(3, 4, first, get("t0")), at(5, 6, again, get("t0"))}, true},
		{"a token is good again after a recovery whose answer was lost ended it", []porcupine.Operation{
			at(1, 100, unknown, restore("t1")), at(3, 4, again, get("t0")), at(5, 6, first, get("t0"))}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := porcupine.CheckOperations(model.ToModel(), c.history); got != c.want {
				t.Errorf("accepted: %v", got)
			}
		})
	}
}
