package main

import (
	"crypto/x509"
	"errors"
	"os"
	"syscall"

	"github.com/holdfast-auth/holdfast/client"
	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/demo"
	"github.com/holdfast-auth/holdfast/internal/dev"
	"github.com/holdfast-auth/holdfast/internal/envelope"
	"github.com/holdfast-auth/holdfast/internal/server"
	"github.com/holdfast-auth/holdfast/internal/store"
)

// joinClose closes what an error leaves behind.
func joinClose(err error, closing func() error) error { return errors.Join(err, closing()) }

// hint is what to do about an error, one line; "" where we know nothing better
// than the error itself.
func hint(err error) string {
	if errors.Is(err, errNoFile) {
		return "name the file with --config; --example prints one with every key explained"
	}
	if fault, ok := errors.AsType[*config.Error](err); ok {
		return fault.Hint
	}
	for _, h := range []struct {
		is   bool
		text string
	}{
		{errors.Is(err, errNoOperator), "give --as FILE (holdfast init wrote one beside the operator's key), --dev, or the flags one by one"},
		{is[*certificateExistsError](err), "name other files with --cert and --key; holdfast token takes the ones that are there"},
		{errors.Is(err, dev.ErrNoFile), "holdfast dev --dir FOLDER writes it there once everything answers"},
		{errors.Is(err, client.ErrRoots), "name a PEM file with the certificate of the CA that the servers have theirs from"},
		{is[*dev.PortError](err), "leave --port out for free ports, or name others"},
		{is[*dev.PortsFixedError](err), "start it without --port, or in another folder"},
		{is[*dev.OpenFolderError](err), "take the right away (chmod go-w), or use another folder"},
		{is[*server.InitialisedError](err), "operators are added by an owner; a new installation needs another database"},
		{is[*server.NotInitialisedError](err), "run holdfast init with the same configuration first"},
		{is[*server.TrustDomainError](err), "name one with --trust-domain, such as example.com; it never changes"},
		{is[*server.KeyFileExistsError](err), "name another file with --operator-key, or remove it if a first start broke off"},
		{is[*server.KeyMissingError](err), "put back the copy of it that is kept apart from the database: nothing else opens the keys in there"},
		{is[*envelope.ModeError](err), "take the others' rights away (chmod 0600), and ask who may have read it"},
		{errors.Is(err, store.ErrNotDatabase), "is it the right path? if the file was damaged, put a backup in its place"},
		{is[*server.OtherKeyError](err), "is it the right file, and the right database?"},
		{is[*server.OtherIssuerError](err), "an issuer never changes; is this the right database?"},
		{is[*server.ListenError](err) && errors.Is(err, syscall.EADDRINUSE), "another program listens there; choose another address"},
		{is[*server.ListenError](err) && errors.Is(err, os.ErrPermission), "ports below 1024 need a privilege; choose another, or grant it"},
		{errors.Is(err, store.ErrInUse), "stop every node that uses it first"},
		{errors.Is(err, store.ErrNotSQLite), "see docs/operations/backup.md: copy it with pg_basebackup or pg_dump; once it is back, run holdfast restore --in-place"},
		{is[*server.StillInForceError](err), "the lines of the audit log with these sequences say what it was; --acknowledge restores the copy, and you take it away first thing"},
		{is[*server.ForeignLogError](err), "export the log of the database that was lost (holdfast audit export)"},
		{errors.Is(err, store.ErrOutcomeUnknown), "keep the files that were written, and run holdfast check once the database answers: it says whether there is an installation"},
		{errors.Is(err, store.ErrNewerSchema), "start it with the newer holdfast, or restore a backup of before"},
		{errors.Is(err, store.ErrOlderSchema), "holdfast serve brings it up to date when it starts; copy the file before"},
		{is[x509.UnknownAuthorityError](err), "is --ca (or ca_file) the CA of that server?"},
		{errors.Is(err, syscall.ECONNREFUSED), "nothing listens there: is it running, and is the address right?"},
		{errors.Is(err, demo.ErrNotHeld), "the step above says what came instead"},
	} {
		if h.is {
			return h.text
		}
	}
	return ""
}

// is tells whether err is or wraps an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
