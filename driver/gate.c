#define _GNU_SOURCE
#include "gate.h"
#include "gate_core.h"
#include "gate_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Starting: two children, a handshake, and an error that names the step. */

/* Sandboxes that end at the same time hold the kernel lock that this needs. */
#define READY_MS 60000

struct ready {
	int32_t err;
	int32_t rung;
	char step[160];
};

static const char *const rungs[] = {
	[RUNG_NONE] = "", [RUNG_TPROXY] = "tproxy", [RUNG_REDIR] = "redir",
	[RUNG_NOTIFY] = "notify",
};

const char *gate_rung_name(int rung)
{
	return rungs[rung];
}

int gate_rung_of(const char *name)
{
	for (int i = RUNG_TPROXY; name && i <= RUNG_NOTIFY; i++)
		if (!strcmp(name, rungs[i]))
			return i;
	return RUNG_NONE;
}

static bool take_fds(struct core *g, const struct netd_hello *hello,
		     const int *fds, size_t n)
{
	int fd[NETD_FDS];
	size_t at = 0;

	for (int i = 0; i < NETD_FDS; i++) {
		fd[i] = -1;
		if (hello->fds & 1U << i) {
			if (at == n)
				return false;
			fd[i] = fds[at++];
		}
	}
	g->listener = (struct source){ SRC_LISTENER, fd[NETD_FD_TCP] };
	g->dns = (struct source){ SRC_DNS, fd[NETD_FD_DNS] };
	g->udp = (struct source){ SRC_UDP, fd[NETD_FD_UDP] };
	g->icmp4 = fd[NETD_FD_ICMP4];
	g->icmp6 = fd[NETD_FD_ICMP6];
	return g->listener.fd >= 0 && g->dns.fd >= 0;
}

static int nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static int core_memory(struct core *g)
{
	g->conns_max = conn_limit();
	g->who_tokens = GATE_WHO_PER_SECOND;
	g->slot = calloc(g->conns_max, sizeof(*g->slot));
	g->free_slot = calloc(g->conns_max, sizeof(*g->free_slot));
	if (!g->slot || !g->free_slot || names_init(&g->names) < 0 ||
	    dns_init(g) < 0 || udp_init(g) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < g->conns_max; i++)
		g->free_slot[i] = i;
	return 0;
}

static int core_init(struct core *g, int channel, int netd)
{
	int err = core_memory(g);

	if (err)
		return err;
	g->channel = (struct source){ SRC_CHANNEL, channel };
	g->netd = (struct source){ SRC_NETD, netd };
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll < 0 || nonblocking(netd) < 0 ||
	    gate_watch(g, &g->channel, EPOLLIN) < 0 ||
	    gate_watch(g, &g->netd, EPOLLIN) < 0 ||
	    gate_watch(g, &g->listener, EPOLLIN) < 0 ||
	    gate_watch(g, &g->dns, EPOLLIN) < 0 ||
	    (g->udp.fd >= 0 && gate_watch(g, &g->udp, EPOLLIN) < 0))
		return -errno;
	return 0;
}

static int prepare(struct core *g, int channel, int netd, struct ready *ready)
{
	struct netd_hello hello = { 0 };
	int fds[GATE_FDS_MAX];
	size_t n = GATE_FDS_MAX;
	ssize_t len = fd_recv(netd, &hello, sizeof(hello), fds, &n);
	int err;

	snprintf(ready->step, sizeof(ready->step), "start netd");
	if (len != sizeof(hello))
		return len < 0 ? (int)len : -EPIPE;
	memcpy(ready->step, hello.step, sizeof(ready->step));
	if (hello.err)
		return hello.err;
	snprintf(ready->step, sizeof(ready->step), "start the gate");
	if (!take_fds(g, &hello, fds, n))
		return -EPROTO;
	g->rung = (enum netd_rung)hello.rung;
	g->has_v6 = hello.has_v6;
	g->large = hello.large;
	ready->rung = hello.rung;
	err = core_init(g, channel, netd);
	if (err)
		return err;
	snprintf(ready->step, sizeof(ready->step), "confine the gate");
	return gate_harden();
}

static void say_ready(struct core *g)
{
	struct gj_writer w;

	gj_begin(&w, "ready");
	gj_put_number(&w, "version", 1);
	gj_put_text(&w, "rung", rungs[g->rung]);
	gj_put_bool(&w, "ipv6", g->has_v6);
	gj_put_bool(&w, "udp", g->udp.fd >= 0);
	gj_put_number(&w, "limit", g->conns_max);
	chan_send(g, &w);
	chan_flush(g);
}

static void gate_main(const struct gate_opts *o, int netd, int out,
		      pid_t parent) __attribute__((noreturn));
