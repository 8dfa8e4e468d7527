package client

// Trace is told what was done, for people: a step ("discovery", "assertion",
// "proof", "token", "call") and a sentence about it. It is never told a token, an
// assertion, a proof, a nonce or a key. It may be nil, and must be safe for
// concurrent use.
type Trace func(step, detail string)

func (t Trace) tell(step, detail string) {
	if t != nil {
		t(step, detail)
	}
}
