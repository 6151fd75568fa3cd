#define _GNU_SOURCE
#include "util.h"

#include <fcntl.h>
#include <stdio.h>

struct fd_path fd_path(int fd)
{
	struct fd_path p;

	snprintf(p.text, sizeof(p.text), "/proc/self/fd/%d", fd);
	return p;
}

int write_file(int dir, const char *path, const char *text)
{
	AUTO_FD int fd = openat(dir, path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(text);

	if (fd < 0)
		return -1;
	return RETRY(write(fd, text, length)) == (ssize_t)length ? 0 : -1;
}

ssize_t read_file(int dir, const char *path, char *buf, size_t size)
{
	AUTO_FD int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	size_t length = 0;

	if (fd < 0)
		return -1;
	while (length < size - 1) {
		ssize_t n = RETRY(read(fd, buf + length, size - 1 - length));

		if (n < 0)
			return -1;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	buf[length] = '\0';
	return (ssize_t)length;
}
