# Everything a person types here. `make` lists the targets; what they need beyond Go is set up by infra/dev.

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)
ORT_FILE := $(if $(filter Darwin,$(shell uname -s)),libonnxruntime.dylib,libonnxruntime.so.1)

export CGO_ENABLED := 1
export TIDEMILL_ONNXRUNTIME ?= $(CURDIR)/bin/lib/$(ORT_FILE)
export TIDEMILL_BIN ?= $(CURDIR)/bin/tidemill

UNITS := ./... ./schemas/... ./events/...
ALL := $(UNITS) ./e2e/...
SETUP := @infra/dev/setup.sh
TESTRUN := .tools/bin/testrun $(if $(TALLY),-tally $(TALLY)) --
DASHBOARD := $(shell find dashboard/src dashboard/public -type f 2>/dev/null) $(wildcard dashboard/*.html dashboard/*.ts dashboard/*.json)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: build ## set up what is missing, build, and start Tidemill with the flights demo
	@bin/tidemill up --demo

.PHONY: setup
setup: ## install all that building and testing need beyond Go (quiet when nothing is missing)
	$(SETUP) all

.PHONY: build
build: onnxruntime dashboard ## leave bin/tidemill, with the dashboard inside and ONNX Runtime beside it
	@$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/tidemill ./services/cmd/tidemill

.PHONY: dashboard
dashboard: dashboard/dist/index.html ## build the dashboard that the binary embeds

dashboard/dist/index.html: $(DASHBOARD)
	$(SETUP) npm
	@npm --prefix dashboard run --silent build

.PHONY: test
test: setup build testrun ## run every test of every module, in a real browser too; the last line is the sum
	@$(TESTRUN) command npm --prefix dashboard test --silent \
		-- -timeout 10m $(UNITS) \
		-- -timeout 20m -count 1 -p 1 ./e2e/...

.PHONY: e2e
e2e: build testrun ## run the end-to-end stories against bin/tidemill (RUN=regexp picks some)
	$(SETUP) npm chromium
	@$(TESTRUN) -timeout 20m -count 1 -p 1 $(if $(RUN),-run '$(RUN)') ./e2e/...

.PHONY: race
race: onnxruntime testrun ## run the unit tests under the race detector
	$(SETUP) python
	@$(TESTRUN) -race -timeout 20m $(UNITS)

SOAK ?= 10
.PHONY: soak
soak: build testrun ## repeat the stories of crashes and takeovers (SOAK=10 times), with 100 kills over 30 cycles each time
	@TIDEMILL_CYCLES=30 TIDEMILL_KILLS=100 $(TESTRUN) -timeout 0 -count $(SOAK) -run 'Killed|TakenOver|HandedOn' ./e2e

.PHONY: bench
bench: build ## measure the binary against what it is built on, side by side in one run
	@$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 30m ./e2e/bench

.PHONY: lint
lint: ## check format, vet, golangci-lint, import arrows and the shell scripts
	$(SETUP) lint
	@infra/dev/lint.sh $(ALL)

.PHONY: vuln
vuln: ## look for known vulnerabilities that our code reaches (says so when the database is out of reach)
	$(SETUP) gotools
	@infra/dev/vuln.sh $(ALL)

.PHONY: fmt
fmt: ## format the Go code
	@gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: generate
generate: ## run the go:generate lines of every module
	@$(GO) generate $(ALL)

.PHONY: golden
golden: onnxruntime ## write the golden files anew from what the code says now; read the diff
	@$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' core infra workers services events schemas e2e | \
		xargs -n1 dirname | sort -u | sed 's|^|./|') -update

.PHONY: clean
clean: ## remove what was built here (not the cache folder)
	@rm -rf bin .tools e2e/artifacts
	@find dashboard/dist -mindepth 1 ! -name .gitkeep -delete

.PHONY: onnxruntime
onnxruntime:
	$(SETUP) onnxruntime

.PHONY: testrun
testrun:
	@$(GO) build -o .tools/bin/testrun ./infra/dev/testrun
