package admin

import (
	"context"
	"crypto/x509"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/cnf"
	"github.com/holdfast-auth/holdfast/internal/directory"
)

// anchorVerbs are the steps of a trust anchor's life. A replaced one is retiring
// while both are trusted.
var anchorVerbs = []verb{
	{"start-retirement", "Start retirement of trust anchor", directory.Retiring},
	{"retire", "Retire trust anchor", directory.Retired},
	{"suspend", "Suspend trust anchor", directory.Suspended},
	{"resume", "Resume trust anchor", directory.Active},
	{"revoke", "Revoke trust anchor", directory.Revoked},
	{"compromise", "Mark trust anchor as compromised", directory.Compromised},
}

func describeAnchors(d *door, a *api) {
	const anchors = "/organisations/{organisation}/trust-anchors"
	register(d, get(anchors, "List trust anchors"), operators, a.listAnchors)
	change(d, create(anchors, "Add trust anchor"), keepers, a.addAnchor, anchorAfter)
	register(d, get(anchors+"/{anchor}", "Show trust anchor"), operators, a.showAnchor)
	for _, v := range anchorVerbs {
		change(d, post(anchors+"/{anchor}/"+v.name, v.summary), keepers, a.moveAnchor(v.to), anchorEnd(v.to == directory.Suspended || v.to == directory.Revoked || v.to == directory.Compromised))
	}
}

// AnchorPath names a trust anchor of an organisation.
type AnchorPath struct {
	OrganisationPath
	Anchor string `path:"anchor" maxLength:"64"`
}

func (p *AnchorPath) seen(s *directory.Snapshot, by Caller) bool {
	if !p.OrganisationPath.seen(s, by) {
		return false
	}
	_, a := anchorOf(s, directory.OrganisationID(p.ID), p.Anchor)
	return a != nil
}

func (p *AnchorPath) missing() error { return notThere("trust anchor", p.Anchor) }

// TrustAnchor as the API shows it: a certificate authority of an organisation's
// own, whose certificates its tls_client_auth applications may show.
type TrustAnchor struct {
	ID           string     `json:"id"`
	Organisation string     `json:"organisation"`
	Name         string     `json:"name"`
	State        string     `json:"state" doc:"Active and retiring ones are trusted"`
	SPKI         string     `json:"spki" doc:"SHA-256 of the SubjectPublicKeyInfo, base64url: what it is pinned by"`
	Certificate  string     `json:"certificate" doc:"PEM"`
	Created      time.Time  `json:"created"`
	NotBefore    *time.Time `json:"not_before,omitempty"`
	NotAfter     *time.Time `json:"not_after,omitempty"`
}

// TrustAnchorChange is what became of one, and what that ends.
type TrustAnchorChange struct {
	TrustAnchor
	Ends *Ends `json:"ends,omitempty"`
}

// NewTrustAnchor is the body that adds one.
type NewTrustAnchor struct {
	Name        string `json:"name" minLength:"1" maxLength:"200"`
	Certificate string `json:"certificate" maxLength:"65536" doc:"One certificate of a CA, root or intermediate, PEM; trust ends at it"`
}

type (
	anchorInput    struct{ AnchorPath }
	endAnchorInput struct {
		AnchorPath
		DryRunQuery
	}
	addAnchorInput struct {
		OrganisationPath
		Body NewTrustAnchor
	}
	listAnchorsInput struct {
		OrganisationPath
		ListQuery
	}
	anchorOutput struct {
		Tag
		Body TrustAnchor
	}
	anchorChangeOutput struct {
		Tag
		Body TrustAnchorChange
	}
	anchorsOutput struct{ Body Page[TrustAnchor] }
)

// anchorOf finds a trust anchor of an organisation, or with "" of any.
func anchorOf(s *directory.Snapshot, id directory.OrganisationID, anchor string) (*directory.Organisation, *directory.TrustAnchor) {
	for o := range s.Organisations() {
		if id != "" && o.ID != id {
			continue
		}
		for i := range o.Anchors {
			if o.Anchors[i].ID == anchor {
				return o, &o.Anchors[i]
			}
		}
	}
	return nil, nil
}

