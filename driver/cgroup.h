/*
 * The driver enters the groups, forks, and leaves them again: so what it
 * forks, and nothing else, is limited, and its control group namespace has
 * the group itself as its root. The groups are made and removed outside.
 *
 * Version 2 lets a process be born in a group. To move one there waits for all
 * processors instead, which takes 5 to 25 ms.
 */
#ifndef AGENTFW_CGROUP_H
#define AGENTFW_CGROUP_H

#include "spec.h"

struct cgroup_way {
	int into; /* the group of version 2 to be born in; -1: none */
	const char *dir, *back; /* of that group */
	bool moved; /* that could not be had: we are in it, as in the others */
};

/* A path to it, or -1; and whether it is of version 2. */
int cgroup_open(const char *dir);
bool cgroup_is_unified(int group);

/* For good. */
int cgroup_enter(const struct spec *s, struct fault *f);
/* All but the one of version 2 that the child is to be born in. */
int cgroup_begin(const struct spec *s, struct cgroup_way *way, struct fault *f);
/* The way for kernels and filters that don't know the other one. */
int cgroup_move(struct cgroup_way *way, struct fault *f);
int cgroup_leave(const struct spec *s, struct cgroup_way *way, struct fault *f);

#endif
