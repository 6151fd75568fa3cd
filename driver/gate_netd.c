#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* The gate's half of the talk with netd (netd.h). */

static void write_who(struct gj_writer *w, const struct netd_reply *r,
		      const char *subject)
{
	size_t exe = strnlen(subject, r->subject) + 1;
	size_t cwd = exe < r->subject
			? strnlen(subject + exe, r->subject - exe) + 1 : 0;

	gj_begin(w, "who");
	gj_put_number(w, "id", r->id);
	gj_put_number(w, "pid", r->pid > 0 ? (uint64_t)r->pid : 0);
	if (!cwd || exe + cwd > r->subject)
		return;
	gj_put_text(w, "exe", subject);
	gj_put_text(w, "cwd", subject + exe);
	gj_put_bytes(w, "argv", subject + exe + cwd, r->subject - exe - cwd);
}

/* Told in any case: the peer waits for it with what it refuses or asks. */
static void who_is(struct core *g, const struct netd_reply *r,
		   const char *subject)
{
	const struct conn *c = conn_by_id(g, r->id);
	struct netd_reply bare = *r;
	struct gj_writer w;

	write_who(&w, r, subject);
	bare.subject = 0;
	if (w.full || w.len == sizeof(w.buf))	/* its end wouldn't fit */
		write_who(&w, &bare, "");
	if (c && (c->state == CONN_ASKED || c->state == CONN_REFUSING))
		chan_send(g, &w);
	else
		chan_tell(g, &w);
}

void netd_ask(struct core *g, enum netd_op op, uint64_t id,
	      const struct sockaddr_in6 *local,
	      const struct sockaddr_in6 *remote)
{
	struct netd_request q = { .op = op, .id = id };
	struct netd_reply nobody = { .op = NETD_WHO, .id = id };
	int err;

	if (op == NETD_WHO) {
		if (g->who_tokens == 0) {
			who_is(g, &nobody, "");
			return;
		}
		g->who_tokens--;
	}
	if (local)
		q.local = *local;
	if (remote)
		q.remote = *remote;
	err = fd_send(g->netd.fd, &q, sizeof(q), NULL, 0);
	if (err != 0 && op == NETD_WHO)
		who_is(g, &nobody, "");
	if (err == 0 || op == NETD_WHO)
		return;
	if (err != -EAGAIN)
		gate_fatal(g, "netd is gone");
	if (op == NETD_STREAM)
		door_socket_made(g, id, -1, EAGAIN);
	else if (op == NETD_LISTEN)
		door_listener_made(g, id, -1, EAGAIN);
	else
		udp_socket_made(g, id, -1);
}

static void who_known(struct core *g, const struct netd_reply *r,
		      const char *subject)
{
	who_is(g, r, subject);
	if (r->pid < 0)
		conn_orphan(g, r->id);
}

static void reply(struct core *g, const struct netd_answer *a, int fd)
{
	const struct netd_reply *r = &a->reply;

	switch (r->op) {
	case NETD_STREAM:
		door_socket_made(g, r->id, fd, r->err);
		break;
	case NETD_LISTEN:
		door_listener_made(g, r->id, fd, r->err);
		break;
	case NETD_DGRAM:
		udp_socket_made(g, r->id, fd);
		break;
	case NETD_ARRIVED:
		if (fd >= 0)
			door_arrived(g, fd);
		break;
	case NETD_WHO:
		who_known(g, r, a->subject);
		break;
	default:
		gate_fatal(g, "netd sent an unknown reply");
	}
}

void netd_readable(struct core *g)
{
	for (int turn = 0; turn < 64; turn++) {
		struct netd_answer a;
		int fd = -1;
		size_t n = 1;
		ssize_t len = fd_recv(g->netd.fd, &a, sizeof(a), &fd, &n);

		if (len == -EAGAIN)
			return;
		if (len < (ssize_t)sizeof(a.reply) ||
		    (size_t)len != sizeof(a.reply) + a.reply.subject)
			gate_fatal(g, "netd is gone");
		reply(g, &a, n == 1 ? fd : -1);
	}
}
