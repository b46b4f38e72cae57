# The commands of this project; `make` builds, and `make help` lists them. CMake and cargo do the work.

PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build
CMAKE ?= cmake
CARGO ?= cargo
# cargo and CMake share it, so that nothing is built twice.
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
MAKEFLAGS += --no-print-directory

configure = $(CMAKE) -S . -B $(BUILD) -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_INSTALL_PREFIX=$(PREFIX) \
    -DREDLOCK_CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)
testkit = $(CARGO_TARGET_DIR)/debug/testkit

.DEFAULT_GOAL := build

.PHONY: help
help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo '  PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) BUILD=$(BUILD) may be set, e.g. make install PREFIX=/usr DESTDIR=/tmp/package'

.PHONY: build
build: ## Build the library and the examples into build/
	@$(MAKE) need-cmake
	$(configure) -DREDLOCK_BUILD_TESTS=OFF
	$(CMAKE) --build $(BUILD)

.PHONY: need-cmake
need-cmake:
	@command -v $(CMAKE) >/dev/null || { echo 'CMake was not found; scripts/install-tools demo installs it' >&2; exit 1; }

.PHONY: demo
demo: ## Show locks over five masters, installing what is missing
	scripts/install-tools demo
	@$(MAKE) build
	$(CARGO) build --quiet --package testkit
	$(testkit) run -n 5 -- $(BUILD)/examples/demo

.PHONY: test
test: ## Run all tests, installing what is missing
	scripts/install-tools test
	CMAKE='$(CMAKE)' BUILD='$(BUILD)' scripts/test

.PHONY: check
check: ## Check formats, lints, documentation and the header, without running tests
	scripts/check

.PHONY: dist
dist: ## Build the packages of all languages into dist/
	scripts/install-tools dist
	scripts/dist

.PHONY: test-dist
test-dist: ## Build the packages, install each into a clean place, and use it
	@$(MAKE) dist
	$(CARGO) build --locked --quiet --package testkit
	tests/dist/run all
	@$(MAKE) docs

.PHONY: docs
docs: ## Build the documentation site into dist/docs/
	scripts/install-tools dist
	scripts/docs

.PHONY: bench
bench: ## Measure this library and its peers side by side
	scripts/install-tools demo
	bench/run

# With the nightly toolchain; `make test` runs the same targets without it, for a minute each.
MINUTES ?= 10
.PHONY: fuzz
fuzz: ## Run every fuzzer for MINUTES=10 each
	scripts/fuzz $(MINUTES)

.PHONY: test-rust
test-rust: ## Run the tests of the crate alone
	$(CARGO) test --locked --package libredlock --no-fail-fast

.PHONY: simulate
simulate: ## Run the protocol in virtual time, with fresh seeds for MINUTES=10
	$(CARGO) run --locked --release --package simulation -- --minutes $(MINUTES)

.PHONY: sanitize
sanitize: ## Run ThreadSanitizer, memcheck and Miri
	scripts/sanitize

# Under sudo there is usually no cargo, and what it built would belong to root; so what `make build` left is installed.
.PHONY: install
install: ## Install below DESTDIR/PREFIX
	@if [ -z "$$SUDO_UID" ]; then $(MAKE) build; \
	elif [ ! -e $(BUILD)/redlock.ffi.h ]; then echo 'Nothing was built yet: run `make` first, without sudo' >&2; exit 1; fi
	DESTDIR='$(DESTDIR)' $(CMAKE) --install $(BUILD) --prefix $(PREFIX)
	@if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then ldconfig; fi

.PHONY: header
header: ## Write include/redlock.h anew from src/ffi
	REDLOCK_UPDATE_HEADER=1 $(CARGO) check --locked --features header
	cp include/redlock.h bindings/go/redlock.h
	packaging/debian/symbols

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BUILD)
	$(CARGO) clean
