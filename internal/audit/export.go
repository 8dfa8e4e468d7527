package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// An export is JSON, one object a line: each event as Event.AppendJSON writes it,
// after it the checkpoint that was signed over it, if there is one, as
// {"checkpoint": JWS}, and in the last line {"end": sequence, "hash": hash}, so
// that a file that was cut shows it.

// maxLine bounds a line of an export, in bytes.
const maxLine = 4 << 20

// Export writes the events after a sequence with their checkpoints. What it
// writes is not verified: that is for whoever reads it.
func Export(ctx context.Context, t Trail, after int64, w io.Writer) (last Head, err error) {
	out := bufio.NewWriterSize(w, 64<<10)
	last.Sequence = after
	var checkpoints []SignedCheckpoint
	signed := after - 1 // up to where checkpoints were read; one of after itself vouches for the start
	for {
		events, err := t.Events(ctx, last.Sequence, page)
		if err != nil {
			return last, err
		}
		for _, e := range events {
			for len(checkpoints) == 0 && signed < e.Sequence {
				if checkpoints, err = t.Checkpoints(ctx, max(signed, 0), page); err != nil {
					return last, err
				}
				if len(checkpoints) < page {
					signed = math.MaxInt64 // that was all of them
				} else {
					signed = checkpoints[len(checkpoints)-1].Sequence
				}
			}
			checkpoints = writeCheckpoints(out, checkpoints, e.Sequence-1)
			writeLine(out, e.AppendJSON(nil))
			last = Head{Sequence: e.Sequence, Hash: e.Hash}
			checkpoints = writeCheckpoints(out, checkpoints, e.Sequence)
		}
		if len(events) < page {
			break
		}
	}
	end := strconv.AppendInt([]byte(`{"end":`), last.Sequence, 10)
	end = hex.AppendEncode(append(end, `,"hash":"`...), last.Hash[:])
	writeLine(out, append(end, `"}`...))
	return last, out.Flush()
}

// writeLine leaves errors to Flush, which returns the first.
func writeLine(out *bufio.Writer, line []byte) {
	_, _ = out.Write(line)
	_ = out.WriteByte('\n')
}

// writeCheckpoints writes those up to a sequence and returns the others.
func writeCheckpoints(out *bufio.Writer, checkpoints []SignedCheckpoint, upTo int64) []SignedCheckpoint {
	for len(checkpoints) > 0 && checkpoints[0].Sequence <= upTo {
		line := strictjson.AppendText([]byte(`{"checkpoint":`), checkpoints[0].JWS)
		writeLine(out, append(line, '}'))
		checkpoints = checkpoints[1:]
	}
	return checkpoints
}

// VerifyExport checks an export with nothing but the keys of trust: that its
// events are a chain from the first to the end that it states, and that its
// checkpoints and kept, those from elsewhere, are of this chain. Faults are as
// VerifyTrail's; a line that cannot be read is an error that names it.
func VerifyExport(r io.Reader, trust *Trust, kept ...*Checkpoint) (Report, error) {
	x := &exported{trust: trust, kept: kept}
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = x.line(line)
		}
		if err != nil {
			if !IsFault(err) {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			return x.report(), err
		}
	}
	if !x.ended {
		return x.report(), &ChainError{x.next(), "is missing: the file ends without saying where the chain does"}
	}
	return x.report(), x.verification.End()
}

// readLine reads a line without its break.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxLine:
			return nil, errors.New("longer than 4 MiB")
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return bytes.TrimSuffix(line, []byte("\n")), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// exported is the state of reading an export.
type exported struct {
	trust        *Trust
	kept         []*Checkpoint
	verification *Verification // nil until the first event
	before       []Checkpoint  // of what comes before the first event
	last         int64         // the last checkpoint, 0 for none
	ended        bool
}

func (x *exported) report() Report {
	if x.verification == nil {
		return Report{}
	}
	return x.verification.report()
}

func (x *exported) next() int64 {
	if x.verification == nil {
		return 1
	}
	return x.verification.head.Sequence + 1
}

