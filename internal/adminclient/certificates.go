package adminclient

import (
	"context"

	"github.com/holdfast-auth/holdfast/internal/admin"
)

// Names lists the DNS names and IP addresses that server certificates of an
// organisation may have.
func (c *Client) Names(ctx context.Context, organisation string) (admin.Page[admin.OrganisationName], error) {
	return get[admin.Page[admin.OrganisationName]](ctx, c, "/organisations"+segment(organisation)+"/names", nil)
}

// AddName adds one.
func (c *Client) AddName(ctx context.Context, organisation, name string) (admin.OrganisationName, error) {
	return post[admin.OrganisationName](ctx, c, "/organisations"+segment(organisation)+"/names", admin.NewName{Name: name})
}

// RemoveName takes one away and lists the rest.
func (c *Client) RemoveName(ctx context.Context, organisation, name string) (admin.Page[admin.OrganisationName], error) {
	return post[admin.Page[admin.OrganisationName]](ctx, c, "/organisations"+segment(organisation)+"/names"+segment(name)+"/remove", nil)
}

// EnrolmentCodes lists those of an application, without the codes themselves.
func (c *Client) EnrolmentCodes(ctx context.Context, clientID string, p Page) (admin.Page[admin.EnrolmentCode], error) {
	return get[admin.Page[admin.EnrolmentCode]](ctx, c, "/applications"+segment(clientID)+"/enrolment-codes", p.query())
}

// CreateEnrolmentCode makes one and shows it this once.
func (c *Client) CreateEnrolmentCode(ctx context.Context, clientID string, n admin.NewCode) (admin.MadeCode, error) {
	return post[admin.MadeCode](ctx, c, "/applications"+segment(clientID)+"/enrolment-codes", n)
}

// EnrolmentCode shows one, without the code itself.
func (c *Client) EnrolmentCode(ctx context.Context, clientID, id string) (admin.EnrolmentCode, error) {
	return get[admin.EnrolmentCode](ctx, c, "/applications"+segment(clientID)+"/enrolment-codes"+segment(id), nil)
}

// RevokeEnrolmentCode ends one that was not used.
func (c *Client) RevokeEnrolmentCode(ctx context.Context, clientID, id string) (admin.EnrolmentCode, error) {
	return post[admin.EnrolmentCode](ctx, c, "/applications"+segment(clientID)+"/enrolment-codes"+segment(id)+"/revoke", nil)
}

// Authority shows the certificate authority.
func (c *Client) Authority(ctx context.Context) (admin.CertificateAuthority, error) {
	return get[admin.CertificateAuthority](ctx, c, "/certificate-authority", nil)
}

// StopIssuing stops it; ResumeIssuing ends that.
func (c *Client) StopIssuing(ctx context.Context) (admin.CertificateAuthority, error) {
	return post[admin.CertificateAuthority](ctx, c, "/certificate-authority/stop", nil)
}

// ResumeIssuing lets certificates be issued again.
func (c *Client) ResumeIssuing(ctx context.Context) (admin.CertificateAuthority, error) {
	return post[admin.CertificateAuthority](ctx, c, "/certificate-authority/resume", nil)
}

// RequestAuthority makes a key for a new issuing CA there, and a CSR.
func (c *Client) RequestAuthority(ctx context.Context) (admin.AuthorityRequest, error) {
	return post[admin.AuthorityRequest](ctx, c, "/certificate-authority/requests", nil)
}

// ImportAuthority installs the certificate that was made of the CSR: PEM, with the
// root's where that is not known there.
func (c *Client) ImportAuthority(ctx context.Context, certificates string) (admin.CertificateAuthority, error) {
	return post[admin.CertificateAuthority](ctx, c, "/certificate-authority/certificates", admin.NewAuthority{Certificates: certificates})
}