static void gate_main(const struct gate_opts *o, int netd, int out,
		      pid_t parent)
{
	int keep[] = { o->channel, netd, out };
	struct core *g = calloc(1, sizeof(*g));
	struct ready ready = { .step = "start the gate" };

	(void)signal(SIGPIPE, SIG_IGN);
	ready.err = g ? fd_die_with(parent) : -ENOMEM;
	if (!ready.err)
		ready.err = fd_detach_stdio(o->debug_fd);
	if (!ready.err)
		ready.err = fd_close_except(keep, 3);
	if (!ready.err)
		ready.err = gate_limits();
	if (!ready.err)
		ready.err = prepare(g, o->channel, netd, &ready);
	if (write(out, &ready, sizeof(ready)) != sizeof(ready) || ready.err)
		_exit(1);
	close(out);
	say_ready(g);
	gate_run(g);
}

static void netd_child(const struct gate_opts *o, int gate, int notify,
		       pid_t parent) __attribute__((noreturn));
static void netd_child(const struct gate_opts *o, int gate, int notify,
		       pid_t parent)
{
	int keep[] = { o->user_fd, o->net_fd, gate, notify };
	struct netd_opts opts = {
		.user_fd = o->user_fd, .net_fd = o->net_fd, .gate = gate,
		.notify = notify, .force = (enum netd_rung)gate_rung_of(o->force), .parent = parent,
	};

	if (fd_die_with(parent) < 0 || fd_detach_stdio(o->debug_fd) < 0 ||
	    fd_close_except(keep, 4) < 0)
		_exit(1);
	netd_main(&opts);
}

/* The terminal's signals are for the agent, not for its gate. */
static pid_t fork_apart(void)
{
	pid_t pid = fork();

	if (pid == 0 && setsid() < 0)
		_exit(1);
	return pid;
}

static void set_error(struct gate *gate, int err, const char *step)
{
	const char *hint = "";

	snprintf(gate->error, sizeof(gate->error), "can't %s: %s", step,
		 strerror(err < 0 ? -err : err));
	if (strstr(step, "nftables"))
		hint = "unset AGENTFW_GATE, or load the kernel modules "
		       "nf_tables, nft_tproxy and nft_redir";
	else if (err == -EPERM || err == -EACCES)
		hint = "this host forbids network namespaces to you; "
		       "see agentfw doctor";
	snprintf(gate->hint, sizeof(gate->hint), "%s", hint);
}

static int wait_ready(int in, struct gate *gate)
{
	struct ready ready = { .err = -ETIMEDOUT, .step = "start the gate" };
	struct pollfd p = { .fd = in, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, READY_MS);
	while (n < 0 && errno == EINTR);
	if (n == 1 && read(in, &ready, sizeof(ready)) != sizeof(ready))
		ready.err = -EPIPE;
	ready.step[sizeof(ready.step) - 1] = '\0';
	if (ready.err) {
		set_error(gate, ready.err, ready.step);
		return ready.err;
	}
	snprintf(gate->rung, sizeof(gate->rung), "%s", rungs[ready.rung]);
	return 0;
}

static void close_pair(int pair[2])
{
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

int gate_start(const struct gate_opts *opts, struct gate *gate)
{
	int talk[2] = { -1, -1 }, notify[2] = { -1, -1 }, ready[2] = { -1, -1 };
	pid_t self = getpid();
	int err = 0;

	memset(gate, 0, sizeof(*gate));
	gate->notify = -1;
	if (opts->force && gate_rung_of(opts->force) == RUNG_NONE) {
		snprintf(gate->error, sizeof(gate->error),
			 "AGENTFW_GATE must be tproxy, redir or notify");
		return -EINVAL;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, notify) < 0 ||
	    pipe2(ready, O_CLOEXEC) < 0)
		err = -errno;
	if (!err) {
		gate->netd = fork_apart();
		if (gate->netd == 0)
			netd_child(opts, talk[1], notify[1], self);
		gate->gate = gate->netd > 0 ? fork_apart() : -1;
		if (gate->gate == 0)
			gate_main(opts, talk[0], ready[1], self);
		if (gate->gate < 0)
			err = -errno;
	}
	close_pair(talk);
	if (ready[1] >= 0)
		close(ready[1]);
	if (err)
		set_error(gate, err, "start the gate");
	else
		err = wait_ready(ready[0], gate);
	if (ready[0] >= 0)
		close(ready[0]);
	if (notify[1] >= 0)
		close(notify[1]);
	gate->notify = notify[0];
	if (err || strcmp(gate->rung, "notify") != 0) {
		if (notify[0] >= 0)
			close(notify[0]);
		gate->notify = -1;
	}
	if (err)
		gate_stop(gate);
	return err;
}

/* True when it has ended; its number may be another's from then on. */
static bool ended(pid_t *pid)
{
	if (*pid > 0 && waitpid(*pid, NULL, WNOHANG) == 0)
		return false;
	*pid = 0;
	return true;
}

static void end_now(pid_t *pid)
{
	if (ended(pid))
		return;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

/* Without netd the gate says its last words to the supervisor and ends. */
void gate_stop(struct gate *gate)
{
	struct timespec pause = { .tv_nsec = 2000000 };

	end_now(&gate->netd);
	for (int turn = 0; turn < 400 && !ended(&gate->gate); turn++)
		nanosleep(&pause, NULL);
	end_now(&gate->gate);
}
