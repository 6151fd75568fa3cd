#define _GNU_SOURCE
#include "netd.h"
#include "gate_addr.h"
#include "gate_fd.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What remains of the rights over the sandbox's namespaces. */
#define NETD_CAPS (1U << CAP_NET_ADMIN | 1U << CAP_NET_RAW | \
		   1U << CAP_NET_BIND_SERVICE | 1U << CAP_SYS_PTRACE)

struct netd {
	int gate, diag, notify, listener;
	struct netd_seen *seen;
};

static int drop_caps(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = {
		{ .effective = NETD_CAPS, .permitted = NETD_CAPS },
	};

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (cap >= 32 || !(NETD_CAPS & 1U << cap))
			if (prctl(PR_CAPBSET_DROP, cap) < 0)
				return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_capset, &head, data) < 0)
		return -errno;
	return 0;
}

static int join(const struct netd_opts *o)
{
	if (o->user_fd >= 0 && setns(o->user_fd, CLONE_NEWUSER) < 0)
		return -errno;
	if (o->net_fd >= 0 && setns(o->net_fd, CLONE_NEWNET) < 0)
		return -errno;
	return 0;
}

static int answer_stream(const struct netd_request *q)
{
	(void)q;
	return addr_socket(SOCK_STREAM);
}

static int answer_listen(const struct netd_request *q)
{
	return netd_listener(&q->local, 0);
}

/* From the address the client asked: every address is local in here. */
static int answer_dgram(const struct netd_request *q)
{
	struct sockaddr_storage from, to;
	int fd = addr_socket(SOCK_DGRAM);
	int on = 1;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (addr_only4(fd) ? setsockopt(fd, SOL_IP, IP_TRANSPARENT, &on,
					 sizeof(on))
			    : setsockopt(fd, SOL_IPV6, IPV6_TRANSPARENT, &on,
					 sizeof(on))) < 0 ||
	    bind(fd, (struct sockaddr *)&from,
		 addr_for(fd, &q->local, &from)) < 0 ||
	    connect(fd, (struct sockaddr *)&to,
		    addr_for(fd, &q->remote, &to)) < 0) {
		int err = errno;

		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

/* Every request the gate may make is a row of this table. */
static int (*const answers[NETD_OPS])(const struct netd_request *) = {
	[NETD_STREAM] = answer_stream,
	[NETD_LISTEN] = answer_listen,
	[NETD_DGRAM] = answer_dgram,
};

static int serve(const struct netd *d)
{
	struct netd_request q;
	struct netd_answer a = { .reply = { 0 } };
	struct netd_reply *r = &a.reply;
	size_t none = 0;
	ssize_t n = fd_recv(d->gate, &q, sizeof(q), NULL, &none);
	int fd = -1, err;

	if (n != sizeof(q) || q.op >= NETD_OPS)
		return -1;
	r->op = q.op;
	r->id = q.id;
	if (q.op == NETD_WHO) {
		netd_who(d->diag, &q, &a);
	} else if (answers[q.op]) {
		fd = answers[q.op](&q);
		r->err = fd < 0 ? errno : 0;
	} else {
		return -1;
	}
	err = fd_send(d->gate, &a, sizeof(*r) + r->subject, &fd, fd >= 0);
	if (fd >= 0)
		close(fd);
	return err;
}

/* The agent's seccomp listener, once; then connects arrive on it. */
static int notify_ready(struct netd *d, short events)
{
	size_t one = 1;
	char c;

	if (d->listener >= 0)
		return netd_notified(d->listener, d->gate, d->seen);
	if (!(events & POLLIN) ||
	    fd_recv(d->notify, &c, 1, &d->listener, &one) <= 0 || one != 1)
		return -1;
	d->seen = netd_seen_new();
	if (!d->seen)
		return -1;
	close(d->notify);
	d->notify = -1;
	return 0;
}

static void loop(struct netd *d)
{
	struct pollfd p[2] = { { .fd = d->gate, .events = POLLIN } };

	for (;;) {
		p[1].fd = d->listener >= 0 ? d->listener : d->notify;
		p[1].events = POLLIN;
		p[1].revents = 0;
		if (poll(p, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return;
		}
		if (p[0].revents && serve(d) < 0)
			return;
		if (p[1].revents && notify_ready(d, p[1].revents) < 0) {
			/* No filter, or no process left that has it. */
			d->notify = -1;
			d->listener = -1;
		}
	}
}

/*
 * Who: a child of the driver, in the host's pid namespace. Rights: the four
 * capabilities above, over the sandbox's namespaces only. End: with the
 * driver, or when the gate's socket closes; the driver sees it.
 */
void netd_main(const struct netd_opts *o)
{
	struct netd d = { .gate = o->gate, .notify = o->notify, .diag = -1,
			  .listener = -1 };
	struct netd_hello hello = { 0 };
	int fds[NETD_FDS];
	int send[NETD_FDS], n = 0;

	hello.err = join(o);
	if (hello.err)
		snprintf(hello.step, sizeof(hello.step),
			 "join the network namespace");
	else
		netd_setup(o->force, &hello, fds);
	for (int i = 0; i < NETD_FDS; i++)
		if (hello.fds & 1U << i)
			send[n++] = fds[i];
	/* A change of credentials clears PDEATHSIG: set it after them. */
	if (!hello.err)
		hello.err = drop_caps();
	if (!hello.err)
		hello.err = fd_die_with(o->parent);
	if (fd_send(d.gate, &hello, sizeof(hello), send, (size_t)n) < 0 ||
	    hello.err)
		_exit(1);
	for (int i = 0; i < n; i++)
		close(send[i]);
	d.diag = nl_open(NETLINK_SOCK_DIAG);
	loop(&d);
	_exit(1);
}
