/* Whether, and by which rung, the network gate can be set up here. */
#define _GNU_SOURCE
#include "probe.h"

#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "gate.h"
#include "netd.h"

/* The last rung needs a listener of seccomp, of which there is one a tree. */
static int arm_notify(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	return -gate_notify_arm(pair[0]);
}

int probe_gate(struct probe *p)
{
	const char *force = getenv("AGENTFW_GATE");
	struct netd_hello hello = {0};
	int fds[NETD_FDS];

	if (force && gate_rung_of(force) == RUNG_NONE) {
		snprintf(p->detail, sizeof(p->detail),
			 "AGENTFW_GATE must be tproxy, redir or notify");
		return EINVAL;
	}
	netd_setup((enum netd_rung)gate_rung_of(force), &hello, fds);
	if (!hello.err && hello.rung == RUNG_NOTIFY) {
		hello.err = -arm_notify();
		snprintf(hello.step, sizeof(hello.step),
			 "listen for connections by seccomp");
	}
	if (hello.err) {
		snprintf(p->detail, sizeof(p->detail), "can't %.120s: %.60s",
			 hello.step, strerror(-hello.err));
		return -hello.err;
	}
	snprintf(p->detail, sizeof(p->detail), "rung %s%s, %s",
		 gate_rung_name(hello.rung), force ? ", by AGENTFW_GATE" : "",
		 hello.has_v6 ? "IPv4 and IPv6" : "IPv4");
	return 0;
}
