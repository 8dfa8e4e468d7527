package directory

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Recovered is what a copy of the directory becomes, and what stays open.
type Recovered struct {
	// Records are those that change, each whole.
	Records Delta
	// Stopped is the event that stopped the certificate authority, nil where it
	// runs or the copy has it.
	Stopped *audit.Event
	// Names were taken from their organisations.
	Names []RemovedName
	// Lost are the events whose making is lost: what they made is not in them.
	Lost []audit.Event
	// Standing are the events that took something away which the copy still has and
	// which cannot be taken away by the event alone.
	Standing []audit.Event
	// OwnerLeft tells that an owner has something to sign in with.
	OwnerLeft bool
}

// RemovedName is a name that server certificates of an organisation had.
type RemovedName struct {
	Organisation OrganisationID
	Name         string
}

// Recover finds out what ended after a copy of the directory was made: from the
// events that followed, and from what a gateway knew (seen may be nil). Only what
// ends or narrows something is taken over.
func Recover(from Delta, later []audit.Event, seen *Delta) Recovered {
	r := newRecovery(from)
	for _, e := range later {
		switch r.event(e) {
		case lost:
			r.out.Lost = append(r.out.Lost, e)
		case stands:
			r.out.Standing = append(r.out.Standing, e)
		}
	}
	if seen != nil {
		r.seen(seen)
	}
	for _, id := range slices.Sorted(maps.Keys(r.signIn)) {
		if in := r.signIn[id]; !in.sameAs(r.applications[id]) {
			r.out.Standing = append(r.out.Standing, in.event)
		}
	}
	r.out.Records = r.changed()
	r.out.OwnerLeft = r.ownerLeft()
	return r.out
}

// ownerLeft leaves the windows of credentials aside: what they end, they would have
// ended without a restore.
func (r *recovery) ownerLeft() bool {
	can := map[ClientID]bool{}
	for _, c := range r.credentials {
		can[c.ClientID] = can[c.ClientID] || c.Kind.Registered() && c.State.Accepted()
	}
	for id, a := range r.applications {
		if a.OperatorRole == Owner && a.State == Active && (can[id] || a.JWKSURI != "" || a.TLSName != TLSName{}) {
			return true
		}
	}
	return false
}

// recovery is the copy's records, and which of them changed.
type recovery struct {
	organisations map[OrganisationID]*Organisation
	applications  map[ClientID]*Application
	resources     map[string]*Resource
	roles         map[RoleID]*Role
	instances     map[InstanceID]*Instance
	credentials   map[CredentialID]*Credential
	named         map[naming]bool // credentials
	tokens        map[tokenKey]time.Time
	keys          map[string]bool

	touched map[any]bool          // ids, each of its own type
	added   Delta                 // what the copy did not have
	issued  map[CredentialID]bool // certificates of after the copy
	signIn  map[ClientID]signIn   // the last that was said of it
	out     Recovered
}

func newRecovery(d Delta) *recovery {
	r := &recovery{
		organisations: index(d.Organisations, func(o *Organisation) OrganisationID { return o.ID }),
		applications:  index(d.Applications, func(a *Application) ClientID { return a.ClientID }),
		resources:     index(d.Resources, func(r *Resource) string { return r.URI }),
		roles:         index(d.Roles, func(r *Role) RoleID { return r.ID }),
		instances:     index(d.Instances, func(i *Instance) InstanceID { return i.ID }),
		credentials:   index(d.Credentials, func(c *Credential) CredentialID { return c.ID }),
		named:         map[naming]bool{}, tokens: map[tokenKey]time.Time{}, keys: map[string]bool{}, touched: map[any]bool{},
		issued: map[CredentialID]bool{}, signIn: map[ClientID]signIn{},
	}
	for _, c := range d.Credentials {
		r.named[nameOf(c)] = true
	}
	for _, t := range d.Revoked {
		r.tokens[tokenKey{t.ClientID, t.ID}] = t.Expires
	}
	for _, k := range d.RevokedKeys {
		r.keys[k.KeyID] = true
	}
	return r
}

func index[K comparable, T any](all []T, key func(*T) K) map[K]*T {
	by := make(map[K]*T, len(all))
	for i := range all {
		one := all[i]
		by[key(&one)] = &one
	}
	return by
}

