/* Descriptors 0-2: the only ones that reach the agent. */
#ifndef AGENTFW_INHERIT_H
#define AGENTFW_INHERIT_H

#include "status.h"

/* Fills missing ones, refuses what would lead out of the view. */
int inherit_check(struct fault *f);
/* Whether a device, or a regular file that may only be read, is among them. */
bool inherit_leads_out(void);
/*
 * Puts such objects on read-only mounts, so that /proc/self/fd/0 can't be
 * opened again for writing and nobody changes their mode or owner. In a mount
 * namespace of ours, before the pivot.
 */
int inherit_protect(struct fault *f);
/*
 * Opens those that the view has a node of as that node: /proc/self/fd/0 then
 * has a name that leads there. `dev`: the view's /dev.
 */
void inherit_rehome(int dev);
/*
 * When the tree has ended: an output file gets its owner back and loses the
 * set-id bits and capabilities that it was given. The agent may write it, not make a program of
 * the caller's rights out of it.
 */
void inherit_settle(void);
/*
 * For what an entered program began, which may live on: set-id bits and
 * capabilities once more when `driver` has ended. Not the owner: the caller may
 * have given the file to somebody since.
 */
int inherit_settle_after(pid_t driver, struct fault *f);
/* Opens what the descriptor leads to by its path on the host, O_PATH; or -1. */
int inherit_source(int fd);

#endif
