package jose

const (
	es256Half  = 32 // bytes of r and of s
	es256Size  = 2 * es256Half
	maxDERSize = 2 + 2*(2+1+es256Half)

	uncompressedPoint = 4 // the first byte of a SEC 1 point

	derInteger  = 0x02
	derSequence = 0x30
)

// appendDER appends the ECDSA signature r||s of RFC 7518 section 3.4, which is
// es256Size bytes, as the ASN.1 sequence that crypto/ecdsa reads.
func appendDER(dst, signature []byte) []byte {
	start := len(dst)
	dst = append(dst, derSequence, 0)
	dst = appendDERInteger(dst, signature[:es256Half])
	dst = appendDERInteger(dst, signature[es256Half:])
	dst[start+1] = byte(len(dst) - start - 2)
	return dst
}

// appendDERInteger appends the unsigned number in its shortest form.
func appendDERInteger(dst, number []byte) []byte {
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	if number[0] >= 0x80 {
		return append(append(dst, derInteger, byte(len(number)+1), 0), number...)
	}
	return append(append(dst, derInteger, byte(len(number))), number...)
}

// appendFixed is the reverse of appendDER. Signers make der, so its form is
// trusted as far as its lengths agree.
func appendFixed(dst, der []byte) ([]byte, bool) {
	if len(der) < 2 || der[0] != derSequence || int(der[1]) != len(der)-2 {
		return nil, false
	}
	rest := der[2:]
	for range 2 {
		if len(rest) < 2 || rest[0] != derInteger || int(rest[1]) > len(rest)-2 {
			return nil, false
		}
		number := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(number):]
		if len(number) == es256Half+1 && number[0] == 0 {
			number = number[1:]
		}
		if len(number) > es256Half {
			return nil, false
		}
		var half [es256Half]byte
		copy(half[es256Half-len(number):], number)
		dst = append(dst, half[:]...)
	}
	return dst, len(rest) == 0
}
