# The network gate's objects and its own targets; included by the Makefile.

GATE_SRCS := gate.c gate_addr.c gate_chan.c gate_conn.c gate_dial.c gate_dns.c \
	gate_dns_answer.c gate_dns_wire.c gate_door.c gate_fd.c gate_harden.c gate_held.c gate_hello.c harden.c \
	gate_icmp.c gate_json.c gate_kept.c gate_loop.c gate_names.c gate_netd.c \
	gate_pump.c gate_refuse.c gate_request.c gate_sniff.c gate_udp.c gate_verdict.c gate_via.c \
	netd.c netd_notify.c netd_setup.c netd_who.c netlink.c netlink_diag.c netlink_nft.c \
	notify.c dns.c tls.c http.c http2.c http_answer.c http_body.c http_line.c
GATE_OBJS := $(GATE_SRCS:%.c=build/%.o)
SRCS += $(GATE_SRCS) probe_gate.c
EXTRA_CFLAGS += -DAGENTFW_GATE
.DEFAULT_GOAL := all
GATE_CFLAGS := -std=c17 -O2 -g -fPIE -fstack-protector-strong \
	-D_FORTIFY_SOURCE=3 -Wall -Wextra -Wformat=2 -Wshadow \
	-Wstrict-prototypes -Wmissing-prototypes -Wswitch-enum -Werror
GATE_SAN := -std=c17 -O1 -g -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
GATE_HEADERS := gate.h gate_core.h gate_dns.h gate_fd.h gate_held.h gate_json.h gate_names.h harden.h netd.h netlink.h \
	notify.h dns.h tls.h http.h http2.h http_answer.h http_body.h

# The gate alone, without the driver: test/gate drives it. Test files build it
# at the same time, so it takes its place whole.
build/gate-harness: gate_harness.c $(GATE_SRCS) $(GATE_HEADERS)
	@mkdir -p build
	$(CC) $(GATE_CFLAGS) -o $@.$$PPID gate_harness.c $(GATE_SRCS)
	mv -f $@.$$PPID $@

build/gate-harness-san: gate_harness.c $(GATE_SRCS) $(GATE_HEADERS)
	@mkdir -p build
	$(CC) $(GATE_SAN) -o $@.$$PPID gate_harness.c $(GATE_SRCS)
	mv -f $@.$$PPID $@

build/gate-fuzz: gate_fuzz.c dns.c tls.c http.c http2.c http_answer.c http_body.c http_line.c gate_json.c $(GATE_HEADERS)
	@mkdir -p build
	$(CC) $(GATE_SAN) -o $@ gate_fuzz.c dns.c tls.c http.c http2.c http_answer.c http_body.c http_line.c gate_json.c

.PHONY: gate-test gate-fuzz
gate-test: build/gate-harness
	cd .. && npx vitest run test/gate

gate-fuzz: build/gate-fuzz
	build/gate-fuzz $(or $(FUZZ_SECONDS),20)
