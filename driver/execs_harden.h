#ifndef AGENTFW_EXECS_HARDEN_H
#define AGENTFW_EXECS_HARDEN_H

/* Takes from the exec audit what it never needs; 0 or -errno. */
int execs_harden(void);

#endif
