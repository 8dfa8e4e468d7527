// Package dev is the whole system on loopback in one process: server, gateway
// and an echo API behind it, with sample organisations and applications that are
// made through the admin API with the operator's own key, as an operator would.
// Nothing here reaches into the store.
package dev
