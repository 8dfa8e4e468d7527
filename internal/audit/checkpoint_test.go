package audit_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

const issuer = "https://as.example"

func newSigner(t testing.TB) *jose.Signer {
	t.Helper()
	key, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner(key, jose.ES256, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signed is a checkpoint of a head.
func signed(t testing.TB, by *jose.Signer, head audit.Head, previous int64, next *jose.Signer) *audit.Checkpoint {
	t.Helper()
	c := &audit.Checkpoint{Issuer: issuer, Head: head, Previous: previous, At: time.Unix(1_800_000_000, 5)}
	if next != nil {
		c.Next = next.Public()
	}
	if err := c.Sign(by); err != nil {
		t.Fatal(err)
	}
	return c
}

func sameCheckpoint(t testing.TB, want, got *audit.Checkpoint) {
	t.Helper()
	keys := cmp.Comparer(func(a, b *jose.PublicKey) bool {
		return (a == nil) == (b == nil) && (a == nil || a.Thumbprint() == b.Thumbprint() && a.KeyID() == b.KeyID())
	})
	if diff := cmp.Diff(want, got, keys, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestCheckpoint(t *testing.T) {
	by, next := newSigner(t), newSigner(t)
	head := audit.Head{Sequence: 9, Hash: [32]byte{1, 2, 0xff}}
	for name, c := range map[string]*audit.Checkpoint{
		"a checkpoint": signed(t, by, head, 4, nil),
		"one that names the key of those after it": signed(t, by, head, 0, next),
	} {
		t.Run(name+" is read as it was signed", func(t *testing.T) {
			got, err := audit.ParseCheckpoint(c.JWS, next.Public(), by.Public())
			if err != nil {
				t.Fatal(err)
			}
			sameCheckpoint(t, c, got)
		})
	}
	claims := `{"iss":"https://as.example","iat":1800000000,"sequence":9,"hash":"` + strings.Repeat("0a", 32) + `","previous":4}`
	sign := func(typ, claims string) string {
		jws, err := by.Sign(by.Header(typ, false), []byte(claims))
		if err != nil {
			t.Fatal(err)
		}
		return jws
	}
	if _, err := audit.ParseCheckpoint(sign(audit.CheckpointType, claims), by.Public()); err != nil {
		t.Fatalf("the base of the cases below: %v", err)
	}
	change := func(old, new string) string {
		if !strings.Contains(claims, old) {
			t.Fatal(old)
		}
		return sign(audit.CheckpointType, strings.Replace(claims, old, new, 1))
	}
	good := sign(audit.CheckpointType, claims)
	for name, compact := range map[string]string{
		"nothing":                       "",
		"no JWS":                        "x",
		"another typ":                   sign("JWT", claims),
		"no typ":                        sign("", claims),
		"a payload that was changed":    good[:strings.Index(good, ".")+5] + "A" + good[strings.Index(good, ".")+6:],
		"a signature that was cut":      good[:len(good)-4],
		"another key":                   signed(t, next, head, 4, nil).JWS,
		"a signature of other claims":   good[:strings.LastIndex(good, ".")] + change(`"previous":4`, `"previous":3`)[strings.LastIndex(change(`"previous":4`, `"previous":3`), "."):],
		"more than 4 KiB":               change(`"iss":"https://as.example"`, `"iss":"`+strings.Repeat("x", 4096)+`"`),
		"no iss":                        change(`"iss":"https://as.example",`, ``),
		"an empty iss":                  change(`https://as.example`, ``),
		"an iss beyond 512 bytes":       change(`https://as.example`, strings.Repeat("x", 513)),
		"no iat":                        change(`"iat":1800000000,`, ``),
		"an iat as text":                change(`1800000000`, `"1800000000"`),
		"an iat before 1970":            change(`1800000000`, `-1`),
		"an iat as a fraction":          change(`1800000000`, `1800000000.5`),
		"no sequence":                   change(`"sequence":9,`, ``),
		"a sequence of 0":               change(`"sequence":9`, `"sequence":0`),
		"a sequence not after previous": change(`"previous":4`, `"previous":9`),
		"a negative previous":           change(`"previous":4`, `"previous":-1`),
		"no previous":                   change(`,"previous":4`, ``),
		"no hash":                       change(`"hash":"`+strings.Repeat("0a", 32)+`",`, ``),
		"a hash in capitals":            change(`0a0a`, `0A0A`),
		"a hash of 31 bytes":            change(`0a0a`, `0a`),
		"a hash of another alphabet":    change(`0a0a`, `zz0a`),
		"a claim that nobody knows":     change(`"previous":4`, `"previous":4,"exp":1`),
		"a claim twice":                 change(`"previous":4`, `"previous":4,"previous":4`),
		"a next that is no key":         change(`"previous":4`, `"previous":4,"next":{}`),
		"a next with a private key":     change(`"previous":4`, `"previous":4,"next":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`),
		"claims that are a list":        sign(audit.CheckpointType, `[]`),
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			c, err := audit.ParseCheckpoint(compact, by.Public())
			if !errors.Is(err, audit.ErrCheckpoint) || c != nil {
				t.Errorf("got %+v, %v", c, err)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	first, second, third := newSigner(t), newSigner(t), newSigner(t)
	at := func(n int64) audit.Head { return audit.Head{Sequence: n, Hash: [32]byte{byte(n)}} }
	open := func(t *testing.T, trust *audit.Trust, want bool, c *audit.Checkpoint) {
		t.Helper()
		if _, err := trust.Open(c.JWS); (err == nil) != want {
			t.Errorf("checkpoint of %d: %v", c.Sequence, err)
		}
	}
	t.Run("a successor is trusted from the checkpoint that names it, and not before", func(t *testing.T) {
		trust := audit.NewTrust(issuer, first.Public())
		open(t, trust, true, signed(t, first, at(1), 0, nil))
		open(t, trust, false, signed(t, second, at(3), 2, nil))
		open(t, trust, true, signed(t, first, at(2), 1, second))
		open(t, trust, true, signed(t, second, at(3), 2, third))
		open(t, trust, true, signed(t, third, at(4), 3, nil))
	})
	t.Run("a key that was succeeded signs no more", func(t *testing.T) {
		trust := audit.NewTrust(issuer, first.Public())
		open(t, trust, true, signed(t, first, at(2), 1, second))
		open(t, trust, false, signed(t, first, at(3), 2, nil))
		open(t, trust, false, signed(t, first, at(3), 2, third))
		open(t, trust, true, signed(t, first, at(1), 0, nil)) // what it signed before still holds
		open(t, trust, true, signed(t, first, at(2), 1, second))
	})
	t.Run("a successor that takes another key's kid is refused", func(t *testing.T) {
		key, err := jose.GenerateKey(jose.ES256, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		imposter, err := jose.NewSigner(key, jose.ES256, first.Public().KeyID())
		if err != nil {
			t.Fatal(err)
		}
		open(t, audit.NewTrust(issuer, first.Public()), false, signed(t, first, at(2), 1, imposter))
		open(t, audit.NewTrust(issuer, first.Public()), false, signed(t, first, at(2), 1, first))
	})
	t.Run("a successor that takes the kid of a third key is refused", func(t *testing.T) {
		key, err := jose.GenerateKey(jose.ES256, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		imposter, err := jose.NewSigner(key, jose.ES256, third.Public().KeyID())
		if err != nil {
			t.Fatal(err)
		}
		open(t, audit.NewTrust(issuer, first.Public(), third.Public()), false, signed(t, first, at(2), 1, imposter))
	})
	t.Run("a thousand keys is the most", func(t *testing.T) {
		trust := audit.NewTrust(issuer, slices.Repeat([]*jose.PublicKey{first.Public()}, 1000)...)
		open(t, trust, false, signed(t, first, at(2), 1, second))
		open(t, trust, true, signed(t, first, at(3), 2, nil))
	})
	t.Run("another issuer's is refused", func(t *testing.T) {
		open(t, audit.NewTrust("https://other", first.Public()), false, signed(t, first, at(1), 0, nil))
	})
}

// FuzzCheckpoint: what is read was signed, and means one thing: signed again, its
// claims are the same text.
func FuzzCheckpoint(f *testing.F) {
	key := newSigner(f)
	public := key.Public()
	f.Add([]byte(`{"iss":"a","iat":1,"sequence":2,"hash":"`+strings.Repeat("0", 64)+`","previous":1}`), false)
	f.Add([]byte(`{"previous":0,"iss":"\u0061","iat":0,"sequence":9223372036854775807,"hash":"`+strings.Repeat("f", 64)+`"}`), false)
	f.Add([]byte(`{"iss":"a","iat":1,"sequence":2,"hash":"`+strings.Repeat("0", 64)+`","previous":1,"next":`+string(public.JWK())+`}`), false)
	f.Add([]byte("a.b.c"), true)
	f.Fuzz(func(t *testing.T, data []byte, raw bool) {
		compact := string(data)
		if !raw {
			var err error
			if compact, err = key.Sign(key.Header(audit.CheckpointType, false), data); err != nil {
				t.Fatal(err)
			}
		}
		c, err := audit.ParseCheckpoint(compact, public)
		if err != nil {
			if !errors.Is(err, audit.ErrCheckpoint) || c != nil {
				t.Fatalf("got %+v, %v", c, err)
			}
			return
		}
		if raw {
			t.Fatal("a signature that was not made here")
		}
		again := *c
		if err := again.Sign(key); err != nil {
			t.Fatal(err)
		}
		second, err := audit.ParseCheckpoint(again.JWS, public)
		if err != nil {
			t.Fatal(err)
		}
		second.JWS = c.JWS
		sameCheckpoint(t, c, second)
	})
}
