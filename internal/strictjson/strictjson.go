package strictjson

// Value is one JSON value as it stood in its object, surrounding space removed
// and already known to be well formed.
type Value []byte

// Members calls yield for each member of the one object that data holds, in
// order, with the name unescaped. Nested values are checked to the same rules,
// at most depth levels deep (the object itself is level 1). It stops at the
// first fault or at the first error of yield, and returns it.
func Members(data []byte, depth int, yield func(name string, v Value) error) error {
	panic("not written")
}

// Text is the value of a JSON string, unescaped. Any other kind is an error.
func (v Value) Text() (string, error) { panic("not written") }

// Integer is the value of a JSON number that is a whole number within int64,
// without fraction or exponent. Any other kind is an error.
func (v Value) Integer() (int64, error) { panic("not written") }

// Boolean is the value of true or false.
func (v Value) Boolean() (bool, error) { panic("not written") }

// Texts is the value of an array of strings.
func (v Value) Texts() ([]string, error) { panic("not written") }

// IsObject, IsArray and IsText tell the kind by the first byte.
func (v Value) IsObject() bool { return len(v) > 0 && v[0] == '{' }
func (v Value) IsArray() bool  { return len(v) > 0 && v[0] == '[' }
func (v Value) IsText() bool   { return len(v) > 0 && v[0] == '"' }

// AppendText appends s as a JSON string to dst.
func AppendText(dst []byte, s string) []byte { panic("not written") }
