/* The exec audit: tells which programs start in the sandbox. */
#ifndef AGENTFW_EXECS_H
#define AGENTFW_EXECS_H

#include "spec.h"

struct execs {
	pid_t pid;  /* 0: not wanted */
	int notes;  /* its events; else -1 */
	int notify; /* for execs_arm, until the agent was forked; else -1 */
};

/* Starts the process that is told of each exec. Before the agent's. */
int execs_start(const struct spec *s, struct execs *e, struct fault *f);

/*
 * In the agent's process, after no_new_privs and before its own filter: from
 * here on each exec waits for our process. 0 or a negative errno.
 */
int execs_arm(int notify);

#endif
