/* Holds a tree still by its control group. */
#define _GNU_SOURCE
#include "freezer.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <time.h>

#include "cgroup.h"
#include "util.h"

/* What waits for a disk or a server is not frozen before that comes. */
enum { PATIENCE_MS = 2000 };

void freezer_open(struct freezer *z, const char *dir)
{
	AUTO_FD int group = dir ? cgroup_open(dir) : -1;
	const char *name = dir ? strrchr(dir, '/') : NULL;

	*z = (struct freezer){.freeze = -1, .events = -1};
	if (group < 0 || !cgroup_is_unified(group) || !name || !name[1] ||
	    strlen(name + 1) >= sizeof(z->name))
		return;
	strcpy(z->name, name + 1);
	z->events = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC);
	if (z->events >= 0)
		z->freeze = openat(group, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
}

bool freezer_is(const struct freezer *z)
{
	return z->freeze >= 0;
}

static bool set(const struct freezer *z, const char *value)
{
	return RETRY(pwrite(z->freeze, value, 1, 0)) == 1;
}

void freezer_let_go(const struct freezer *z)
{
	if (freezer_is(z))
		set(z, "0");
}

static bool is_frozen(const struct freezer *z)
{
	char text[256];
	ssize_t n = RETRY(pread(z->events, text, sizeof(text) - 1, 0));

	text[n > 0 ? n : 0] = '\0';
	return strstr(text, "populated 1") && strstr(text, "frozen 1");
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

bool freezer_hold(const struct freezer *z)
{
	struct pollfd change = {.fd = z->events, .events = POLLPRI};
	int64_t end = now_ms() + PATIENCE_MS;

	if (!freezer_is(z) || !set(z, "1"))
		return false;
	/* A read before each wait: that is what a change is reported against. */
	while (!is_frozen(z)) {
		int64_t left = end - now_ms();

		if (left <= 0)
			return false;
		poll(&change, 1, (int)left);
	}
	return true;
}

/* True for what lies in the group, or in one that the tree made below it. */
static bool has(const struct freezer *z, pid_t pid)
{
	char path[40], text[16384], step[sizeof(z->name) + 2], *line, *end;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return !proc_exists(pid);
	line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
	end = line ? strchr(line + 1, '\n') : NULL;
	if (!end)
		return false;
	*end = '\0';
	snprintf(step, sizeof(step), "/%s/", z->name);
	return strstr(line, step) != NULL;
}

bool freezer_has_all(const struct freezer *z, const struct procs *list)
{
	for (size_t i = 0; i < list->used; i++)
		if (!has(z, list->at[i].pid))
			return false;
	return list->used > 0;
}

void freezer_close(struct freezer *z)
{
	freezer_let_go(z);
	if (z->freeze >= 0)
		close(z->freeze);
	if (z->events >= 0)
		close(z->events);
	z->freeze = z->events = -1;
}
