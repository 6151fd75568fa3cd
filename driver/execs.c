/*
 * The exec audit. The kernel holds each execve() of the tree until this
 * process has read its arguments and let it go on. They lie in memory that
 * the tree can change meanwhile: what is told is advice, and nothing is
 * refused by it.
 */
#define _GNU_SOURCE
#include "execs.h"

#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "execs_harden.h"
#include "gate_fd.h"
#include "notes.h"
#include "notify.h"
#include "sys.h"

#define SET_FLAGS _IOW('!', 4, uint64_t)  /* SECCOMP_IOCTL_NOTIF_…, 6.6 */
#define SYNC_WAKE_UP 1UL

enum {
	ARGS_MAX = 64,
	TEXT_MAX = 4096,   /* of all arguments together */
	ARG_MAX_ = 1024,   /* of one */
	SIP_MAX = 128,     /* of one, at first */
	PAGE = 4096,
	LINGER_MS = 20,    /* records wait this long for more */
};

struct watch_execs {
	int listener;
	struct notes notes;
	struct notify notify;
};

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
	AUTO_FD int fd = notify_listen(&program);

	if (fd < 0)
		return fd;
	return fd_send(notify, "e", 1, &fd, 1);
}

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

struct line {
	char text[NOTES_MAX - 4];
	size_t used;
	bool full;
};

static void put(struct line *l, const char *text)
{
	size_t n = strlen(text);

	l->full = l->full || l->used + n >= sizeof(l->text);
	if (!l->full) {
		memcpy(l->text + l->used, text, n);
		l->used += n;
	}
}

static void put_string(struct line *l, const char *text)
{
	put(l, "\"");
	/* A byte may become six. */
	l->full = l->full || 6 * strlen(text) >= sizeof(l->text) - l->used;
	if (!l->full)
		l->used += json_escape(l->text + l->used,
			       sizeof(l->text) - l->used - 1, text);
	put(l, "\"");
}

static void put_known(struct line *l, const char *key, const char *text)
{
	put(l, key);
	if (text[0])
		put_string(l, text);
	else
		put(l, "null");
}

/* What is read while the process stands still: it may be gone afterwards. */
struct seen {
	pid_t pid;
	char path[PATH_MAX], exe[PATH_MAX], cwd[PATH_MAX];
	char args[TEXT_MAX];  /* one after the other, each with its NUL */
	size_t count;
	bool cut;
	int from;	/* where the path begins; -1: not looked up */
};

static void read_link(pid_t pid, const char *name, char *text)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	n = readlink(path, text, PATH_MAX - 1);
	text[n < 0 ? 0 : n] = '\0';
}

/* What doesn't fit is counted as far as it was looked at. */
static void read_args(struct seen *s, uint64_t argv)
{
	static struct sip sip[ARGS_MAX];
	uint64_t at[ARGS_MAX + 1] = {0};
	ssize_t n = peek(s->pid, argv, at, sizeof(at));
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

static void look(struct seen *s, const struct seccomp_notif *q)
{
	bool at = q->data.nr == SYS_execveat;
	char text[64];

	s->pid = (pid_t)q->pid;
	peek_text(s->pid, q->data.args[at ? 1 : 0], s->path, sizeof(s->path),
		  0);
	read_link(s->pid, "exe", s->exe);
	read_link(s->pid, "cwd", s->cwd);
	read_args(s, q->data.args[at ? 2 : 1]);
	s->from = -1;
	if (s->path[0] != '/' && at && (int)q->data.args[0] != AT_FDCWD)
		return;
	snprintf(text, sizeof(text), "/proc/%d/%s", s->pid,
		 s->path[0] == '/' ? "root" : "cwd");
	s->from = open(text, O_PATH | O_CLOEXEC);
}

/*
 * The shell and libc try each directory of PATH by exec: what isn't there is
 * no program that starts. Looked up as the process would, in its own root.
 */
static bool is_there(const struct seen *s)
{
	struct k_open_how how = {.flags = O_PATH | O_CLOEXEC};
	AUTO_FD int found = -1;

	if (s->from < 0)
		return true;
	if (s->path[0] == '/')
		how.resolve = 0x10u /* IN_ROOT */;
	found = sys_openat2(s->from, s->path, &how);
	return found >= 0 || (errno != ENOENT && errno != ENOTDIR);
}

static bool write_line(struct line *l, const struct seen *s)
{
	const char *arg = s->args;
	char head[64];

	l->used = 0;
	l->full = false;
	snprintf(head, sizeof(head), "{\"event\":\"exec\",\"pid\":%d,\"path\":",
		 s->pid);
	put(l, head);
	put_string(l, s->path);
	put_known(l, ",\"exe\":", s->exe);
	put_known(l, ",\"cwd\":", s->cwd);
	put(l, ",\"argv\":[");
	for (size_t i = 0; i < s->count; i++) {
		if (i)
			put(l, ",");
		put_string(l, arg);
		arg += strlen(arg) + 1;
	}
	put(l, s->cut ? "],\"cut\":true}" : "],\"cut\":false}");
	return !l->full;
}

static void tell(struct watch_execs *w, struct seen *s)
{
	static struct line l;

	if (!write_line(&l, s)) { /* the path alone always fits */
		s->exe[0] = s->cwd[0] = '\0';
		s->count = 0;
		s->cut = true;
		write_line(&l, s);
	}
	notes_add(&w->notes, l.text, l.used);
}

/* -1 when no process is left that could exec. */
static int one(struct watch_execs *w)
{
	static struct seen s;
	int got = notify_take(w->listener, &w->notify);

	if (got <= 0)
		return got;
	look(&s, &w->notify.request.data);
	got = notify_go_on(w->listener, &w->notify);
	/* Else it was gone, so another's memory may be what we read. */
	if (got > 0 && is_there(&s))
		tell(w, &s);
	if (s.from >= 0)
		close(s.from);
	return got < 0 ? -1 : 0;
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
