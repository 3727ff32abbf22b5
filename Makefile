# Strings cargo commands together; each target installs what it needs (scripts/deps) and can be called again at will.

export PATH := $(PATH):$(HOME)/.cargo/bin

release := $(or $(CARGO_TARGET_DIR),target)/x86_64-unknown-linux-gnu/release

.PHONY: all build run lab check test bench clean

all build:
	@scripts/deps build
	cargo build --release

# Boots apps/echo on its own kernel and plays a Linux client against it.
run:
	@scripts/deps build run
	cargo build --release -p host-launcher -p dataplane-kernel -p echo -p ixion-tests --bins
	$(release)/demo

# A shell on a machine with KVM, an IOMMU and network cards, as the tests use it. Root; leave it with exit.
lab:
	@scripts/deps build run lab
	cargo build --release -p host-launcher -p dataplane-kernel -p echo -p ixion-tests --bins
	$(release)/lab

# The inner loop: formatting, lints, tests that need no virtual machine.
check:
	@scripts/deps build lint check
	@scripts/test lint unit

# All tests, those with virtual machines included. This is what CI runs.
test:
	@scripts/deps build lint run test lab instructions
	@scripts/test lint unit instructions end-to-end

bench:
	@scripts/deps build run lab bench stacks
	bench/stacks/run
	bench/stacks/run goodput
	bench/run report
	bench/run
	bench/run bulk --quick
	bench/run cores
	bench/run sharing
	bench/run forward --quick
	bench/run lab

clean:
	cargo clean
