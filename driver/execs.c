/*
 * The exec audit. The kernel holds each execve() of the tree until this
 * process has read its arguments and let it go on. They lie in memory that
 * the tree can change meanwhile: what is told is advice, and nothing is
 * refused by it.
 */
#define _GNU_SOURCE
#include "execs.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "execs_harden.h"
#include "gate_fd.h"
#include "notes.h"
#include "sys.h"

#define WAIT_KILLABLE (1UL << 5)	  /* SECCOMP_FILTER_FLAG_…, 5.19 */
#define SET_FLAGS _IOW('!', 4, uint64_t)  /* SECCOMP_IOCTL_NOTIF_…, 6.6 */
#define SYNC_WAKE_UP 1UL

enum {
	ARGS_MAX = 64,
	TEXT_MAX = 4096,   /* of all arguments together */
	ARG_MAX_ = 1024,   /* of one */
	LINGER_MS = 20,    /* records wait this long for more */
};

struct watch_execs {
	int listener;
	struct notes notes;
	/* The kernel's structures may be longer than ours. */
	union {
		struct seccomp_notif data;
		char room[1024];
	} request;
	union {
		struct seccomp_notif_resp data;
		char room[1024];
	} response;
};

static int seccomp_call(unsigned op, unsigned long flags, void *arg)
{
	return (int)syscall(SYS_seccomp, op, flags, arg);
}

int execs_arm(int notify)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execveat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {COUNT(code), code};
	AUTO_FD int fd = seccomp_call(SECCOMP_SET_MODE_FILTER,
				      SECCOMP_FILTER_FLAG_NEW_LISTENER |
					      WAIT_KILLABLE,
				      &program);

	if (fd < 0 && errno == EINVAL)
		fd = seccomp_call(SECCOMP_SET_MODE_FILTER,
				  SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0)
		return -errno;
	return fd_send(notify, "e", 1, &fd, 1);
}

static ssize_t peek(pid_t pid, uint64_t from, void *to, size_t length)
{
	struct iovec here = {to, length};
	struct iovec there = {(void *)(uintptr_t)from, length};

	return process_vm_readv(pid, &here, 1, &there, 1, 0);
}

/* Page by page: the next one may not be there. False: nothing was read. */
static bool peek_text(pid_t pid, uint64_t from, char *text, size_t size)
{
	size_t used = 0;

	while (used < size - 1) {
		size_t step = 4096 - (from & 4095);
		ssize_t n;

		if (step > size - 1 - used)
			step = size - 1 - used;
		n = peek(pid, from, text + used, step);
		if (n <= 0)
			break;
		if (memchr(text + used, '\0', (size_t)n))
			return true;
		used += (size_t)n;
		from += (uint64_t)n;
	}
	text[used] = '\0';
	return used > 0;
}

struct line {
	char text[NOTES_MAX - 4];
	size_t used;
};

static void put(struct line *l, const char *text)
{
	size_t n = strlen(text);

	if (l->used + n < sizeof(l->text)) {
		memcpy(l->text + l->used, text, n);
		l->used += n;
	}
}

static void put_string(struct line *l, const char *text)
{
	put(l, "\"");
	l->used += json_escape(l->text + l->used,
			       sizeof(l->text) - l->used - 1, text);
	put(l, "\"");
}

