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
#define MET 4096
#define NEWEST 64	/* pids tried before everybody is looked at */
#define SCAN_MS_PER_SECOND 200

/* Sockets met on the way: in a storm one look at a process tells many. */
static struct met {
	uint32_t inode;
	pid_t pid;
} met[MET];

static void meet(const char *link, const char *pid)
{
	unsigned int inode;

	if (sscanf(link, "socket:[%u]", &inode) == 1)
		met[inode % MET] = (struct met){
			inode, (pid_t)strtol(pid, NULL, 10) };
}

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
	while ((e = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), e->d_name, link,
				       sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		meet(link, pid);
		found = found || strcmp(link, socket_name) == 0;
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

/* A link's text and a NUL; 0 when it can't be read or doesn't fit. */
static size_t take_link(int proc, pid_t pid, const char *what, char *to,
			size_t room)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/%s", (int)pid, what);
	n = readlinkat(proc, path, to, room);
	if (n <= 0 || (size_t)n >= room)
		return 0;
	to[n] = '\0';
	return (size_t)n + 1;
}

/* What one read gives of a file; 0 when it can't be read. */
static size_t take_text(int proc, const char *path, char *to, size_t room)
{
	int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, to, room);
	close(fd);
	return n > 0 ? (size_t)n : 0;
}

static size_t take_argv(int proc, pid_t pid, char *to, size_t room)
{
	char path[64];
	size_t n;

	snprintf(path, sizeof(path), "%d/cmdline", (int)pid);
	n = take_text(proc, path, to, room);
	return n < room ? n : 0;
}

/* Now, as it may be gone when the record is written; all of it or nothing. */
static void take_subject(int proc, pid_t pid, struct netd_answer *a)
{
	size_t exe = take_link(proc, pid, "exe", a->subject, NETD_SUBJECT);
	size_t cwd = !exe ? 0 : take_link(proc, pid, "cwd", a->subject + exe,
					  NETD_SUBJECT - exe);
	size_t argv = !cwd ? 0 : take_argv(proc, pid, a->subject + exe + cwd,
					   NETD_SUBJECT - exe - cwd);

	if (argv)
		a->reply.subject = (uint32_t)(exe + cwd + argv);
}

/* The process of one of its threads; 0: it is gone. */
static pid_t process_of(int proc, pid_t pid)
{
	char path[32], text[512], *at;

	snprintf(path, sizeof(path), "%d/status", (int)pid);
	text[take_text(proc, path, text, sizeof(text) - 1)] = '\0';
	at = strstr(text, "\nTgid:");
	return at ? (pid_t)strtol(at + 6, NULL, 10) : 0;
}

/*
 * A program that makes one connection has just been started: the pids given
 * out last are tried by themselves, which costs less than to list all.
 */
static pid_t newest(int proc, const char *socket_name)
{
	char text[128], name[16], *at;
	pid_t last;

	text[take_text(proc, "loadavg", text, sizeof(text) - 1)] = '\0';
	at = strrchr(text, ' ');
	last = at ? (pid_t)strtol(at, NULL, 10) : 0;
	for (pid_t pid = last; pid > 0 && pid > last - NEWEST; pid--) {
		snprintf(name, sizeof(name), "%d", (int)pid);
		if (holds(proc, name, socket_name))
			return process_of(proc, pid);
	}
	return 0;
}

/* The processes seen last first, then the youngest; all get a fifth of one CPU at most. */
static void find(uint32_t inode, struct netd_answer *a)
{
	const struct met *m = &met[inode % MET];
	static pid_t recent[RECENT];
	static unsigned int next;
	static uint64_t window, spent;
	int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t now = us_of(CLOCK_MONOTONIC);
	uint64_t start = us_of(CLOCK_THREAD_CPUTIME_ID);
	pid_t pid = 0;
	char name[16], socket_name[32];

	if (proc < 0)
		return;
	snprintf(socket_name, sizeof(socket_name), "socket:[%u]", inode);
	if (m->inode == inode)
		pid = process_of(proc, m->pid);
	if (pid)
		take_subject(proc, pid, a);
	if (a->reply.subject) {	/* it lives: a number is not given again soon */
		a->reply.pid = pid;
		close(proc);
		return;
	}
	pid = 0;
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
		pid = newest(proc, socket_name);
		if (!pid)
			pid = scan(proc, socket_name);
		if (pid)
			recent[next++ % RECENT] = pid;
	}
	if (pid)
		take_subject(proc, pid, a);
	a->reply.pid = pid;
	spent += us_of(CLOCK_THREAD_CPUTIME_ID) - start;
	close(proc);
}

void netd_who(int diag, const struct netd_request *q, struct netd_answer *a)
{
	uint32_t inode;

	if (diag < 0)
		return;
	inode = diag_inode(diag, &q->local, &q->remote);
	if (!inode) {
		a->reply.pid = -1;	/* no process has it open any more */
		return;
	}
	find(inode, a);
}
