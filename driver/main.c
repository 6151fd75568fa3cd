/*
 * agentfw-driver: builds a sandbox from a spec and stays beside it.
 *
 * Parse the whole spec, check it, then act, one pass each. See
 * docs/driver-protocol.md for what comes in and goes out.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "answers.h"
#include "cgroup.h"
#include "climb.h"
#include "enter.h"
#include "freeze.h"
#include "inherit.h"
#include "init.h"
#include "ns.h"
#include "probe.h"
#include "self.h"
#include "sys.h"
#include "watch.h"

static int usage(void)
{
	fputs("Usage: agentfw-driver run | enter    (spec on fd 3, events on "
	      "fd 4)\n"
	      "       agentfw-driver freeze DRIVER START [keep | GROUP]    (events "
	      "on fd 4)\n"
	      "       agentfw-driver thaw DRIVER START [GROUP] [PID:START…]\n"
	      "       agentfw-driver --probe [--dir DIRECTORY]\n"
	      "       agentfw-driver --silent    (paths on stdin, NUL after each)\n"
	      "       agentfw-driver --climb DIRECTORY STORE PORT NAMESPACE…\n"
	      "       agentfw-driver --version\n",
	      stderr);
	return EXIT_SETUP;
}

/* The driver must not outlive the supervisor, whose channel is fd 4. */
static int bind_life(struct fault *f)
{
	pid_t parent = getppid();

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return fault_errno(f, "driver", "can't follow the supervisor");
	if (getppid() != parent)
		return fault(f, "driver", "the supervisor is gone");
	return 0;
}

/* What starts us resets all signals, so nohup's wish comes in the environment. */
static void keep_hangup_ignored(void)
{
	if (getenv("AGENTFW_NOHUP"))
		signal(SIGHUP, SIG_IGN);
}

static int check_caller(const struct spec *s, struct fault *f)
{
	if (s->uid != getuid() || s->gid != getgid())
		return fault(f, "spec",
			     "bad spec: ids %u %u are not the caller's %u %u",
			     s->uid, s->gid, getuid(), getgid());
	if (getuid() != geteuid() || getgid() != getegid())
		return fault(f, "spec", "the driver must not be set-id");
	if (s->mode == MODE_ROOT && geteuid() != 0)
		return fault(f, "spec", "mode root needs root");
#ifndef AGENTFW_GATE
	if (s->net == NET_GATE)
		return fault(f, "net", "this driver was built without the network gate");
#endif
	return 0;
}

static int load_spec(struct spec *s, bool enter, struct fault *f)
{
	size_t length;
	char *bytes;

	if (spec_read(SPEC_FD, &bytes, &length, f) ||
	    spec_parse(bytes, length, enter, s, f) || check_caller(s, f))
		return -1;
	close(SPEC_FD);
	if (fcntl(EVENT_FD, F_SETFD, FD_CLOEXEC))
		return fault_errno(f, "driver", "can't keep fd %d", EVENT_FD);
	sys_close_range(s->net == NET_GATE && !enter ? GATE_CHANNEL_FD + 1
						     : EVENT_FD + 1,
			0);
	return 0;
}

static int start_gate(struct watch *w, struct fault *f)
{
#ifdef AGENTFW_GATE
	struct gate_opts opts = {
		.user_fd = w->spec->mode == MODE_USER ? NS_FD_USER : -1,
		.net_fd = NS_FD_NET,
		.channel = GATE_CHANNEL_FD,
		.force = getenv("AGENTFW_GATE"),
		.debug_fd = -1,
	};

	if (w->spec->net != NET_GATE)
		return 0;
	if (gate_start(&opts, &w->gate) == 0) {
		close(GATE_CHANNEL_FD);
		return 0;
	}
	fault(f, "net", "can't start the network gate: %s", w->gate.error);
	fault_hint(f, "%s", w->gate.hint);
	return -1;
#else
	(void)w, (void)f;
	return 0;
#endif
}

static int await_ready(struct watch *w, struct fault *f)
{
	struct msg m;

	if (msg_receive(w->sock, &m, 0) != 1)
		return fault(f, "driver", "init ended before it began");
	if (m.type == MSG_READY)
		return 0;
	*f = m.fault;
	return -1;
}

