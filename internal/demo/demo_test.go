package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// steps reads what a run printed, one object a line.
func steps(t *testing.T, out []byte) []Step {
	t.Helper()
	var all []Step
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var s Step
		err := d.Decode(&s)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		all = append(all, s)
	}
}

// came is what an observation of an attack must hold.
type came struct {
	status    int
	code      string // in the body or the challenge
	challenge bool
	reason    string
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	if err := Run(t.Context(), Options{Out: &out, JSON: true, Now: time.Now}); err != nil {
		t.Fatalf("%v\n%s", err, out.Bytes())
	}
	all := steps(t, out.Bytes())
	if len(all) != 9 {
		t.Fatalf("%d steps, not 9", len(all))
	}
	t.Run("each line has step, claim, held and evidence, and no more", func(t *testing.T) {
		for line := range bytes.Lines(out.Bytes()) {
			var members map[string]json.RawMessage
			if err := json.Unmarshal(line, &members); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"step", "claim", "held", "evidence"} {
				if members[name] == nil {
					t.Errorf("no %s in %s", name, line)
				}
			}
			if len(members) != 4 {
				t.Errorf("%d members in %s", len(members), line)
			}
		}
	})
	for i, s := range all {
		if s.Number != i+1 || s.Claim == "" || !s.Held || len(s.Evidence) == 0 || s.Fault != "" {
			t.Errorf("step %d: %+v", i+1, s)
		}
		for _, o := range s.Evidence {
			if o.Did == "" || o.Status >= 400 && o.RequestID != "" && o.Reason == "" {
				t.Errorf("step %d: evidence without what was done or why it was refused: %+v", s.Number, o)
			}
		}
	}
	gateway := func(reason string) came { return came{401, "invalid_token", true, reason} }
	proof := func(reason string) came { return came{401, "invalid_dpop_proof", true, reason} }
	served := came{status: 200}
	for _, c := range []struct {
		step  int
		wants []came
	}{
		{1, []came{served}},
		{2, []came{served}},
		{4, []came{served, served}},
		{5, []came{proof("proof_missing"), proof("proof_key_mismatch"), gateway("wrong_scheme"), gateway("untrusted_edge")}},
		{6, []came{{401, "invalid_client", false, "assertion_replayed"}, {400, "invalid_dpop_proof", false, "proof_replayed"}, proof("proof_replayed")}},
		{7, []came{served, served, gateway("no_client_cert"), gateway("binding_foreign"), gateway("binding_foreign"), gateway("untrusted_edge"), {401, "invalid_client", false, "certificate_foreign"}}},
		{8, []came{served, gateway("credential_revoked"), served, gateway("credential_revoked")}},
	} {
		seen := all[c.step-1].Evidence
		if len(seen) != len(c.wants) {
			t.Errorf("step %d has %d observations, not %d", c.step, len(seen), len(c.wants))
			continue
		}
		for i, want := range c.wants {
			o := seen[i]
			if o.Status != want.status || o.Reason != want.reason || (o.Challenge != "") != want.challenge ||
				o.Error != want.code && !strings.Contains(o.Challenge, `error="`+want.code+`"`) {
				t.Errorf("step %d, %s: got %+v, want %+v", c.step, o.Did, o, want)
			}
		}
	}
	t.Run("step 8: within 2 s, on the connection that was open", func(t *testing.T) {
		for _, i := range []int{1, 3} {
			if o := all[7].Evidence[i]; o.AfterMS == nil || *o.AfterMS >= inForce.Milliseconds() || !o.Reused {
				t.Errorf("got %+v", o)
			}
		}
	})
	t.Run("step 9: 20 requests/s of which none fails", func(t *testing.T) {
		seen := all[8].Evidence
		off, traffic := seen[len(seen)-2], seen[len(seen)-1]
		if off.Status != 401 || traffic.Requests != 60 || traffic.Failed == nil || *traffic.Failed != 0 {
			t.Errorf("got %+v, %+v", off, traffic)
		}
	})
}

// lying answers for the system in some cases.
type lying struct {
	http.RoundTripper
	answer func(r *http.Request, a *http.Response)
}

func (l lying) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		l.answer(r, a)
	}
	return a, err
}

