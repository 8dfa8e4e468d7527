package ca

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Intent is a certificate that is about to be signed.
type Intent struct {
	Serial  string // hexadecimal
	Issuer  string // id of the CA key that will sign
	Profile Profile
	// Organisation, ClientID and CredentialID are empty for the listeners of
	// holdfast itself.
	Organisation directory.OrganisationID
	ClientID     directory.ClientID
	CredentialID directory.CredentialID
	// Names are DNS names and IP addresses that the organisation must own.
	Names       []string
	RequestHash [32]byte // SHA-256 of the CertificationRequestInfo
	TBSHash     [32]byte // SHA-256 of the TBSCertificate that will be signed
	Code        string   // id of the enrolment code that pays for it; "" for none
	At          time.Time
	// RenewAt is until when the certificate answers for its request.
	RenewAt  time.Time
	NotAfter time.Time
}

// Earlier is a certificate that was issued for the same request before.
type Earlier struct {
	Serial       string
	Issuer       string
	CredentialID directory.CredentialID
	Certificate  []byte // DER
	At           time.Time
}

// Switch is the state of issuing.
type Switch struct {
	Stopped bool
	Since   time.Time // of the last change; zero if there was none
	Actor   string
}

// Name is a DNS name or an IP address that server certificates of an
// organisation may have.
type Name struct {
	ID           string
	Organisation directory.OrganisationID
	Name         string // as ParseName writes it
	Added        time.Time
	Removed      time.Time // zero: in force
}

// Entry is one certificate on a list of revoked ones.
type Entry struct {
	Serial string // hexadecimal
	At     time.Time
	Reason int // RFC 5280 section 5.3.1; 0 is left out
}

// CRL is a signed list.
type CRL struct {
	Issuer                 string // id of the CA key
	Number                 int64
	Sequence               int64 // the change that it is of
	ThisUpdate, NextUpdate time.Time
	DER                    []byte
}

// Draft is a list that is about to be signed; its number is given to nobody else.
type Draft struct {
	Number   int64
	Sequence int64
	Entries  []Entry
}

// Store keeps certificates, from the intent on, and the lists of revoked ones.
type Store interface {
	// BeginIssue stores the intent, durable on return, if issuing is not stopped,
	// application and organisation are active, the names are the organisation's
	// and the code pays. It does not when there is a certificate for the request
	// that still answers for it: then it returns that one. Errors: ErrStopped,
	// ErrCode, directory.ErrState, directory.ErrExists (the serial),
	// *directory.InvalidError for a name, *BusyError.
	BeginIssue(ctx context.Context, i Intent) (*Earlier, error)
	// FinishIssue stores the certificate with the event, closes the intent, uses
	// the code up and adds the credential (if it has an id), in one transaction.
	// It is directory.ErrState without an open intent or when the application has
	// been suspended meanwhile, ErrStopped, ErrCode.
	FinishIssue(ctx context.Context, e audit.Event, serial string, certificate []byte, c directory.Credential) error
	// AbandonIssue closes an intent without a certificate; its serial goes onto
	// the list of revoked ones, because a signature may exist.
	AbandonIssue(ctx context.Context, e audit.Event, serial string, at time.Time) error
	// OpenIntents are those that are neither finished nor abandoned, oldest
	// first. Intents of the version before that began until then are among them.
	OpenIntents(ctx context.Context, issuer string, until time.Time) ([]Intent, error)

	// Switch reads whether issuing is stopped. SetSwitch is directory.ErrState
	// when it is as asked already.
	Switch(ctx context.Context) (Switch, error)
	SetSwitch(ctx context.Context, e audit.Event, stopped bool) error

	// AddName is directory.ErrExists when some organisation has the name.
	AddName(ctx context.Context, e audit.Event, n Name) error
	RemoveName(ctx context.Context, e audit.Event, organisation directory.OrganisationID, name string) error
	Names(ctx context.Context, organisation directory.OrganisationID) ([]Name, error)

	// DraftCRL takes a number for the issuer's next list, at least least, unless
	// the last one is younger than fresh and still true: then ok is false. looked
	// is the change up to which the caller has had that answer before; what it has
	// now is d.Sequence.
	DraftCRL(ctx context.Context, issuer string, now, fresh time.Time, least, looked int64) (d Draft, ok bool, err error)
	// PublishCRL stores a list unless one with a higher number is there.
	PublishCRL(ctx context.Context, c CRL) error
	// CRLNumbers are those of the newest list of each issuer; CRL is that list.
	CRLNumbers(ctx context.Context) (map[string]int64, error)
	CRL(ctx context.Context, issuer string) (CRL, error)

	// AddNotice stores the event, once for each subject, end and days; a second
	// time it is directory.ErrExists.
	AddNotice(ctx context.Context, e audit.Event, n directory.Notice) error
}

// Faults, for errors.Is.
var (
	// ErrClosed says that no issuing CA is in its time.
	ErrClosed = errors.New("no issuing CA is in force")
	// ErrLint is a certificate that would not have come out as meant. It was not
	// signed, or not given out.
	ErrLint = errors.New("certificate is not as meant")
	// ErrStopped says that an operator has stopped issuing.
	ErrStopped = errors.New("issuing is stopped")
	// ErrUnavailable is a CA key that does not sign.
	ErrUnavailable = errors.New("the CA key is not available")
	// ErrBusy is a request that somebody else is being served for.
	ErrBusy = errors.New("the same request is being served")
	// ErrCode is an enrolment code that pays for nothing (any more).
	ErrCode = errors.New("the enrolment code is not valid")
)

// BusyError names the intent that is under way for the same request or code. It
// is ErrBusy.
type BusyError struct {
	Serial string
	Since  time.Time
}

func (e *BusyError) Error() string { return fmt.Sprintf("certificate %s is being issued", e.Serial) }

// Is tells ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Reasons of RFC 5280 section 5.3.1.
const (
	reasonKeyCompromise = 1
	reasonSuperseded    = 4
	reasonCessation     = 5
	reasonHold          = 6
)

// EndReason tells whether a certificate belongs on the list of revoked ones, and
// with what reason: by the state of its credential, else of its application and
// organisation. A suspension is a hold, which can be lifted.
func EndReason(credential, application, organisation directory.State) (reason int, ended bool) {
	switch credential {
	case directory.Compromised:
		return reasonKeyCompromise, true
	case directory.Revoked:
		return 0, true
	case directory.Retired:
		return reasonSuperseded, true
	}
	switch {
	case application == directory.Revoked || organisation == directory.Revoked:
		return reasonCessation, true
	case credential == directory.Suspended || application == directory.Suspended || organisation == directory.Suspended:
		return reasonHold, true
	}
	return 0, false
}
