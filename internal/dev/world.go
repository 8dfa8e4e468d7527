package dev

import (
	"context"
	"fmt"

	"github.com/holdfast-auth/holdfast/internal/admin"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/server"
)

// sample is one sample application.
type sample struct {
	name         string // also of its files
	organisation string
	authMethod   string
	binding      string
	scope        string
}

// samples are those of every dev installation: each way to authenticate with
// each way to bind that makes sense of it.
var samples = []sample{
	{"payments-by-key", "north", "private_key_jwt", "dpop", "payments"},
	{"payments-by-key-and-certificate", "north", "private_key_jwt", "mtls", "payments"},
	{"reports-by-certificate", "south", "tls_client_auth", "mtls", "reports"},
	{"reports-by-own-certificate", "south", "self_signed_tls_client_auth", "mtls", "reports"},
}

// world makes what the samples need, through the admin API. It finds what an
// earlier start made by name, so that a start that broke off is finished by the next.
type world struct {
	*builder
	file    *File
	admin   *adminclient.Client
	gateway admin.Application // the gateway's own
	keyID   string            // of its signing key
}

func (w *world) furnish(ctx context.Context) error {
	provider, err := w.organisation(ctx, "provider")
	if err != nil {
		return err
	}
	for _, scope := range []string{"payments", "reports"} {
		if err := w.resource(ctx, provider, w.file.GatewayURL+"/"+scope, scope); err != nil {
			return err
		}
	}
	for _, s := range samples {
		c, err := w.sample(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		w.file.Clients = append(w.file.Clients, c)
	}
	return w.gatewayApplication(ctx)
}

// organisation finds or makes the one with this name.
func (w *world) organisation(ctx context.Context, name string) (id string, err error) {
	all, err := w.admin.Organisations(ctx, adminclient.Page{Limit: listLimit})
	if err != nil {
		return "", err
	}
	for _, o := range all.Items {
		if o.Name == name && o.State == active {
			return o.ID, nil
		}
	}
	o, err := w.admin.CreateOrganisation(ctx, admin.NewOrganisation{Name: name})
	return o.ID, err
}

// listLimit is far above what a dev folder's world holds.
const listLimit = 1000

// resource makes the one with this URI, unless it is there.
func (w *world) resource(ctx context.Context, organisation, uri, scope string) error {
	all, err := w.admin.Resources(ctx, adminclient.Page{Limit: listLimit})
	if err != nil {
		return err
	}
	for _, r := range all.Items {
		if r.URI == uri {
			return nil
		}
	}
	_, err = w.admin.CreateResource(ctx, admin.NewResource{URI: uri, Organisation: organisation, Name: scope, Scopes: []string{scope}})
	return err
}

// application finds or makes the one with this name.
func (w *world) application(ctx context.Context, organisation string, a admin.NewApplication) (admin.Application, error) {
	all, err := w.admin.Applications(ctx, organisation, adminclient.Page{Limit: listLimit})
	if err != nil {
		return admin.Application{}, err
	}
	for _, have := range all.Items {
		if have.Name == a.Name && have.State == active {
			return have, nil
		}
	}
	a.Organisation = organisation
	return w.admin.CreateApplication(ctx, a)
}

// sample makes an application with its credentials.
func (w *world) sample(ctx context.Context, s sample) (FileClient, error) {
	organisation, err := w.organisation(ctx, s.organisation)
	if err != nil {
		return FileClient{}, err
	}
	resource := w.file.GatewayURL + "/" + s.scope
	app, err := w.application(ctx, organisation, admin.NewApplication{
		Name: s.name, AuthMethod: s.authMethod, Binding: s.binding, Grants: []admin.Grant{{Resource: resource, Scopes: []string{s.scope}}},
	})
	if err != nil {
		return FileClient{}, err
	}
	c := FileClient{ClientID: app.ClientID, AuthMethod: s.authMethod, Binding: s.binding, Scope: s.scope, Resource: resource}
	if s.authMethod == "private_key_jwt" {
		c.KeyFile = w.in(s.name + ".key")
		c.Algorithm = "ES256"
		if c.KeyID, err = w.signingKey(ctx, app.ClientID, c.KeyFile); err != nil {
			return c, err
		}
	}
	if s.binding == "mtls" {
		c.CertFile, c.CertKeyFile = w.in(s.name+".crt"), w.in(s.name+".crt.key")
		err = w.certificate(ctx, app, s, c)
	}
	return c, err
}

// gatewayApplication is the gateway's own: it may read the feed.
func (w *world) gatewayApplication(ctx context.Context) error {
	operator, err := w.admin.Application(ctx, w.file.OperatorClientID)
	if err != nil {
		return err
	}
	w.gateway, err = w.application(ctx, operator.Organisation, admin.NewApplication{
		Name: "gateway", AuthMethod: "private_key_jwt", Binding: "dpop",
		Grants: []admin.Grant{{Resource: server.FeedResource(w.file.Issuer), Scopes: []string{server.FeedScope}}},
	})
	if err != nil {
		return err
	}
	w.keyID, err = w.signingKey(ctx, w.gateway.ClientID, w.gatewayClientKey())
	return err
}
