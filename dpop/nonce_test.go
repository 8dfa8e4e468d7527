package dpop

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
)

func TestNonces(t *testing.T) {
	jkt := cnf.Thumbprint{7}
	nonces := NewNonces([32]byte{1})
	begin := noon // a period begins here
	late := begin.Add(noncePeriod - time.Second)
	nonce := nonces.Issue(late, jkt)
	any := time.Time{}
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(nonce) > 60 {
		t.Fatalf("a nonce of %d characters, %v", len(nonce), err)
	}
	later := append([]byte{}, raw...)
	later[7]++
	for _, c := range []struct {
		name      string
		by        *Nonces
		now       time.Time
		nonce     string
		jkt       cnf.Thumbprint
		notBefore time.Time
		want      bool
	}{
		{"at once", nonces, late, nonce, jkt, any, true},
		{"in the next period", nonces, begin.Add(2*noncePeriod - time.Nanosecond), nonce, jkt, any, true},
		{"two periods later", nonces, begin.Add(2 * noncePeriod), nonce, jkt, any, false},
		{"on a node whose clock is 30 s behind", nonces, late.Add(-MaxAhead), nonce, jkt, any, true},
		{"from the future", nonces, late.Add(-MaxAhead - time.Nanosecond), nonce, jkt, any, false},
		{"on a node that shares the secret", NewNonces([32]byte{1}), late, nonce, jkt, any, true},
		{"under another secret", NewNonces([32]byte{2}), late, nonce, jkt, any, false},
		{"for another key", nonces, late, nonce, cnf.Thumbprint{8}, any, false},
		{"issued at the start that is demanded", nonces, late, nonce, jkt, late, true},
		{"issued before the start that is demanded", nonces, late, nonce, jkt, late.Add(time.Nanosecond), false},
		{"none", nonces, late, "", jkt, any, false},
		{"cut", nonces, late, nonce[:len(nonce)-1], jkt, any, false},
		{"longer", nonces, late, nonce + "A", jkt, any, false},
		{"not base64url", nonces, late, strings.Repeat("+", len(nonce)), jkt, any, false},
		{"with a line break", nonces, late, nonce[:10] + "\n" + nonce[11:], jkt, any, false},
		{"with another time", nonces, late, base64.RawURLEncoding.EncodeToString(later), jkt, any, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.by.Check(c.now, c.nonce, c.jkt, c.notBefore); got != c.want {
				t.Errorf("accepted is %v", got)
			}
		})
	}
	t.Run("every change of one character is refused", func(t *testing.T) {
		for i := range nonce {
			changed := []byte(nonce)
			if changed[i]++; nonces.Check(late, string(changed), jkt, any) {
				t.Errorf("character %d", i)
			}
		}
	})
}

func BenchmarkNonceCheck(b *testing.B) {
	nonces := NewNonces([32]byte{1})
	nonce := nonces.Issue(noon, cnf.Thumbprint{})
	b.ReportAllocs()
	for b.Loop() {
		if !nonces.Check(noon, nonce, cnf.Thumbprint{}, time.Time{}) {
			b.Fatal("refused")
		}
	}
}

// FuzzNonce: what is accepted is, letter by letter, what was issued for that key at
// the time that it tells.
func FuzzNonce(f *testing.F) {
	n, now := NewNonces([32]byte{1}), time.Unix(1_800_000_000, 0)
	good := n.Issue(now, cnf.Thumbprint{2})
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(n.Issue(now.Add(-9*time.Minute), cnf.Thumbprint{2}))
	f.Add(n.Issue(now, cnf.Thumbprint{3}))
	f.Add("")
	f.Fuzz(func(t *testing.T, nonce string) {
		if !n.Check(now, nonce, cnf.Thumbprint{2}, time.Time{}) {
			return
		}
		b, err := base64.RawURLEncoding.DecodeString(nonce)
		if err != nil {
			t.Fatal(err)
		}
		issued := time.Unix(0, int64(binary.BigEndian.Uint64(b)))
		if nonce != n.Issue(issued, cnf.Thumbprint{2}) || now.Sub(issued) >= 10*time.Minute || issued.Sub(now) > MaxAhead {
			t.Errorf("accepted %q of %v", nonce, issued)
		}
	})
}
