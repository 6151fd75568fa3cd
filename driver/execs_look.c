/* What a process that is about to exec holds, read while it stands still. */
#define _GNU_SOURCE
#include "execs_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "execs_memory.h"
#include "sys.h"
#include "util.h"

#define IN_ROOT 0x10u /* RESOLVE_IN_ROOT */

enum {
	ARGS_MAX = 64,
	ARG_MAX_ = 1024,   /* of one */
};

static void read_link(int proc, pid_t pid, const char *name, char *text)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	n = readlinkat(proc, path, text, PATH_MAX - 1);
	text[n < 0 ? 0 : n] = '\0';
}

static int open_of(int proc, pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "%d/%s", pid, name);
	return openat(proc, path, O_PATH | O_CLOEXEC);
}

/* What doesn't fit is counted as far as it was looked at. */
static void read_args(struct seen *s, struct memory *m, uint64_t argv)
{
	uint64_t at[ARGS_MAX + 1] = {0};
	size_t count = 0, used = 0;

	while (count <= ARGS_MAX &&
	       memory_read(m, argv + count * sizeof(*at), &at[count],
			   sizeof(*at)) == sizeof(*at) && at[count])
		memory_want(m, at[count++]);
	memory_fetch(m);
	s->cut = count > ARGS_MAX;
	if (s->cut)
		count = ARGS_MAX;
	for (s->count = 0; s->count < count; s->count++) {
		size_t left = sizeof(s->args) - used;
		size_t room = left < ARG_MAX_ ? left : ARG_MAX_;
		char *text = s->args + used;

		if (room < 2) {
			s->cut = true;
			break;
		}
		memory_text(m, at[s->count], text, room);
		s->cut = s->cut || strlen(text) == room - 1;
		used += strlen(text) + 1;
	}
}

static bool is_missing(void)
{
	return errno == ENOENT || errno == ENOTDIR;
}

static bool is_found(int root, const char *path, uint64_t flags)
{
	struct k_open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
				 .resolve = IN_ROOT};
	AUTO_FD int at = sys_openat2(root, path, &how);

	return at >= 0 || !is_missing();
}

/*
 * Nothing was found at `path`: whether that is for a link, which may lead who
 * follows it elsewhere than us, as /proc/self does.
 */
static bool stops_at_link(int root, const char *path)
{
	char way[PATH_MAX];
	char *end;

	memcpy(way, path, strlen(path) + 1);
	while (!is_found(root, way, O_NOFOLLOW)) {
		end = strrchr(way, '/');
		if (end == way)
			return false;
		*end = '\0';
	}
	return !is_found(root, way, 0);
}

/*
 * Looked up as the process would: from its own root, or where it is. There a
 * link may lead back to the root, so that one can't be told.
 */
static bool leads(int from, const char *path)
{
	bool absolute = path[0] == '/';
	struct k_open_how how = {.flags = O_PATH | O_CLOEXEC,
				 .resolve = absolute ? IN_ROOT
						     : K_RESOLVE_NO_SYMLINKS};
	AUTO_FD int found = sys_openat2(from, path, &how);

	return found >= 0 || !is_missing() ||
	       (absolute && stops_at_link(from, path));
}

/* Which mount a root is, and what of it. */
static struct root_id identify(int at, const char *path)
{
	struct statx st;
	int flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
	unsigned int want = STATX_INO | 0x1000u /* STATX_MNT_ID, 5.8 */;

	if (statx(at, path, flags, want, &st) || (st.stx_mask & want) != want)
		return (struct root_id){0, 0};
	return (struct root_id){st.stx_mnt_id, st.stx_ino};
}

/* Builds call the same few programs again and again. */
static struct known *known_at(struct seen_from *from, const char *path)
{
	uint32_t hash = 2166136261u;

	for (const char *c = path; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 16777619u;
	return &from->known[hash % COUNT(from->known)];
}

static bool known_find(struct seen_from *from, const char *path)
{
	const struct known *k = known_at(from, path);

	return from->now - k->since < KNOWN_FOR && same(k->path, path);
}

static void known_add(struct seen_from *from, const char *path)
{
	struct known *k = known_at(from, path);

	if (!known_find(from, path) && strlen(path) < sizeof(k->path)) {
		k->since = from->now;
		memcpy(k->path, path, strlen(path) + 1);
	}
}

static bool has_first_root(const struct seen_from *from, pid_t pid)
{
	struct root_id id;
	char path[64];

	snprintf(path, sizeof(path), "%d/root", pid);
	id = identify(from->proc, path);
	return id.inode && id.mount == from->root_id.mount &&
	       id.inode == from->root_id.inode;
}

/*
 * The shell and libc try each directory of PATH by exec: what isn't there is
 * no program that starts. Looked up before it goes on, as it could remove
 * itself. Also true when it can't be told.
 */
static bool is_there(struct seen_from *from, const struct seen *s, int dir)
{
	bool absolute = s->path[0] == '/';
	AUTO_FD int at = -1;

	if (absolute && from->root >= 0 &&
	    (known_find(from, s->path) || leads(from->root, s->path))) {
		known_add(from, s->path);
		return true;
	}
	/* Most of what is called in a build. */
	if (absolute && has_first_root(from, s->pid))
		return false;
	if (!absolute && dir != AT_FDCWD)
		return true;
	at = open_of(from->proc, s->pid, absolute ? "root" : "cwd");
	return at < 0 || leads(at, s->path);
}

bool execs_look(struct seen *s, const struct seccomp_notif *q,
		struct seen_from *from)
{
	static struct memory m;
	bool at = q->data.nr == SYS_execveat;
	uint64_t path = q->data.args[at ? 1 : 0];
	uint64_t argv = q->data.args[at ? 2 : 1];

	s->pid = (pid_t)q->pid;
	if (from->root < 0) {
		from->root = open_of(from->proc, s->pid, "root");
		from->root_id = identify(from->root, "");
	}
	memory_begin(&m, s->pid);
	memory_want(&m, path);
	memory_want(&m, argv);
	memory_fetch(&m);
	memory_text(&m, path, s->path, sizeof(s->path));
	if (!is_there(from, s, at ? (int)q->data.args[0] : AT_FDCWD))
		return false;
	read_link(from->proc, s->pid, "exe", s->exe);
	read_link(from->proc, s->pid, "cwd", s->cwd);
	read_args(s, &m, argv);
	return true;
}

void execs_look_from(struct seen_from *from)
{
	from->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	from->root = -1;
}