static void put_link(struct line *l, const char *key, pid_t pid,
		     const char *name)
{
	char path[64], text[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = readlink(path, text, sizeof(text) - 1);
	put(l, key);
	if (n < 0) {
		put(l, "null");
		return;
	}
	text[n] = '\0';
	put_string(l, text);
}

/* What doesn't fit is counted as far as it was looked at. */
static void put_args(struct line *l, pid_t pid, uint64_t argv)
{
	uint64_t at[ARGS_MAX + 1] = {0};
	ssize_t n = peek(pid, argv, at, sizeof(at));
	size_t count = n < 0 ? 0 : (size_t)n / sizeof(*at);
	size_t left = TEXT_MAX;
	bool cut = false;

	put(l, ",\"argv\":[");
	for (size_t i = 0; i < count && at[i]; i++) {
		char text[ARG_MAX_];
		size_t room = left < sizeof(text) ? left : sizeof(text);

		if (i == ARGS_MAX || room < 2) {
			cut = true;
			break;
		}
		if (!peek_text(pid, at[i], text, room))
			text[0] = '\0';
		cut = cut || strlen(text) == room - 1;
		left -= strlen(text) + 1;
		if (i)
			put(l, ",");
		put_string(l, text);
	}
	put(l, cut ? "],\"cut\":true}" : "],\"cut\":false}");
}

/*
 * The shell and libc try each directory of PATH by exec: what isn't there is
 * no program that starts. Looked up as the process would, in its own root.
 */
static bool is_there(pid_t pid, int dirfd, const char *path)
{
	struct k_open_how how = {.flags = O_PATH | O_CLOEXEC,
				 .resolve = 0x10u /* IN_ROOT */};
	char text[64];
	AUTO_FD int root = -1;
	AUTO_FD int found = -1;

	if (path[0] == '/')
		snprintf(text, sizeof(text), "/proc/%d/root", pid);
	else if (dirfd == AT_FDCWD)
		snprintf(text, sizeof(text), "/proc/%d/cwd", pid);
	else
		return true;
	root = open(text, O_PATH | O_CLOEXEC);
	if (root < 0)
		return true;
	if (path[0] != '/')
		how.resolve = 0;
	found = sys_openat2(root, path, &how);
	return found >= 0 || (errno != ENOENT && errno != ENOTDIR);
}

static void describe(struct watch_execs *w, const struct seccomp_notif *q)
{
	static struct line l;
	bool at = q->data.nr == SYS_execveat;
	pid_t pid = (pid_t)q->pid;
	char path[PATH_MAX] = "", head[64];
	uint64_t id = q->id;

	l.used = 0;
	peek_text(pid, q->data.args[at ? 1 : 0], path, sizeof(path));
	if (!is_there(pid, at ? (int)q->data.args[0] : AT_FDCWD, path))
		return;
	snprintf(head, sizeof(head), "{\"event\":\"exec\",\"pid\":%d,\"path\":",
		 pid);
	put(&l, head);
	put_string(&l, path);
	put_link(&l, ",\"exe\":", pid, "exe");
	put_link(&l, ",\"cwd\":", pid, "cwd");
	put_args(&l, pid, q->data.args[at ? 2 : 1]);
	/* Else it was another process's memory that we read. */
	if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0)
		notes_add(&w->notes, l.text, l.used);
}

/* -1 when no process is left that could exec. */
static int one(struct watch_execs *w)
{
	struct seccomp_notif *q = &w->request.data;
	struct seccomp_notif_resp *r = &w->response.data;

	memset(&w->request, 0, sizeof(w->request));
	if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_RECV, q) < 0)
		return errno == EINTR || errno == ENOENT ? 0 : -1;
	describe(w, q);
	memset(&w->response, 0, sizeof(w->response));
	r->id = q->id;
	r->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, r) < 0 &&
	    errno != ENOENT)
		return -1;
	return 0;
}

static void loop(struct watch_execs *w)
{
	for (;;) {
		struct pollfd p = {.fd = w->listener, .events = POLLIN};
		int n = poll(&p, 1, w->notes.used ? LINGER_MS : -1);

		if (n == 0 || (n > 0 && !(p.revents & POLLIN)))
			notes_flush(&w->notes);
		if (n > 0 && ((p.revents & POLLIN) ? one(w)
						   : p.revents & POLLHUP))
			break;
	}
	notes_flush(&w->notes);
}

/*
 * Who: a child of the driver in the host's namespaces, with the user's
 * rights over the sandbox's. When: until the last process that could exec
 * has ended, or the driver. It reads the memory of the agent's processes.
 */
static _Noreturn void execs_main(int notify, int out, pid_t parent)
{
	static struct watch_execs w;
	int keep[] = {notify, out};
	size_t one_fd = 1;
	char byte;

	if (setsid() < 0 || fd_die_with(parent) || fd_detach_stdio(-1) ||
	    fd_close_except(keep, COUNT(keep)))
		_exit(1);
	w.notes.sock = out;
	/* Nothing comes when the agent could have no listener. */
	if (fd_recv(notify, &byte, 1, &w.listener, &one_fd) <= 0 || one_fd != 1)
		_exit(0);
	close(notify);
	ioctl(w.listener, SET_FLAGS, SYNC_WAKE_UP);
	if (execs_harden())
		_exit(1);
	loop(&w);
	_exit(0);
}

int execs_start(const struct spec *s, struct execs *e, struct fault *f)
{
	pid_t self = getpid();
	int notify[2], out[2];

	*e = (struct execs){.notes = -1, .notify = -1};
	if (!s->audit_execs)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, notify) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, out))
		return fault_errno(f, "audit", "can't create a socket pair");
	e->pid = fork();
	if (e->pid == 0)
		execs_main(notify[1], out[1], self);
	close(notify[1]);
	close(out[1]);
	e->notify = notify[0];
	e->notes = out[0];
	return e->pid < 0 ? fault_errno(f, "audit", "can't start the exec audit")
			  : 0;
}
