# Everything a developer or packager does with skiff. `make help` lists it.

SHELL  := /bin/bash
PREFIX ?= /usr/local
ARCH   ?=
# A command that sets a cross toolchain up and then builds: CROSS build aarch64 --locked.
CROSS  ?=

CARGO   = $$(scripts/prepare cargo)
HOST   := $(shell uname -m)-unknown-linux-gnu
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help demo build test check soak bench dist install

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: ## build, start a daemon of its own, run a real container, clean up
	@scripts/prepare build fixture
	@$(CARGO) build --locked
	@scripts/demo $(TARGET)/debug/skiff

build: ## the binary with debug checks, target/debug/skiff
	@scripts/prepare build
	$(CARGO) build --locked

test: ## unit tests, then the tests that drive the real binary (root)
	@scripts/prepare build fixture network
	@scripts/test

check: ## format, lints, documentation, direction of imports, sizes of files and functions
	@scripts/prepare build lint
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items --lib
	$(CARGO) test --locked --test arrows
	@scripts/sizes

soak: ## the long repetitions of the same tests (an hour)
	@scripts/prepare build fixture network browser
	@SKIFF_SOAK=1 scripts/test --release

bench: ## whole processes, side by side with Debian's docker.io where it is installed
	@$(MAKE) --no-print-directory dist
	@tests/bench/run $(TARGET)/$(HOST)/release/skiff

dist: ## the static binary; ARCH=aarch64|armv7 with a cross toolchain (see README.md)
	@scripts/prepare build
	@CROSS="$(CROSS)" scripts/dist $(ARCH)

install: dist ## binary, manual pages, systemd units and completions, below DESTDIR and PREFIX
	@scripts/install $(TARGET)/$(HOST)/release/skiff "$(DESTDIR)" "$(PREFIX)"
