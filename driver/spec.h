/*
 * The spec: everything the driver is told. Twin of src/sandbox/spec.ts, see
 * docs/driver-protocol.md. Filled by spec.c, then never changed.
 */
#ifndef AGENTFW_SPEC_H
#define AGENTFW_SPEC_H

#include <sys/resource.h>
#include <sys/types.h>

#include "status.h"

#define SPEC_HEADER "agentfw-spec 1"

enum {
	SPEC_MAX_BYTES = 16 << 20,
	SPEC_MAX_TOKENS = 1 << 20,
	SPEC_MAX_TOKEN = 128 << 10,
	SPEC_MAX_ARG = 2 << 20,
	SPEC_MAX_RLIMITS = 16,
	SPEC_MAX_REQUIRES = 16,
	SPEC_MAX_SOCKETS = 32,
	SPEC_MAX_GROUPS = 24,
};

enum mode { MODE_USER, MODE_ROOT };
enum net { NET_OFF, NET_HOST, NET_GATE };

enum op_kind {
	OP_DIR, OP_SYMLINK, OP_FILE, OP_BIND, OP_OVERLAY, OP_TMPFS,
	OP_PROC, OP_DEV, OP_HIDE, OP_REMOUNT_RO, OP_SHIM,
};

enum op_flag {
	FLAG_RO = 1 << 0,
	FLAG_NOEXEC = 1 << 1,
	FLAG_NOSUID = 1 << 2,
	FLAG_VOLATILE = 1 << 3,
	FLAG_TRUSTED = 1 << 4, /* xattr family; without it: user */
};

struct op {
	enum op_kind kind;
	unsigned flags;
	mode_t mode;
	uint64_t size;
	const char *dst;
	const char *src; /* bind source, symlink target, file content, shim base */
	const char *upper, *work;
	char **lowers; /* topmost first; of a shim: the paths that it takes away */
	size_t nlowers;
};

struct limit {
	int resource;
	struct rlimit value;
};

/* Namespaces of the agent's own: none, all but those of control groups, all. */
enum nested { NESTED_DENY, NESTED_NO_CGROUP, NESTED_ALLOW };

/* A host socket that is brokered: ours, which the view shows, and the real one. */
struct host_socket {
	const char *listen, *target;
	bool is_keys; /* a key agent's: its keys are used, no more */
};

/* A control group to start in, and the one to go back to. */
struct group {
	const char *dir, *back;
};

struct spec {
	enum mode mode;
	uid_t uid;
	gid_t gid;
	const char *newroot, *cwd, *hostname;
	enum net net;
	enum nested nested;
	bool tty, detach, audit_execs, wait;
	pid_t target;
	uint64_t target_start;

	char **argv, **envp; /* NULL-terminated */
	size_t argc, envc;
	struct limit limits[SPEC_MAX_RLIMITS];
	size_t nlimits;
	struct group groups[SPEC_MAX_GROUPS];
	size_t ngroups;
	const char *requires[SPEC_MAX_REQUIRES];
	size_t nrequires;
	struct host_socket sockets[SPEC_MAX_SOCKETS];
	size_t nsockets;
	struct op *ops;
	size_t nops;

	char *bytes; /* what everything above points into */
	char **tokens;
};

/* Reads fd to its end into *bytes. */
int spec_read(int fd, char **bytes, size_t *length, struct fault *f);

/* Takes the bytes over. `enter`: the spec of `agentfw-driver enter`. */
int spec_parse(char *bytes, size_t length, bool enter, struct spec *s,
	       struct fault *f);

/* What it pointed into goes as well: `argv`, paths and all. */
void spec_free(struct spec *s);

/* Whether `name` is a protection without which this start must fail. */
bool spec_requires(const struct spec *s, const char *name);

#endif
