package cnf

import (
	"errors"

	"github.com/holdfast-auth/holdfast/internal/strictjson"
)

// ErrUnknownMember is a "cnf" claim with a member that this package does not
// know. RFC 7800 section 3.1 lets a reader ignore such a member; a verifier that
// does so accepts a token whose binding it did not check, so we refuse it.
var ErrUnknownMember = errors.New("cnf has a member that is not supported")

var errConfirmation = errors.New("cnf is not an object of thumbprints")

// Confirmation is a parsed "cnf" claim. A token may carry both members and then
// must satisfy both.
type Confirmation struct {
	Certificate, Key       Thumbprint
	HasCertificate, HasKey bool
}

// ParseConfirmation reads the value of a "cnf" claim; it has at least one member.
func ParseConfirmation(raw []byte) (Confirmation, error) {
	var c Confirmation
	err := strictjson.Members(raw, 2, func(name string, v strictjson.Value) error {
		if name != "x5t#S256" && name != "jkt" {
			return ErrUnknownMember
		}
		text, _ := v.Text() // of another kind of value: "", which is no thumbprint
		t, err := ParseThumbprint(text)
		if err != nil {
			return err
		}
		if name == "jkt" {
			c.Key, c.HasKey = t, true
		} else {
			c.Certificate, c.HasCertificate = t, true
		}
		return nil
	})
	switch {
	case errors.Is(err, ErrUnknownMember):
		return Confirmation{}, ErrUnknownMember
	case err != nil, !c.HasCertificate && !c.HasKey:
		return Confirmation{}, errConfirmation
	}
	return c, nil
}
