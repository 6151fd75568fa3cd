/*
 * Joins a running sandbox: finds the namespaces that its driver holds open,
 * enters them one by one, and confines the new process as the agent is.
 */
#define _GNU_SOURCE
#include "enter.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "confine.h"
#include "inherit.h"
#include "ns.h"
#include "procs.h"

static bool wanted(const struct spec *s, const struct ns_kind *k)
{
	return !(k->fd == NS_FD_USER && s->mode == MODE_ROOT) &&
	       !(k->fd == NS_FD_NET && s->net == NET_HOST);
}

static int open_ns(int proc, int fd, const char *name, struct fault *f)
{
	char path[32];
	int ns;

	snprintf(path, sizeof(path), "fd/%d", fd);
	ns = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (ns < 0)
		fault_errno(f, "enter", "can't open the sandbox's %s "
					"namespace",
			    name);
	return ns;
}

/* The driver is found by pid and start time: a pid alone may be another's. */
static int open_target(const struct spec *s, int fds[NS_FD_END - NS_FD_USER],
		       struct fault *f)
{
	AUTO_FD int proc = -1;
	char path[32];
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%d", s->target);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || proc_stat(s->target, &start, NULL) || start != s->target_start) {
		fault(f, "enter", "the sandbox isn't running any more");
		return -1;
	}
	for (size_t i = 0; i < ns_nkinds; i++) {
		const struct ns_kind *k = &ns_kinds[i];
		int fd = -1;

		if (wanted(s, k)) {
			fd = open_ns(proc, k->fd, k->name, f);
			if (fd < 0)
				return -1;
		}
		fds[k->fd - NS_FD_USER] = fd;
	}
	fds[NS_FD_INNER - NS_FD_USER] =
		open_ns(proc, NS_FD_INNER, "inner user", f);
	return fds[NS_FD_INNER - NS_FD_USER] < 0 ? -1 : 0;
}

static int join(int fd, int flag, const char *name, struct fault *f)
{
	if (fd < 0 || setns(fd, flag) == 0)
		return 0;
	return fault_errno(f, "enter", "can't join the %s namespace", name);
}

/* Before the fork: the rights to join, and the pid namespace of children. */
static int join_outside(const int *fds, struct fault *f)
{
	if (join(fds[NS_FD_USER - NS_FD_USER], CLONE_NEWUSER, "user", f))
		return -1;
	/* Joining cleared it, or may have. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	return join(fds[NS_FD_PID - NS_FD_USER], CLONE_NEWPID, "pid", f);
}

/* The same files as init, in a copy of the host's mounts of our own. */
static int protect_inherited(struct fault *f)
{
	if (!inherit_leads_out())
		return 0;
	if (unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fault_errno(f, "stdio", "can't leave the host's mounts");
	return inherit_protect(f);
}

static int join_inside(const int *fds, struct fault *f)
{
	AUTO_FD int dev = -1;

	for (size_t i = 0; i < ns_nkinds; i++) {
		const struct ns_kind *k = &ns_kinds[i];

		if (k->fd != NS_FD_USER && k->fd != NS_FD_PID &&
		    join(fds[k->fd - NS_FD_USER], k->flag, k->name, f))
			return -1;
	}
	dev = open("/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dev >= 0)
		inherit_rehome(dev);
	return join(fds[NS_FD_INNER - NS_FD_USER], CLONE_NEWUSER, "inner user",
		    f);
}

/*
 * The entering child: in the sandbox's pid namespace, then step by step in
 * all of it. Ends by exec, or by a fault that goes to the parent.
 */
static _Noreturn void child_main(const struct spec *s, const int *fds,
				 const struct told *told)
{
	int sock = told->notes;
	struct fault f;

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (protect_inherited(&f) || join_inside(fds, &f))
		goto failed;
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (msg_send(sock, MSG_AGENT, 0, NULL))
		_exit(EXIT_SETUP);
	if (confine(s, told, &f) == 0)
		exec_agent(s, &f);
failed:
	msg_send(sock, MSG_FAULT, 0, &f);
	_exit(f.exit);
}

static int start(struct watch *w, struct fault *f)
{
	static const int yes = 1;
	int fds[NS_FD_END - NS_FD_USER];
	int pair[2];

	for (size_t i = 0; i < COUNT(fds); i++)
		fds[i] = -1;
	/* Before the rights of the host are given up. */
	if (watch_signals(w, f) || open_target(w->spec, fds, f) ||
	    inherit_settle_after(w->spec->target, f) ||
	    cgroup_enter(w->spec, f) || join_outside(fds, f))
		return -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)))
		return fault_errno(f, "driver", "can't create a socket pair");
	w->sock = pair[0];
	w->child = fork();
	if (w->child < 0)
		return fault_errno(f, "enter", "can't fork");
	if (w->child == 0)
		child_main(w->spec, fds,
			   &(struct told){pair[1], -1, -1});
	w->agent = w->child;
	close(pair[1]);
	for (size_t i = 0; i < COUNT(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return 0;
}

int enter_main(const struct spec *s)
{
	struct watch w = {.spec = s, .enter = true, .sock = -1,
			  .broker = {.notes = -1},
			  .execs = {.notes = -1}};
	struct fault f;

	terminal_open(&w.terminal, s->tty);
	if (start(&w, &f) == 0)
		return watch_run(&w);
	event_error(&f);
	return f.exit;
}
