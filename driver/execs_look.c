/* What a process that is about to exec holds, read while it stands still. */
#define _GNU_SOURCE
#include "execs_look.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "sys.h"
#include "util.h"

enum {
	ARGS_MAX = 64,
	ARG_MAX_ = 1024,   /* of one */
	SIP_MAX = 128,     /* of one, at first */
	PAGE = 4096,
};

static ssize_t peek(pid_t pid, uint64_t from, void *to, size_t length)
{
	struct iovec here = {to, length};
	struct iovec there = {(void *)(uintptr_t)from, length};

	return process_vm_readv(pid, &here, 1, &there, 1, 0);
}

/* Page by page: the next one may not be there. `used`: what is read already. */
static void peek_text(pid_t pid, uint64_t from, char *text, size_t size,
		      size_t used)
{
	while (used < size - 1) {
		size_t step = PAGE - ((from + used) & (PAGE - 1));
		ssize_t n;

		if (step > size - 1 - used)
			step = size - 1 - used;
		n = peek(pid, from + used, text + used, step);
		if (n <= 0)
			break;
		if (memchr(text + used, '\0', (size_t)n))
			return;
		used += (size_t)n;
	}
	text[used] = '\0';
}

/* The beginning of a text: mostly all of it. */
struct sip {
	uint64_t from;
	size_t length;
	char text[SIP_MAX];
};

/* Of many at once. The kernel stops at the first that isn't there. */
static void sip_all(pid_t pid, struct sip *sip, size_t count)
{
	struct iovec here[ARGS_MAX], there[ARGS_MAX];
	ssize_t n;

	for (size_t i = 0; i < count; i++) {
		size_t step = PAGE - (sip[i].from & (PAGE - 1));

		if (step > SIP_MAX)
			step = SIP_MAX;
		here[i] = (struct iovec){sip[i].text, step};
		there[i].iov_base = (void *)(uintptr_t)sip[i].from;
		there[i].iov_len = step;
	}
	n = process_vm_readv(pid, here, count, there, count, 0);
	for (size_t i = 0; i < count; i++) {
		bool whole = n >= (ssize_t)here[i].iov_len;

		sip[i].length = whole ? here[i].iov_len : 0;
		n -= whole ? (ssize_t)here[i].iov_len : n;
	}
}

/* All of it, as far as it goes. */
static void drink(pid_t pid, const struct sip *sip, char *text, size_t size)
{
	size_t n = sip->length < size - 1 ? sip->length : size - 1;

	memcpy(text, sip->text, n);
	if (!memchr(text, '\0', n))
		peek_text(pid, sip->from, text, size, n);
}

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

/* The path's beginning and where the arguments are, in one call if it can be. */
static ssize_t sip_path(struct seen *s, uint64_t path, uint64_t argv,
			uint64_t at[ARGS_MAX + 1])
{
	size_t step = PAGE - (path & (PAGE - 1));
	size_t size = sizeof(*at) * (ARGS_MAX + 1);
	struct sip sip = {.from = path};
	struct iovec here[2], there[2];
	ssize_t n;

	if (step > SIP_MAX)
		step = SIP_MAX;
	here[0] = (struct iovec){sip.text, step};
	here[1] = (struct iovec){at, size};
	there[0] = (struct iovec){(void *)(uintptr_t)path, step};
	there[1] = (struct iovec){(void *)(uintptr_t)argv, size};
	n = process_vm_readv(s->pid, here, 2, there, 2, 0);
	sip.length = n >= (ssize_t)step ? step : 0;
	drink(s->pid, &sip, s->path, sizeof(s->path));
	return sip.length ? n - (ssize_t)step : peek(s->pid, argv, at, size);
}

/* What doesn't fit is counted as far as it was looked at. */
static void read_args(struct seen *s, const uint64_t *at, ssize_t n)
{
	static struct sip sip[ARGS_MAX];
	size_t count = 0, used = 0;

	while (count < ARGS_MAX && (ssize_t)((count + 1) * sizeof(*at)) <= n &&
	       at[count]) {
		sip[count].from = at[count];
		count++;
	}
	s->cut = count == ARGS_MAX && at[count];
	sip_all(s->pid, sip, count);
	for (s->count = 0; s->count < count; s->count++) {
		size_t left = sizeof(s->args) - used;
		size_t room = left < ARG_MAX_ ? left : ARG_MAX_;
		char *text = s->args + used;

		if (room < 2) {
			s->cut = true;
			break;
		}
		drink(s->pid, &sip[s->count], text, room);
		s->cut = s->cut || strlen(text) == room - 1;
		used += strlen(text) + 1;
	}
}

/* Looked up as the process would, in its own root. */
static bool leads(int from, const char *path)
{
	struct k_open_how how = {.flags = O_PATH | O_CLOEXEC};
	AUTO_FD int found = -1;

	if (path[0] == '/')
		how.resolve = 0x10u /* IN_ROOT */;
	found = sys_openat2(from, path, &how);
	return found >= 0 || (errno != ENOENT && errno != ENOTDIR);
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

static bool has_first_root(const struct seen_from *from, pid_t pid)
{
	struct root_id id;
	char path[64];

	snprintf(path, sizeof(path), "%d/root", pid);
	id = identify(from->proc, path);
	return id.inode && id.mount == from->root_id.mount &&
	       id.inode == from->root_id.inode;
}

void execs_look(struct seen *s, const struct seccomp_notif *q,
		struct seen_from *from)
{
	bool at = q->data.nr == SYS_execveat;
	uint64_t args[ARGS_MAX + 1] = {0};
	bool here;
	ssize_t n;

	s->pid = (pid_t)q->pid;
	if (from->root < 0) {
		from->root = open_of(from->proc, s->pid, "root");
		from->root_id = identify(from->root, "");
	}
	n = sip_path(s, q->data.args[at ? 1 : 0], q->data.args[at ? 2 : 1],
		     args);
	s->from = -1;
	here = s->path[0] == '/' && from->root >= 0 &&
	       leads(from->root, s->path);
	/* Most of what is called in a build: PATH is tried in order. */
	s->absent = s->path[0] == '/' && !here && has_first_root(from, s->pid);
	if (s->absent)
		return;
	read_link(from->proc, s->pid, "exe", s->exe);
	read_link(from->proc, s->pid, "cwd", s->cwd);
	read_args(s, args, n);
	/* Mostly in the root that the tree began with; else, in its own. */
	if (here || (s->path[0] != '/' && at && (int)q->data.args[0] != AT_FDCWD))
		return;
	s->from = open_of(from->proc, s->pid,
			  s->path[0] == '/' ? "root" : "cwd");
}

/*
 * The shell and libc try each directory of PATH by exec: what isn't there is
 * no program that starts.
 */
bool execs_is_there(const struct seen *s)
{
	return !s->absent && (s->from < 0 || leads(s->from, s->path));
}

void execs_look_from(struct seen_from *from)
{
	from->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	from->root = -1;
}
