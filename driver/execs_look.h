#ifndef AGENTFW_EXECS_LOOK_H
#define AGENTFW_EXECS_LOOK_H

#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	TEXT_MAX = 4096, /* of all arguments together */
	KNOWN_FOR = 5,	 /* ticks that a path is taken to be there for */
};

/* What is read while the process stands still: it may be gone afterwards. */
struct seen {
	pid_t pid;
	char path[PATH_MAX], exe[PATH_MAX], cwd[PATH_MAX];
	char args[TEXT_MAX];  /* one after the other, each with its NUL */
	size_t count;
	bool cut;
};

/* Where it is looked from; opened before the walls are up. */
struct seen_from {
	int proc;
	int root;	/* of the tree's first process; -1: none seen yet */
	struct root_id {
		uint64_t mount, inode;	/* 0: not known */
	} root_id;
	unsigned int now;	/* in ticks of the caller's */
	struct known {
		unsigned int since;
		char path[124];
	} known[64];	/* what was there, in the tree's first root */
};

/* Opens our procfs for the life of the process. */
void execs_look_from(struct seen_from *from);
/* False when no program starts, as there is none: then nothing else was read. */
bool execs_look(struct seen *s, const struct seccomp_notif *q,
		struct seen_from *from);

#endif