func TestStepsThatDoNotHold(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(s *story)
		step  int // the one that does not hold
		fault string
	}{
		{"an API key that is switched off already", func(s *story) { s.api.keysOff.Store(true) }, 1, "status 401, not 200"},
		{"a gateway that serves a thief", func(s *story) {
			s.anyone.Transport = lying{s.anyone.Transport, func(r *http.Request, a *http.Response) {
				if r.Header.Get("Authorization") != "" {
					a.StatusCode = http.StatusOK
					a.Header.Del("Request-Id")
				}
			}}
		}, 5, "status 200, not 401"},
		{"a gateway whose challenge is another", func(s *story) {
			s.anyone.Transport = lying{s.anyone.Transport, func(_ *http.Request, a *http.Response) {
				if a.Header.Get("WWW-Authenticate") != "" {
					a.Header.Set("WWW-Authenticate", "DPoP")
				}
			}}
		}, 5, "the answer does not say invalid_dpop_proof"},
		{"an event stream that tells another status than the wire", func(s *story) {
			s.anyone.Transport = lying{s.anyone.Transport, func(_ *http.Request, a *http.Response) {
				if a.StatusCode == http.StatusUnauthorized {
					a.StatusCode = http.StatusForbidden
				}
			}}
		}, 5, "the wire says 403 and the event 401"},
		{"an event stream that tells another reason", func(s *story) {
			first := ""
			s.anyone.Transport = lying{s.anyone.Transport, func(_ *http.Request, a *http.Response) {
				if a.StatusCode != http.StatusUnauthorized {
					return
				}
				if first == "" {
					first = a.Header.Get("Request-Id")
				}
				a.Header.Set("Request-Id", first)
			}}
		}, 5, `the event's reason is "proof_missing", not "proof_key_mismatch"`},
		{"a request that the event stream does not know", func(s *story) {
			s.anyone.Transport = lying{s.anyone.Transport, func(_ *http.Request, a *http.Response) {
				if a.StatusCode == http.StatusUnauthorized {
					a.Header.Set("Request-Id", "nobody")
				}
			}}
		}, 5, `no event for request "nobody"`},
		{"an upstream that believes nobody", func(s *story) { s.api.audience = "https://elsewhere.test" }, 4, "not served: status 401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := begin(t.Context(), t.TempDir(), time.Now)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.stack.Close(); err != nil {
					t.Error(err)
				}
			}()
			c.spoil(s)
			var out bytes.Buffer
			if err := s.play(t.Context(), printer{out: &out, json: true}); !errors.Is(err, ErrNotHeld) {
				t.Fatalf("got %v", err)
			}
			all := steps(t, out.Bytes())
			last := all[len(all)-1]
			if last.Number != c.step || len(all) != c.step || last.Held || !strings.Contains(last.Fault, c.fault) {
				t.Errorf("the last of %d steps is %+v", len(all), last)
			}
			if slices.ContainsFunc(all[:len(all)-1], func(s Step) bool { return !s.Held }) {
				t.Error("an earlier step did not hold")
			}
		})
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	p := printer{out: &out}
	failed, ms := 1, int64(7)
	err := p.step(Step{Number: 5, Claim: "it opens nothing", Fault: "status 200, not 401", Evidence: []Observation{{
		Did: "tried it", Status: 401, Error: "invalid_token", Challenge: "A, B", challenges: []string{"A", "B"}, Reason: "expired",
		Requests: 60, Failed: &failed, AfterMS: &ms, Reused: true, Detail: "more",
	}}})
	want := `5. it opens nothing: DID NOT HOLD
   - tried it
       wire:  401 invalid_token
              WWW-Authenticate: A
              WWW-Authenticate: B
       event: expired
              more
              60 requests, 1 failed
              7 ms after the revocation was asked for
              on the connection that was open
   !! status 200, not 401

`
	if err != nil || out.String() != want {
		t.Errorf("got %s, %v", out.String(), err)
	}
}

func TestCalledOff(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := Run(ctx, Options{Out: &out, Now: time.Now}); !errors.Is(err, context.Canceled) || strings.Contains(out.String(), "DID NOT HOLD") {
		t.Errorf("got %v, %s", err, out.String())
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if strings.HasPrefix(f.Name(), "holdfast-demo-") {
			t.Errorf("%s is left", f.Name())
		}
	}
}
