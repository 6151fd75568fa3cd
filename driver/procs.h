/* The processes of a sandbox, as the host sees them. */
#ifndef AGENTFW_PROCS_H
#define AGENTFW_PROCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc {
	pid_t pid, parent;
	uint64_t start; /* with it a pid names one process for good */
	bool member;
	size_t depth; /* below the first member above it */
};

struct procs {
	struct proc *at;
	size_t used, room;
};

/* Field 22 of /proc/PID/stat, and 4: -1 when there is no such process. */
int proc_stat(pid_t pid, uint64_t *start, pid_t *parent);

/*
 * All that lives in the pid namespace (dev and ino of its file in /proc), or
 * descends from what does; parents before their children. A plain user may not
 * look at its first process: that is the child of `driver` which is the first
 * of a namespace. -1 with errno.
 */
int procs_in(struct procs *list, pid_t driver, dev_t dev, ino_t ino);

/* A zombie does too. */
bool proc_exists(pid_t pid);

/* True when no thread of it runs: all are stopped, traced, dead, or in vfork. */
bool proc_is_still(pid_t pid);

/* True for a process that is stopped, and not on its way there. */
bool proc_is_stopped(pid_t pid);

/* The list can be filled again. */
void procs_free(struct procs *list);

#endif
