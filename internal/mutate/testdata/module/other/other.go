// Package other is a user of the target, whose tests notice more.
package other

import "example.com/module/door"

func Ask(name string) bool {
	_, ok := door.Known(name)
	return ok
}
