package registration

import (
	"context"
	"errors"
	"time"

	"github.com/holdfast-auth/holdfast/internal/audit"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// Faults of a change, for errors.Is.
var (
	// ErrSpent is an initial access token without a use left, expired or revoked.
	ErrSpent = errors.New("the initial access token cannot be used")
	// ErrStatementUsed is a software statement without a registration left,
	// expired or revoked.
	ErrStatementUsed = errors.New("the software statement cannot be used")
	// ErrToken is a registration access token that is not, or no more, the one of
	// the registration.
	ErrToken = errors.New("not a registration access token of this client")
)

// InitialToken lets whoever has it register clients of one organisation.
type InitialToken struct {
	ID           string
	Hash         Hash
	Organisation directory.OrganisationID
	Limits       Limits
	Uses         int // at most
	Used         int
	Created      time.Time
	Expires      time.Time
	Revoked      time.Time // zero: not
	Actor        string    // who made it
}

// StatementRecord is a software statement that this directory signed.
type StatementRecord struct {
	ID           string // jti
	Organisation directory.OrganisationID
	SoftwareID   string
	Claims       []byte // the payload as it was signed
	// Standalone: it is enough without an initial access token.
	Standalone bool
	Uses       int // at most: registrations
	Used       int
	Created    time.Time
	Expires    time.Time
	Revoked    time.Time // zero: not
	Actor      string
	Clients    []directory.ClientID // that registered with it, in order
}

// Registration is what is kept of a client that registered itself, beside its
// application.
type Registration struct {
	ClientID        directory.ClientID
	Issued          time.Time // client_id_issued_at
	SoftwareID      string
	SoftwareVersion string
	SigningAlg      string
	InitialToken    string // id, "" for none
	Limits          Limits // of the initial token
	Statement       string // jti, "" for none
	Fixed           []byte // what the statement said, as it was signed; nil for none
	// Token is that of the registration access token that was given out last,
	// Previous of the one before, which is good until Token is used. Zero: none.
	Token, Previous Hash
}

// accepts tells whether the hash is that of a token that is good.
func (r *Registration) accepts(h Hash) bool {
	return h != Hash{} && (h.equal(r.Token) || h.equal(r.Previous))
}

// Creation is a new registration with all that it changes.
type Creation struct {
	Delta        directory.Delta
	Registration Registration
	Now          time.Time
}

// Change is a changed registration.
type Change struct {
	Delta        directory.Delta
	Registration Registration // as it will be; its tokens are not looked at
	Presented    Hash         // by which the change was asked for
	Next         Hash         // of the token that is given out now
	Statement    string       // jti that is used by this change, "" for none
	Now          time.Time
}

// Store keeps tokens, statements and registrations. Each change is one
// transaction with its event, as in directory.Store; an event with a Sequence is
// ErrStale (of the directory) when other changes came first. What is not there is
// ErrNotFound (of the directory).
type Store interface {
	CreateInitialToken(ctx context.Context, e audit.Event, t InitialToken) error
	InitialToken(ctx context.Context, h Hash) (InitialToken, error)
	// InitialTokens are those of an organisation whose ids follow after, limit at most.
	InitialTokens(ctx context.Context, o directory.OrganisationID, after string, limit int) ([]InitialToken, error)
	InitialTokenByID(ctx context.Context, id string) (InitialToken, error)
	// RevokeInitialToken is ErrState (of the directory) for one that is revoked.
	RevokeInitialToken(ctx context.Context, e audit.Event, o directory.OrganisationID, id string) error

	CreateStatement(ctx context.Context, e audit.Event, s StatementRecord) error
	Statement(ctx context.Context, id string) (StatementRecord, error)
	Statements(ctx context.Context, o directory.OrganisationID, after string, limit int) ([]StatementRecord, error)
	RevokeStatement(ctx context.Context, e audit.Event, o directory.OrganisationID, id string) error

	// Register uses up one use of the initial token and of the statement that the
	// registration names (ErrSpent, ErrStatementUsed), and stores all of c.
	Register(ctx context.Context, e audit.Event, c Creation) error
	Registration(ctx context.Context, id directory.ClientID) (Registration, error)
	// FirstOf is the client that registered first with the initial token or the
	// statement; the other is "".
	FirstOf(ctx context.Context, initialToken, statement string) (directory.ClientID, error)
	// Update is ErrToken when c.Presented is good no more.
	Update(ctx context.Context, e audit.Event, c Change) error
	// UseToken ends the token before h, if h was given out last. It is ErrToken when
	// h is good no more.
	UseToken(ctx context.Context, id directory.ClientID, h Hash) error
	// End stores the records and ends the registration's tokens. With a presented
	// hash it is ErrToken when that is good no more; zero is not looked at.
	End(ctx context.Context, e audit.Event, d directory.Delta, id directory.ClientID, presented Hash) error
	// ReplaceToken makes next the registration's one token.
	ReplaceToken(ctx context.Context, e audit.Event, id directory.ClientID, next Hash) error
}
