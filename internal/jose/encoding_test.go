package jose

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/asn1"
	"math/big"
	"slices"
	"strconv"
	"testing"
)

// sequence is an ECDSA signature as ASN.1.
type sequence struct{ R, S *big.Int }

func TestDERIsThatOfASN1(t *testing.T) {
	one := big.NewInt(1)
	numbers := []*big.Int{big.NewInt(0), one}
	for bits := uint(7); bits <= 256; bits += 1 + bits%8 {
		power := new(big.Int).Lsh(one, bits)
		numbers = append(numbers, new(big.Int).Sub(power, one))
		if bits < 256 {
			numbers = append(numbers, power)
		}
	}
	for range 50 {
		n, err := rand.Int(rand.Reader, new(big.Int).Lsh(one, 256))
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	for _, r := range numbers {
		for _, s := range numbers {
			fixed := make([]byte, es256Size)
			r.FillBytes(fixed[:es256Half])
			s.FillBytes(fixed[es256Half:])
			want, err := asn1.Marshal(sequence{r, s})
			if err != nil {
				t.Fatal(err)
			}
			der := appendDER(nil, fixed)
			if !bytes.Equal(der, want) {
				t.Fatalf("%x is %x in DER, want %x", fixed, der, want)
			}
			if len(der) > maxDERSize {
				t.Fatalf("%d bytes", len(der))
			}
			back, ok := appendFixed([]byte("x"), der)
			if !ok || !bytes.Equal(back[1:], fixed) {
				t.Fatalf("%x comes back as %x", fixed, back)
			}
		}
	}
}

func TestFixedRefusesOtherDER(t *testing.T) {
	good := appendDER(nil, bytes.Repeat([]byte{0x81}, es256Size))
	change := func(i int, b byte) []byte {
		der := slices.Clone(good)
		der[i] = b
		return der
	}
	seq := func(content ...byte) []byte { return append([]byte{derSequence, byte(len(content))}, content...) }
	wide := append([]byte{derInteger, 33}, bytes.Repeat([]byte{1}, 33)...)
	for name, der := range map[string][]byte{
		"nothing":                   nil,
		"one byte":                  {derSequence},
		"another tag":               change(0, 0x31),
		"a length too short":        change(1, good[1]-1),
		"a length too long":         change(1, good[1]+1),
		"another tag for r":         change(2, 0x03),
		"a length of r too long":    change(3, 0x7f),
		"another tag for s":         change(37, 0x03),
		"a length of s too long":    change(38, good[38]+1),
		"a length of s too short":   change(38, good[38]-1),
		"an empty sequence":         seq(),
		"half an integer":           seq(derInteger),
		"one integer":               seq(derInteger, 1, 1),
		"one integer and a half":    seq(derInteger, 1, 1, derInteger),
		"three integers":            seq(derInteger, 1, 1, derInteger, 1, 1, derInteger, 1, 1),
		"an integer of 33 bytes":    seq(append(wide, derInteger, 1, 1)...),
		"a second one of 33 bytes":  seq(append([]byte{derInteger, 1, 1}, wide...)...),
		"the fixed form":            bytes.Repeat([]byte{0x81}, es256Size),
		"the fixed form of r and s": make([]byte, es256Size),
	} {
		if fixed, ok := appendFixed(nil, der); ok {
			t.Errorf("%s becomes %x", name, fixed)
		}
	}
}

// Anybody can sign for a point of low order: with R the neutral element and S 0,
// the standard library verifies as soon as the hash is a multiple of the order.
func TestWeakEd25519KeysAreThoseAnybodySignsFor(t *testing.T) {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	for i, low := range lowOrder {
		for _, sign := range []byte{0, 0x80} {
			key := slices.Clone(low[:])
			key[31] |= sign
			verifies := false
			for n := range 200 {
				verifies = verifies || ed25519.Verify(key, []byte(strconv.Itoa(n)), forged)
			}
			if !verifies {
				t.Errorf("point %d, sign %x, is no point of low order", i, sign)
			}
			if !isWeakEd25519(key) {
				t.Errorf("point %d, sign %x, passes", i, sign)
			}
		}
	}
	for first := 0xec; first <= 0xff; first++ { // 2^255-20 to 2^255-1
		key := bytes.Repeat([]byte{0xff}, ed25519.PublicKeySize)
		key[0], key[31] = byte(first), 0x7f
		if !isWeakEd25519(key) {
			t.Errorf("y of 2^255-%d passes", 256-first)
		}
	}
	key := bytes.Repeat([]byte{0xff}, ed25519.PublicKeySize)
	key[0], key[31] = 0xeb, 0x7f
	if isWeakEd25519(key) {
		t.Error("y of 2^255-21, which has one spelling, is refused")
	}
	for i := 1; i < 32; i++ {
		key := bytes.Repeat([]byte{0xff}, ed25519.PublicKeySize)
		key[31] = 0x7f
		key[i]--
		if isWeakEd25519(key) {
			t.Errorf("y below 2^255-19 by byte %d is refused", i)
		}
	}
	for range 50 {
		key, _, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if isWeakEd25519(key) {
			t.Errorf("%x is refused", key)
		}
	}
}

func TestROCA(t *testing.T) {
	base := big.NewInt(65537)
	for exponent := int64(1); exponent < 300; exponent++ {
		if n := new(big.Int).Exp(base, big.NewInt(exponent), nil); !hasROCA(n.Bytes()) {
			t.Errorf("65537^%d passes", exponent)
		}
	}
	// Fails for one prime alone, each in turn.
	for _, prime := range rocaPrimes {
		others := big.NewInt(1)
		for _, p := range rocaPrimes {
			if p != prime {
				others.Mul(others, big.NewInt(int64(p)))
			}
		}
		n := new(big.Int).Exp(base, big.NewInt(128), nil)
		for range prime {
			rest := new(big.Int).Mod(n, big.NewInt(int64(prime))).Uint64()
			if powers := powersOf65537(uint64(prime)); hasROCA(n.Bytes()) != powers[rest] {
				t.Errorf("modulo %d: rest %d, power %t", prime, rest, powers[rest])
			}
			n.Add(n, others)
		}
	}
}

func powersOf65537(prime uint64) map[uint64]bool {
	powers := make(map[uint64]bool)
	for power := uint64(1); !powers[power]; power = power * 65537 % prime {
		powers[power] = true
	}
	return powers
}
