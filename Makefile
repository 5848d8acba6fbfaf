# A thin front for meson and ninja: `make` builds into build/, and build/bin/husk runs from there.
BUILD ?= build
MESON_FLAGS ?=
DESTDIR ?=

all: $(BUILD)/build.ninja
	@find src tests -name '*.c' | sort >$(BUILD)/sources.now
	@cmp -s $(BUILD)/sources.now $(BUILD)/sources || meson setup --reconfigure $(BUILD) $(MESON_FLAGS)
	@mv $(BUILD)/sources.now $(BUILD)/sources
	@ninja -C $(BUILD) $(if $(V),-v)

# meson lists the source files when it is set up; a file more or less sets it up anew.
$(BUILD)/build.ninja:
	meson setup $(BUILD) $(MESON_FLAGS)
	@find src tests -name '*.c' | sort >$(BUILD)/sources

check: ; ./check
bench: all ; tests/bench/run
install: all ; DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild
deb: ; tools/make-deb $(BUILD)/deb
format: ; clang-format -i $$(git ls-files '*.c' '*.h')
clean: ; rm -rf $(BUILD)

.PHONY: all check bench install deb format clean
