/* Small helpers: scope-exit clean-up, EINTR, and kernel names that libc may lack. */
#ifndef AGENTFW_UTIL_H
#define AGENTFW_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define RETRY(call)                                                            \
	({                                                                     \
		__typeof__(call) retry_;                                       \
		do                                                             \
			retry_ = (call);                                       \
		while (retry_ == -1 && errno == EINTR);                        \
		retry_;                                                        \
	})

static inline void auto_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define AUTO_FD __attribute__((cleanup(auto_close)))

/* Hands the fd over: the caller's variable no longer closes it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

static inline bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* The path by which mount(2) and open(2) reach an open fd. */
struct fd_path {
	char text[32];
};

/* Holds as long as the fd is open, and /proc is ours. */
struct fd_path fd_path(int fd);

/* Writes a whole small file below a directory fd (or AT_FDCWD). */
int write_file(int dir, const char *path, const char *text);

/* Reads up to size-1 bytes, NUL-terminated; the length or -1. */
ssize_t read_file(int dir, const char *path, char *buf, size_t size);

#endif
