/*
 * The exec audit. The kernel holds each execve() of the tree until this
 * process has read its arguments and let it go on. They lie in memory that
 * the tree can change meanwhile: what is told is advice, and nothing is
 * refused by it.
 */
#define _GNU_SOURCE
#include "execs.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "execs_harden.h"
#include "execs_look.h"
#include "gate_fd.h"
#include "notes.h"
#include "notify.h"
#include "sys.h"

#define SET_FLAGS _IOW('!', 4, uint64_t)  /* SECCOMP_IOCTL_NOTIF_…, 6.6 */
#define SYNC_WAKE_UP 1UL

enum { TICK_MS = 20 }; /* records wait for one without an exec */

struct watch_execs {
	int listener;
	struct seen_from from;
	struct notes notes;
	struct notify notify;
	bool ticking;
	bool quiet;	/* no exec since the last tick */
};

static volatile sig_atomic_t ticks;

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

/* 1; 0: none; -1 when no process is left that could exec. */
static int one(struct watch_execs *w)
{
	static struct seen s;
	int got = notify_take(w->listener, &w->notify);
	bool starts;

	if (got <= 0)
		return got;
	w->from.now = (unsigned int)ticks;
	starts = execs_look(&s, &w->notify.request.data, &w->from);
	got = notify_go_on(w->listener, &w->notify);
	/* Else it was gone, so another's memory may be what we read. */
	if (got > 0 && starts)
		tell(w, &s);
	return got < 0 ? -1 : 1;
}

static void on_tick(int signal)
{
	(void)signal;
	ticks++;
}

static int expect_ticks(void)
{
	struct sigaction wake = {.sa_handler = on_tick}; /* no SA_RESTART */
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	return sigaction(SIGALRM, &wake, NULL) ||
	       sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void tick(struct watch_execs *w, bool on)
{
	struct timeval step = {.tv_usec = on ? TICK_MS * 1000 : 0};
	struct itimerval timer = {step, step};

	setitimer(ITIMER_REAL, &timer, NULL);
	w->ticking = on;
	w->quiet = false;
}

/*
 * Between execs that follow each other it sleeps in the kernel's own queue,
 * from which a tick calls it: poll would cost a third as much as all it reads.
 * When there is none for long it is poll that tells of the tree's end; older
 * kernels don't wake the queue then.
 */
static void loop(struct watch_execs *w)
{
	for (;;) {
		struct pollfd p = {.fd = w->listener, .events = POLLIN};
		int got;

		if (!w->ticking && poll(&p, 1, -1) > 0) {
			if (!(p.revents & POLLIN))
				break;
			ticks += KNOWN_FOR; /* none was counted meanwhile */
			tick(w, true);
		}
		got = w->ticking ? one(w) : 0;
		if (got < 0)
			break;
		if (got == 0 && w->quiet) {
			notes_flush(&w->notes);
			tick(w, false);
		} else {
			w->quiet = got == 0;
		}
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
	execs_look_from(&w.from);
	/* Nothing comes when the agent could have no listener. */
	if (fd_recv(notify, &byte, 1, &w.listener, &one_fd) <= 0 || one_fd != 1)
		_exit(0);
	close(notify);
	ioctl(w.listener, SET_FLAGS, SYNC_WAKE_UP);
	if (expect_ticks() || execs_harden())
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
