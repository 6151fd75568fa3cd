/* Takes everything from the calling process that an agent must not have. */
#ifndef AGENTFW_CONFINE_H
#define AGENTFW_CONFINE_H

#include "spec.h"

/*
 * In the inner user namespace, with all its capabilities still in hand.
 * `notes` is a message socket for MSG_DEGRADED, `notify` the gate's socket
 * for gate_notify_arm or -1.
 */
int confine(const struct spec *s, int notes, int notify, struct fault *f);

/* Only returns when the program can't be executed: fills the fault. */
int exec_agent(const struct spec *s, struct fault *f);

#endif
