#ifndef AGENTFW_EXECS_LOOK_H
#define AGENTFW_EXECS_LOOK_H

#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { TEXT_MAX = 4096 }; /* of all arguments together */

/* What is read while the process stands still: it may be gone afterwards. */
struct seen {
	pid_t pid;
	char path[PATH_MAX], exe[PATH_MAX], cwd[PATH_MAX];
	char args[TEXT_MAX];  /* one after the other, each with its NUL */
	size_t count;
	bool cut;
	bool absent;	/* no program starts: nothing else was read */
	int from;	/* where the path begins; -1: not looked up */
};

/* Where it is looked from; opened before the walls are up. */
struct seen_from {
	int proc;
	int root;	/* of the tree's first process; -1: none seen yet */
	struct root_id {
		uint64_t mount, inode;	/* 0: not known */
	} root_id;
};

void execs_look_from(struct seen_from *from);
void execs_look(struct seen *s, const struct seccomp_notif *q,
		struct seen_from *from);
/* Also when it can't be told. */
bool execs_is_there(const struct seen *s);

#endif
