/* The system call filter: allow by default, refuse what no agent needs. */
#ifndef AGENTFW_SECCOMP_H
#define AGENTFW_SECCOMP_H

#include "status.h"

int seccomp_apply(bool nested, struct fault *f);

#endif
