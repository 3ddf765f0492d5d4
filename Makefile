# All that one does with a checkout. `make` alone lists it.
#
# Needed: Go and make. What else is missing is installed on Debian as root (see
# scripts/setup-docker.sh, where the variables for the Docker engine are, too).
#
# Settings, from the environment or the command line:
#   LONGSHORE_API_ADDR, LONGSHORE_AGENT_ADDR, LONGSHORE_OPS_ADDR,
#   LONGSHORE_ENDPOINTS_ADDR   where `make run` listens
#   LONGSHORE_PROXY_ADDR where its HAProxy answers for the sample (127.0.0.1:8080)
#   LONGSHORE_DATA_DIR   where `make run` keeps its state (.run/dev)
#   LONGSHORE_RUN_DIR    process ids, logs and helper programs (.run)
#   TESTFLAGS, PKGS      more arguments for go test, and the packages to test
#   BENCHFLAGS, BENCH    the same for benchmarks, and the pattern of their names
#   FUZZTIME             how long each fuzz test runs

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PKGS ?= ./...
TESTFLAGS ?=
BENCH ?= .
BENCHFLAGS ?=
FUZZTIME ?= 30s

UP := $(or $(LONGSHORE_RUN_DIR),.run)/bin/up

# Packages with benchmarks; those that are not there (yet) are left out.
BENCH_PKGS := $(patsubst %/,./%/...,$(wildcard controlplane/placement/ controlplane/rollout/ scripts/bench/))

# The checkout may belong to another user than the one who builds, and then git
# refuses to tell Go about it. The version comes from VERSION instead.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

ifdef LONGSHORE_DOCKERD_DIR
export DOCKER_HOST := unix://$(LONGSHORE_DOCKERD_DIR)/docker.sock
endif

.DEFAULT_GOAL := help
.PHONY: help build run stop image test bench chaos fuzz lint generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## bin/longshore and bin/longshore-agent, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/ ./cmd/...

run: ## from nothing to a running sample service of three tasks
	@$(GO) build -o $(UP) ./scripts/up
	@$(UP)

stop: ## end what `make run` started
	@$(GO) build -o $(UP) ./scripts/up
	@$(UP) -stop
	@scripts/setup-docker.sh stop run

image: ## the sample's image, longshore-sample:latest
	@scripts/setup-docker.sh start run
	$(GO) run ./scripts/mkimage -tag longshore-sample:latest -entrypoint /web ./deploy/sample/web

test: ## all tests, with a real Docker engine
	@scripts/setup-programs.sh haproxy prometheus || echo "make: the tests of what is missing are skipped"
	LONGSHORE_REQUIRE_DOCKER=1 scripts/with-docker.sh test $(GO) test -count=1 -p 2 -timeout 30m $(TESTFLAGS) $(PKGS)

bench: ## the benchmarks behind docs/performance.md
	scripts/with-docker.sh bench $(GO) test -run '^$$' -bench '$(BENCH)' -timeout 60m -p 1 $(BENCHFLAGS) $(BENCH_PKGS)

chaos: ## everything that happens to a host, at random (CHAOS_ROUNDS, CHAOS_SEED)
	LONGSHORE_REQUIRE_DOCKER=1 scripts/with-docker.sh test $(GO) test -count=1 -tags chaos -timeout 60m -v -run Chaos $(TESTFLAGS) ./cmd/longshore

fuzz: ## every fuzz test for a while (FUZZTIME)
	scripts/fuzz.sh $(FUZZTIME)

lint: ## gofmt, go vet, staticcheck, generated code, import rules
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "not formatted with gofmt:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	scripts/check-generated.sh
	$(GO) test -count=1 ./scripts/archtest

generate: ## the code in proto/
	$(GO) generate ./proto/...

clean: ## remove what was built; state and logs stay
	rm -rf bin $(dir $(UP))
