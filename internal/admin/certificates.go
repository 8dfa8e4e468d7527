package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-auth/holdfast/internal/ca"
	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/enrol"
)

// describeCertificates are the operations of the certificate authority and of
// enrolment.
func describeCertificates(d *door, a *api) {
	issue := create("/applications/{client_id}/certificate-requests", "Issue certificate")
	issue.Description = "The same request gets the same certificate, with 200, until half of its life has passed."
	register(d, issue, keepers, a.issueCertificate)

	register(d, get("/organisations/{organisation}/names", "List names of organisation"), operators, a.listNames)
	register(d, create("/organisations/{organisation}/names", "Add name to organisation"), owners, a.addName)
	register(d, post("/organisations/{organisation}/names/{name}/remove", "Remove name from organisation"), officers, a.removeName)

	register(d, get("/applications/{client_id}/enrolment-codes", "List enrolment codes"), operators, a.listCodes)
	register(d, create("/applications/{client_id}/enrolment-codes", "Create enrolment code"), keepers, a.createCode)
	register(d, get("/applications/{client_id}/enrolment-codes/{code_id}", "Show enrolment code"), operators, a.showCode)
	register(d, post("/applications/{client_id}/enrolment-codes/{code_id}/revoke", "Revoke enrolment code"), keepers, a.revokeCode)

	register(d, get("/certificate-authority", "Show certificate authority"), installation, a.showAuthority)
	register(d, post("/certificate-authority/stop", "Stop issuing certificates"), officers, a.stopIssuing)
	register(d, post("/certificate-authority/resume", "Resume issuing certificates"), officers, a.resumeIssuing)
	register(d, create("/certificate-authority/requests", "Request issuing CA"), owners, a.requestAuthority)
	register(d, create("/certificate-authority/certificates", "Import issuing CA"), owners, a.importAuthority)
}

// NewRequest asks for a certificate of our own authority.
type NewRequest struct {
	CSR         string `json:"csr" maxLength:"65536" doc:"PKCS#10, PEM"`
	Profile     string `json:"profile,omitempty" enum:"client_transport,client_signing,server_tls" doc:"What it is for; client_transport when omitted"`
	LifeSeconds int64  `json:"life_seconds,omitempty" minimum:"1" maximum:"7776000" doc:"90 days when omitted"`
}

// IssuedCertificate is the answer: the credential and its chain.
type IssuedCertificate struct {
	CredentialID string    `json:"credential_id"`
	ClientID     string    `json:"client_id"`
	Profile      string    `json:"profile"`
	Serial       string    `json:"serial" doc:"Hexadecimal"`
	Thumbprint   string    `json:"thumbprint" doc:"x5t#S256; of a client_signing certificate, the key's RFC 7638 thumbprint"`
	KeyID        string    `json:"kid,omitempty" doc:"Of a client_signing certificate's key"`
	Chain        string    `json:"chain" doc:"PEM, leaf first, without the root"`
	NotAfter     time.Time `json:"not_after"`
}

type (
	issueCertificateInput struct {
		ApplicationPath
		Body NewRequest
	}
	issuedOutput struct {
		Status int
		Body   IssuedCertificate
	}
)

func (a *api) issueCertificate(ctx context.Context, caller Caller, in *issueCertificateInput) (*issuedOutput, error) {
	csr, err := onePEM("csr", in.Body.CSR, "CERTIFICATE REQUEST")
	if err != nil {
		return nil, err
	}
	client, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	r := ca.Request{
		Actor: caller.actor(), Client: client, Profile: ca.Profile(in.Body.Profile), CSR: csr,
		Life: time.Duration(in.Body.LifeSeconds) * time.Second, Directory: a.Directory,
	}
	if r.Profile == "" {
		r.Profile = ca.ClientTransport
	}
	issued, err := a.Authority.Issue(ctx, r)
	if err != nil {
		return nil, err
	}
	_ = a.Directory.Refresh(ctx) // in force at once; without it, within 500 ms
	out := &issuedOutput{Status: http.StatusCreated, Body: showIssued(r.Profile, issued)}
	if issued.Again {
		out.Status = http.StatusOK
	}
	return out, nil
}

