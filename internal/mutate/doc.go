// Command mutate removes the checks of the columns (the token endpoint, client
// authentication, verify and what they stand on) one at a time and demands that
// a test fails for each.
//
//	go run ./internal/mutate [-list] [-pkg verify,dpop] [-v]
//
// A check is a condition that guards a refusal: an `if` or a `case` whose body
// ends by returning an error (or false, or an HTTP answer), each operand of its
// `||`, the condition before a last `return err`, and each operand of a bool
// function's `return a && b`. All of them are switched by number in one
// instrumented copy of the sources, so that each test binary is built once; the
// copies reach the compiler by `go test -overlay` and the tree stays as it is.
//
// First every test runs by itself to learn which checks it reaches; then a
// mutant runs with the tests that reach it, until one fails. A check that no
// test misses SURVIVED, and the command exits 1, unless the table of equivalents
// says why no test could, or the table of open files says that its case is owed.
package main
