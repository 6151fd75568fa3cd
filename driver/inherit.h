/* Descriptors 0-2: the only ones that reach the agent. */
#ifndef AGENTFW_INHERIT_H
#define AGENTFW_INHERIT_H

#include "status.h"

/* Fills missing ones, refuses what would lead out of the view. */
int inherit_check(struct fault *f);
/* Whether a regular file is among them that may only be read. */
bool inherit_has_input(void);
/*
 * Puts such files on a read-only mount, so that /proc/self/fd/0 can't be
 * opened again for writing. In a mount namespace of ours, before the pivot.
 */
int inherit_protect(struct fault *f);

#endif
