// Package enrol gives an application its first credential of our CA: an operator
// makes a code, whoever runs the application sends it back with a CSR, once. The
// code is 130 random bits, shown when it is made and kept as its SHA-256.
//
// Left out: approval after the fact, attestation, proof by a legacy key.
package enrol

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// CodeLife is how long a code can be used.
const CodeLife = 24 * time.Hour

// codePrefix tells people, and who looks for leaked secrets, what a code is.
const codePrefix = "hfe_"

// Code is an enrolment code without its secret.
type Code struct {
	ID       string
	ClientID directory.ClientID
	Profile  ca.Profile // "": as the request has it, or as the application authenticates
	Instance string     // name of the replica that it is for; "" for none
	Actor    string     // who made it
	Created  time.Time
	Expires  time.Time
	Revoked  time.Time // zero: not
	Used     time.Time // zero: not
	// CredentialID and RequestHash are what it was used for.
	CredentialID directory.CredentialID
	RequestHash  []byte
}

// State of the code at now: open, used, revoked or expired.
func (c *Code) State(now time.Time) string {
	switch {
	case !c.Used.IsZero():
		return "used"
	case !c.Revoked.IsZero():
		return "revoked"
	case !now.Before(c.Expires):
		return "expired"
	}
	return "open"
}

// Store keeps codes. What uses one up is ca.Store's.
type Store interface {
	AddCode(ctx context.Context, e audit.Event, c Code, hash [32]byte) error
	// Code and CodeByHash are directory.ErrNotFound when there is none.
	Code(ctx context.Context, id string) (Code, error)
	CodeByHash(ctx context.Context, hash [32]byte) (Code, error)
	// Codes are those of an application, in the order of their ids.
	Codes(ctx context.Context, client directory.ClientID) ([]Code, error)
	// RevokeCode is directory.ErrState when it is used or revoked already.
	RevokeCode(ctx context.Context, e audit.Event, id string) error
}

// Authority issues what a code pays for: *ca.Authority.
type Authority interface {
	Issue(ctx context.Context, r ca.Request) (ca.Issued, error)
}

// Service makes codes and takes them. Every field is required.
type Service struct {
	Store     Store
	Authority Authority
	Directory *directory.Directory
	Now       func() time.Time
}

// New is what a code is made for.
type New struct {
	Profile  ca.Profile
	Instance string
	Life     time.Duration // at most CodeLife, which is what 0 means
}

// Create makes a code for an application; secret is what the application gets,
// and nobody again. Errors: *directory.InvalidError for profile, instance and
// life; directory.ErrState for an application that is revoked.
func (s *Service) Create(ctx context.Context, actor string, client *directory.Client, n New) (c Code, secret string, err error) {
	now := s.Now()
	if n.Life == 0 {
		n.Life = CodeLife
	}
	switch {
	case client.State == directory.Revoked:
		return c, "", fmt.Errorf("application %s is revoked: %w", client.ClientID, directory.ErrState)
	case client.AuthMethod == directory.SelfSignedTLSClientAuth:
		return c, "", &directory.InvalidError{Field: "profile", Reason: "a self_signed_tls_client_auth application has no certificates of our CA"}
	case n.Profile != "" && (n.Profile == ca.ServerTLS || !n.Profile.Fits(client.AuthMethod)):
		return c, "", &directory.InvalidError{Field: "profile", Reason: "must be client_transport or, for a private_key_jwt application, client_signing"}
	case n.Life < time.Second || n.Life > CodeLife:
		return c, "", &directory.InvalidError{Field: "life_seconds", Reason: "not between 1 s and 24 hours"}
	}
	if err := checkInstance(n.Instance); err != nil {
		return c, "", err
	}
	c = Code{
		ID: "code-" + strings.ToLower(rand.Text()), ClientID: client.ClientID, Profile: n.Profile, Instance: n.Instance,
		Actor: actor, Created: now, Expires: now.Add(n.Life),
	}
	secret = codePrefix + strings.ToLower(rand.Text())
	e, err := event(actor, "enrolment_code.created", now, client.Organisation, c.ID, map[string]any{
		"client_id": client.ClientID, "profile": n.Profile, "instance": n.Instance, "expires": c.Expires.Unix(),
	})
	if err != nil {
		return Code{}, "", err
	}
	if err := s.Directory.Under(ctx, func(ctx context.Context) error { return s.Store.AddCode(ctx, e, c, sha256.Sum256([]byte(secret))) }); err != nil {
		return Code{}, "", err
	}
	return c, secret, nil
}

// checkInstance is [A-Za-z0-9._-]{0,64}, as ids are.
func checkInstance(name string) error {
	if len(name) > 64 || name == "." || name == ".." || strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
	}) {
		return &directory.InvalidError{Field: "instance", Reason: "has up to 64 letters, digits, '.', '_' and '-'"}
	}
	return nil
}

