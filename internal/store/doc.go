// Package store keeps the facts of every domain package in SQL: it implements
// directory.Store, keyring.Store, ca.Store and token.Uses on one database. It
// decides nothing; permission and policy live with the packages whose facts
// these are.
//
//	change:  head row + 1 -> event sealed after the last -> rows, changed = number -> hash of head -> commit
//	use:     waiting claims -> sorted by key -> one transaction -> each claim its own answer
//
// Whatever a method reports as done is on disk (synchronous=FULL): it survives
// kill -9 and the loss of power. One connection writes, so changes are serial; a
// few read, each in a transaction that sees one state of the database.
//
// One query text serves SQLite and PostgreSQL: $N placeholders, times as
// microseconds in 64 bits, no now(), JSON as text.
package store
