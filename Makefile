# The two commands of the README are `make demo` and `make test`; the rest is for people who work on Callie.
PRESET ?= release
JOBS ?= $(shell nproc)

.PHONY: demo test test-full build packages install clean

demo: build
	build/release/callie run smollm2-135m "Write three short sentences about the sea."

test: build
	ctest --test-dir build/$(PRESET) --output-on-failure -j $(JOBS)

test-full: test

build: packages
	cmake --preset $(PRESET) >/dev/null
	cmake --build build/$(PRESET) -j $(JOBS)

packages:
	scripts/install-packages

install: build
	cmake --install build/$(PRESET)

clean:
	rm -rf build
