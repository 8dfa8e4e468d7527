package jose

import "crypto/ed25519"

// rocaPrimes are the small primes modulo which 65537 generates only a part of
// all residues, so that the moduli of CVE-2017-15361, whose factors are powers
// of 65537 modulo each of them, can be told from others: one in 2^27 of those
// is refused with them.
var rocaPrimes = [...]uint32{11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157}

// hasROCA tells whether the big-endian modulus is a power of 65537 modulo every
// one of rocaPrimes.
func hasROCA(modulus []byte) bool {
	for _, prime := range rocaPrimes {
		var rest uint32
		for _, b := range modulus {
			rest = (rest<<8 | uint32(b)) % prime
		}
		if !isPowerOf65537(rest, prime) {
			return false
		}
	}
	return true
}

func isPowerOf65537(n, prime uint32) bool {
	for power := uint32(1); ; {
		if power == n {
			return true
		}
		power = power * 65537 % prime
		if power == 1 {
			return false
		}
	}
}

// lowOrder are the y coordinates of the points of edwards25519 whose order
// divides 8, little-endian as in RFC 8032: anybody can sign for them.
var lowOrder = [...][ed25519.PublicKeySize]byte{
	{0},
	{1},
	{
		0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
	},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
}

// isWeakEd25519 tells whether the key is a point of low order, or has a y that
// is not below 2^255-19 and so a second spelling and a second thumbprint.
func isWeakEd25519(key ed25519.PublicKey) bool {
	y := [ed25519.PublicKeySize]byte(key)
	y[31] &= 0x7f // the sign of x
	for _, low := range lowOrder {
		if y == low {
			return true
		}
	}
	return isAtLeastFieldPrime(y)
}

// isAtLeastFieldPrime compares the little-endian y with 2^255-19.
func isAtLeastFieldPrime(y [32]byte) bool {
	for _, b := range y[1:31] {
		if b != 0xff {
			return false
		}
	}
	return y[31] == 0x7f && y[0] >= 0xed
}
