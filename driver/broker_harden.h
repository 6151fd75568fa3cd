#ifndef AGENTFW_BROKER_HARDEN_H
#define AGENTFW_BROKER_HARDEN_H

/* Takes from the broker what it never needs; 0 or -errno. */
int broker_harden(void);

#endif
