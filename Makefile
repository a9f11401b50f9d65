# SPDX-License-Identifier: MIT
# One non-recursive makefile. `make help` lists what it can do; all output goes to build/.

VERSION    := 0.3.0
OUT        ?= build
PREFIX     ?= /usr/local
SYSCONFDIR ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
SBINDIR    := $(PREFIX)/sbin
BINDIR     := $(PREFIX)/bin
LIBEXECDIR := $(PREFIX)/libexec/fluid
SHAREDIR   := $(PREFIX)/share
# What systemd, D-Bus and polkit read is below /usr or /etc whatever PREFIX is.
SYSTEMDIR  := $(if $(filter /usr,$(PREFIX)),/usr/lib,/etc)
POLKITDIR  := /usr/share/polkit-1/actions
DBUSDIR    := $(if $(filter /usr,$(PREFIX)),/usr/share,/etc)/dbus-1
# Where Ansible looks by itself.
ANSIBLEDIR := /usr/share/ansible/plugins/connection
HOOKDIR    := /etc/libvirt/hooks/qemu.d
# Where the hook finds the rules: below state_directory of fluid.conf.
FIREWALLDIR ?= /run/fluid/firewall
# As qemu_user and qemu_group of fluid.conf.
QEMU_USER  ?= libvirt-qemu
QEMU_GROUP ?= libvirt-qemu
# As network_bridge there.
BRIDGE     ?= fluidbr0

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

# -- Debian packages ---------------------------------------------------------------------------
DEPS_BUILD := gcc make pkg-config libc6-dev libvirt-dev libsystemd-dev libsqlite3-dev libjson-c-dev \
	libglib2.0-dev libxml2-dev libext2fs-dev libseccomp-dev nettle-dev zlib1g-dev libzstd-dev libyaml-dev libnftables-dev libmnl-dev libnl-3-dev python3
DEPS_RUN   := libvirt-daemon-system libvirt-clients qemu-system-x86 qemu-utils seabios polkitd \
	dbus-daemon systemd nftables dnsmasq-base diffutils
DEPS_TEST  := mmdebstrap busybox-static cpio zstd e2fsprogs fdisk grub-pc-bin grub-common iproute2 util-linux \
	jq perl socat procps sqlite3 bsdutils openssh-client strace rpm python3-jsonschema \
	systemd-container ansible-core ansible-lint python3-yaml python3-dbus python3-gi python3-apt
# For xfs and btrfs; what libguestfs boots is a kernel of this host, which a container has none of.
DEPS_GUESTFS := libguestfs-dev libguestfs-xfs guestfish $(if $(wildcard /boot/vmlinuz*),,linux-image-cloud-amd64)
DEPS_LINT  := clang clang-format clang-tidy clang-tools cppcheck shellcheck libxml2-utils \
	libclang-rt-14-dev llvm valgrind

# V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $(patsubst $(CURDIR)/%,%,$(2)))

# -- flags -------------------------------------------------------------------------------------
CC := $(if $(filter default,$(origin CC)),gcc,$(CC))
IS_CLANG := $(findstring clang,$(shell $(CC) --version 2>/dev/null))
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wundef -Wvla -Wformat=2 -Wdate-time $(if $(IS_CLANG),,-Wlogical-op \
	-Wduplicated-cond -Wduplicated-branches -Wimplicit-fallthrough=5) $(if $(CI),-Werror)
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
OPTIMISE ?= -O2 $(if $(SANITIZE),,-D_FORTIFY_SOURCE=3)
CFLAGS ?= -g
LIBRARIES := libvirt libvirt-qemu libsystemd sqlite3 json-c glib-2.0 libxml-2.0 libnl-3.0 libnftables libmnl
# Asked of pkg-config when first used, since `make deps` may have to bring it.
PKG_CFLAGS = $(eval PKG_CFLAGS := $(shell pkg-config --cflags $(LIBRARIES)))$(PKG_CFLAGS)
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(OPTIMISE) $(WARNINGS) $(HARDENING) \
	-DFLUID_VERSION='"$(VERSION)"' \
	-DFLUID_SYSCONFDIR='"$(SYSCONFDIR)"' -DFLUID_FIREWALL='"$(FIREWALLDIR)"' -Ihostd -I. -I$(OUT)/gen $(PKG_CFLAGS) \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer) $(CFLAGS)
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE)) $(LDFLAGS)

