/* Landlock scopes: no signals to, and no abstract sockets of, the outside. */
#ifndef AGENTFW_LANDLOCK_H
#define AGENTFW_LANDLOCK_H

#include "status.h"

/* 0 where the kernel has no Landlock. */
int landlock_abi(void);
/* 1 when the kernel can't (f->text says why), 0 when applied, -1 on failure. */
int landlock_scope(bool abstract_sockets, struct fault *f);

#endif
