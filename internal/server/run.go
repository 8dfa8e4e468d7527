package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-auth/holdfast/internal/config"
	"github.com/holdfast-auth/holdfast/internal/web"
	"github.com/holdfast-auth/holdfast/mtls"
)

const (
	drain        = 30 * time.Second       // for requests under way at the end
	silentDrain  = 500 * time.Millisecond // for connections that have sent no request
	housekeeping = time.Minute
)

// Listeners are the sockets of a server.
type Listeners struct{ Public, MTLS, Admin net.Listener }

// ListenError is an address that cannot be had.
type ListenError struct {
	Name, Address string
	Err           error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("listen on %s for the %s listener: %v", e.Address, e.Name, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

// Listen opens the three sockets that cfg names, all or none.
func Listen(ctx context.Context, cfg *config.Serve) (l Listeners, err error) {
	for _, one := range []struct {
		name, address string
		into          *net.Listener
	}{{"public", cfg.Listen.Public, &l.Public}, {"mTLS", cfg.Listen.MTLS, &l.MTLS}, {"admin", cfg.Listen.Admin, &l.Admin}} {
		if *one.into, err = listenOn(ctx, one.name, one.address); err != nil {
			return Listeners{}, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

func listenOn(ctx context.Context, name, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &ListenError{Name: name, Address: address, Err: err}
	}
	return l, nil
}

// Close closes those that are open.
func (l Listeners) Close() error {
	var errs []error
	for _, one := range []net.Listener{l.Public, l.MTLS, l.Admin} {
		if one != nil {
			errs = append(errs, one.Close())
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, then lets requests under way finish, 30 s at most,
// and closes the server. It takes the listeners over.
func (s *Server) Run(ctx context.Context, l Listeners) (err error) {
	defer func() { err = errors.Join(err, s.Close()) }()
	s.renew(ctx)                                                       // keys may have come to their end while nobody ran
	background, stop := context.WithCancel(context.WithoutCancel(ctx)) // outlives the draining requests
	g, failing := errgroup.WithContext(background)
	g.Go(func() error { return s.directory.Run(failing) })
	g.Go(func() error { return s.store.Run(failing) })
	g.Go(func() error { return s.keepHouse(failing) })
	g.Go(func() error { return s.keySets.Run(failing) })
	g.Go(func() error { return s.followKeySets(failing) })
	g.Go(func() error { return s.checkpoints.Run(failing) })
	g.Go(func() error { return s.keepUses(failing) })
	g.Go(func() error { return s.keepNotices(failing) })
	g.Go(func() error { return s.authority.Run(failing, s.directory, s.listFailed) })

	front, fronts := errgroup.WithContext(ctx)
	serveUntil := func(listener net.Listener, h http.Handler, asksClient bool) {
		srv := web.NewServer(h, mtls.ServerConfig(s.tls.For, asksClient), s.process.Log)
		srv.ConnContext = func(ctx context.Context, _ net.Conn) context.Context { return mtls.WithConn(ctx) }
		front.Go(func() error { return Serve(fronts, srv, listener) })
	}
	serveUntil(l.Public, s.tables.public, false)
	serveUntil(l.MTLS, s.tables.mtls, true)
	serveUntil(l.Admin, s.tables.admin, true)
	front.Go(func() error { // a part that fails ends the whole
		select {
		case <-fronts.Done():
			return nil
		case <-failing.Done():
			return context.Cause(failing)
		}
	})
	front.Go(func() error {
		<-fronts.Done() // whatever ended it
		close(s.ending)
		return nil
	})
	err = front.Wait()
	s.finish(ctx)
	stop()
	return errors.Join(err, ignoreCancel(g.Wait()))
}

// Serve runs one TLS listener until ctx ends, then drains it.
func Serve(ctx context.Context, srv *http.Server, l net.Listener) error {
	silent := silence{connections: map[net.Conn]struct{}{}}
	srv.ConnState = silent.watch
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(l, "", "") }() // ends with Shutdown or Close below
	select {
	case err := <-done:
		return errors.Join(err, srv.Close())
	case <-ctx.Done():
	}
	graceful, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	impatience := time.AfterFunc(silentDrain, silent.end)
	defer impatience.Stop()
	err := srv.Shutdown(graceful)
	if err != nil {
		err = errors.Join(err, srv.Close())
	}
	if served := <-done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// silence is the connections that have not sent a request yet: nothing is under
// way there, and yet http.Server.Shutdown waits for them, up to 5 s.
type silence struct {
	mu          sync.Mutex
	connections map[net.Conn]struct{} // guarded by mu
}

// watch is an http.Server's ConnState.
func (s *silence) watch(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		s.connections[c] = struct{}{}
	} else {
		delete(s.connections, c)
	}
}

func (s *silence) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.connections {
		_ = c.Close()
	}
}

// draining tells that the end has begun.
func (s *Server) draining() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

// keepHouse renews the signing keys and our own TLS certificate in time, and the
// signing keys at once when one of them was revoked.
func (s *Server) keepHouse(ctx context.Context) error {
	tick := time.NewTicker(housekeeping)
	defer tick.Stop()
	for seen := s.directory.Current(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.renew(ctx)
		case <-s.directory.Changed(seen):
			now := s.directory.Current()
			if now.RevokedKeys() != seen.RevokedKeys() {
				s.renew(ctx)
			}
			seen = now
		}
	}
}

// renew fails only until it is tried again: what is there goes on working.
func (s *Server) renew(ctx context.Context) {
	if err := errors.Join(s.keys.Renew(ctx), s.registrar.Keys.Renew(ctx), s.tables.keys.refresh(), s.renewAuthority(ctx), s.tls.renew(ctx)); err != nil {
		s.process.Log.ErrorContext(ctx, "housekeeping", "cause", err.Error())
	}
}

// ignoreCancel is nil for an end that was asked for.
func ignoreCancel(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
