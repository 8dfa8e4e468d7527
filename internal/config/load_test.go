package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const goodServe = `issuer: https://auth.example.com
mtls_url: https://mtls.example.com
admin_url: https://localhost:8445
database: holdfast.db
key_encryption_key_file: kek
`

const goodGateway = `gateway_url: https://api.example.com
issuer: https://auth.example.com
tls: {certificate_file: a.crt, key_file: a.key}
client: {client_id: gateway, key_file: c.key, kid: g1}
routes:
- path: /payments/
  resource: https://api.example.com/payments
  scopes: [payments]
  binding: either
  upstream: http://127.0.0.1:9000
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "holdfast.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// messages returns the faults of err, each without the folder of its file.
func messages(t *testing.T, err error) []string {
	t.Helper()
	var list []string
	for _, f := range Faults(err) {
		list = append(list, f.Error()[strings.LastIndex(f.Origin, "/")+1:])
	}
	if err != nil && len(list) == 0 {
		t.Fatalf("%v is not made of *Error", err)
	}
	return list
}

func TestServeHasDefaultsAndAbsolutePaths(t *testing.T) {
	path := write(t, goodServe)
	s, err := LoadServe(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Serve{
		Issuer: "https://auth.example.com", MTLSURL: "https://mtls.example.com", AdminURL: "https://localhost:8445",
		Listen:               ServeListen{Public: ":8443", MTLS: ":8444", Admin: "127.0.0.1:8445"},
		Database:             filepath.Join(filepath.Dir(path), "holdfast.db"),
		KeyEncryptionKeyFile: filepath.Join(filepath.Dir(path), "kek"),
		Token:                Token{Life: 5 * time.Minute},
		Log:                  Log{Format: "json", Level: "info"},
	}
	if !reflect.DeepEqual(*s, want) {
		t.Errorf("got %+v\nwant %+v", *s, want)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("what was loaded does not validate: %v", err)
	}
}

func TestGatewayHasDefaults(t *testing.T) {
	path := write(t, goodGateway)
	g, err := LoadGateway(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if g.FeedURL != "https://auth.example.com/feed" || g.Listen != ":8443" {
		t.Errorf("feed_url %q, listen %q", g.FeedURL, g.Listen)
	}
	if r := g.Routes[0]; r.Nonce != "on_doubt" || r.MaxRevocationLag != 15*time.Minute || r.Methods != nil {
		t.Errorf("route %+v", r)
	}
	if g.Client.KeyFile != filepath.Join(filepath.Dir(path), "c.key") {
		t.Errorf("client.key_file %q", g.Client.KeyFile)
	}
	if err := g.Validate(); err != nil {
		t.Errorf("what was loaded does not validate: %v", err)
	}
}

func TestFlagOverVariableOverFileOverDefault(t *testing.T) {
	file := write(t, goodServe+"token: {life: 2m}\nlog: {level: warn}\n")
	tests := []struct {
		name      string
		environ   []string
		overrides map[string]string
		life      time.Duration
	}{
		{"file", nil, nil, 2 * time.Minute},
		{"variable", []string{"HOLDFAST_TOKEN_LIFE=3m", "HOME=/root"}, nil, 3 * time.Minute},
		{"flag", []string{"HOLDFAST_TOKEN_LIFE=3m"}, map[string]string{"token.life": "4m"}, 4 * time.Minute},
		{"flag over a variable that is no duration", []string{"HOLDFAST_TOKEN_LIFE=x"}, map[string]string{"token.life": "4m"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := LoadServe(file, tt.environ, tt.overrides)
			if tt.life == 0 {
				if err == nil {
					t.Fatal("accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if s.Token.Life != tt.life || s.Log.Level != "warn" {
				t.Errorf("life %v, level %s", s.Token.Life, s.Log.Level)
			}
		})
	}
}

func TestEverythingFromTheEnvironment(t *testing.T) {
	var environ []string
	for _, k := range ServeKeys() {
		value := map[string]string{
			"issuer": "https://a.example", "mtls_url": "https://b.example", "admin_url": "https://c.example",
			"listen.public": ":1", "listen.mtls": ":2", "listen.admin": ":3",
			"token.life": "1m", "log.format": "text", "log.level": "debug",
		}[k.Name]
		if value == "" {
			value = "relative"
		}
		environ = append(environ, k.Variable+"="+value)
	}
	s, err := LoadServe("", environ, nil)
	if err != nil {
		t.Fatal(err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if s.Issuer != "https://a.example" || s.Log.Format != "text" || s.Database != filepath.Join(wd, "relative") {
		t.Errorf("got %+v", s)
	}
}

func TestVariables(t *testing.T) {
	tests := []struct {
		name, variable string
		want           []string
	}{
		{"near miss", "HOLDFAST_ISUER=x", []string{`HOLDFAST_ISUER: no key is set by this variable (did you mean "HOLDFAST_ISSUER"?)`}},
		{"no such key", "HOLDFAST_SOMETHING_ELSE=x", []string{`HOLDFAST_SOMETHING_ELSE: no key is set by this variable`}},
		{"a list has no variable", "HOLDFAST_ROUTES=x", []string{`HOLDFAST_ROUTES: no key is set by this variable`}},
		{"of the other command", "HOLDFAST_GATEWAY_URL=https://x", nil},
		{"of another program", "HOLDFASTER=x", nil},
		{"Kubernetes service links", "HOLDFAST_GATEWAY_PORT_8443_TCP_ADDR=10.0.0.1", nil},
		{"Kubernetes service host", "HOLDFAST_SERVICE_HOST=10.0.0.1", nil},
		{"bad value", "HOLDFAST_TOKEN_LIFE=5", []string{`HOLDFAST_TOKEN_LIFE: token.life: "5" is not a duration (write it with its unit, as in 90s, 5m or 1h)`}},
		{"empty value", "HOLDFAST_LOG_LEVEL=", []string{`HOLDFAST_LOG_LEVEL: log.level: is missing: debug, info, warn or error`}},
		{"value out of bounds", "HOLDFAST_TOKEN_LIFE=2h", []string{`HOLDFAST_TOKEN_LIFE: token.life: must be 1s to 1h, not 2h`}},
		{"control character", "HOLDFAST_DATABASE=a\nb", []string{`HOLDFAST_DATABASE: database: must not hold line breaks or other control characters`}},
	}
	file := write(t, goodServe)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadServe(file, []string{tt.variable}, nil)
			if got := messages(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestFlags(t *testing.T) {
	file := write(t, goodServe)
	_, err := LoadServe(file, nil, map[string]string{"log.levle": "info", "listen.mtls": "8444"})
	want := []string{
		`--listen-mtls: listen.mtls: "8444" is not an address (write host:port, as in 127.0.0.1:8443 or :8443)`,
		`--log-levle: unknown key "log.levle" (did you mean "log.level"?)`,
	}
	got := messages(t, err)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFileIsRefusedInOneSentence(t *testing.T) {
	folder := t.TempDir()
	tests := []struct{ name, path, want string }{
		{"none", filepath.Join(folder, "none.yaml"), "none.yaml: there is no such file"},
		{"a folder", folder, "is a folder"},
		{"below a file", filepath.Join(write(t, "a"), "x"), "x: cannot be read: not a directory"},
		{"empty", write(t, ""), "holdfast.yaml: is empty"},
		{"white space", write(t, " \n\n"), "holdfast.yaml: is empty"},
		{"only comments", write(t, "# nothing\n"), "holdfast.yaml: holds no key"},
		{"too large", write(t, strings.Repeat("# filler\n", maxFile/9+1)), "holdfast.yaml: is larger than 1 MiB"},
		{"binary", write(t, "a: \xff\xfe"), "holdfast.yaml: is not UTF-8 text"},
		{"not YAML", write(t, "a: ["), "holdfast.yaml:1:4: is not YAML: sequence end token ']' not found"},
		{"two documents", write(t, "issuer: a\n---\nissuer: b\n"), "holdfast.yaml:3:1: must be one YAML document"},
		{"a list", write(t, "- a\n"), "holdfast.yaml:1:1: must hold keys with their values"},
		{"an empty mapping", write(t, "{}\n"), "holdfast.yaml:1:1: must hold keys with their values"},
		{"a word", write(t, "hello\n"), "holdfast.yaml:1:1: must hold keys with their values"},
		{"long line", write(t, "a: 1\nb: "+strings.Repeat("x", maxLine)), "holdfast.yaml:2:1: the line is longer than 4096 bytes"},
		{"deep", write(t, strings.Repeat("[", 40)+strings.Repeat("]", 40)), "holdfast.yaml:1:33: brackets are nested more than 32 deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadServe(tt.path, nil, nil)
			got := messages(t, err)
			if len(got) != 1 || !strings.HasSuffix(got[0], tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnreadableFile(t *testing.T) {
	// Root, who may run the tests, reads every file: so the error is made here.
	err := unreadable("holdfast.yaml", &fs.PathError{Op: "open", Path: "holdfast.yaml", Err: fs.ErrPermission})
	if err.Error() != "holdfast.yaml: this user may not read it" || err.Hint == "" {
		t.Errorf("got %v, hint %q", err, err.Hint)
	}
}

func TestByteOrderMarkIsPassedOver(t *testing.T) {
	if _, err := LoadServe(write(t, "\ufeff"+goodServe), nil, nil); err != nil {
		t.Error(err)
	}
}

func TestPlacesInTheFile(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"unknown key", goodServe + "isuer: x\n", []string{`holdfast.yaml:6:1: unknown key "isuer" (did you mean "issuer"?)`}},
		{"unknown key of a section", goodServe + "log:\n  format: text\n  file: x\n", []string{`holdfast.yaml:8:3: unknown key "file"`}},
		{"number for a key", goodServe + "1: x\n", []string{`holdfast.yaml:6:1: unknown key "1"`}},
		{"duplicate key", goodServe + "issuer: https://other.example\n", []string{`holdfast.yaml:6:1: key "issuer" is there twice (first in line 1)`}},
		{"duplicate section", goodServe + "log: {level: info}\nlog: {level: warn}\n", []string{`holdfast.yaml:7:1: key "log" is there twice (first in line 6)`}},
		{"number for text", goodServe + "log:\n  format: 5\n", []string{`holdfast.yaml:7:11: log.format: must be text (put it in quotes)`}},
		{"list for text", goodServe + "log:\n  format: [json]\n", []string{`holdfast.yaml:7:11: log.format: must be text (put it in quotes)`}},
		{"number for a duration", goodServe + "token:\n  life: 300\n", []string{`holdfast.yaml:7:9: token.life: must be a duration with its unit, as in 90s, 5m or 1h`}},
		{"text for a section", goodServe + "log: json\n", []string{`holdfast.yaml:6:6: log: must be a section of keys`}},
		{"nothing for text", goodServe + "log:\n  format:\n", []string{`holdfast.yaml:7:3: log.format: has no value`}},
		{"anchor", goodServe + "log: &a {format: text}\n", []string{`holdfast.yaml:6:6: log: anchors, aliases and tags are not taken`}},
		{"alias", goodServe + "log:\n  format: *a\n", []string{`holdfast.yaml:7:11: log.format: anchors, aliases and tags are not taken`}},
		{"tag", goodServe + "log:\n  format: !!str text\n", []string{`holdfast.yaml:7:11: log.format: anchors, aliases and tags are not taken`}},
		{"merge key", goodServe + "log:\n  <<: {format: text}\n", []string{`holdfast.yaml:7:3: merge keys (<<) are not taken`}},
		{"an empty section is none", goodServe + "tls:\nlog:\n", nil},
		{"a wrong value", strings.Replace(goodServe, "https://auth", "http://auth", 1), []string{`holdfast.yaml:1:9: issuer: must begin with https://, not be "http://auth.example.com"`}},
		{"one half of a pair", goodServe + "tls:\n  key_file: a\n", []string{`holdfast.yaml:6:1: tls.certificate_file: is missing (tls.key_file is set, and they go together)`}},
		{"all faults at once", "isuer: x\nlog: {level: loud}\n", []string{
			`holdfast.yaml:1:1: unknown key "isuer" (did you mean "issuer"?)`,
			`holdfast.yaml: issuer: is missing`,
			`holdfast.yaml: mtls_url: is missing`,
			`holdfast.yaml: admin_url: is missing`,
			`holdfast.yaml: database: is missing`,
			`holdfast.yaml: key_encryption_key_file: is missing`,
			`holdfast.yaml:2:14: log.level: must be debug, info, warn or error, not "loud"`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := LoadServe(write(t, tt.text), nil, nil)
			if got := messages(t, err); !slices.Equal(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestExcerptPointsAtTheFault(t *testing.T) {
	_, err := LoadServe(write(t, goodServe+"log:\n  level: loud\n"), nil, nil)
	faults := Faults(err)
	if len(faults) != 1 || faults[0].Excerpt != "  level: loud\n         ^" {
		t.Errorf("got %+v", faults)
	}
	long := strings.Repeat("x", 50) + "Y" + strings.Repeat("z", 50)
	if got := excerpt(long, 51); got != long[20:80]+"\n"+strings.Repeat(" ", 30)+"^" {
		t.Errorf("got %q", got)
	}
}

func TestLongValuesAreCut(t *testing.T) {
	_, err := LoadServe(write(t, goodServe+"log: {level: "+strings.Repeat("x", 500)+"}\n"), nil, nil)
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("got %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(goodServe), true)
	f.Add([]byte(goodGateway), false)
	f.Add(Example(KindServe), true)
	f.Add(Example(KindGateway), false)
	f.Add([]byte("a: &x [*x]\n? b\n: c\n--- |\n x\n"), false)
	f.Add([]byte("routes: [{}, {path: /a}, 3, ~]\n"), false)
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, serve bool) {
		path := filepath.Join(folder, "fuzz.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		var doc interface{ Validate() error }
		var err error
		if serve {
			doc, err = LoadServe(path, nil, nil)
		} else {
			doc, err = LoadGateway(path, nil, nil)
		}
		if err == nil {
			if again := doc.Validate(); again != nil {
				t.Errorf("loaded, yet not valid: %v", again)
			}
			return
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, fault := range Faults(err) {
			if fault.Origin != path || fault.Message == "" || strings.Contains(fault.Message, "\n") || fault.Line > lines {
				t.Errorf("fault without a sentence or outside its file: %+v", fault)
			}
		}
		if len(Faults(err)) == 0 {
			t.Errorf("%v is not made of faults", err)
		}
	})
}
