package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

func exportOf(t *testing.T, one *trail, after int64) []string {
	t.Helper()
	var out bytes.Buffer
	if _, err := audit.Export(t.Context(), one, after, &out); err != nil {
		t.Fatal(err)
	}
	return strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func verifyLines(lines []string, by *jose.Signer, kept ...*audit.Checkpoint) (audit.Report, error) {
	return audit.VerifyExport(strings.NewReader(strings.Join(lines, "")), audit.NewTrust("", by.Public()), kept...)
}

func TestExport(t *testing.T) {
	by := newSigner(t)
	good := newTrail(t, by, 12, 4, 9)
	whole := exportOf(t, good, 0)
	t.Run("each event is a line, its checkpoint follows it, and the end is the last", func(t *testing.T) {
		if len(whole) != 15 || !strings.HasPrefix(whole[4], `{"checkpoint":"`) || !strings.HasPrefix(whole[10], `{"checkpoint":"`) || !strings.HasPrefix(whole[14], `{"end":12,"hash":"`) {
			t.Errorf("%d lines: %s", len(whole), whole)
		}
	})
	t.Run("it verifies with nothing but the key", func(t *testing.T) {
		if r, err := verifyLines(whole, by); err != nil || r.First != 1 || r.Head != good.head || r.Checkpoints != 2 || r.Vouched != 9 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	for _, after := range []int64{1, 3, 4, 5, 9, 11} {
		r, err := verifyLines(exportOf(t, good, after), by)
		if err != nil || r.First != after+1 || r.Head != good.head {
			t.Errorf("after %d: %+v, %v", after, r, err)
		}
	}
	t.Run("after the end there is nothing, which verifies too", func(t *testing.T) {
		if r, err := verifyLines(exportOf(t, good, 12), by); err != nil || r.Head.Sequence != 12 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("many pages", func(t *testing.T) {
		var at []int64
		for i := int64(1); i <= 2500; i += 2 {
			at = append(at, i)
		}
		if r, err := verifyLines(exportOf(t, newTrail(t, by, 2500, at...), 0), by); err != nil || r.Checkpoints != len(at) {
			t.Errorf("%+v, %v", r, err)
		}
	})
	head := signed(t, by, good.head, 9, nil)
	for _, c := range []struct {
		name   string
		change func(lines []string) []string
		at     int64 // the fault; 0: a line that cannot be read
		says   string
		kept   []*audit.Checkpoint
	}{
		{"a changed event", func(l []string) []string { l[1] = strings.Replace(l[1], "operator", "nobody", 1); return l }, 2, "was changed", nil},
		{"a removed event", func(l []string) []string { return slices.Delete(l, 1, 2) }, 2, "event 3 stands in its place", nil},
		{"an event twice", func(l []string) []string { return slices.Insert(l, 2, l[1]) }, 3, "event 2 stands in its place", nil},
		{"events in another order", func(l []string) []string { l[1], l[2] = l[2], l[1]; return l }, 2, "event 3 stands in its place", nil},
		{"a file that was cut between lines", func(l []string) []string { return l[:7] }, 7, "the file ends without saying", nil},
		{"a file that was cut, with another end", func(l []string) []string { return append(l[:7], l[14]) }, 7, "the file's chain ends at 12", nil},
		{"a file that is empty", func([]string) []string { return nil }, 1, "the file ends without saying", nil},
		{"a checkpoint that was removed", func(l []string) []string { return slices.Delete(l, 4, 5) }, 4, "has no checkpoint", nil},
		{"a checkpoint of another key", func(l []string) []string {
			l[4] = `{"checkpoint":"` + signed(t, newSigner(t), audit.Head{Sequence: 4, Hash: good.events[3].Hash}, 0, nil).JWS + "\"}\n"
			return l
		}, -1, "a checkpoint after event 4: not a checkpoint", nil},
		{"a shorter chain, against a checkpoint kept elsewhere", func([]string) []string {
			short := good.clone()
			short.events = short.events[:10]
			return exportOf(t, short, 0)
		}, 11, "a checkpoint was signed over event 12", []*audit.Checkpoint{head}},
		{"no chain at all, against a checkpoint kept elsewhere", func([]string) []string { return exportOf(t, &trail{}, 0) }, 1, "a checkpoint was signed over event 12", []*audit.Checkpoint{head}},
		{"a tail written anew, against a checkpoint kept elsewhere", func([]string) []string {
			anew := good.clone()
			anew.rewrite(11, func(e *audit.Event) { e.Subject = "x" })
			return exportOf(t, anew, 0)
		}, 10, "up to 12, is not what the checkpoint of event 12 was signed over", []*audit.Checkpoint{head}},
		{"a line that is no JSON", func(l []string) []string { l[2] = "x\n"; return l }, 0, "line 3: ", nil},
		{"a line that is empty", func(l []string) []string { l[2] = "\n"; return l }, 0, "line 3: ", nil},
		{"a member beside the checkpoint", func(l []string) []string { l[4] = strings.Replace(l[4], "}", `,"x":"y"}`, 1); return l }, 0, "line 5: ", nil},
		{"a line that is no event", func(l []string) []string { l[2] = `{"x":1}` + "\n"; return l }, 0, "line 3: ", nil},
		{"an end with a hash that is none", func(l []string) []string { l[14] = `{"end":12,"hash":"zz"}`; return l }, 0, "line 15: ", nil},
		{"an end without a hash", func(l []string) []string { l[14] = `{"end":12}`; return l }, 0, "line 15: ", nil},
		{"an end with more", func(l []string) []string { l[14] = strings.Replace(l[14], "}", `,"x":1}`, 1); return l }, 0, "line 15: ", nil},
		{"a later checkpoint that was removed", func([]string) []string {
			three := exportOf(t, newTrail(t, by, 12, 4, 9, 11), 0)
			return slices.Delete(three, 10, 11)
		}, 9, "has no checkpoint", nil},
		{"a start that its checkpoint was not signed over", func([]string) []string {
			l := exportOf(t, good, 4)
			l[0] = `{"checkpoint":"` + signed(t, by, audit.Head{Sequence: 4, Hash: [32]byte{1}}, 0, nil).JWS + "\"}\n"
			return l
		}, 4, "is not the event that the checkpoint was signed over", nil},
		{"a start that the checkpoint kept elsewhere was not signed over", func([]string) []string { return exportOf(t, good, 5) }, 5,
			"is not the event that the checkpoint was signed over", []*audit.Checkpoint{signed(t, by, audit.Head{Sequence: 5}, 4, nil)}},
		{"a first event without a number", func([]string) []string {
			e := good.events[0]
			e.Sequence = -3
			return []string{string(e.AppendJSON(nil)) + "\n"}
		}, -3, "has a number that no event has", nil},
		{"something after the end", func(l []string) []string { return append(l, "\n"+l[0]) }, 0, "line 16: ", nil},
		{"a line beyond 4 MiB", func(l []string) []string { l[1] = strings.Repeat(" ", 4<<20) + l[1]; return l }, 0, "line 2: longer", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := slices.Clone(whole)
			_, err := verifyLines(c.change(lines), by, c.kept...)
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want %q", err, c.says)
			}
			switch fault, ok := errors.AsType[*audit.ChainError](err); {
			case c.at != 0 && c.at != -1 && (!ok || fault.Sequence != c.at):
				t.Errorf("got %v, want a fault at %d", err, c.at)
			case (c.at == 0) == audit.IsFault(err):
				t.Errorf("a fault of the chain is %v: %v", audit.IsFault(err), err)
			}
		})
	}
	t.Run("without a key no checkpoint passes", func(t *testing.T) {
		_, err := audit.VerifyExport(strings.NewReader(strings.Join(whole, "")), audit.NewTrust(""))
		if err == nil || audit.IsFault(err) || !strings.Contains(err.Error(), "there is no key") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a trail that cannot be read is no fault of the chain", func(t *testing.T) {
		for _, what := range []string{"events", "checkpoints"} {
			if _, err := audit.Export(t.Context(), &broken{good, what}, 0, &bytes.Buffer{}); !errors.Is(err, errBroken) {
				t.Errorf("%s: got %v", what, err)
			}
		}
	})
	t.Run("a file without its first event is the export after it, and says so", func(t *testing.T) {
		if r, err := verifyLines(whole[1:], by); err != nil || r.First != 2 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("keys that follow one another are followed from the first", func(t *testing.T) {
		second := newSigner(t)
		one := newTrail(t, by, 6)
		hash := func(n int64) audit.Head { return audit.Head{Sequence: n, Hash: one.events[n-1].Hash} }
		one.checkpoints = []audit.SignedCheckpoint{
			{Sequence: 2, JWS: signed(t, by, hash(2), 0, second).JWS}, {Sequence: 5, JWS: signed(t, second, hash(5), 2, nil).JWS},
		}
		if r, err := verifyLines(exportOf(t, one, 0), by); err != nil || r.Vouched != 5 {
			t.Errorf("%+v, %v", r, err)
		}
		if _, err := verifyLines(exportOf(t, one, 0), second); err == nil {
			t.Error("the second key alone takes what the first signed")
		}
	})
}

func TestKept(t *testing.T) {
	first, second := newSigner(t), newSigner(t)
	handover := signed(t, first, audit.Head{Sequence: 2, Hash: [32]byte{2}}, 0, second)
	newest := signed(t, second, audit.Head{Sequence: 5, Hash: [32]byte{5}}, 2, nil)
	k := &audit.Kept{Issuer: issuer, Checkpoint: newest.JWS, Keys: []*jose.PublicKey{first.Public()}, Handovers: []string{handover.JWS}}
	text := string(k.JSON())
	got, err := audit.ParseKept([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	trust, c, err := got.Open()
	if err != nil || c.Sequence != 5 || len(trust.Keys) != 2 || string(got.JSON()) != text {
		t.Fatalf("%+v, %v", c, err)
	}
	for name, change := range map[string][2]string{
		"no issuer":          {`"issuer":"https://as.example",`, ``},
		"no checkpoint":      {newest.JWS, ``},
		"an unknown member":  {`{"issuer"`, `{"x":1,"issuer"`},
		"keys that are none": {`{"keys":[`, `{"other":[`},
		"no keys":            {string(first.Public().JWK()), ``},
		"something after it": {"]}\n", "]}\nx"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			changed := strings.Replace(text, change[0], change[1], 1)
			if changed == text {
				t.Fatal("nothing changed")
			}
			if _, err := audit.ParseKept([]byte(changed)); err == nil {
				t.Error("taken")
			}
		})
	}
	t.Run("a file beyond 1 MiB is refused", func(t *testing.T) {
		if _, err := audit.ParseKept([]byte(strings.Repeat(" ", audit.MaxKept) + text)); err == nil {
			t.Error("taken")
		}
	})
	t.Run("a handover that is none is refused, whatever the checkpoint", func(t *testing.T) {
		bad := audit.Kept{Issuer: issuer, Checkpoint: handover.JWS, Keys: k.Keys, Handovers: []string{"x"}}
		if _, _, err := bad.Open(); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a checkpoint that its keys do not lead to is refused", func(t *testing.T) {
		lost := *k
		lost.Handovers = nil
		if _, _, err := lost.Open(); !errors.Is(err, audit.ErrCheckpoint) {
			t.Errorf("got %v", err)
		}
	})
}
