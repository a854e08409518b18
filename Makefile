# make image   build the default image into ./out
# make run     build it if need be, and boot it in QEMU (Ctrl-A X ends it)
# make test    every test, end-to-end boots included
# make soak    every bad release and 500 power cuts during updates, half of them on each firmware;
#              20 power cuts while user-data is applied
# make bench   ratios against peers (needs root and a network; see README)
# make fuzz    every parser of foreign bytes, FUZZ_SECONDS each
#
# Each works as the first command after a clone, as root or not.

CARGO  ?= cargo
OUT    ?= out
RECIPE ?= docker
FUZZ_SECONDS ?= 60
SOAK_KILLS ?= 250
TARGET := $(shell rustc -vV | sed -n 's/^host: //p')
BIN    := target/$(TARGET)

.PHONY: image run test test-quick soak bench fuzz guest builder fmt clean

guest:
	$(CARGO) build --profile guest --locked -p init -p oem -p updater

builder: guest
	$(CARGO) build --release --locked -p image-build

image: builder
	$(BIN)/release/image-build build $(RECIPE) --out $(OUT) --guest-bin $(BIN)/guest

run: image
	$(BIN)/release/image-build run $(OUT)/$(RECIPE).qcow2 $(ARGS)

# One image is built and shared by the end-to-end tests; two guests run at a time.
test: builder
	HOLDFAST_GUEST_BIN=$(CURDIR)/$(BIN)/guest $(CARGO) test --release --locked --workspace -- --test-threads=2

test-quick:
	$(CARGO) test --locked --workspace --exclude tests

# HOLDFAST_SEED=N repeats the moments of a run.
soak: builder
	HOLDFAST_GUEST_BIN=$(CURDIR)/$(BIN)/guest HOLDFAST_SOAK=1 HOLDFAST_KILLS=$(SOAK_KILLS) HOLDFAST_CUTS=20 \
		$(CARGO) test --release --locked -p tests --test e2e -- update:: kills:: configure:: --test-threads=2 --nocapture

bench: builder
	$(CARGO) run --release --locked -p tests --bin bench -- $(ARGS)

fuzz:
	CARGO=$(CARGO) fuzz/run $(FUZZ_SECONDS) $(FUZZ_TARGETS)

fmt:
	$(CARGO) fmt --all

clean:
	rm -rf $(OUT)
	$(CARGO) clean
