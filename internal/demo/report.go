package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-auth/holdfast/internal/dev"
)

// Step is one claim of the story and whether it held.
type Step struct {
	Number   int           `json:"step"`
	Claim    string        `json:"claim"`
	Held     bool          `json:"held"`
	Evidence []Observation `json:"evidence"`
	Fault    string        `json:"fault,omitempty"` // why it did not hold
}

// Observation is one thing that happened: what was done, what came over the
// wire, and the reason that the event of the same request gives.
type Observation struct {
	Did       string `json:"did"`
	Status    int    `json:"status,omitempty"`
	Error     string `json:"error,omitempty"`     // the error code of a JSON answer
	Challenge string `json:"challenge,omitempty"` // WWW-Authenticate, its fields joined by ", "
	Reason    string `json:"reason,omitempty"`    // from the event stream
	RequestID string `json:"request_id,omitempty"`
	Requests  int    `json:"requests,omitempty"`
	Failed    *int   `json:"failed,omitempty"`
	AfterMS   *int64 `json:"after_ms,omitempty"`
	Reused    bool   `json:"reused_connection,omitempty"`
	Detail    string `json:"detail,omitempty"`

	challenges []string // Challenge, field by field
}

// printer writes steps as they end.
type printer struct {
	out  io.Writer
	json bool
}

// begin tells people where the story is played.
func (p printer) begin(w dev.File) error {
	if p.json {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "The whole of Holdfast runs on loopback now, in a folder that is thrown away:\n  authorization server %s, gateway %s\n\n", w.Issuer, w.GatewayURL)
	return err
}

func (p printer) step(s Step) error {
	if p.json {
		return json.NewEncoder(p.out).Encode(s)
	}
	var b strings.Builder
	mark := "held"
	if !s.Held {
		mark = "DID NOT HOLD"
	}
	fmt.Fprintf(&b, "%d. %s: %s\n", s.Number, s.Claim, mark)
	for _, o := range s.Evidence {
		o.print(&b)
	}
	if s.Fault != "" {
		fmt.Fprintf(&b, "   !! %s\n", s.Fault)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(p.out, b.String())
	return err
}

// end tells people that this was all.
func (p printer) end(steps int) error {
	if p.json {
		return nil
	}
	_, err := fmt.Fprintf(p.out, "All %d steps held. To try it yourself: holdfast dev\n", steps)
	return err
}

// print is one line for what was done, and below it what came of it: over the
// wire, in the event of the same request, and what else there is to say.
func (o Observation) print(b *strings.Builder) {
	fmt.Fprintf(b, "   - %s\n", o.Did)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(b, "       %-7s%s\n", label, text)
		}
	}
	if o.Status != 0 {
		line("wire:", strings.TrimSpace(fmt.Sprintf("%d %s", o.Status, o.Error)))
	}
	for _, c := range o.challenges {
		line("", "WWW-Authenticate: "+c)
	}
	line("event:", o.Reason)
	line("", o.Detail)
	if o.Failed != nil {
		line("", fmt.Sprintf("%d requests, %d failed", o.Requests, *o.Failed))
	}
	if o.AfterMS != nil {
		line("", fmt.Sprintf("%d ms after the revocation was asked for", *o.AfterMS))
	}
	if o.Reused {
		line("", "on the connection that was open")
	}
}