// Revoke ends a code of the application. Errors: directory.ErrNotFound, directory.ErrState.
func (s *Service) Revoke(ctx context.Context, actor string, client *directory.Client, id string) error {
	if _, err := s.Code(ctx, client.ClientID, id); err != nil {
		return err
	}
	e, err := event(actor, "enrolment_code.revoked", s.Now(), client.Organisation, id, map[string]any{"client_id": client.ClientID})
	if err != nil {
		return err
	}
	return s.Directory.Under(ctx, func(ctx context.Context) error { return s.Store.RevokeCode(ctx, e, id) })
}

// Foresee is what Revoke would make of a code, which it leaves as it is. It is
// directory.ErrState for one that was used or revoked.
func (s *Service) Foresee(ctx context.Context, client directory.ClientID, id string) (Code, error) {
	c, err := s.Code(ctx, client, id)
	if err == nil && !(c.Revoked.IsZero() && c.Used.IsZero()) {
		err = fmt.Errorf("revoke enrolment code %s: %w", id, directory.ErrState)
	}
	c.Revoked = s.Now()
	return c, err
}

// Code finds a code of the application; another's is directory.ErrNotFound.
func (s *Service) Code(ctx context.Context, client directory.ClientID, id string) (Code, error) {
	c, err := s.Store.Code(ctx, id)
	if err == nil && c.ClientID != client {
		return Code{}, directory.ErrNotFound
	}
	return c, err
}

// Codes are those of the application, in the order of their ids.
func (s *Service) Codes(ctx context.Context, client directory.ClientID) ([]Code, error) {
	return s.Store.Codes(ctx, client)
}

func event(actor, action string, at time.Time, o directory.OrganisationID, subject string, facts map[string]any) (audit.Event, error) {
	detail, err := json.Marshal(facts)
	if err != nil {
		return audit.Event{}, fmt.Errorf("write down %s: %w", action, err)
	}
	return audit.Event{At: at, Actor: actor, Action: action, Organisation: string(o), Subject: subject, Detail: string(detail)}, nil
}

// Attempt is what somebody sends to be enrolled.
type Attempt struct {
	Code    string
	CSR     []byte        // PKCS#10, PEM or DER
	Profile ca.Profile    // "": as the code has it
	Life    time.Duration // 0: 90 days
}

// Result is an application with its new credential.
type Result struct {
	Client   *directory.Client
	Instance string
	Profile  ca.Profile
	Issued   ca.Issued
}

// Redeem issues the certificate that the code is for. A code that is unknown,
// used, expired or revoked is ca.ErrCode, all alike; used together with the
// request that used it, it is answered as that was. Nothing else burns a code:
// neither a CSR that is refused nor an application that is suspended.
//
// Errors: ca.ErrCode, *directory.InvalidError for csr, profile and life,
// directory.ErrState for an application that is not live, and those of
// ca.Authority.Issue.
func (s *Service) Redeem(ctx context.Context, a Attempt) (Result, error) {
	if len(a.Code) != len(codePrefix)+26 || !strings.HasPrefix(a.Code, codePrefix) {
		return Result{}, ca.ErrCode
	}
	code, err := s.Store.CodeByHash(ctx, sha256.Sum256([]byte(a.Code)))
	if errors.Is(err, directory.ErrNotFound) {
		err = ca.ErrCode
	}
	if err != nil {
		return Result{}, err
	}
	if now := s.Now(); !code.Revoked.IsZero() || !now.Before(code.Expires) {
		return Result{}, ca.ErrCode
	}
	client := s.Directory.Current().Client(code.ClientID)
	if client == nil {
		return Result{}, fmt.Errorf("application %s is not known here yet: %w", code.ClientID, ca.ErrUnavailable)
	}
	profile, err := profileOf(code, a, client)
	if err != nil {
		return Result{}, err
	}
	issued, err := s.Authority.Issue(ctx, ca.Request{
		Actor: string(client.ClientID), Client: client, Profile: profile, CSR: a.CSR, Life: a.Life,
		Code: code.ID, Instance: code.Instance, Directory: s.Directory,
	})
	if err != nil {
		return Result{}, err
	}
	return Result{Client: client, Instance: code.Instance, Profile: profile, Issued: issued}, nil
}

// profileOf is the code's profile, else what is asked for, else client_transport.
func profileOf(code Code, a Attempt, client *directory.Client) (ca.Profile, error) {
	profile := code.Profile
	switch {
	case profile == "" && a.Profile == "":
		profile = ca.ClientTransport
	case profile == "":
		profile = a.Profile
	case a.Profile != "" && a.Profile != profile:
		return "", &directory.InvalidError{Field: "profile", Reason: "is not the one that the code is for"}
	}
	if profile == ca.ServerTLS || !profile.Fits(client.AuthMethod) {
		return "", &directory.InvalidError{Field: "profile", Reason: "is not one that the application uses"}
	}
	return profile, nil
}