libs = $(shell pkg-config --libs $(1)) -lm -lresolv
LIBS_base  := libsystemd json-c glib-2.0 libseccomp nettle
LIBS_loop  := $(LIBS_base)
LIBS_store := sqlite3 $(LIBS_base)
LIBS_host  := libvirt libvirt-qemu libxml-2.0 hogweed libnl-3.0 libnftables libmnl $(LIBS_base)
LIBS_diff  := ext2fs com_err zlib libzstd yaml-0.1 $(LIBS_base)
LIBS_guestfs := $(LIBS_diff)
LIBS_resolve := $(LIBS_base)
LIBS_run   := $(LIBS_base)
LIBS_hostd := $(LIBS_host) sqlite3
LIBS_ctl   := $(LIBS_base)

# -- layers: what a layer's tests link, lowest last -----------------------------------------------
LAYERS := base loop store host core api diff guestfs resolve run
SOURCES = $(wildcard hostd/$(1)/*.c)
OBJECTS = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
archive = $(patsubst %,$(OUT)/lib/%.a,$(1))

LINK_base  := base
LINK_loop  := loop base
LINK_store := store base
LINK_host  := host loop base
LINK_core  := core store loop base
LINK_bus   := api core store loop base
LINK_diff  := diff base
LINK_guestfs := guestfs diff base
LINK_playbook := diff base
LINK_resolve := resolve base
LINK_run   := run base
LINK_ctl   := base
LINK_bench := host loop base
LINK_net := core host loop base

MAIN_diff := hostd/diff/fluid-diff.c hostd/diff/no-users.c
# Besides the main file, what needs libguestfs.
MAIN_guestfs := hostd/guestfs/fluid-diff-guestfs.c $(wildcard hostd/guestfs/appliance*.c)
MAIN_resolve := hostd/resolve/fluid-resolver.c
MAIN_run  := hostd/run/fluid-runner.c hostd/run/fluid-ansible.c
MAIN_ctl  := dbus/ctl/fluidctl.c

PROGRAMS := $(OUT)/fluid-hostd $(OUT)/fluidctl $(OUT)/fluid-diff $(OUT)/fluid-resolver $(OUT)/fluid-runner $(OUT)/fluid-ansible $(OUT)/fluid-hook
# Without libguestfs, which is wanted for xfs and btrfs only, all but one program is built.
HAS_GUESTFS := $(shell pkg-config --exists libguestfs && echo yes)
PROGRAMS += $(if $(HAS_GUESTFS),$(OUT)/fluid-diff-guestfs)
WITHOUT  := $(if $(HAS_GUESTFS),,%/fluid-diff-guestfs@.service.in %/fluid-diff-guestfs.socket)
UNITS    := $(patsubst units/%.in,$(OUT)/units/%,$(filter-out $(WITHOUT),$(wildcard units/*.service.in)))
SOCKETS  := $(filter-out $(WITHOUT),$(wildcard units/*.socket))
MANUALS   = $(OUT)/man/fluidctl.1 $(OUT)/man/fluid.conf.5 $(OUT)/man/networks.conf.5 $(OUT)/man/apply.conf.5 $(patsubst dbus/%.xml,$(OUT)/man/%.5,$(wildcard dbus/*.xml))

all: $(PROGRAMS) $(UNITS) $(OUT)/man/.stamp ## build the programs and their manual pages

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' Makefile

# -- compiling ---------------------------------------------------------------------------------
$(OUT)/obj/%.o: %.c $(OUT)/gen/.stamp Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c $< -o $@

$(OUT)/gen/migrations.o: $(OUT)/gen/migrations.c Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/gen/migrations.c: $(wildcard sql/*.sql) sql/embed
	@mkdir -p $(@D)
	$(Q)sql/embed $(sort $(wildcard sql/*.sql)) > $@

$(OUT)/gen/rulesets.o: $(OUT)/gen/rulesets.c hostd/host/firewall-text.h Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/gen/rulesets.c: $(wildcard nft/*.nft) nft/embed
	@mkdir -p $(@D)
	$(Q)nft/embed $(sort $(wildcard nft/*.nft)) > $@

$(OUT)/gen/noise-rules.o: $(OUT)/gen/noise-rules.c hostd/diff/noise.h Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/gen/noise-rules.c: hostd/diff/noise.rules
	@mkdir -p $(@D)
	$(Q){ echo '#include "diff/noise.h"'; echo 'const char noise_rules_text[] ='; \
		sed 's/[\"?]/\\&/g; s/.*/        "&\\n"/' $<; echo '        "";'; } > $@

$(OUT)/gen/recap-plugin.o: $(OUT)/gen/recap-plugin.c hostd/run/recap.h Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/gen/recap-plugin.c: hostd/run/recap.py
	@mkdir -p $(@D)
	$(Q){ echo '#include "run/recap.h"'; echo 'const char recap_plugin_text[] ='; \
		sed 's/[\"?]/\\&/g; s/.*/        "&\\n"/' $<; echo '        "";'; } > $@

# What runs in guests: no library, no sanitizer, as few instructions as can be. Elsewhere than on x86-64 there is none.
GUEST_CFLAGS := -std=gnu11 -Os $(WARNINGS) -Ihostd -ffreestanding -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-pie -no-pie -nostdlib -static \
	-Wl,-z,noseparate-code,-z,noexecstack,--build-id=none -s
$(OUT)/guest-identity: hostd/guest/identity.c hostd/guest/identity-files.h Makefile
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)case $$($(CC) -dumpmachine) in x86_64-*) $(CC) $(GUEST_CFLAGS) -o $@ $< ;; *) : > $@ ;; esac
	@chmod 644 $@

