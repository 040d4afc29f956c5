# `make` lists what there is. The two that matter to a newcomer: `make demo` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help setup test bench fmt lint ci demo

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the daemon over a simulated cluster with a hot shard (no Redis, no AWS)
	cargo run --release -- demo

setup: ## installs what the tests need (real servers, Prometheus, a browser); quick when all is there
	@scripts/setup-tests

test: setup ## every test, against real servers
	cargo nextest run
	cargo test --quiet --doc

bench: setup ## the figures of docs/performance.md, measured on this machine
	cargo bench

fmt: ## formats the code
	cargo fmt

lint: ## formatting, lints and the manual's links, as CI asks for them
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --document-private-items

ci: ## what CI runs, from a clean clone
	.ci/run
