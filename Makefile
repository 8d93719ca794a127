# The contributor's interface. `make help` lists it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# On Linux tests run static programs, so that a node's images hold the very programs that are tested: building the webhook once
# more, for the images alone, takes minutes. What is released is built apart, by `make images`; so are the tests' images where
# the C library cannot be linked in (Fedora has it in glibc-static).
ifeq ($(shell uname; echo 'int main(void) { return 0; }' | cc -static -x c -o /dev/null - 2>/dev/null && echo links),Linux links)
tested := cluster ending test all-tests lint
$(tested): export CARGO_BUILD_TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
$(tested): export RUSTFLAGS := $(if $(findstring +crt-static,$(RUSTFLAGS)),$(RUSTFLAGS),$(strip $(RUSTFLAGS) -C target-feature=+crt-static))
endif
programs = $(TARGET)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)debug

# Whether the workspace has been built already, and for `proof` the images. It is always built as a whole, for packages that are
# built alone want less of their dependencies, and would have these built once more.
BUILT ?=
built_static = $(if $(BUILT),$(findstring +crt-static,$(RUSTFLAGS)))

# Cases a property is tried on.
CASES ?= 1000
SOAK_CASES ?= 100000

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: try
try: prerequisites ## Show Fermata at work on a real API server; KEEP=1 leaves it running
	@[ -x $(TARGET)/debug/fermata-test-cluster ] || echo 'building Fermata and its test harness: some minutes, once'
	@cargo build --locked --package fermata --package fermata-test-cluster
	@$(TARGET)/debug/fermata-test-cluster try $(if $(filter-out 0,$(KEEP)),--keep) --fermata $(TARGET)/debug/fermata

# Of the user's own, it is: CONTEXT=kind-NAME, CONTEXT=k3d-NAME, or any CONTEXT with a LOAD that gives its nodes an archive.
.PHONY: cluster
cluster: prerequisites $(if $(CONTEXT),,node-packages) image-packages ## Fermata on a whole real node that runs Pods, until Ctrl-C (root on Linux), or on the cluster of CONTEXT=kind-...
	cargo build --locked --workspace --bins
	@$(MAKE) --no-print-directory BUILT=1 images
	@$(programs)/fermata-test-cluster cluster --images $(TARGET)/images --chart charts/fermata \
		$(if $(CONTEXT),--context "$$CONTEXT" $(if $(LOAD),--load "$$LOAD"))

.PHONY: test
test: ## Run all tests, those on a real API server and on real servers included, and say what was skipped
	@tests/count-skips.sh $(MAKE) --no-print-directory all-tests

.PHONY: all-tests
all-tests: prerequisites
	cargo build --workspace --locked --bins --tests
	@$(MAKE) --no-print-directory -j2 BUILT=1 lint provisions
	@all=0; if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then all=1; fi; \
	export FERMATA_CASES=$(CASES) FERMATA_REQUIRE_ALL=$${FERMATA_REQUIRE_ALL:-$$all}; \
	if command -v buildah >/dev/null; then \
		$(MAKE) --no-print-directory BUILT=1 images; export FERMATA_IMAGES=$$(realpath $(TARGET)/images); \
	else echo 'SKIPPED: buildah is missing, so that no image was built'; fi; \
	if [ "$$(id -u)" = 0 ] && command -v buildah >/dev/null; then \
		export FERMATA_PROOF='$(MAKE) --no-print-directory proof QUICK=1 BUILT=1'; \
	else echo 'SKIPPED: the endings are only shown on a real node, which takes root and buildah'; fi; \
	tests/run.sh

# What is fetched leaves time for what is compiled, and the other way round.
.PHONY: provisions
provisions:
	@MAKEFLAGS= $(MAKE) --no-print-directory BUILT=$(BUILT) peers node-packages proof-packages assets

# What the shim is tested against. Where it cannot be installed, the tests say what they have skipped.
.PHONY: peers
peers: ## Install dumb-init, tini, nginx, PostgreSQL, promtool and others that are tested against (root on Debian, Ubuntu)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tests/peers/install.sh && tests/chart/install.sh; \
	else echo 'SKIPPED: only root on Debian or Ubuntu installs what the shim and the alerts are tested against'; fi

# The real servers of these tests.
.PHONY: ending-packages
ending-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tests/install-packages.sh ending nginx haproxy; fi

# What packs images, without a daemon.
.PHONY: image-packages
image-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tests/install-packages.sh images buildah; fi

