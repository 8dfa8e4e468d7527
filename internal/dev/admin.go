package dev

import (
	"context"
	"crypto/rand"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/dpop"
	"github.com/holdfast-auth/holdfast/internal/adminclient"
	"github.com/holdfast-auth/holdfast/internal/jose"
)

// newAdmin is the admin API as an operator reaches it: an assertion signed by the
// operator's key, and a token bound to a DPoP key that lives as long as we do.
func (b *builder) newAdmin(ctx context.Context, f File) (*adminclient.Client, error) {
	roots, err := client.LoadRoots(f.CAFile)
	if err != nil {
		return nil, err
	}
	key, err := client.LoadKey(f.OperatorKeyFile)
	if err != nil {
		return nil, err
	}
	signer, err := client.NewSigner(key, "", f.OperatorKeyID)
	if err != nil {
		return nil, err
	}
	bound, err := jose.GenerateKey(jose.ES256, rand.Reader)
	if err != nil {
		return nil, err
	}
	prover, err := dpop.NewProver(bound)
	if err != nil {
		return nil, err
	}
	http, err := client.New(ctx, client.Config{
		Issuer: f.Issuer, Roots: roots, Scope: f.OperatorScope, Resource: f.AdminResource, Now: b.Now,
		Credentials: client.Credentials{ClientID: f.OperatorClientID, Assertion: signer, DPoP: prover},
	})
	if err != nil {
		return nil, err
	}
	return &adminclient.Client{URL: f.AdminURL, HTTP: http}, nil
}
