# make alone lists the targets.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GO      := go
TOOLS   := $(CURDIR)/.tools

.DEFAULT_GOAL := help
.PHONY: help run enterprise entra-demo build test e2e matrix bench lint fuzz docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build, and start a gateway with two demonstration upstreams
	bin/mcpagg serve -c examples/quickstart/gateway.hcl

enterprise: ## the same with servers in containers, whose images are built first (podman or docker)
	GO='$(GO)' examples/enterprise/run.sh

entra-demo: build ## a gateway with people to sign in as, and a stand-in for Microsoft Entra
	MCPAGG=$(CURDIR)/bin/mcpagg examples/entra-demo/run.sh

build: ## build bin/mcpagg
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/mcpagg ./cmd/mcpagg

test: ## vet and all tests that need only Go
	$(GO) vet ./...
	$(GO) test -race ./...

e2e: build ## real MCP servers, clients, containers and conformance suites against the binary (installs them)
	$(GO) test -tags e2e -count=1 -timeout 25m -v ./cmd/mcpagg/internal/e2e/...

matrix: ## have real clients sign in, and write what they did into docs/clients.md
	$(GO) test -tags e2e -count=1 -timeout 10m -run '^TestSignIn$$' ./cmd/mcpagg/internal/e2e -update

bench: build ## the gateway beside its upstream and a bare reverse proxy
	$(GO) run ./cmd/mcpagg/internal/bench -gateway bin/mcpagg

lint: ## formatting and static analysis
	@TOOLS='$(TOOLS)' GO='$(GO)' sh .ci/lint

FUZZTIME := 20s
fuzz: ## run every fuzz target for FUZZTIME (20s)
	@FUZZTIME='$(FUZZTIME)' GO='$(GO)' sh .ci/fuzz

docs: ## write the generated pages of docs/ anew
	$(GO) generate ./...
