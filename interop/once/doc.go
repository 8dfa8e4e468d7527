// Package once checks that what may be used once is used once, on two nodes of one
// database, while nodes are killed and the database restarts: porcupine looks for
// an order of all attempts in which each thing is consumed at most once, by
// somebody who was told so, and in which a registration access token that has ended
// never works again.
package once