func showAnchor(o directory.OrganisationID, a *directory.TrustAnchor) TrustAnchor {
	v := TrustAnchor{
		ID: a.ID, Organisation: string(o), Name: a.Name, State: string(a.State), SPKI: cnf.Thumbprint(a.SPKI).String(),
		Certificate: string(certificatePEM(a.Certificate)), Created: a.Created,
	}
	if c, err := x509.ParseCertificate(a.Certificate); err == nil { // it was read when it was added
		v.NotBefore, v.NotAfter = moment(c.NotBefore), moment(c.NotAfter)
	}
	return v
}

func anchorNow(s *directory.Snapshot, organisation directory.OrganisationID, anchor string) (*anchorOutput, error) {
	o, a := anchorOf(s, organisation, anchor)
	if a == nil {
		return nil, notThere("trust anchor", anchor)
	}
	return &anchorOutput{tagOf(o.Changed), showAnchor(o.ID, a)}, nil
}

func anchorAfter(o directory.Outcome) (*anchorOutput, error) {
	return anchorNow(o.After, "", o.Subject)
}

// anchorEnd shows what became of a trust anchor; tokens tells that those of its
// organisation end.
func anchorEnd(tokens bool) func(directory.Outcome) (*anchorChangeOutput, error) {
	return func(o directory.Outcome) (*anchorChangeOutput, error) {
		now, err := anchorAfter(o)
		if err != nil {
			return nil, err
		}
		return &anchorChangeOutput{now.Tag, TrustAnchorChange{now.Body, endsOf(o, tokens)}}, nil
	}
}

func (a *api) listAnchors(_ context.Context, _ Caller, in *listAnchorsInput) (*anchorsOutput, error) {
	o := a.Directory.Current().Organisation(directory.OrganisationID(in.ID))
	if o == nil {
		return nil, in.missing()
	}
	p, err := page(a, "trust anchors of "+in.ID, slices.Values(o.Anchors), in.ListQuery, func(a directory.TrustAnchor) string { return a.ID },
		func(a directory.TrustAnchor) TrustAnchor { return showAnchor(o.ID, &a) })
	return &anchorsOutput{p}, err
}

func (a *api) showAnchor(_ context.Context, _ Caller, in *anchorInput) (*anchorOutput, error) {
	return anchorNow(a.Directory.Current(), directory.OrganisationID(in.ID), in.Anchor)
}

func (a *api) addAnchor(ctx context.Context, caller Caller, in *addAnchorInput) (string, error) {
	der, err := onePEM("certificate", in.Body.Certificate, "CERTIFICATE")
	if err != nil {
		return "", err
	}
	id := directory.OrganisationID(in.ID)
	anchor, err := decided(a.Directory, func(guards ...directory.Guard) (directory.TrustAnchor, error) {
		return a.Directory.AddTrustAnchor(ctx, caller.actor(), id, in.Body.Name, der, guards...)
	}, mayTrust(caller, id))
	return anchor.ID, err
}

func (a *api) moveAnchor(to directory.State) func(context.Context, Caller, *endAnchorInput) (string, error) {
	return func(ctx context.Context, caller Caller, in *endAnchorInput) (string, error) {
		id := directory.OrganisationID(in.ID)
		var guards []directory.Guard
		if to == directory.Active {
			guards = append(guards, mayTrust(caller, id))
		}
		_, err := decided(a.Directory, func(guards ...directory.Guard) (directory.TrustAnchor, error) {
			return a.Directory.SetTrustAnchorState(ctx, caller.actor(), id, in.Anchor, to, guards...)
		}, guards...)
		return in.Anchor, err
	}
}

// mayTrust: who has a CA trusted can be any application of the organisation that
// is recognised by its certificates. Where there is an operator that the caller may
// not change, it is an owner's.
func mayTrust(caller Caller, id directory.OrganisationID) directory.Guard {
	return func(s *directory.Snapshot, _ time.Time) error {
		if caller.Role == directory.Owner {
			return nil
		}
		for c := range s.Clients() {
			if c.Organisation == id && c.State != directory.Revoked && !changeable(c, caller) {
				return newFault(http.StatusForbidden, "operator_application", "the organisation has an operator: only an owner trusts CAs for it")
			}
		}
		return nil
	}
}