// naming is how a credential that needs no registration is known.
type naming struct {
	clientKey
	kind Kind
}

func nameOf(c Credential) naming { return naming{clientKey{c.ClientID, c.Thumbprint}, c.Kind} }

// ended is what the detail of an event that ends something says.
type ended struct {
	ClientID     ClientID       `json:"client_id"`
	Kind         Kind           `json:"kind"`
	Thumbprint   string         `json:"thumbprint"`
	Exp          int64          `json:"exp"`           // seconds
	IssuedBefore int64          `json:"issued_before"` // seconds
	Credentials  []CredentialID `json:"credentials"`
	Revoked      []CredentialID `json:"revoked"`
	Name         string         `json:"name"`
}

// outcome is what became of an event.
type outcome int

const (
	taken  outcome = iota // nothing of it is left to do
	lost                  // what it made is not there
	stands                // what it ended is there
)

// takenIf is for what the copy may not have: what is not there is not in force.
func takenIf(there bool) outcome {
	if there {
		return taken
	}
	return lost
}

// event takes over what an event ended. One that nobody knows may have ended
// anything.
func (r *recovery) event(e audit.Event) outcome {
	switch effects[e.Action] {
	case makes:
		if e.Action == "certificate.issued" {
			r.issued[CredentialID(e.Subject)] = true
		}
		if e.Action == "authority.resumed" && r.out.Stopped != nil {
			r.out.Stopped = nil
			return taken
		}
		return lost
	case tells, voided:
		if e.Action == audit.ActionRestored && fromSnapshot(e) {
			return stands
		}
		return taken
	case narrows:
		return r.narrow(e)
	case ends:
		var detail ended
		if json.Unmarshal([]byte(e.Detail), &detail) == nil {
			return r.ending(e, detail)
		}
	}
	return stands
}

// fromSnapshot tells whether an earlier restore ended what only a gateway knew of.
func fromSnapshot(e audit.Event) bool {
	var detail struct {
		Snapshot bool `json:"snapshot"`
	}
	return json.Unmarshal([]byte(e.Detail), &detail) != nil || detail.Snapshot
}

func (r *recovery) ending(e audit.Event, detail ended) outcome {
	noun, verb, _ := strings.Cut(e.Action, ".")
	switch {
	case verb == "tokens_revoked":
		if detail.IssuedBefore <= 0 {
			return stands
		}
		return takenIf(r.endTokens(noun, e.Subject, detail.ClientID, time.Unix(detail.IssuedBefore, 0).UTC()))
	case e.Action == "token.revoked":
		if detail.Exp <= 0 {
			return stands
		}
		r.token(RevokedToken{ClientID: detail.ClientID, ID: e.Subject, Expires: time.Unix(detail.Exp, 0).UTC()})
		return taken
	case e.Action == "signing_key.revoked":
		r.key(RevokedKey{KeyID: e.Subject, At: e.At})
		return taken
	case e.Action == "authority.stopped":
		r.out.Stopped = &e
		return taken
	case e.Action == "organisation.name_removed":
		if detail.Name == "" {
			return stands
		}
		r.out.Names = append(r.out.Names, RemovedName{OrganisationID(e.Subject), detail.Name})
		return taken
	case e.Action == "operator.rekeyed", e.Action == "operator.recovered":
		return r.rekeyed(e, detail)
	}
	to := endings[verb]
	switch noun {
	case "organisation":
		return takenIf(r.organisation(OrganisationID(e.Subject), to, endTokens(time.Time{}, to, e.At)))
	case "application":
		return takenIf(r.application(ClientID(e.Subject), to, endTokens(time.Time{}, to, e.At)))
	case "resource":
		return takenIf(r.resource(e.Subject, to, endTokens(time.Time{}, to, e.At)))
	case "role":
		return takenIf(r.role(RoleID(e.Subject), to))
	case "trust_anchor":
		return takenIf(r.anchor(OrganisationID(e.Organisation), e.Subject, to, e.At))
	case "instance":
		return takenIf(r.instance(InstanceID(e.Subject), to, detail, e.At))
	case "credential":
		return r.credentialEvent(e, to, detail)
	}
	return stands
}

