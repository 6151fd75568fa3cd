#ifndef AGENTFW_GATE_H
#define AGENTFW_GATE_H

#include <sys/types.h>

/*
 * The network gate: all that leaves the sandbox's network namespace passes
 * two processes that the driver starts here. docs/gate-protocol.md tells
 * what they say to the supervisor.
 */

/* The spec's `net gate` comes with this descriptor, the gate's channel. */
#define GATE_CHANNEL_FD 5

struct gate_opts {
	int user_fd;	/* the namespace that owns net_fd; -1: already in it */
	int net_fd;	/* the sandbox's network namespace, still untouched */
	int channel;	/* socket to the supervisor */
	const char *force;	/* NULL, or "tproxy", "redir", "notify" */
	int debug_fd;	/* kept as stderr; -1: none */
};

struct gate {
	pid_t gate, netd;	/* when either ends, the tree must end */
	int notify;	/* rung "notify": give it to gate_notify_arm; else -1 */
	char rung[16];
	char error[200];	/* when gate_start failed */
	char hint[200];
};

/*
 * Sets the namespace up and starts the gate; nothing of the agent may run
 * before it returned 0. The caller must have one thread. On failure nothing
 * is left running and error and hint are filled.
 */
int gate_start(const struct gate_opts *opts, struct gate *gate);

/* `tproxy` and so on; 0 is none of them. */
const char *gate_rung_name(int rung);
int gate_rung_of(const char *name);

/* Ends both at once; open connections are reset. */
void gate_stop(struct gate *gate);

/*
 * Rung "notify" only: in the agent's process, last thing before exec (after
 * no_new_privs and the other filters). 0 or a negative errno.
 */
int gate_notify_arm(int notify);

#endif
