# The two commands of the README are `make demo` and `make test`; the rest is for people who work on Callie.
PRESET ?= release
JOBS ?= $(shell nproc)

.PHONY: demo test test-full build packages test-packages install clean

demo: build
	build/release/callie run smollm2-135m "Write three short sentences about the sea."

test: build test-packages
	build/$(PRESET)/callie pull smollm2-135m
	ctest --test-dir build/$(PRESET) --output-on-failure -j $(JOBS)

test-full: build
	build/$(PRESET)/callie pull qwen2.5-coder-0.5b
	build/$(PRESET)/callie pull qwen2.5-coder-1.5b
	CALLIE_FULL=1 ctest --test-dir build/$(PRESET) --output-on-failure -LE fuzz
	$(MAKE) test PRESET=tsan
	$(MAKE) test PRESET=asan
	CALLIE_FULL=1 ctest --test-dir build/asan --output-on-failure -L fuzz -j $(JOBS)

build: packages
	cmake --preset $(PRESET) >/dev/null
	cmake --build build/$(PRESET) -j $(JOBS)

packages:
	scripts/install-packages

test-packages:
	scripts/install-packages --tests

install: build
	cmake --install build/$(PRESET)

clean:
	rm -rf build
