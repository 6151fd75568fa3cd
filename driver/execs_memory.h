/* The memory of a process that stands still, read by whole pages, several in one call. */
#ifndef AGENTFW_EXECS_MEMORY_H
#define AGENTFW_EXECS_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What one execve() can make us look at: see execs_look.c. */
enum { MEMORY_PAGE = 4096, MEMORY_PAGES = 136 };

struct memory {
	pid_t pid;
	size_t count, asked;	/* pages noted, and those asked for already */
	uint64_t at[MEMORY_PAGES];
	char there[MEMORY_PAGES];
	char bytes[MEMORY_PAGES][MEMORY_PAGE];
};

/* Another process, or another call of it: what was noted and read is forgotten. */
void memory_begin(struct memory *m, pid_t pid);

/* Notes that the page of this address will be looked at. */
void memory_want(struct memory *m, uint64_t at);

/* Reads what was noted; what was not is read when it is looked at. */
void memory_fetch(struct memory *m);

/* As many of the bytes as can be read, from the first on. */
size_t memory_read(struct memory *m, uint64_t from, void *to, size_t size);

/* Up to its NUL, or as much as can be read and fits; `text` ends with a NUL. */
void memory_text(struct memory *m, uint64_t from, char *text, size_t size);

#endif
