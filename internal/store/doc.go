// Package store keeps the facts of every domain package in SQL: it implements
// directory.Store, keyring.Store, ca.Store and token.Uses on one database. It
// decides nothing; permission and policy live with the packages whose facts
// these are.
//
//	change:  head row + 1 -> event sealed after the last -> rows, changed = number -> hash of head -> commit
//	use:     waiting claims -> sorted by key -> one transaction -> each claim its own answer
//
// Whatever a method reports as done is on disk (SQLite: synchronous=FULL;
// PostgreSQL: fsync and synchronous_commit=on): it survives kill -9 and the loss of
// power. Reading sees one state of the database. On SQLite one connection writes;
// on PostgreSQL the head row's lock makes the changes of all nodes serial.
//
// One query text serves both: $N placeholders, times as microseconds in 64 bits, no
// now(), JSON as text. A migration is written twice, with the same number, and
// TestSchemasAreOne compares: INTEGER is BIGINT, or BOOLEAN where Go has a bool (a
// query then holds no literal 0 or 1 for it); TEXT is TEXT COLLATE "C"; BLOB is BYTEA.
// In PostgreSQL an error inside a transaction ends it: say ON CONFLICT, and look at
// the number of rows. engine is all that differs.
package store
