package directory

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/audit"
)

// Recover finds out what ended after a copy of the directory was made: from the
// events that followed, and from what a gateway knew (seen may be nil). changed is
// what the copy's records become, each whole. Only what ends something is taken
// over; the other events are lost: what they made is not in them.
func Recover(from Delta, later []audit.Event, seen *Delta) (changed Delta, lost []audit.Event) {
	r := newRecovery(from)
	for _, e := range later {
		if !r.event(e) {
			lost = append(lost, e)
		}
	}
	if seen != nil {
		r.seen(seen)
	}
	return r.changed(), lost
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
	tokens        map[string]bool
	keys          map[string]bool

	touched map[any]bool // ids, each of its own type
	added   Delta        // what the copy did not have
}

func newRecovery(d Delta) *recovery {
	r := &recovery{
		organisations: index(d.Organisations, func(o *Organisation) OrganisationID { return o.ID }),
		applications:  index(d.Applications, func(a *Application) ClientID { return a.ClientID }),
		resources:     index(d.Resources, func(r *Resource) string { return r.URI }),
		roles:         index(d.Roles, func(r *Role) RoleID { return r.ID }),
		instances:     index(d.Instances, func(i *Instance) InstanceID { return i.ID }),
		credentials:   index(d.Credentials, func(c *Credential) CredentialID { return c.ID }),
		named:         map[naming]bool{}, tokens: map[string]bool{}, keys: map[string]bool{}, touched: map[any]bool{},
	}
	for _, c := range d.Credentials {
		r.named[nameOf(c)] = true
	}
	for _, t := range d.Revoked {
		r.tokens[t.ID] = true
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
}

// event takes one event over, or tells that it could not.
func (r *recovery) event(e audit.Event) bool {
	var detail ended
	if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil {
		return false
	}
	noun, verb, _ := strings.Cut(e.Action, ".")
	switch {
	case verb == "tokens_revoked" && detail.IssuedBefore > 0:
		return r.endTokens(noun, e.Subject, time.Unix(detail.IssuedBefore, 0).UTC())
	case e.Action == "token.revoked" && detail.Exp > 0:
		r.token(RevokedToken{ID: e.Subject, Expires: time.Unix(detail.Exp, 0).UTC()})
		return true
	case e.Action == "signing_key.revoked":
		r.key(RevokedKey{KeyID: e.Subject, At: e.At})
		return true
	}
	to, ends := endings[verb]
	if !ends {
		return false
	}
	switch noun {
	case "organisation":
		return r.organisation(OrganisationID(e.Subject), to, endTokens(time.Time{}, to, e.At))
	case "application":
		return r.application(ClientID(e.Subject), to, endTokens(time.Time{}, to, e.At))
	case "resource":
		return r.resource(e.Subject, to)
	case "role":
		return r.role(RoleID(e.Subject), to)
	case "trust_anchor":
		return r.anchor(OrganisationID(e.Organisation), e.Subject, to)
	case "instance":
		return r.instance(InstanceID(e.Subject), to, detail.Credentials, e.At)
	case "credential":
		return r.credentialEvent(e, to, detail)
	}
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

func (r *recovery) resource(uri string, to State) bool {
	one := r.resources[uri]
	if one == nil {
		return false
	}
	if worse(to, one.State) {
		one.State = to
		r.touched[resourceID(uri)] = true
	}
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

func (r *recovery) anchor(of OrganisationID, id string, to State) bool {
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
	return true
}

func (r *recovery) instance(id InstanceID, to State, credentials []CredentialID, at time.Time) bool {
	i := r.instances[id]
	whole := i != nil
	if whole && worse(to, i.State) {
		i.State = to
		r.touched[id] = true
	}
	for _, c := range credentials {
		whole = r.credential(c, to, endTokens(time.Time{}, to, at)) && whole
	}
	return whole
}

// credentialEvent ends a credential. One that needs no registration has a record
// from then on.
func (r *recovery) credentialEvent(e audit.Event, to State, detail ended) bool {
	after := endTokens(time.Time{}, to, e.At)
	if r.credential(CredentialID(e.Subject), to, after) {
		return true
	}
	t, err := cnf.ParseThumbprint(detail.Thumbprint)
	if err != nil {
		return false
	}
	return r.unregistered(Credential{
		ID: CredentialID(e.Subject), ClientID: detail.ClientID, Kind: detail.Kind, State: to, Thumbprint: t, Created: e.At, TokensAfter: after,
	})
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

func (r *recovery) endTokens(noun, subject string, after time.Time) bool {
	switch noun {
	case "organisation":
		return r.organisation(OrganisationID(subject), "", after)
	case "application":
		return r.application(ClientID(subject), "", after)
	case "credential":
		return r.credential(CredentialID(subject), "", after)
	}
	return false
}

func (r *recovery) token(t RevokedToken) {
	if !r.tokens[t.ID] {
		r.tokens[t.ID] = true
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
		r.resource(one.URI, one.State)
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