$(OUT)/gen/guest-program.o: $(OUT)/gen/guest-program.c hostd/host/guest-program.h Makefile
	$(call say,CC,$@)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(OUT)/gen/guest-program.c: $(OUT)/guest-identity hostd/guest/embed
	@mkdir -p $(@D)
	$(Q)hostd/guest/embed $< > $@

$(OUT)/gen/.stamp: $(OUT)/gen/migrations.c
	@touch $@

define layer_rules
$(OUT)/lib/$(1).a: $(call OBJECTS,$(filter-out $(MAIN_$(1)),$(call SOURCES,$(1)))) $(if $(filter store,$(1)),$(OUT)/gen/migrations.o) $(if $(filter host,$(1)),$(OUT)/gen/rulesets.o $(OUT)/gen/guest-program.o) $(if $(filter diff,$(1)),$(OUT)/gen/noise-rules.o) $(if $(filter run,$(1)),$(OUT)/gen/recap-plugin.o)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR,$$@)
	$$(Q)ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

$(OUT)/fluid-hostd: $(OUT)/obj/hostd/hostd.o $(call archive,api core host store loop base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_hostd))

# Static: it is started for every question, and to load ten libraries took it a third of the time of a usual answer.
# Whoever builds it for others builds it anew when one of these libraries has a security update. No sanitizer is static.
LINK_DIFF = $(if $(SANITIZE),$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_diff)),$(CC) -static-pie \
	$(filter-out -pie,$(ALL_LDFLAGS)) -Wl,--gc-sections -o $@ $^ \
	$(shell pkg-config --static --libs $(filter-out libsystemd,$(LIBS_diff))) -lm)

$(OUT)/fluid-diff: $(call OBJECTS,$(MAIN_diff)) $(call archive,diff base)
	$(call say,LINK,$@)
	$(Q)$(LINK_DIFF)

$(OUT)/fluid-diff-guestfs: $(call OBJECTS,$(MAIN_guestfs)) $(call archive,guestfs diff base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,libguestfs $(LIBS_guestfs))

$(OUT)/fluid-resolver: $(call OBJECTS,$(MAIN_resolve)) $(call archive,resolve base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_resolve))

$(OUT)/fluid-runner: $(call OBJECTS,hostd/run/fluid-runner.c) $(call archive,base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_run))

$(OUT)/fluid-ansible: $(call OBJECTS,hostd/run/fluid-ansible.c) $(call archive,run base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_run))

