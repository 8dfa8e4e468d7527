package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
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
	Challenge string `json:"challenge,omitempty"` // WWW-Authenticate
	Reason    string `json:"reason,omitempty"`    // from the event stream
	RequestID string `json:"request_id,omitempty"`
	Requests  int    `json:"requests,omitempty"`
	Failed    *int   `json:"failed,omitempty"`
	AfterMS   *int64 `json:"after_ms,omitempty"`
	Reused    bool   `json:"reused_connection,omitempty"`
	Detail    string `json:"detail,omitempty"`
}

// printer writes steps as they end.
type printer struct {
	out  io.Writer
	json bool
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

// print is one line for what was done and one for what came of it.
func (o Observation) print(b *strings.Builder) {
	fmt.Fprintf(b, "   - %s\n", o.Did)
	var came []string
	if o.Status != 0 {
		came = append(came, fmt.Sprintf("%d", o.Status))
	}
	if o.Error != "" {
		came = append(came, o.Error)
	}
	if o.Challenge != "" {
		came = append(came, o.Challenge)
	}
	if o.Failed != nil {
		came = append(came, fmt.Sprintf("%d requests, %d failed", o.Requests, *o.Failed))
	}
	if o.AfterMS != nil {
		came = append(came, fmt.Sprintf("after %d ms", *o.AfterMS))
	}
	if o.Reused {
		came = append(came, "on the connection that was open")
	}
	if o.Detail != "" {
		came = append(came, o.Detail)
	}
	if len(came) > 0 {
		fmt.Fprintf(b, "       wire:  %s\n", strings.Join(came, " · "))
	}
	if o.Reason != "" {
		fmt.Fprintf(b, "       event: %s\n", o.Reason)
	}
}
