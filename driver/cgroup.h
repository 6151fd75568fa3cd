/*
 * The driver enters the groups, forks, and leaves them again: so what it
 * forks, and nothing else, is limited, and its control group namespace has
 * the group itself as its root. The groups are made and removed outside.
 */
#ifndef AGENTFW_CGROUP_H
#define AGENTFW_CGROUP_H

#include "spec.h"

int cgroup_enter(const struct spec *s, struct fault *f);
int cgroup_leave(const struct spec *s, struct fault *f);

#endif
