/* Namespaces: making them, mapping ids, holding them open for `enter`. */
#ifndef AGENTFW_NS_H
#define AGENTFW_NS_H

#include "cgroup.h"
#include "spec.h"

/* Where the driver keeps its namespace fds, see docs/driver-protocol.md. */
enum {
	NS_FD_USER = 200, NS_FD_MNT, NS_FD_PID, NS_FD_IPC, NS_FD_UTS,
	NS_FD_NET, NS_FD_CGROUP, NS_FD_INNER, NS_FD_END,
};

struct ns_kind {
	int fd;
	int flag;
	const char *name;
};

/* In the order in which they must be joined, the inner one left out. */
extern const struct ns_kind ns_kinds[];
extern const size_t ns_nkinds;

/* fork into the namespaces of this spec, and into the control group of
 * version 2: 0 in the child. */
pid_t ns_clone(const struct spec *s, struct cgroup_way *way, struct fault *f);
/* The child was born in its group, and has to make the namespace that begins
 * there itself. */
bool ns_cgroup_is_due(const struct cgroup_way *way);
int ns_own_cgroup(struct fault *f);
/* fork into one more user namespace: 0 in the child. */
pid_t ns_clone_inner(void);

/* Writes the maps of the outer user namespace of `child`. User mode only. */
int ns_map_outer(pid_t child, const struct spec *s, struct fault *f);
/* The same for the agent's own; `proc` is our procfs. */
int ns_map_inner(int proc, pid_t child, const struct spec *s,
		 struct fault *f);

/* Opens the namespaces of a process at NS_FD_…, for as long as the driver lives. */
int ns_hold(pid_t init, const struct spec *s, struct fault *f);
int ns_hold_inner(pid_t agent, struct fault *f);

/* In the namespace that we are in. */
int ns_loopback_up(struct fault *f);

/* Why user namespaces may be refused here; empty when nothing is known. */
void ns_hint(struct fault *f);

#endif