func (x *exported) line(line []byte) error {
	kind, err := kindOf(line)
	switch {
	case err != nil:
		return err
	case x.ended:
		return errors.New("something after the end")
	case kind == "checkpoint":
		return x.checkpoint(line)
	case kind == "end":
		return x.end(line)
	}
	e, err := ParseEvent(line)
	if err != nil {
		return err
	}
	return x.event(e)
}

func (x *exported) event(e Event) error {
	if x.verification == nil {
		if e.Sequence < 1 {
			return &ChainError{e.Sequence, "has a number that no event has"}
		}
		x.verification = NewVerification(Head{Sequence: e.Sequence - 1, Hash: e.Previous})
		if e.Sequence == 1 {
			x.verification = NewVerification(Head{})
		}
		for _, c := range x.before {
			if err := x.verification.Checkpoint(c); err != nil {
				return err
			}
		}
		for _, c := range x.kept {
			if err := x.verification.Checkpoint(*c); err != nil {
				return err
			}
		}
	}
	return x.verification.Event(e)
}

func (x *exported) checkpoint(line []byte) error {
	var jws string
	err := strictjson.Members(line, 1, func(name string, v strictjson.Value) (err error) {
		if name != "checkpoint" {
			return errors.New("a member beside the checkpoint")
		}
		jws, err = v.Text()
		return err
	})
	if err != nil {
		return err
	}
	if len(x.trust.Keys) == 0 {
		return errNoKey
	}
	c, err := x.trust.Open(jws)
	switch {
	case err != nil:
		return fmt.Errorf("a checkpoint after event %d: %w", x.next()-1, err)
	case x.last != 0 && c.Previous != x.last, x.last == 0 && x.verification != nil && x.verification.first == 1 && c.Previous != 0:
		return &ChainError{c.Previous, fmt.Sprintf("has no checkpoint, which the one of event %d follows", c.Sequence)}
	}
	x.last = c.Sequence
	if x.verification == nil {
		x.before = append(x.before, *c)
		return nil
	}
	return x.verification.Checkpoint(*c)
}

func (x *exported) end(line []byte) error {
	var end Head
	seen := 0
	err := strictjson.Members(line, 1, func(name string, v strictjson.Value) (err error) {
		seen++
		switch name {
		case "end":
			end.Sequence, err = v.Integer()
		case "hash":
			err = readHash(&end.Hash, v)
		default:
			err = errors.New("a member beside end and hash")
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case seen != 2:
		return errors.New("end or hash is missing")
	}
	x.ended = true
	if x.verification == nil { // nothing came after what was asked for
		x.verification = NewVerification(end)
		for _, c := range x.kept {
			if c.Sequence > end.Sequence {
				return x.verification.Checkpoint(*c) // which it does not reach
			}
		}
		return nil
	}
	if x.verification.head != end {
		return &ChainError{x.next(), fmt.Sprintf("is missing: the file's chain ends at %d", end.Sequence)}
	}
	return nil
}

// ReadEvents reads the events of an export, or of any file with one event a line,
// and verifies that they are a chain among themselves. The error names the line.
func ReadEvents(r io.Reader) (events []Event, err error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	var head Head
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if errors.Is(err, io.EOF) {
			return events, nil
		}
		var e Event
		if err == nil {
			if kind, kindErr := kindOf(line); kindErr == nil && kind != "" {
				continue // a checkpoint, or the end
			}
			e, err = ParseEvent(line)
		}
		if err == nil && len(events) == 0 {
			head = Head{Sequence: e.Sequence - 1, Hash: e.Previous}
		}
		if err == nil {
			head, err = VerifyChain(head, slices.Values([]Event{e}))
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		events = append(events, e)
	}
}

// kindOf is "checkpoint", "end", or "" for an event.
func kindOf(line []byte) (kind string, err error) {
	err = strictjson.Members(line, eventDepth, func(name string, _ strictjson.Value) error {
		if name == "checkpoint" || name == "end" {
			kind = name
		}
		return nil
	})
	return kind, err
}