/* The driver's half of the start; init waits for MSG_GO. */
static int let_init_go(struct watch *w, struct fault *f)
{
	const struct spec *s = w->spec;

	if (w->await && await_ready(w, f))
		return -1;
	if (s->mode == MODE_USER && ns_map_outer(w->child, s, f))
		return -1;
	if (ns_hold(w->child, s, f) || start_gate(w, f))
		return -1;
	if (msg_send_go(w->sock, w->gate.notify))
		return fault_errno(f, "driver", "can't start init");
	return 0;
}

static void close_if(int fd)
{
	if (fd >= 0)
		close(fd);
}

static int start_init(struct watch *w, mode_t mask, struct fault *f)
{
	static const int yes = 1;
	struct cgroup_way way;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) ||
	    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)))
		return fault_errno(f, "driver", "can't create a socket pair");
	w->sock = pair[0];
	if (cgroup_begin(w->spec, &way, f))
		return -1;
	w->child = ns_clone(w->spec, &way, f);
	if (w->child < 0)
		return -1;
	if (w->child == 0) {
		int sock = pair[1];

		close(pair[0]);
		close(EVENT_FD);
		close(w->signals);
		close_if(w->broker.notes);
		close_if(w->execs.notes);
		init_main(w->spec, sock, w->execs.notify, mask,
			  ns_cgroup_is_due(&way));
	}
	close(pair[1]);
	close_if(w->execs.notify);
	w->await = ns_cgroup_is_due(&way);
	return cgroup_leave(w->spec, &way, f);
}

/*
 * Who: the user's own process in the host's namespaces, without privileges
 * in user mode. When: from the supervisor's spawn until the tree has ended;
 * it dies with the supervisor, and the tree with it. It reads the spec and
 * commands of the supervisor, and nothing that the agent wrote.
 */
static int run_main(const struct spec *s, mode_t mask)
{
	struct watch w = {
		.spec = s, .sock = -1, .gate = {.notify = -1},
		.broker = {.notes = -1},
		.execs = {.notes = -1, .notify = -1}};
	struct fault f;

	terminal_open(&w.terminal, s->tty);
	if (watch_signals(&w, &f) || broker_start(s, &w.broker, &f) ||
	    execs_start(s, &w.execs, &f) ||
	    start_init(&w, mask, &f)) {
		event_error(&f);
		return f.exit;
	}
	if (let_init_go(&w, &f))
		return watch_abandon(&w, &f);
	return watch_run(&w);
}

static int serve(char **argv, bool enter)
{
	mode_t mask = umask(0);
	struct stat st;
	struct spec s;
	struct fault f;

	umask(mask);
	if (fstat(EVENT_FD, &st) || !S_ISSOCK(st.st_mode))
		return usage();
	keep_hangup_ignored();
	if (self_seal(argv, &f) || bind_life(&f) || inherit_check(&f) || load_spec(&s, enter, &f)) {
		event_error(&f);
		return f.exit;
	}
	return enter ? enter_main(&s) : run_main(&s, mask);
}

static int hold_still(int argc, char **argv)
{
	bool keep = argc == 5 && same(argv[4], "keep");
	struct stat st;

	if (argc > 5 || fstat(EVENT_FD, &st) ||
	    !S_ISSOCK(st.st_mode))
		return usage();
	return freeze_main(argv[2], argv[3], keep ? NULL : argv[4], keep);
}

static int let_go_on(char **argv)
{
	bool group = argv[4] && argv[4][0] == '/';

	return thaw_main(argv[2], argv[3], group ? argv[4] : NULL,
			 argv + 4 + group);
}

int main(int argc, char **argv)
{
	if (argc == 2 && same(argv[1], "run"))
		return serve(argv, false);
	if (argc == 2 && same(argv[1], "enter"))
		return serve(argv, true);
	if (argc >= 4 && same(argv[1], "freeze"))
		return hold_still(argc, argv);
	if (argc >= 4 && same(argv[1], "thaw"))
		return let_go_on(argv);
	if (argc == 2 && same(argv[1], "--version"))
		return puts(SPEC_HEADER) < 0;
	if (argc >= 2 && same(argv[1], "--probe"))
		return probe_main(argc - 2, argv + 2);
	if (argc == 2 && same(argv[1], "--silent"))
		return answers_main();
	if (argc >= 2 && same(argv[1], "--climb"))
		return climb_main(argc - 2, argv + 2);
	return usage();
}
