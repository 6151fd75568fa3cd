/* Process 1 of the sandbox: builds the view, starts the agent, reaps. */
#define _GNU_SOURCE
#include "init.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "confine.h"
#include "inherit.h"
#include "mount.h"
#include "ns.h"
#include "sys.h"
#include "view.h"

struct init {
	const struct spec *spec;
	int sock;    /* to the driver */
	int signals; /* SIGCHLD */
	int proc;    /* a procfs of our pid namespace, not in the view */
	int agent_sock;
	int notify; /* the gate's, see gate_notify_arm; else -1 */
	int execs; /* see execs_arm; else -1 */
	pid_t agent;
	bool stopped, ended;
};

static _Noreturn void die(int sock, const struct fault *f)
{
	msg_send(sock, MSG_FAULT, 0, f);
	_exit(f->exit);
}

static bool wait_for_go(int sock, int *fd)
{
	struct msg m;

	if (msg_receive(sock, &m, 0) != 1 || m.type != MSG_GO)
		return false;
	if (fd)
		*fd = m.fd;
	return true;
}

/*
 * The agent, before it is one. Runs in its own user namespace with all
 * capabilities of that; ends by exec, or by a fault that init passes on.
 */
static _Noreturn void agent_main(const struct init *i, mode_t mask)
{
	struct fault f;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* The socket adds our credentials: this is how the driver learns
	 * our process id in the host's namespace. */
	if (!wait_for_go(i->agent_sock, NULL) ||
	    msg_send(i->sock, MSG_AGENT, 0, NULL) ||
	    !wait_for_go(i->agent_sock, NULL))
		_exit(EXIT_SETUP);
	prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	umask(mask);
	if (confine(i->spec, &(struct told){i->sock, i->notify, i->execs},
		    &f) == 0)
		exec_agent(i->spec, &f);
	die(i->sock, &f);
}

static int set_up(struct init *i, struct fault *f)
{
	const struct spec *s = i->spec;

	umask(0);
	i->proc = mount_new("proc", NULL, K_MOUNT_NOSUID | K_MOUNT_NODEV |
						  K_MOUNT_NOEXEC, f);
	if (i->proc < 0) {
		fault_hint(f, "A fresh /proc is refused where parts of the "
			      "host's are covered: in a container, unmask "
			      "/proc (systempaths=unconfined)");
		return -1;
	}
	if (s->hostname && sethostname(s->hostname, strlen(s->hostname)))
		return fault_errno(f, "view", "can't set the hostname");
	if (s->net == NET_OFF && ns_loopback_up(f))
		return -1;
	/* Before the view is the root: the files are found by host path. */
	if (inherit_leads_out() && inherit_protect(f))
		return -1;
	return view_enter(s, f);
}

/* From the fork to the successful exec. */
static int start_agent(struct init *i, mode_t mask, struct fault *f)
{
	int pair[2];
	struct msg m;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return fault_errno(f, "driver", "can't create a socket pair");
	i->agent = ns_clone_inner();
	if (i->agent < 0) {
		fault_errno(f, "userns", "can't create the inner user "
					 "namespace");
		ns_hint(f);
		return -1;
	}
	if (i->agent == 0) {
		i->agent_sock = pair[1];
		close(pair[0]);
		agent_main(i, mask);
	}
	close(pair[1]);
	i->agent_sock = pair[0];
	if (ns_map_inner(i->proc, i->agent, i->spec, f))
		return -1;
	/* Not before: the agent's maps and namespace are found in /proc. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return fault_errno(f, "driver", "can't protect init");
	/* The agent reports to the driver, which then lets us go on. */
	if (msg_send(i->agent_sock, MSG_GO, 0, NULL) ||
	    !wait_for_go(i->sock, NULL) ||
	    msg_send(i->agent_sock, MSG_GO, 0, NULL))
		return fault(f, "driver", "the agent's process is gone");
	/* Closed by exec; by its end after a fault, which it has sent. */
	msg_receive(i->agent_sock, &m, 0);
	close(i->agent_sock);
	return 0;
}

/* All children: ours and those that lost their parent. */
static void reap(struct init *i)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status,
			      WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != i->agent || i->ended)
			continue;
		if (WIFSTOPPED(status) || WIFCONTINUED(status)) {
			i->stopped = WIFSTOPPED(status);
			msg_send(i->sock,
				 i->stopped ? MSG_STOPPED : MSG_CONTINUED, 0,
				 NULL);
			continue;
		}
		i->ended = true;
		msg_send(i->sock, MSG_EXIT, status, NULL);
		if (!i->spec->detach)
			_exit(0);
	}
	if (pid < 0 && errno == ECHILD && i->ended) {
		msg_send(i->sock, MSG_EMPTY, 0, NULL);
		_exit(0);
	}
}

static void obey(struct init *i, const struct msg *m)
{
	/* A shell's `fg` continues its whole job, often the agent as well. A
	 * second SIGCONT would find it in the midst of putting its screen in
	 * order, and look to it like one after SIGSTOP. */
	reap(i);
	if (i->ended)
		return;
	if (m->type == MSG_SIGNAL)
		kill(i->agent, m->value);
	else if (m->type == MSG_CONTINUE && i->stopped)
		kill(i->agent, SIGCONT);
}

/*
 * From here on nothing may fail: our end is the end of every process in the
 * sandbox. Signals are blocked, the kernel drops those from inside.
 */
static _Noreturn void serve(struct init *i)
{
	struct pollfd polls[2] = {{.fd = i->signals, .events = POLLIN},
				  {.fd = i->sock, .events = POLLIN}};

	for (;;) {
		struct signalfd_siginfo info;
		struct msg m;
		int n;

		reap(i);
		if (poll(polls, 2, -1) < 0)
			continue;
		if (polls[0].revents)
			while (read(i->signals, &info, sizeof(info)) > 0)
				;
		if (!polls[1].revents)
			continue;
		n = msg_receive(i->sock, &m, MSG_DONTWAIT);
		if (n == 0)
			_exit(EXIT_SETUP); /* the driver is gone */
		if (n == 1)
			obey(i, &m);
	}
}

/*
 * Who: process 1 of the pid namespace; in user mode the user itself, with all
 * capabilities over the outer user namespace, in root mode root. When: from
 * the driver's clone until the agent's first process has ended (`detach`: the
 * last one), or the driver is gone. It never touches what the agent made.
 */
_Noreturn void init_main(const struct spec *s, int sock, int execs, mode_t mask,
			 bool cgroup)
{
	struct init i = {.spec = s, .sock = sock, .proc = -1, .notify = -1,
			 .execs = execs};
	struct fault f;
	sigset_t all;

	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (cgroup && ns_own_cgroup(&f))
		die(sock, &f);
	if (cgroup && msg_send(sock, MSG_READY, 0, NULL))
		_exit(EXIT_SETUP);
	if (!wait_for_go(sock, &i.notify))
		_exit(EXIT_SETUP);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	/* SIGCHLD may have been ignored by our caller's caller */
	signal(SIGCHLD, SIG_DFL);
	i.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (i.signals < 0) {
		fault_errno(&f, "driver", "can't watch signals");
		die(sock, &f);
	}
	if (set_up(&i, &f) || start_agent(&i, mask, &f))
		die(sock, &f);
	close(i.proc);
	if (i.notify >= 0)
		close(i.notify);
	if (i.execs >= 0)
		close(i.execs);
	msg_send(sock, MSG_STARTED, 0, NULL);
	serve(&i);
}