func showIssued(profile ca.Profile, issued ca.Issued) IssuedCertificate {
	c := issued.Credential
	out := IssuedCertificate{
		CredentialID: string(c.ID), ClientID: string(c.ClientID), Profile: string(profile), Serial: issued.Serial,
		Thumbprint: c.Thumbprint.String(), NotAfter: c.NotAfter,
	}
	if c.Key != nil {
		out.KeyID = c.Key.KeyID()
	}
	for _, der := range issued.Chain {
		out.Chain += string(certificatePEM(der))
	}
	return out
}

// OrganisationName is a DNS name or an IP address that server certificates of an
// organisation may have.
type OrganisationName struct {
	Organisation string    `json:"organisation"`
	Name         string    `json:"name" doc:"DNS name in lower case, or IP address"`
	Added        time.Time `json:"added"`
}

// NewName is the body that adds one.
type NewName struct {
	Name string `json:"name" minLength:"1" maxLength:"253" doc:"DNS name without wildcard, or IP address"`
}

type (
	addNameInput struct {
		OrganisationPath
		Body NewName
	}
	removeNameInput struct {
		OrganisationPath
		DryRunQuery
		Name string `path:"name" maxLength:"253"`
	}
	namesOutput struct{ Body Page[OrganisationName] }
	nameOutput  struct{ Body OrganisationName }
)

// organisation finds one that may have something new.
func (a *api) organisation(id string) (*directory.Organisation, error) {
	o := a.Directory.Current().Organisation(directory.OrganisationID(id))
	if o == nil {
		return nil, directory.ErrNotFound
	}
	return o, nil
}

func (a *api) listNames(ctx context.Context, _ Caller, in *OrganisationPath) (*namesOutput, error) {
	o, err := a.organisation(in.ID)
	if err != nil {
		return nil, err
	}
	names, err := a.Authority.Names(ctx, o.ID)
	if err != nil {
		return nil, err
	}
	out := &namesOutput{Page[OrganisationName]{Items: make([]OrganisationName, len(names))}}
	for i, n := range names {
		out.Body.Items[i] = showName(n)
	}
	return out, nil
}