.PHONY: ending
ending: prerequisites $(if $(CONTEXT),,node-packages) ending-packages image-packages ## Run the tests of how Pods end on a real node, or on the cluster of CONTEXT=kind-...
	cargo build --locked --workspace --bins --tests
	@$(MAKE) --no-print-directory BUILT=1 assets images
	FERMATA_REQUIRE_ALL=1 FERMATA_IMAGES=$$(realpath $(TARGET)/images) FERMATA_CONTEXT="$${CONTEXT:-}" FERMATA_LOAD="$${LOAD:-}" \
		cargo test --workspace --locked --test ending

# What a real node needs beside the programs that are built from source.
.PHONY: node-packages
node-packages: ## Install runc, CNI plugins and others that a real node needs (root on Debian, Ubuntu)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tests/cluster/install.sh; \
	else echo 'SKIPPED: only root on Debian or Ubuntu installs what a real node needs'; fi

.PHONY: lint
lint: prerequisites ## Check format, clippy and rustdoc, warnings as errors
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked --quiet

.PHONY: soak
soak: prerequisites assets ## Try properties on 100,000 generated Pods (SOAK_CASES), and 20 rolling restarts under load
	FERMATA_CASES=$(SOAK_CASES) cargo test --release --locked --test properties
	FERMATA_ROLLOUTS=20 cargo test --release --locked --test availability

.PHONY: bench
bench: prerequisites assets ## Measure against baselines in the same run; writes docs/benchmarks.md
	cargo build --quiet --release --bin fermata
	cargo build --quiet --release --package fermata-baseline
	shim=$$(deploy/build-static.sh fermata-shim shim $(TARGET)); \
	cargo run --quiet --release --package fermata-bench -- --fermata $(TARGET)/release/fermata --shim "$$shim"

.PHONY: proof
proof: prerequisites assets node-packages proof-packages $(if $(BUILT),,images) ## Show on a real node what becomes of requests when Pods end; writes docs/proof.md; QUICK=1 in minutes, RESUME=1 goes on
	@$(if $(BUILT),,cargo build --quiet --locked --package fermata-proof)
	@static() { $(if $(built_static),echo "$(programs)/$$1",deploy/build-static.sh "$$1" release $(TARGET)); }; \
	app=$$(static fermata-proof-app); load=$$(static fermata-proof-load); fermata=$$(static fermata); \
	if command -v apt-get >/dev/null; then export FERMATA_REQUIRE_ALL=$${FERMATA_REQUIRE_ALL:-1}; fi; \
	$(programs)/fermata-proof --app "$$app" --load "$$load" --fermata "$$fermata" --images $(TARGET)/images \
		$(if $(filter-out 0,$(QUICK)),--quick) --runs $(TARGET)/proof/$(if $(filter-out 0,$(QUICK)),quick,runs).jsonl \
		$(if $(filter-out 0,$(RESUME)),--resume)

.PHONY: proof-packages
proof-packages:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then tests/proof/install.sh; fi

.PHONY: images
images: ## Build the images of the webhook and of the shim, static and without a daemon, as OCI archives
	@deploy/build-images.sh $(TARGET) $(if $(built_static),$(programs)/fermata)

.PHONY: golden
golden: prerequisites ## Rewrite expected files and generated docs; read the difference before you commit it
	FERMATA_BLESS=1 cargo test --locked --test golden --test docs
	FERMATA_BLESS=1 cargo test --locked --test chart generated

.PHONY: assets
assets: prerequisites ## Build etcd, kube-apiserver and the rest, once; as root on Linux those of a node too
	@node=; if [ "$$(id -u)" = 0 ] && [ "$$(uname)" = Linux ]; then node=--node; fi; \
	$(if $(BUILT),$(programs)/fermata-test-cluster,cargo run --quiet --locked --package fermata-test-cluster --) assets $$node

# Each missing tool by name, all at once.
.PHONY: prerequisites
prerequisites:
	@missing=0; \
	need() { command -v "$$1" >/dev/null || { echo "missing: $$1 ($$2)" >&2; missing=1; }; }; \
	need cargo 'Rust, from https://rustup.rs; rust-toolchain.toml says which'; \
	need cc 'a C compiler, such as the package gcc or clang: the TLS library has assembly parts'; \
	if [ -z "$${KUBEBUILDER_ASSETS:-}" ]; then \
		need go 'Go 1.26 or later, from https://go.dev/dl; or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kube-controller-manager'; \
	fi; \
	exit $$missing
