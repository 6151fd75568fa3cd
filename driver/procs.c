/* Finds the processes of a sandbox in the host's /proc, and looks at them. */
#define _GNU_SOURCE
#include "procs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "util.h"

/* What follows the name, which may hold anything. */
static const char *after_name(const char *path, char *buf, size_t size)
{
	char *paren;

	if (read_file(AT_FDCWD, path, buf, size) <= 0)
		return NULL;
	paren = strrchr(buf, ')');
	return paren && paren[1] == ' ' ? paren + 2 : NULL;
}

int proc_stat(pid_t pid, uint64_t *start, pid_t *parent)
{
	char path[40], buf[1024];
	const char *s;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	s = after_name(path, buf, sizeof(buf));
	for (int field = 3; s && field < 22; field++) {
		if (field == 4 && parent)
			*parent = (pid_t)strtol(s, NULL, 10);
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
	}
	if (!s)
		return -1;
	*start = strtoull(s, NULL, 10);
	return 0;
}

bool proc_exists(pid_t pid)
{
	uint64_t start;

	return proc_stat(pid, &start, NULL) == 0;
}

static char state_at(const char *path)
{
	char buf[1024];
	const char *s = after_name(path, buf, sizeof(buf));

	return s ? *s : 'X';
}

bool proc_is_stopped(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	return state_at(path) == 'T';
}

/*
 * In vfork until the child has gone on, which nothing but death ends before: it
 * does nothing, and is to stop before it is itself again. The kernel's function
 * that it sleeps in tells it from what waits for a disk.
 */
static bool waits_for_child(const char *task)
{
	static const char *const places[] = {"kernel_clone", "_do_fork",
					     "wait_for_vfork_done"};
	char path[80], place[64];

	snprintf(path, sizeof(path), "%s/wchan", task);
	if (read_file(AT_FDCWD, path, place, sizeof(place)) <= 0)
		return false;
	for (size_t i = 0; i < COUNT(places); i++)
		if (strncmp(place, places[i], strlen(places[i])) == 0)
			return true;
	return false;
}

static bool is_still(const char *task)
{
	char path[80], state;

	snprintf(path, sizeof(path), "%s/stat", task);
	state = state_at(path);
	return strchr("TtZXx", state) || (state == 'D' && waits_for_child(task));
}

bool proc_is_still(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	bool still = true;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	if (!tasks)
		return true; /* it has ended */
	while (still && (entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.12s", pid,
			 entry->d_name);
		still = is_still(path);
	}
	closedir(tasks);
	return still;
}

static int add(struct procs *list, const struct proc *p)
{
	if (list->used == list->room) {
		size_t room = list->room ? 2 * list->room : 256;
		void *at = realloc(list->at, room * sizeof(*list->at));

		if (!at)
			return -1;
		list->at = at;
		list->room = room;
	}
	list->at[list->used++] = *p;
	return 0;
}

static bool is_in(pid_t pid, dev_t dev, ino_t ino)
{
	char path[40];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
	return stat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

/* The last number of its NSpid, of more than one, is 1. */
static bool is_first(pid_t pid)
{
	char path[40], text[16384], *line, *end, *inner;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file(AT_FDCWD, path, text, sizeof(text)) <= 0)
		return false;
	line = strstr(text, "\nNSpid:\t");
	end = line ? strchr(line + 1, '\n') : NULL;
	if (!end)
		return false;
	*end = '\0';
	inner = strrchr(line, '\t');
	return strcmp(inner, "\t1") == 0 && inner != strchr(line, '\t');
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct proc *)a)->pid, y = ((const struct proc *)b)->pid;

	return x < y ? -1 : x > y;
}

static int by_depth(const void *a, const void *b)
{
	size_t x = ((const struct proc *)a)->depth;
	size_t y = ((const struct proc *)b)->depth;

	return x < y ? -1 : x > y;
}

static struct proc *find(const struct procs *list, pid_t pid)
{
	struct proc key = {.pid = pid};

	return bsearch(&key, list->at, list->used, sizeof(key), by_pid);
}

/* Of nested pid namespaces only the first process has a member as parent. */
static void spread(struct procs *list)
{
	bool more = true;

	for (size_t round = 0; more && round <= list->used; round++) {
		more = false;
		for (size_t i = 0; i < list->used; i++) {
			struct proc *p = &list->at[i];
			struct proc *above = find(list, p->parent);

			if (!above || !above->member ||
			    (p->member && p->depth > above->depth))
				continue;
			p->member = true;
			p->depth = above->depth + 1;
			more = true;
		}
	}
}

int procs_in(struct procs *list, pid_t driver, dev_t dev, ino_t ino)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");
	size_t kept = 0;
	int result = 0;

	if (!proc)
		return -1;
	list->used = 0;
	while (result == 0 && (entry = readdir(proc))) {
		struct proc p = {.pid = (pid_t)strtol(entry->d_name, NULL, 10)};

		if (p.pid <= 0 || proc_stat(p.pid, &p.start, &p.parent))
			continue;
		p.member = is_in(p.pid, dev, ino) ||
			   (p.parent == driver && is_first(p.pid));
		result = add(list, &p);
	}
	closedir(proc);
	if (list->used == 0)
		return result;
	qsort(list->at, list->used, sizeof(*list->at), by_pid);
	spread(list);
	for (size_t i = 0; i < list->used; i++)
		if (list->at[i].member)
			list->at[kept++] = list->at[i];
	list->used = kept;
	if (kept > 1)
		qsort(list->at, kept, sizeof(*list->at), by_depth);
	return result;
}

void procs_free(struct procs *list)
{
	free(list->at);
	*list = (struct procs){0};
}