$(OUT)/fluidctl: $(call OBJECTS,$(wildcard dbus/ctl/*.c)) $(call archive,base)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_ctl))

# Static, so that it works while a host is half upgraded; no sanitizer is.
$(OUT)/fluid-hook: hooks/fluid-hook.c Makefile
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(filter-out -fsanitize% -fno-sanitize%,$(ALL_CFLAGS)) \
		-static-pie -Wl,-z,relro,-z,now -o $@ $<

# Made again by every install: where to is not known to make.
$(OUT)/units/%: units/%.in .FORCE
	@mkdir -p $(@D)
	$(Q)sed 's|@SBINDIR@|$(SBINDIR)|g; s|@LIBEXECDIR@|$(LIBEXECDIR)|g; s|@SYSCONFDIR@|$(SYSCONFDIR)|g; s|@QEMU_USER@|$(QEMU_USER)|; s|@QEMU_GROUP@|$(QEMU_GROUP)|' $< > $@

$(OUT)/man/.stamp: $(PROGRAMS) $(wildcard dbus/*.xml) contrib/man/interface-to-man hostd/base/fault.h
	@mkdir -p $(@D)
	$(Q)$(OUT)/fluidctl --print-man > $(OUT)/man/fluidctl.1
	$(Q)for f in fluid.conf networks.conf; do $(OUT)/fluid-hostd --print-manual=$$f > $(OUT)/man/$$f.5 || exit 1; done
	$(Q)$(OUT)/fluid-ansible --print-manual > $(OUT)/man/apply.conf.5
	$(Q)contrib/man/interface-to-man --output $(@D) $(wildcard dbus/*.xml)
	@touch $@

# -- tests -------------------------------------------------------------------------------------
test_programs = $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/$(1)/test-*.c tests/$(1)/live-*.c tests/$(1)/bench-*.c))
FAKES_host := $(OUT)/obj/tests/fake/guest-agent.o $(OUT)/obj/tests/fake/upstream.o
FAKES_resolve := $(OUT)/obj/tests/fake/upstream.o
# What is pure is the real one.
FAKES_core := $(call OBJECTS,$(wildcard tests/fake/host/*.c) hostd/host/network-address.c)
FAKES_bus  := $(FAKES_core) $(OUT)/obj/tests/bus/fixture.o
FAKES_net := $(call OBJECTS,$(filter-out tests/net/live-%.c tests/net/attacker.c,$(wildcard tests/net/*.c)))
FAKES_bench := $(call OBJECTS,$(filter-out tests/bench/bench-%.c,$(wildcard tests/bench/*.c)) tests/net/network.c)

define test_rules
$(call test_programs,$(1)): $(OUT)/tests/%: $(OUT)/obj/tests/%.o $(FAKES_$(1)) $(call archive,$(LINK_$(1)))
	@mkdir -p $$(@D)
	$$(call say,LINK,$$@)
	$$(Q)$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(call libs,$(LIBS_$(2)))
endef
$(foreach t,base:base loop:loop store:store host:host core:store bus:store diff:diff guestfs:guestfs playbook:diff resolve:resolve run:run ctl:base net:host bench:host,\
	$(eval $(call test_rules,$(firstword $(subst :, ,$(t))),$(lastword $(subst :, ,$(t))))))

$(OUT)/tests/fake/host-service: $(call OBJECTS,$(wildcard tests/fake/host-service*.c)) $(call archive,base)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_base))

# What the tests of playbooks are made with.
PLAYBOOK_TOOLS := $(OUT)/tests/playbook/make-playbook $(OUT)/tests/playbook/yaml-scalars
$(PLAYBOOK_TOOLS): $(OUT)/tests/%: $(OUT)/obj/tests/%.o $(call archive,diff base)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_diff))

# As fluid-diff, with what takes it over.
$(OUT)/tests/diff/attacked: $(call OBJECTS,$(MAIN_diff) tests/diff/attack.c) $(call archive,diff base)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(LINK_DIFF)

# For guests without libraries.
$(OUT)/tests/net/attacker: $(call OBJECTS,$(addprefix tests/net/,attacker.c attacks.c frame.c))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -static -o $@ $^

$(OUT)/tests/live/overwrite: $(OUT)/obj/tests/live/overwrite.o
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) -static -o $@ $^

UNIT_DIRS := base loop store host core bus diff guestfs playbook resolve run ctl net
UNIT_TESTS = $(foreach d,$(UNIT_DIRS),$(filter $(OUT)/tests/$(d)/test-%,$(call test_programs,$(d))))
LIVE_TESTS = $(foreach d,$(UNIT_DIRS),$(filter $(OUT)/tests/$(d)/live-%,$(call test_programs,$(d))))
SCRIPT_TESTS = $(filter-out %.c,$(wildcard $(UNIT_DIRS:%=tests/%/test-*)))
SLOW_TESTS   = $(wildcard tests/slow/test-*)
PROVE := FLUID_BUILD=$(abspath $(OUT)) prove --merge --failures --comments --timer --exec 'timeout 300' -j 2

test-programs: $(UNIT_TESTS) $(LIVE_TESTS) $(OUT)/tests/fake/host-service $(OUT)/tests/net/attacker \
	$(OUT)/tests/live/overwrite $(OUT)/tests/diff/attacked $(PLAYBOOK_TOOLS)

check-unit: all test-programs fuzz-corpus ## unit and bus tests; no root, no guest, about two minutes
	$(PROVE) $(UNIT_TESTS) $(SCRIPT_TESTS)

check-slow: all ## the random trees and journals that fluid-diff is held against
	$(PROVE) $(SLOW_TESTS)

SEEDS = $(shell seq 1 50)
check-generated: all guests ## generated sets of changes, made and replayed in containers (SEEDS="1 2 3"); root
	FLUID_BUILD=$(abspath $(OUT)) tests/generated/in-container $(SEEDS)

check-live: all test-programs guests ## the tests on real libvirt and real guests; root
	tests/live/run $(OUT)

check: check-unit check-slow check-live ## everything that has to pass; root for the real guest

check-asan: ## the unit and bus tests under address and undefined behaviour sanitizers
	$(MAKE) check-unit OUT=build/asan SANITIZE=address,undefined CC=clang

guests: ## build the test guests into build/guest/ (root)
	tests/guest/build all

demo: deps ## install what is missing, build, and run the main story on real libvirt (root)
	$(MAKE) all guests
	tests/env/with-host tests/demo

bench: all test-programs guests $(call test_programs,bench) ## measure against floors; ends with one JSON line (root)
	tests/bench/run $(OUT)

bench-audit: $(OUT)/tests/core/bench-audit ## how long a trail of a million rows takes: queries, verifying, exporting
	$<

# -- fuzzing -----------------------------------------------------------------------------------
FUZZERS = $(patsubst tests/fuzz/fuzz-%.c,%,$(wildcard tests/fuzz/fuzz-*.c))
FUZZ_LAYERS := guestfs diff resolve run host loop base
FUZZ_CORE := $(wildcard hostd/core/profile*.c) dbus/ctl/place.c hostd/core/approval-content.c
FUZZ_TIME ?= 60
# Without entropic scheduling: for large programs it takes most of the time.
FUZZ_FLAGS ?= -entropic=0
fuzz_replays = $(FUZZERS:%=$(OUT)/tests/fuzz/replay-%)

$(OUT)/tests/fuzz/replay-%: $(OUT)/obj/tests/fuzz/fuzz-%.o $(OUT)/obj/tests/fuzz/replay.o $(call OBJECTS,$(FUZZ_CORE)) $(call archive,$(FUZZ_LAYERS))
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(call libs,$(LIBS_host) $(LIBS_diff))

# Objects of their own: with coverage and sanitizers. With FUZZ_PLAIN=1 without the latter and without traced comparisons:
# several times as many executions, where two ways are held against each other. Both go on with the same corpus.
FUZZ_OUT = build/fuzz$(if $(FUZZ_PLAIN),-plain)
FUZZ_CORPUS = build/fuzz/corpus-$(FUZZ)
comma := ,
FUZZ_SANITIZE = $(if $(FUZZ_PLAIN),,$(comma)address$(comma)undefined)
FUZZ_CFLAGS = $(ALL_CFLAGS) -Wno-unknown-warning-option -DCONTENT_HASHED_MAX=131072 \
	$(if $(FUZZ_PLAIN),-fsanitize-coverage=inline-8bit-counters$(comma)pc-table,-fsanitize=fuzzer-no-link$(FUZZ_SANITIZE))
FUZZ_OBJECTS = $(patsubst %.c,$(FUZZ_OUT)/obj/%.o,$(FUZZ_CORE) \
	$(filter-out $(MAIN_diff) $(MAIN_guestfs) $(MAIN_resolve) $(MAIN_run),$(foreach l,$(FUZZ_LAYERS),$(call SOURCES,$(l)))) \
	$(addprefix $(OUT)/gen/,rulesets.c noise-rules.c guest-program.c recap-plugin.c))
# Stacks of each allocation, and much memory that waits to be used again, cost a third of the time. Whoever looks into a
# finding says ASAN_OPTIONS=.
FUZZ_ASAN = $${ASAN_OPTIONS-malloc_context_size=0:quarantine_size_mb=8:thread_local_quarantine_size_kb=256}

$(FUZZ_OUT)/obj/%.o: %.c $(OUT)/gen/.stamp Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)clang $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@

# Of an archive only what a fuzzer needs is linked: what is counted besides is gone through after each execution.
$(FUZZ_OUT)/all.a: $(FUZZ_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(FUZZ_OUT)/fuzz-%: $(FUZZ_OUT)/obj/tests/fuzz/fuzz-%.o $(FUZZ_OUT)/all.a
	$(call say,LINK,$@)
	$(Q)clang -fsanitize=fuzzer$(FUZZ_SANITIZE) -o $@ $^ $(call libs,$(LIBS_host) $(LIBS_diff))

fuzz: ## FUZZ=x: run one fuzzer for FUZZ_TIME seconds (FUZZ_PLAIN=1: without sanitizers); without FUZZ, list them
	@$(if $(FUZZ),$(MAKE) $(FUZZ_OUT)/fuzz-$(FUZZ) && mkdir -p $(FUZZ_CORPUS) && \
		ASAN_OPTIONS="$(FUZZ_ASAN)" $(FUZZ_OUT)/fuzz-$(FUZZ) $(FUZZ_FLAGS) -max_total_time=$(FUZZ_TIME) $(FUZZ_CORPUS) \
		$(wildcard tests/fuzz/corpus/$(FUZZ)),echo "fuzzers: $(FUZZERS)")

fuzz-corpus: $(fuzz_replays) ## replay every fuzzer's corpus
	@for f in $(FUZZERS); do \
		find tests/fuzz/corpus/$$f -type f -print0 2>/dev/null | \
			xargs -0 -r $(OUT)/tests/fuzz/replay-$$f || exit 1; done

# -- lint --------------------------------------------------------------------------------------
LINT_SOURCES = $(wildcard hostd/*.c hostd/*/*.c dbus/*/*.c hooks/*.c)
LINT_HEADERS = $(wildcard hostd/*/*.h dbus/*.h dbus/*/*.h)
LINT_TESTS   = $(wildcard tests/*.h tests/*/*.c tests/*/*.h)

lint: all ## layers, headers, formatting, clang-tidy, cppcheck, shellcheck, xmllint, introspection
	tests/lint/run $(OUT)

analyze: $(OUT)/gen/.stamp ## gcc -fanalyzer and clang's static analyzer over all sources
	@for f in $(LINT_SOURCES); do \
		gcc $(ALL_CFLAGS) -fanalyzer -c $$f -o /dev/null || exit 1; done
	@for f in $(LINT_SOURCES); do \
		clang-tidy --quiet --checks='-*,clang-analyzer-*' $$f -- $(ALL_CFLAGS) || exit 1; done

# -- installing --------------------------------------------------------------------------------
install: all ## DESTDIR=… PREFIX=…: install
	install -D -m 755 -t $(DESTDIR)$(SBINDIR) $(OUT)/fluid-hostd
	install -D -m 755 -t $(DESTDIR)$(BINDIR) $(OUT)/fluidctl
	install -D -m 755 -t $(DESTDIR)$(LIBEXECDIR) $(OUT)/fluid-diff $(OUT)/fluid-resolver $(OUT)/fluid-runner $(OUT)/fluid-ansible $(if $(HAS_GUESTFS),$(OUT)/fluid-diff-guestfs)
	install -D -m 755 $(OUT)/fluid-hook $(DESTDIR)$(HOOKDIR)/fluid
	install -D -m 644 -t $(DESTDIR)$(DBUSDIR)/system.d dbus/sh.fluid.Host1.conf
	install -D -m 644 -t $(DESTDIR)/usr/share/dbus-1/system-services dbus/sh.fluid.Host1.service
	install -D -m 644 -t $(DESTDIR)/usr/share/dbus-1/interfaces dbus/*.xml
	install -D -m 644 -t $(DESTDIR)$(POLKITDIR) dbus/sh.fluid.host1.policy
	install -d $(DESTDIR)$(SYSTEMDIR)/sysusers.d $(DESTDIR)$(SYSCONFDIR)/fluid
	install -D -m 644 -t $(DESTDIR)$(SYSTEMDIR)/systemd/system $(UNITS) $(SOCKETS)
	install -m 644 units/fluid.sysusers $(DESTDIR)$(SYSTEMDIR)/sysusers.d/fluid.conf
	for f in fluid.conf networks.conf; do test -e $(DESTDIR)$(SYSCONFDIR)/fluid/$$f || \
		$(OUT)/fluid-hostd --print-config=$$f > $(DESTDIR)$(SYSCONFDIR)/fluid/$$f || exit 1; done
	test -e $(DESTDIR)$(SYSCONFDIR)/fluid/apply.conf || \
		$(OUT)/fluid-ansible --print-config > $(DESTDIR)$(SYSCONFDIR)/fluid/apply.conf
	install -D -m 644 -t $(DESTDIR)$(SHAREDIR)/fluid dbus/diff.schema.json
	install -D -m 644 contrib/completion/fluidctl $(DESTDIR)$(SHAREDIR)/bash-completion/completions/fluidctl
	install -d $(DESTDIR)$(SHAREDIR)/man/man1 $(DESTDIR)$(SHAREDIR)/man/man5
	install -D -m 644 -t $(DESTDIR)$(ANSIBLEDIR) contrib/ansible/connection/fluid.py
	install -m 644 $(OUT)/man/*.1 $(DESTDIR)$(SHAREDIR)/man/man1
	install -m 644 $(OUT)/man/*.5 $(DESTDIR)$(SHAREDIR)/man/man5

uninstall: ## DESTDIR=… PREFIX=…: remove what install put there, but for fluid.conf, networks.conf, apply.conf and /var/lib/fluid
	rm -f $(DESTDIR)$(SBINDIR)/fluid-hostd $(DESTDIR)$(BINDIR)/fluidctl $(DESTDIR)$(HOOKDIR)/fluid \
		$(DESTDIR)$(DBUSDIR)/system.d/sh.fluid.Host1.conf \
		$(DESTDIR)/usr/share/dbus-1/system-services/sh.fluid.Host1.service \
		$(addprefix $(DESTDIR)/usr/share/dbus-1/interfaces/,$(notdir $(wildcard dbus/*.xml))) \
		$(DESTDIR)$(POLKITDIR)/sh.fluid.host1.policy \
		$(addprefix $(DESTDIR)$(SYSTEMDIR)/systemd/system/,$(notdir $(UNITS) $(wildcard units/*.socket))) \
		$(DESTDIR)$(SYSTEMDIR)/sysusers.d/fluid.conf \
		$(DESTDIR)$(SHAREDIR)/bash-completion/completions/fluidctl $(DESTDIR)$(SHAREDIR)/fluid/diff.schema.json \
		$(DESTDIR)$(ANSIBLEDIR)/fluid.py \
		$(DESTDIR)$(SHAREDIR)/man/man1/fluidctl.1 $(DESTDIR)$(SHAREDIR)/man/man5/fluid.conf.5 $(DESTDIR)$(SHAREDIR)/man/man5/networks.conf.5 $(DESTDIR)$(SHAREDIR)/man/man5/apply.conf.5 \
		$(addprefix $(DESTDIR)$(SHAREDIR)/man/man5/,$(notdir $(patsubst %.xml,%.5,$(wildcard dbus/*.xml))))
	rm -rf $(DESTDIR)$(LIBEXECDIR)
	@# Left in the kernel by fluid-hostd, whose restart must open nothing.
	test -n "$(DESTDIR)" || ip -4 rule show priority 10 | sed -n 's/^10:.* \(to [0-9./]* iif $(BRIDGE)\) .*blackhole.*/\1/p' | \
		while read -r rule; do ip -4 rule del priority 10 $$rule type blackhole; done

deps: ## install the Debian packages that are missing (root)
	@missing=$$(for p in $(DEPS_BUILD) $(DEPS_RUN) $(DEPS_TEST) $(DEPS_GUESTFS) $(DEPS_LINT); do \
		dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	test -z "$$missing" || { apt-get update -q && \
		DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$missing; }

clean: ## remove build/ but for the test guests
	find build -mindepth 1 -maxdepth 1 ! -name guest -exec rm -rf {} + 2>/dev/null || true

distclean: ## remove all of build/
	rm -rf build

.PHONY: .FORCE all help check check-unit check-slow check-generated check-live check-asan test-programs guests demo bench bench-audit fuzz fuzz-corpus \
	lint analyze install uninstall deps clean distclean

-include $(shell find $(OUT)/obj $(FUZZ_OUT)/obj -name '*.d' 2>/dev/null)
