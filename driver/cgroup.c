/* Control groups: the tree begins its life in those the supervisor made. */
#define _GNU_SOURCE
#include "cgroup.h"

#include <fcntl.h>
#include <stdio.h>

/*
 * Moves the calling process, with the rights that it has over `dir`. We have
 * one thread: version 1 moves that alone without a lock over all processes of
 * the machine, which takes milliseconds for each hierarchy.
 */
static int move_to(const char *dir, struct fault *f)
{
	AUTO_FD int group = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW |
					      O_CLOEXEC);

	if (group >= 0 && (write_file(group, "tasks", "0") == 0 ||
			   write_file(group, "cgroup.procs", "0") == 0))
		return 0;
	return fault_errno(f, "cgroup", "can't move to the control group %s",
			   dir);
}

int cgroup_enter(const struct spec *s, struct fault *f)
{
	for (size_t i = 0; i < s->ngroups; i++)
		if (move_to(s->groups[i].dir, f))
			return -1;
	return 0;
}

int cgroup_leave(const struct spec *s, struct fault *f)
{
	for (size_t i = 0; i < s->ngroups; i++)
		if (move_to(s->groups[i].back, f))
			return -1;
	return 0;
}