// rekeyed ends what an operator signed in with before. The new key is not in the
// event.
func (r *recovery) rekeyed(e audit.Event, detail ended) outcome {
	if detail.Revoked == nil {
		return stands
	}
	id := ClientID(e.Subject)
	for _, c := range detail.Revoked {
		r.credentialOf(id, c, Revoked, e.At)
	}
	if a := r.applications[id]; a != nil && e.Action == "operator.recovered" {
		delete(r.signIn, id)
		if a.AuthMethod != PrivateKeyJWT || a.JWKSURI != "" || a.TLSName != (TLSName{}) {
			a.AuthMethod, a.JWKSURI, a.TLSName = PrivateKeyJWT, "", TLSName{}
			r.touched[id] = true
		}
	}
	return lost
}

// credentialOf ends a credential of an application. Of one that the copy does not
// have only tokens are left: they end with all of its application.
func (r *recovery) credentialOf(id ClientID, c CredentialID, to State, at time.Time) bool {
	after := endTokens(time.Time{}, to, at)
	if r.credential(c, to, after) {
		return true
	}
	r.application(id, "", after)
	return false
}

// endings are the verbs of what ends something, by the state that it is in then. A
// suspension that was lifted later stays: whoever lifts it again knows why.
var endings = map[string]State{
	verbs[Suspended]: Suspended, verbs[Retired]: Retired, verbs[Revoked]: Revoked, verbs[Compromised]: Compromised, verbs[Expired]: Expired,
}

// worse tells whether a state ends more than another.
func worse(to, from State) bool {
	order := []State{Suspended, Expired, Retired, Revoked, Compromised}
	return slices.Index(order, to) > slices.Index(order, from)
}

func (r *recovery) organisation(id OrganisationID, to State, after time.Time) bool {
	o := r.organisations[id]
	if o == nil {
		return false
	}
	r.end(o.ID, &o.State, &o.TokensAfter, to, after)
	return true
}

func (r *recovery) application(id ClientID, to State, after time.Time) bool {
	a := r.applications[id]
	if a == nil {
		return false
	}
	r.end(a.ClientID, &a.State, &a.TokensAfter, to, after)
	return true
}

func (r *recovery) credential(id CredentialID, to State, after time.Time) bool {
	c := r.credentials[id]
	if c == nil {
		return false
	}
	r.end(c.ID, &c.State, &c.TokensAfter, to, after)
	return true
}

// end moves a record to a state that ends more, and ends its tokens.
func (r *recovery) end(id any, state *State, tokens *time.Time, to State, after time.Time) {
	if worse(to, *state) {
		*state = to
		r.touched[id] = true
	}
	if after.After(*tokens) {
		*tokens = after
		r.touched[id] = true
	}
}

func (r *recovery) resource(uri string, to State, after time.Time) bool {
	one := r.resources[uri]
	if one == nil {
		return false
	}
	r.end(resourceID(uri), &one.State, &one.TokensAfter, to, after)
	return true
}

// resourceID keeps URIs apart from other texts.
type resourceID string

func (r *recovery) role(id RoleID, to State) bool {
	one := r.roles[id]
	if one == nil {
		return false
	}
	if worse(to, one.State) {
		one.State = to
		r.touched[id] = true
	}
	return true
}

// anchor ends the tokens of its organisation too: which of them came of its
// certificates no token says.
func (r *recovery) anchor(of OrganisationID, id string, to State, when time.Time) bool {
	o := r.organisations[of]
	if o == nil {
		return false
	}
	at := slices.IndexFunc(o.Anchors, func(a TrustAnchor) bool { return a.ID == id })
	if at < 0 {
		return false
	}
	if worse(to, o.Anchors[at].State) {
		o.Anchors = slices.Clone(o.Anchors)
		o.Anchors[at].State = to
		r.touched[o.ID] = true
	}
	if to != Retired {
		r.organisation(of, "", endTokens(time.Time{}, to, when))
	}
	return true
}

