#define _GNU_SOURCE
#include "netd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * Which process made a connection: its socket's inode, then /proc. Best
 * effort: it serves the record and the question, never a decision.
 */

#define RECENT 16
#define SCAN_MS_PER_SECOND 200

static bool holds(int proc, const char *pid, const char *socket_name)
{
	char path[64], link[64];
	struct dirent *e;
	bool found = false;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return false;
	}
	while (!found && (e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link,
				       sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		found = strcmp(link, socket_name) == 0;
	}
	closedir(dir);
	return found;
}

static bool same_netns(int proc, const char *pid, const char *own)
{
	char path[64], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/ns/net", pid);
	n = readlinkat(proc, path, link, sizeof(link) - 1);
	if (n <= 0)
		return false;
	link[n] = '\0';
	return strcmp(link, own) == 0;
}

static pid_t scan(int proc, const char *socket_name)
{
	char own[64];
	struct dirent *e;
	pid_t found = 0;
	ssize_t n = readlinkat(proc, "self/ns/net", own, sizeof(own) - 1);
	int copy = n > 0 ? openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
			 : -1;
	DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;

	if (!dir) {
		if (copy >= 0)
			close(copy);
		return 0;
	}
	own[n] = '\0';
	while (!found && (e = readdir(dir)))
		if (e->d_name[0] >= '1' && e->d_name[0] <= '9' &&
		    strlen(e->d_name) < 12 &&
		    same_netns(proc, e->d_name, own) &&
		    holds(proc, e->d_name, socket_name))
			found = (pid_t)strtol(e->d_name, NULL, 10);
	closedir(dir);
	return found;
}

static uint64_t us_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The processes seen last first; all get a fifth of one CPU at most. */
static pid_t find(const char *socket_name)
{
	static pid_t recent[RECENT];
	static unsigned int next;
	static uint64_t window, spent;
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t now = us_of(CLOCK_MONOTONIC);
	uint64_t start = us_of(CLOCK_THREAD_CPUTIME_ID);
	pid_t pid = 0;
	char name[16];

	if (proc < 0)
		return 0;
	if (now - window > 1000000) {
		window = now;
		spent = 0;
	}
	for (int i = 0; i < RECENT && !pid; i++) {
		if (!recent[i] || spent >= SCAN_MS_PER_SECOND * 1000)
			continue;
		snprintf(name, sizeof(name), "%d", (int)recent[i]);
		if (holds(proc, name, socket_name))
			pid = recent[i];
	}
	if (!pid && spent < SCAN_MS_PER_SECOND * 1000) {
		pid = scan(proc, socket_name);
		if (pid)
			recent[next++ % RECENT] = pid;
	}
	spent += us_of(CLOCK_THREAD_CPUTIME_ID) - start;
	close(proc);
	return pid;
}

pid_t netd_who(int diag, const struct netd_request *q)
{
	char name[32];
	uint32_t inode;

	if (diag < 0)
		return 0;
	inode = diag_inode(diag, &q->local, &q->remote);
	if (!inode)
		return -1;	/* no process has it open any more */
	snprintf(name, sizeof(name), "socket:[%u]", inode);
	return find(name);
}
