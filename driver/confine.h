/* Takes everything from the calling process that an agent must not have. */
#ifndef AGENTFW_CONFINE_H
#define AGENTFW_CONFINE_H

#include "spec.h"

/* Who is told of what the confined process does; -1: nobody. */
struct told {
	int notes; /* a message socket, for MSG_DEGRADED */
	int connects; /* gate_notify_arm */
	int execs; /* execs_arm */
};

/* In the inner user namespace, with all its capabilities still in hand. */
int confine(const struct spec *s, const struct told *t, struct fault *f);

/* Only returns when the program can't be executed: fills the fault. */
int exec_agent(const struct spec *s, struct fault *f);

#endif
