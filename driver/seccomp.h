/* The system call filter: allow by default, refuse what no agent needs. */
#ifndef AGENTFW_SECCOMP_H
#define AGENTFW_SECCOMP_H

#include "spec.h"

/* For the process and all below it, for good (seccomp(2)); needs no_new_privs. */
int seccomp_apply(enum nested nested, struct fault *f);

#endif
