# What the rules of this repository need, at the versions they were written for.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0

# VULNDB names a folder with a copy of the vulnerability database, for machines
# without a way out; otherwise the public one is asked.
ifneq ($(VULNDB),)
VULNDB_FLAG := -db file://$(abspath $(VULNDB))
endif

.PHONY: all build check test mutate bench clean

all: check test build

# One static binary, without a C compiler.
build:
	CGO_ENABLED=0 go build -trimpath -o bin/holdfast ./cmd/holdfast

# Everything that can be said about the sources without running them.
check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	go mod tidy -diff
	cd interop && go mod tidy -diff
	go vet ./...
	cd interop && go vet ./...
	go run $(STATICCHECK) ./...
	cd interop && go run $(STATICCHECK) ./...
	go run $(GOVULNCHECK) $(VULNDB_FLAG) ./...
	cd interop && go run $(GOVULNCHECK) $(VULNDB_FLAG) ./...
	go test ./internal/check

# The tests need only Go; a test that is skipped fails.
test:
	CGO_ENABLED=0 go run ./internal/testrun ./...

# Removes each check of the columns, one at a time, and wants a test to fail.
mutate:
	CGO_ENABLED=0 go run ./internal/mutate

# What each part costs, and (./bench) the whole beside the least that the same
# work costs. With floor and load at hand, go run ./bench/compare tells more.
bench:
	CGO_ENABLED=0 go test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin
