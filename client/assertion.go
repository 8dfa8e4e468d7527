package client

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/holdfast-auth/holdfast/internal/jose"
	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	assertionTyp  = "client-authentication+jwt"
	assertionLife = 60 * time.Second
)

// NewAssertion makes a client assertion (RFC 7523 section 3) for the
// authorization server issuer, and for no other: aud is the issuer as one string.
// It is good for 60 s and for one use: its jti is 16 bytes of random.
func NewAssertion(now time.Time, random io.Reader, signer *Signer, clientID, issuer string) (string, error) {
	return newAssertion(now, random, signer, signer.Header(assertionTyp, false), clientID, issuer)
}

func newAssertion(now time.Time, random io.Reader, signer *Signer, header jose.PreparedHeader, clientID, issuer string) (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(random, id[:]); err != nil {
		return "", fmt.Errorf("jti of an assertion: %w", err)
	}
	claims := make([]byte, 0, 256)
	claims = append(claims, `{"iss":`...)
	claims = strictjson.AppendText(claims, clientID)
	claims = append(claims, `,"sub":`...)
	claims = strictjson.AppendText(claims, clientID)
	claims = append(claims, `,"aud":`...)
	claims = strictjson.AppendText(claims, issuer)
	claims = append(claims, `,"jti":"`...)
	claims = base64.RawURLEncoding.AppendEncode(claims, id[:])
	claims = append(claims, `","iat":`...)
	claims = strconv.AppendInt(claims, now.Unix(), 10)
	claims = append(claims, `,"exp":`...)
	claims = strconv.AppendInt(claims, now.Add(assertionLife).Unix(), 10)
	assertion, err := signer.Sign(header, append(claims, '}'))
	if err != nil {
		return "", fmt.Errorf("sign assertion: %w", err)
	}
	return assertion, nil
}
