/* Control groups: the tree begins its life in those the supervisor made. */
#define _GNU_SOURCE
#include "cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/vfs.h>

#define UNIFIED 0x63677270 /* CGROUP2_SUPER_MAGIC */

int cgroup_open(const char *dir)
{
	return open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

bool cgroup_is_unified(int group)
{
	struct statfs st;

	return fstatfs(group, &st) == 0 && st.f_type == UNIFIED;
}

/*
 * Moves the calling process, with the rights that it has over `dir`. We have
 * one thread: version 1 moves that alone without a lock over all processes of
 * the machine, which takes milliseconds for each hierarchy.
 */
static int move_to(const char *dir, struct fault *f)
{
	AUTO_FD int group = cgroup_open(dir);

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

int cgroup_begin(const struct spec *s, struct cgroup_way *way, struct fault *f)
{
	*way = (struct cgroup_way){.into = -1};
	for (size_t i = 0; i < s->ngroups; i++) {
		AUTO_FD int group = cgroup_open(s->groups[i].dir);

		if (way->into < 0 && group >= 0 && cgroup_is_unified(group)) {
			way->into = group;
			way->back = s->groups[i].back;
			way->dir = s->groups[i].dir;
			group = -1;
		} else if (move_to(s->groups[i].dir, f)) {
			return -1;
		}
	}
	return 0;
}

int cgroup_move(struct cgroup_way *way, struct fault *f)
{
	way->moved = true;
	return move_to(way->dir, f);
}

int cgroup_leave(const struct spec *s, struct cgroup_way *way, struct fault *f)
{
	if (way->into >= 0)
		close(way->into);
	for (size_t i = 0; i < s->ngroups; i++) {
		bool stayed = way->into >= 0 && !way->moved &&
			      s->groups[i].dir == way->dir;

		if (!stayed && move_to(s->groups[i].back, f))
			return -1;
	}
	return 0;
}
