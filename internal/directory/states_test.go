package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

var allStates = []State{Created, Published, Active, Retiring, Retired, Suspended, Revoked, Compromised, Expired}

// TestMoves goes through every pair of states; the tables here are written from
// the description of the life of a credential, not from the code.
func TestMoves(t *testing.T) {
	for _, c := range []struct {
		name    string
		moves   map[State][]State
		allowed string
	}{
		{"credential", credentialMoves, `
			created>published created>retired created>revoked created>compromised created>expired
			published>active published>retired published>suspended published>revoked published>compromised published>expired
			active>retiring active>retired active>suspended active>revoked active>compromised active>expired
			retiring>retired retiring>suspended retiring>revoked retiring>compromised retiring>expired
			suspended>active suspended>retired suspended>revoked suspended>compromised suspended>expired
			expired>retired expired>revoked expired>compromised`},
		{"organisation and application", ownerMoves, `active>suspended active>revoked suspended>active suspended>revoked`},
	} {
		allowed := strings.Fields(c.allowed)
		for _, from := range append(allStates, "", "unknown") {
			for _, to := range append(allStates, "", "unknown") {
				move := string(from) + ">" + string(to)
				err := checkMove(c.moves, from, to)
				if want := slices.Contains(allowed, move); want != (err == nil) || err != nil && !errors.Is(err, ErrState) {
					t.Errorf("%s %s: %v, want allowed %v", c.name, move, err, want)
				}
			}
		}
	}
}

func TestFinalStates(t *testing.T) {
	for _, s := range []State{Retired, Revoked, Compromised} {
		if len(credentialMoves[s]) != 0 {
			t.Errorf("%s is not final", s)
		}
	}
}

func TestEveryMoveHasItsVerb(t *testing.T) {
	for from, tos := range credentialMoves {
		for _, to := range tos {
			if a := action("credential", from, to); a == "credential." {
				t.Errorf("%s to %s has no verb", from, to)
			}
		}
	}
	for _, c := range []struct {
		from, to State
		want     string
	}{
		{Active, Suspended, "credential.suspended"}, {Suspended, Active, "credential.resumed"}, {Published, Active, "credential.activated"},
		{Active, Revoked, "credential.revoked"}, {Active, Compromised, "credential.compromised"}, {Active, Retiring, "credential.retirement_started"},
	} {
		if got := action("credential", c.from, c.to); got != c.want {
			t.Errorf("%s to %s is %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestAccepted(t *testing.T) {
	accepted := []State{Published, Active, Retiring}
	for _, s := range append(allStates, "", "unknown") {
		if want := slices.Contains(accepted, s); s.Accepted() != want {
			t.Errorf("%s: accepted %v", s, s.Accepted())
		}
		c := Credential{State: s}
		if c.UsableAt(now) != s.Accepted() {
			t.Errorf("%s: usable %v", s, c.UsableAt(now))
		}
	}
}

func TestUsableAt(t *testing.T) {
	c := Credential{State: Active, NotBefore: now, NotAfter: now.Add(time.Hour)}
	for at, want := range map[time.Duration]bool{-time.Nanosecond: false, 0: true, time.Hour - time.Nanosecond: true, time.Hour: false} {
		if got := c.UsableAt(now.Add(at)); got != want {
			t.Errorf("at %v: usable %v", at, got)
		}
	}
	if c.NotAfter = (time.Time{}); !c.UsableAt(now.AddDate(100, 0, 0)) {
		t.Error("a credential without an end ends")
	}
}

// TestPromise7: no step leaves an application without a usable credential,
// except suspension, revocation and compromise, asked for by name.
func TestPromise7(t *testing.T) {
	credential := func(id CredentialID, kind Kind, s State) *Credential {
		return &Credential{ID: id, Kind: kind, State: s, NotAfter: now.Add(time.Hour)}
	}
	one := credential("one", SigningKey, Active)
	expired := credential("two", SigningKey, Active)
	expired.NotAfter = now
	early := credential("two", SigningKey, Active)
	early.NotBefore = now.Add(time.Minute)
	for _, c := range []struct {
		name    string
		others  []*Credential
		allowed bool
	}{
		{"no other", nil, false},
		{"another active", []*Credential{credential("two", SigningKey, Active)}, true},
		{"another published", []*Credential{credential("two", SigningKey, Published)}, true},
		{"another that is on its way out itself", []*Credential{credential("two", SigningKey, Retiring)}, false},
		{"another of another kind", []*Credential{credential("two", Certificate, Active)}, false},
		{"another suspended", []*Credential{credential("two", SigningKey, Suspended)}, false},
		{"another revoked", []*Credential{credential("two", SigningKey, Revoked)}, false},
		{"another created only", []*Credential{credential("two", SigningKey, Created)}, false},
		{"another expired", []*Credential{expired}, false},
		{"another not valid yet", []*Credential{early}, false},
	} {
		of := &Client{Credentials: append([]*Credential{one}, c.others...)}
		for _, to := range []State{Retiring, Retired} {
			err := checkCredentialMove(one, of, to, now)
			if c.allowed != (err == nil) || err != nil && !errors.Is(err, ErrState) {
				t.Errorf("%s, to %s: %v", c.name, to, err)
			}
		}
		for _, to := range []State{Suspended, Revoked, Compromised} {
			if err := checkCredentialMove(one, of, to, now); err != nil {
				t.Errorf("%s, to %s, asked for by name: %v", c.name, to, err)
			}
		}
	}
	t.Run("what is of no use any more may be retired", func(t *testing.T) {
		for _, s := range []State{Created, Suspended, Expired} {
			c := credential("one", SigningKey, s)
			if err := checkCredentialMove(c, &Client{Credentials: []*Credential{c}}, Retired, now); err != nil {
				t.Errorf("%s: %v", s, err)
			}
		}
		if err := checkCredentialMove(expired, &Client{Credentials: []*Credential{expired}}, Retired, now); err != nil {
			t.Error(err)
		}
	})
}

func TestExpiryTakesItsDate(t *testing.T) {
	c := &Credential{ID: "c", Kind: SigningKey, State: Active, NotAfter: now}
	of := &Client{Credentials: []*Credential{c}}
	if err := checkCredentialMove(c, of, Expired, now.Add(-time.Nanosecond)); !errors.Is(err, ErrState) {
		t.Errorf("before its date: %v", err)
	}
	if err := checkCredentialMove(c, of, Expired, now); err != nil {
		t.Errorf("at its date: %v", err)
	}
	c.NotAfter = time.Time{}
	if err := checkCredentialMove(c, of, Expired, now); !errors.Is(err, ErrState) {
		t.Errorf("without a date: %v", err)
	}
}
