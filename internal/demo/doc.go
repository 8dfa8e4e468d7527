// Package demo plays the story that Holdfast exists for, over real sockets
// against the whole system on loopback, and checks each step: an API key leaks
// and opens the API to its thief; a bound token leaks and opens nothing. What a
// step claims is held against what came over the wire and the reason that the
// event stream gives for the same request.
package demo
