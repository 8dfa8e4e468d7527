package door

import (
	"net/http/httptest"
	"testing"
)

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name string
		age  int
		ok   bool
	}{{"", 20, false}, {"bob", 20, true}, {"bob", 151, false}, {"eve", 20, false}, {"bob", 17, false}, {"mallory", 30, false}} {
		t.Run("called "+tt.name, func(t *testing.T) {
			if (Open(tt.name, tt.age) == nil) != tt.ok {
				t.Error("wrong")
			}
		})
	}
}

func TestFits(t *testing.T) {
	if !Fits(1, 1) || Fits(0, 1) {
		t.Error("wrong")
	}
}

func TestServe(t *testing.T) {
	w := httptest.NewRecorder()
	Serve(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != 405 {
		t.Error(w.Code)
	}
}

func TestSame(t *testing.T) {
	if Same(-1) == nil || Same(1) != nil {
		t.Error("wrong")
	}
}
