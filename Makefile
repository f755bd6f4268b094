# Vigilo. `make` alone prints what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
TOOL := go tool -modfile=.ci/tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X github.com/vigilo/vigilo/internal/app.Version=$(VERSION)"
GO_DIRS := cmd docs internal migrations templates web

.PHONY: help setup run build generate fmt lint arch test test-race check bench gallery vuln clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: ## install PostgreSQL where it is missing
	@.ci/setup

run: setup build ## build and start Vigilo with a private database and demo data
	@exec bin/vigilo dev

build: ## build bin/vigilo
	@CGO_ENABLED=0 go build $(GOFLAGS_BUILD) -o bin/vigilo ./cmd/vigilo

generate: ## regenerate templates and reference pages
	@$(TOOL) templ generate -log-level error
	@go test ./internal/kernel/config -run TestReference -update >/dev/null

fmt: ## format Go and templ files
	@$(TOOL) gofumpt -w $(GO_DIRS)
	@$(TOOL) templ fmt -log-level error templates

lint: ## vet, staticcheck, formatting
	@go vet ./...
	@$(TOOL) staticcheck ./...
	@test -z "$$($(TOOL) gofumpt -l $(GO_DIRS) | grep -v _templ.go | tee /dev/stderr)"

arch: ## the rules of the architecture alone
	@go test ./internal/archtest

test: ## all tests, with a private database and a real browser
	@.ci/setup --tests
	@go run ./internal/kernel/dbtest/testserver go test -timeout 25m ./...

test-race: ## all tests with the race detector
	@.ci/setup --tests
	@go run ./internal/kernel/dbtest/testserver go test -timeout 40m -race ./...

check: ## everything that must hold before a change lands
	@.ci/check

bench: ## measure, and write docs/benchmarks.md
	@.ci/setup
	@go run ./internal/kernel/dbtest/testserver -durable go run ./internal/bench

vuln: ## scan for known vulnerabilities
	@.ci/vuln

clean: ## remove what was built; the data folder stays
	@rm -rf bin
