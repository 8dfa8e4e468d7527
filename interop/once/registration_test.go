//go:build postgres

package once

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-auth/holdfast/internal/directory"
	"github.com/holdfast-auth/holdfast/internal/oauth"
	"github.com/holdfast-auth/holdfast/internal/registration"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// registrationToken is the registration access token of a client that has a name
// among those of that client.
func registrationToken(client, name string) (secret string, hash registration.Hash) {
	bits := sha256.Sum256([]byte(client + " " + name))
	secret = "hfr_" + base64.RawURLEncoding.EncodeToString(bits[:])
	return secret, sha256.Sum256([]byte(secret))
}

func makeRegistration(ctx context.Context, s *store.Store, key string) error {
	r := registration.Registration{ClientID: directory.ClientID(key), Issued: time.Now()}
	_, r.Token = registrationToken(key, firstToken)
	return s.Register(ctx, event("client.registered", key), registration.Creation{
		Delta: directory.Delta{Applications: []directory.Application{newApplication(r.ClientID)}}, Registration: r, Now: time.Now(),
	})
}

// holdRegistration does with a registration access token what the attempt says: GET
// by what the endpoint calls, PUT and recovery by the one transaction that each is.
func holdRegistration(ctx context.Context, n *serving, a attempt) (outcome, error) {
	id := directory.ClientID(a.key)
	secret, presented := registrationToken(a.key, a.presented)
	_, next := registrationToken(a.key, a.next)
	var err error
	switch a.what {
	case use:
		var held *registration.Held
		if held, err = n.registrations.Authorise(ctx, id, secret); err == nil {
			_, err = n.registrations.Read(ctx, held)
		}
	case rotate:
		err = n.store.Update(ctx, event("application.updated", a.key), registration.Change{
			Registration: registration.Registration{ClientID: id}, Presented: presented, Next: next, Now: time.Now(),
		})
	case recovery:
		err = n.store.ReplaceToken(ctx, event("registration.token_recovered", a.key), id, next)
	default:
		return unknown, fmt.Errorf("nobody knows how to %q", a.what)
	}
	refused, isRefused := oauth.AsError(err)
	switch {
	case err == nil:
		return first, nil
	case errors.Is(err, registration.ErrToken), isRefused && refused.Status == http.StatusUnauthorized && strings.HasPrefix(refused.Reason, "registration_token_"):
		return again, nil
	}
	return unknown, err
}
