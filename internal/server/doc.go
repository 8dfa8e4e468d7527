// Package server is the one place that knows everything: it opens the store,
// builds the domain over it, lays the routes on listeners and runs them until
// its context ends. Nothing is decided here.
//
//	Init      first start: database, trust domain, CA, the first owner
//	Open      load everything, start nothing
//	Check     the same for `holdfast check`, which changes nothing
//	Run       listen, serve, keep the snapshot fresh, drain
package server