func (a *api) addName(ctx context.Context, caller Caller, in *addNameInput) (*nameOutput, error) {
	o, err := a.organisation(in.ID)
	if err == nil && o.State == directory.Revoked {
		err = directory.ErrState
	}
	if err != nil {
		return nil, err
	}
	var n ca.Name
	err = a.Directory.Under(ctx, func(ctx context.Context) (err error) {
		n, err = a.Authority.AddName(ctx, caller.actor(), o.ID, in.Body.Name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &nameOutput{showName(n)}, nil
}

func (a *api) removeName(ctx context.Context, caller Caller, in *removeNameInput) (*namesOutput, error) {
	o, err := a.organisation(in.ID)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		return a.namesWithout(ctx, &in.OrganisationPath, in.Name)
	}
	err = a.Directory.Under(ctx, func(ctx context.Context) error { return a.Authority.RemoveName(ctx, caller.actor(), o.ID, in.Name) })
	if errors.Is(err, directory.ErrInvalid) {
		err = directory.ErrNotFound // no organisation can have such a name
	}
	if err != nil {
		return nil, err
	}
	return a.listNames(ctx, caller, &in.OrganisationPath)
}

// namesWithout is what is left of an organisation's names when one is taken away.
func (a *api) namesWithout(ctx context.Context, of *OrganisationPath, text string) (*namesOutput, error) {
	name, err := ca.ParseName(text)
	if err != nil {
		return nil, directory.ErrNotFound // no organisation can have such a name
	}
	out, err := a.listNames(ctx, Caller{}, of)
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(out.Body.Items, func(n OrganisationName) bool { return n.Name == name })
	if len(left) == len(out.Body.Items) {
		return nil, directory.ErrNotFound
	}
	out.Body.Items = left
	return out, nil
}

func showName(n ca.Name) OrganisationName {
	return OrganisationName{Organisation: string(n.Organisation), Name: n.Name, Added: n.Added}
}

// EnrolmentCode as the API shows it: never the code itself.
type EnrolmentCode struct {
	ID           string     `json:"code_id"`
	ClientID     string     `json:"client_id"`
	Profile      string     `json:"profile,omitempty"`
	Instance     string     `json:"instance,omitempty"`
	State        string     `json:"state" enum:"open,used,revoked,expired"`
	CreatedBy    string     `json:"created_by"`
	Created      time.Time  `json:"created"`
	Expires      time.Time  `json:"expires"`
	Used         *time.Time `json:"used,omitempty"`
	Revoked      *time.Time `json:"revoked,omitempty"`
	CredentialID string     `json:"credential_id,omitempty" doc:"What it was used for"`
}

// NewCode is the body that makes one.
type NewCode struct {
	Profile     string `json:"profile,omitempty" enum:"client_transport,client_signing" doc:"The application chooses when omitted"`
	Instance    string `json:"instance,omitempty" maxLength:"64" doc:"Name of the replica that it is for"`
	LifeSeconds int64  `json:"life_seconds,omitempty" minimum:"1" maximum:"86400" doc:"24 hours when omitted"`
}

// MadeCode is the answer that shows the code, once.
type MadeCode struct {
	EnrolmentCode
	Code string `json:"code" doc:"Give it to the application; it is shown this once"`
}

type (
	codeInput struct {
		ApplicationPath
		ID string `path:"code_id" maxLength:"64"`
	}
	listCodesInput struct {
		ApplicationPath
		ListQuery
	}
	createCodeInput struct {
		ApplicationPath
		Body NewCode
	}
	codeOutput     struct{ Body EnrolmentCode }
	madeCodeOutput struct{ Body MadeCode }
	codesOutput    struct{ Body Page[EnrolmentCode] }
	endCodeInput   struct {
		ApplicationPath
		DryRunQuery
		ID string `path:"code_id" maxLength:"64"`
	}
)

func (a *api) listCodes(ctx context.Context, _ Caller, in *listCodesInput) (*codesOutput, error) {
	client, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	codes, err := a.Enrolment.Codes(ctx, client.ClientID)
	if err != nil {
		return nil, err
	}
	now := a.Table.Now()
	p, err := page(a, "enrolment codes of "+in.ClientID, slices.Values(codes), in.ListQuery, func(c enrol.Code) string { return c.ID },
		func(c enrol.Code) EnrolmentCode { return showEnrolmentCode(&c, now) })
	return &codesOutput{p}, err
}

func (a *api) createCode(ctx context.Context, caller Caller, in *createCodeInput) (*madeCodeOutput, error) {
	client, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	c, secret, err := a.Enrolment.Create(ctx, caller.actor(), client, enrol.New{
		Profile: ca.Profile(in.Body.Profile), Instance: in.Body.Instance, Life: time.Duration(in.Body.LifeSeconds) * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &madeCodeOutput{MadeCode{showEnrolmentCode(&c, a.Table.Now()), secret}}, nil
}

func (a *api) showCode(ctx context.Context, _ Caller, in *codeInput) (*codeOutput, error) {
	c, err := a.Enrolment.Code(ctx, directory.ClientID(in.ClientID), in.ID)
	if err != nil {
		return nil, err
	}
	return &codeOutput{showEnrolmentCode(&c, a.Table.Now())}, nil
}

func (a *api) revokeCode(ctx context.Context, caller Caller, in *endCodeInput) (*codeOutput, error) {
	client, err := a.client(in.ClientID)
	if err != nil {
		return nil, err
	}
	if in.DryRun {
		c, err := a.Enrolment.Foresee(ctx, client.ClientID, in.ID)
		if err != nil {
			return nil, err
		}
		return &codeOutput{showEnrolmentCode(&c, a.Table.Now())}, nil
	}
	if err := a.Enrolment.Revoke(ctx, caller.actor(), client, in.ID); err != nil {
		return nil, err
	}
	return a.showCode(ctx, caller, &codeInput{in.ApplicationPath, in.ID})
}

func showEnrolmentCode(c *enrol.Code, now time.Time) EnrolmentCode {
	return EnrolmentCode{
		ID: c.ID, ClientID: string(c.ClientID), Profile: string(c.Profile), Instance: c.Instance, State: c.State(now), CreatedBy: c.Actor,
		Created: c.Created, Expires: c.Expires, Used: moment(c.Used), Revoked: moment(c.Revoked), CredentialID: string(c.CredentialID),
	}
}

// CertificateAuthority as the API shows it.
type CertificateAuthority struct {
	Stopped bool        `json:"stopped" doc:"Nothing is issued until it is resumed"`
	Since   *time.Time  `json:"since,omitempty" doc:"Of the last stop or resumption"`
	Actor   string      `json:"actor,omitempty" doc:"Who stopped or resumed it"`
	Roots   []string    `json:"roots" doc:"PEM"`
	Issuing []IssuingCA `json:"issuing" doc:"The one that begins to sign last comes first"`
}

// IssuingCA is one of the CAs that sign certificates.
type IssuingCA struct {
	ID          string     `json:"id"`
	Subject     string     `json:"subject"`
	Certificate string     `json:"certificate" doc:"PEM"`
	SignsFrom   time.Time  `json:"signs_from"`
	NotAfter    time.Time  `json:"not_after"`
	Available   bool       `json:"available" doc:"Its key is here and opens"`
	CRL         string     `json:"crl,omitempty" doc:"URL of its list of revoked certificates"`
	CRLNumber   int64      `json:"crl_number,omitempty"`
	NextUpdate  *time.Time `json:"crl_next_update,omitempty"`
}

// AuthorityRequest is a CSR for a new issuing CA.
type AuthorityRequest struct {
	ID  string `json:"id"`
	CSR string `json:"csr" doc:"PKCS#10, PEM, for whoever has the root's key"`
}

// NewAuthority is the certificate that was made of one.
type NewAuthority struct {
	Certificates string `json:"certificates" maxLength:"65536" doc:"PEM: the issuing CA's certificate and, if it is not known here yet, the root's"`
}

type (
	stopIssuingInput     struct{ DryRunQuery }
	importAuthorityInput struct {
		DryRunQuery
		Body NewAuthority
	}
	authorityOutput struct{ Body CertificateAuthority }
	requestOutput   struct{ Body AuthorityRequest }
)

func (a *api) showAuthority(ctx context.Context, _ Caller, _ *struct{}) (*authorityOutput, error) {
	sw, err := a.Authority.Switch(ctx)
	if err != nil {
		return nil, err
	}
	out := CertificateAuthority{Stopped: sw.Stopped, Since: moment(sw.Since), Actor: sw.Actor}
	for _, root := range a.Authority.Roots() {
		out.Roots = append(out.Roots, string(certificatePEM(root.Raw)))
	}
	for _, i := range a.Authority.Issuers() {
		shown := showIssuer(i)
		if c := a.Authority.CRL(i.ID); c != nil {
			shown.CRLNumber, shown.NextUpdate = c.Number, moment(c.NextUpdate)
		}
		out.Issuing = append(out.Issuing, shown)
	}
	return &authorityOutput{out}, nil
}

func showIssuer(i ca.Issuer) IssuingCA {
	return IssuingCA{
		ID: i.ID, Subject: i.Certificate.Subject.String(), Certificate: string(certificatePEM(i.Certificate.Raw)),
		SignsFrom: i.SignsFrom, NotAfter: i.Certificate.NotAfter, Available: i.Available, CRL: i.CRL,
	}
}

func (a *api) stopIssuing(ctx context.Context, caller Caller, in *stopIssuingInput) (*authorityOutput, error) {
	if !in.DryRun {
		return a.setSwitch(ctx, caller, true)
	}
	out, err := a.showAuthority(ctx, caller, nil)
	if err == nil && !out.Body.Stopped {
		out.Body.Stopped, out.Body.Since, out.Body.Actor = true, moment(a.Table.Now()), caller.actor()
	}
	return out, err
}

func (a *api) resumeIssuing(ctx context.Context, caller Caller, _ *struct{}) (*authorityOutput, error) {
	return a.setSwitch(ctx, caller, false)
}

func (a *api) setSwitch(ctx context.Context, caller Caller, stopped bool) (*authorityOutput, error) {
	// Asked twice, it is as asked: whoever presses stop again is not told of a fault.
	err := a.Directory.Under(ctx, func(ctx context.Context) error { return a.Authority.SetSwitch(ctx, caller.actor(), stopped) })
	if err != nil && !errors.Is(err, directory.ErrState) {
		return nil, err
	}
	return a.showAuthority(ctx, caller, nil)
}

func (a *api) requestAuthority(ctx context.Context, caller Caller, _ *struct{}) (*requestOutput, error) {
	var id string
	var csr []byte
	err := a.Directory.Under(ctx, func(ctx context.Context) (err error) {
		id, csr, err = a.Authority.Request(ctx, caller.actor())
		return err
	})
	if err != nil {
		return nil, err
	}
	return &requestOutput{AuthorityRequest{ID: id, CSR: string(csr)}}, nil
}

func (a *api) importAuthority(ctx context.Context, caller Caller, in *importAuthorityInput) (*authorityOutput, error) {
	pem := []byte(in.Body.Certificates)
	var would ca.Import
	var err error
	if in.DryRun {
		would, err = a.Authority.ForeseeImport(ctx, pem)
	} else {
		err = a.Directory.Under(ctx, func(ctx context.Context) error {
			_, _, err := a.Authority.Import(ctx, caller.actor(), pem)
			return err
		})
	}
	if invalid, ok := errors.AsType[*directory.InvalidError](err); ok { // of one of them
		err = &directory.InvalidError{Field: "certificates", Reason: "the " + invalid.Field + " " + invalid.Reason}
	}
	if err != nil {
		return nil, err
	}
	out, err := a.showAuthority(ctx, caller, nil)
	if err == nil && in.DryRun {
		out.Body.Issuing = slices.Insert(out.Body.Issuing, 0, showIssuer(would.Issuer))
		if would.Root != nil {
			out.Body.Roots = append(out.Body.Roots, string(certificatePEM(would.Root.Raw)))
		}
	}
	return out, err
}

// certificateFault words what only the certificate authority says; nil for the rest.
func certificateFault(err error) *fault {
	unavailable := func(reason, detail string, retry int) *fault {
		f := newFault(http.StatusServiceUnavailable, reason, detail)
		f.retry, f.cause = retry, err
		return f
	}
	switch {
	case errors.Is(err, ca.ErrStopped):
		return unavailable("issuing_stopped", "issuing certificates is stopped by an operator", 60)
	case errors.Is(err, ca.ErrClosed):
		return unavailable("no_issuing_ca", "no issuing CA is in its time", 300)
	case errors.Is(err, ca.ErrUnavailable):
		return unavailable("ca_key_unavailable", "the key of the certificate authority is not available", 30)
	case errors.Is(err, ca.ErrBusy):
		return unavailable("request_under_way", "the same request is being served", 10)
	}
	return nil
}