func (r *recovery) instance(id InstanceID, to State, detail ended, at time.Time) bool {
	i := r.instances[id]
	whole := i != nil
	if whole && worse(to, i.State) {
		i.State = to
		r.touched[id] = true
	}
	for _, c := range detail.Credentials {
		whole = r.credentialOf(detail.ClientID, c, to, at) && whole
	}
	return whole
}

// credentialEvent ends a credential. One that needs no registration has a record
// from then on. A certificate of after the copy cannot be listed as revoked: the
// copy does not know its number.
func (r *recovery) credentialEvent(e audit.Event, to State, detail ended) outcome {
	id := CredentialID(e.Subject)
	after := endTokens(time.Time{}, to, e.At)
	switch {
	case r.credential(id, to, after):
		return taken
	case detail.ClientID == "":
		return stands
	case r.applications[detail.ClientID] == nil && !r.issued[id]:
		return lost
	case detail.Kind.Registered():
		r.credentialOf(detail.ClientID, id, to, e.At)
		if r.issued[id] {
			return stands
		}
		return lost
	}
	t, err := cnf.ParseThumbprint(detail.Thumbprint)
	if err != nil {
		return stands
	}
	c := Credential{ID: id, ClientID: detail.ClientID, Kind: detail.Kind, State: to, Thumbprint: t, Created: e.At, TokensAfter: after}
	if !r.named[nameOf(c)] && !r.unregistered(c) {
		return stands
	}
	return taken
}

func (r *recovery) unregistered(c Credential) bool {
	switch c.Kind {
	case DPoPKey, TrustedCertificate, PublishedKey:
	default:
		return false
	}
	if r.applications[c.ClientID] == nil || r.named[nameOf(c)] {
		return false
	}
	r.named[nameOf(c)] = true
	r.credentials[c.ID] = &c
	r.touched[c.ID] = true
	return true
}

func (r *recovery) endTokens(noun, subject string, of ClientID, after time.Time) bool {
	switch noun {
	case "organisation":
		return r.organisation(OrganisationID(subject), "", after)
	case "application":
		return r.application(ClientID(subject), "", after)
	case "credential":
		return r.credential(CredentialID(subject), "", after) || r.application(of, "", after)
	}
	return false
}

func (r *recovery) token(t RevokedToken) {
	key := tokenKey{t.ClientID, t.ID}
	if t.Expires.After(r.tokens[key]) {
		r.tokens[key] = t.Expires
		r.added.Revoked = append(r.added.Revoked, t)
	}
}

func (r *recovery) key(k RevokedKey) {
	if !r.keys[k.KeyID] {
		r.keys[k.KeyID] = true
		r.added.RevokedKeys = append(r.added.RevokedKeys, k)
	}
}

// seen takes over what a gateway knew to have ended.
func (r *recovery) seen(d *Delta) {
	for _, o := range d.Organisations {
		r.organisation(o.ID, o.State, o.TokensAfter)
	}
	for _, a := range d.Applications {
		r.application(a.ClientID, a.State, a.TokensAfter)
	}
	for _, one := range d.Resources {
		r.resource(one.URI, one.State, one.TokensAfter)
	}
	for _, c := range d.Credentials {
		if !r.credential(c.ID, c.State, c.TokensAfter) && !c.State.Accepted() {
			r.unregistered(c)
		}
	}
	for _, t := range d.Revoked {
		r.token(t)
	}
	for _, k := range d.RevokedKeys {
		r.key(k)
	}
}

func (r *recovery) changed() Delta {
	d := r.added
	d.Organisations = touched(r, r.organisations, func(id OrganisationID) any { return id })
	d.Applications = touched(r, r.applications, func(id ClientID) any { return id })
	d.Resources = touched(r, r.resources, func(uri string) any { return resourceID(uri) })
	d.Roles = touched(r, r.roles, func(id RoleID) any { return id })
	d.Instances = touched(r, r.instances, func(id InstanceID) any { return id })
	d.Credentials = touched(r, r.credentials, func(id CredentialID) any { return id })
	return d
}

// touched are the records that changed, in the order of their ids.
func touched[K interface{ ~string }, T any](r *recovery, all map[K]*T, id func(K) any) []T {
	var keys []K
	for k := range all {
		if r.touched[id(k)] {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var records []T
	for _, k := range keys {
		records = append(records, *all[k])
	}
	return records
}
