#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_addr.h"
#include "gate_held.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * Datagrams other than DNS. Each new (client, destination) is a question;
 * the usual answer is no, and the client hears it as a closed port.
 */

enum flow_state { FLOW_FREE, FLOW_ASKED, FLOW_SOCKET, FLOW_OPEN, FLOW_DENIED };

struct udp_flow {
	struct source in, out;	/* towards the client, towards the world */
	enum flow_state state;
	uint64_t id, started, deadline, up, down;
	struct sockaddr_in6 client, dst;
	struct held_queue held;	/* until the answer */
	bool named;		/* its name is held */
};

int udp_init(struct core *g)
{
	g->flow = calloc(GATE_FLOWS, sizeof(*g->flow));
	if (!g->flow)
		return -1;
	for (int i = 0; i < GATE_FLOWS; i++) {
		held_drop(&g->flow[i].held);
		g->flow[i].in = (struct source){ SRC_FLOW_IN, -1 };
		g->flow[i].out = (struct source){ SRC_FLOW_OUT, -1 };
	}
	return 0;
}

static void flow_up(struct udp_flow *f, const char *data, size_t len)
{
	/* Datagrams may be lost; what the socket refuses is. */
	if (send(f->out.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		f->up += len;
}

static void flow_end(struct core *g, struct udp_flow *f, int err)
{
	struct gj_writer w;

	gj_begin(&w, "close");
	gj_put_number(&w, "id", f->id);
	gj_put_number(&w, "up", f->up);
	gj_put_number(&w, "down", f->down);
	gj_put_number(&w, "ms", g->now - f->started);
	gj_put_text(&w, "error", err ? strerrorname_np(err) : NULL);
	chan_send(g, &w);
	if (f->named)
		names_release(&g->names, &f->dst.sin6_addr, f->out.fd >= 0,
			      g->now);
	f->named = false;
	if (f->in.fd >= 0)
		close(f->in.fd);
	if (f->out.fd >= 0)
		close(f->out.fd);
	f->in.fd = f->out.fd = -1;
	held_drop(&f->held);
	f->state = FLOW_FREE;
	g->flows--;
}

/* What they carried is told, whenever the gate ends. */
void udp_end(struct core *g)
{
	for (int i = 0; i < GATE_FLOWS; i++)
		if (g->flow[i].state != FLOW_FREE)
			flow_end(g, &g->flow[i], 0);
}

static void flow_deny(struct core *g, struct udp_flow *f)
{
	held_drop(&f->held);
	f->state = FLOW_DENIED;
	f->deadline = g->now + GATE_DENIED_MS;
	icmp_refuse(g, &f->client, &f->dst);
}

static bool same_end(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	return a->sin6_port == b->sin6_port &&
	       !memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr));
}

static struct udp_flow *flow_find(struct core *g,
				  const struct sockaddr_in6 *client,
				  const struct sockaddr_in6 *dst)
{
	for (int i = 0; g->flows && i < GATE_FLOWS; i++) {
		struct udp_flow *f = &g->flow[i];

		if (f->state != FLOW_FREE && same_end(&f->client, client) &&
		    same_end(&f->dst, dst))
			return f;
	}
	return NULL;
}

static bool sooner(const struct udp_flow *f, const struct udp_flow *than)
{
	return !than || f->deadline < than->deadline;
}

/*
 * A free place, else that of the refusal remembered longest, else that of the
 * flow that has been silent longest: programs ask with a new socket each time.
 */
static struct udp_flow *flow_place(struct core *g)
{
	struct udp_flow *oldest = NULL, *silent = NULL;

	for (int i = 0; i < GATE_FLOWS; i++) {
		struct udp_flow *f = &g->flow[i];

		if (f->state == FLOW_FREE)
			return f;
		if (f->state == FLOW_DENIED && sooner(f, oldest))
			oldest = f;
		if (f->state == FLOW_OPEN && sooner(f, silent) &&
		    f->deadline + GATE_FLOW_IDLE_MS <= g->now + GATE_FLOW_MS)
			silent = f;
	}
	if (!oldest)
		oldest = silent;
	if (oldest)
		flow_end(g, oldest, 0);
	return oldest;
}

static void flow_ask(struct core *g, struct udp_flow *f)
{
	struct gj_writer w;
	const char *name;
	bool fake;

	name = names_hold(&g->names, &f->dst.sin6_addr, &fake);
	f->named = name;
	gj_begin(&w, "udp");
	gj_put_number(&w, "id", f->id);
	gj_put_text(&w, "name", name);
	chan_put_endpoint(&w, "ip", "port", &f->dst);
	gj_put_bool(&w, "stray", fake && !name);
	chan_send(g, &w);
}

static void datagram(struct core *g, const struct sockaddr_in6 *client,
		     const struct sockaddr_in6 *dst, size_t len)
{
	struct udp_flow *f = flow_find(g, client, dst);

	if (f) {
		if (f->state == FLOW_DENIED)
			icmp_refuse(g, client, dst);
		else if (f->state == FLOW_OPEN)
			flow_up(f, g->copy, len); /* came before its socket */
		else
			held_add(&f->held, g->copy, len);
		return;
	}
	f = gate_own(&dst->sin6_addr) ? NULL : flow_place(g);
	if (!f) {
		icmp_refuse(g, client, dst);
		return;
	}
	f->state = FLOW_ASKED;
	f->id = gate_id(g, (uint32_t)(f - g->flow));
	f->client = *client;
	f->dst = *dst;
	f->up = f->down = 0;
	f->started = g->now;
	f->deadline = g->now + GATE_FLOW_MS;
	g->flows++;
	held_add(&f->held, g->copy, len);
	flow_ask(g, f);
}

static bool original(struct msghdr *m, struct sockaddr_in6 *dst)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_IPV6 &&
		    c->cmsg_type == IPV6_ORIGDSTADDR) {
			memcpy(dst, CMSG_DATA(c), sizeof(*dst));
			return true;
		}
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_ORIGDSTADDR) {
			struct sockaddr_in v4;

			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			memset(dst, 0, sizeof(*dst));
			dst->sin6_family = AF_INET6;
			dst->sin6_port = v4.sin_port;
			memset(dst->sin6_addr.s6_addr + 10, 0xff, 2);
			memcpy(dst->sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
			return true;
		}
	}
	return false;
}

void udp_arrived(struct core *g)
{
	for (int turn = 0; turn < 64; turn++) {
		struct sockaddr_in6 client = { 0 }, dst;
		union {
			char buf[256];
			struct cmsghdr align;
		} control;
		struct iovec iov = { .iov_base = g->copy,
				     .iov_len = sizeof(g->copy) };
		struct msghdr m = {
			.msg_name = &client, .msg_namelen = sizeof(client),
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf),
		};
		ssize_t n = recvmsg(g->udp.fd, &m, MSG_DONTWAIT);

		if (n < 0)
			return;
		addr_map(&client);
		if (original(&m, &dst))
			datagram(g, &client, &dst, (size_t)n);
	}
}

static int connect_out(struct udp_flow *f, const char *addr, uint16_t port)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port) };
	bool is4 = inet_pton(AF_INET, addr, &v4.sin_addr) == 1;
	int fd;

	if (!is4 && inet_pton(AF_INET6, addr, &v6.sin6_addr) != 1)
		return -1;
	fd = socket(is4 ? AF_INET : AF_INET6,
		    SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	f->out.fd = fd;
	return is4 ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
		   : connect(fd, (struct sockaddr *)&v6, sizeof(v6));
}

static struct udp_flow *flow_by_id(struct core *g, uint64_t id)
{
	for (int i = 0; i < GATE_FLOWS; i++)
		if (g->flow[i].state != FLOW_FREE && g->flow[i].id == id)
			return &g->flow[i];
	return NULL;
}

void udp_verdict(struct core *g, const struct gj_object *v)
{
	const char *verdict = gj_text(v, "verdict");
	const char *addr = gj_text(v, "addr");
	uint64_t id = 0, port = 0;
	struct udp_flow *f;

	gj_number(v, "id", &id);
	f = flow_by_id(g, id);
	if (!f || f->state != FLOW_ASKED)
		return;
	if (!verdict || strcmp(verdict, "allow") != 0 || !addr ||
	    !gj_number(v, "port", &port) || port == 0 || port > 65535 ||
	    connect_out(f, addr, (uint16_t)port) < 0) {
		flow_deny(g, f);
		return;
	}
	f->state = FLOW_SOCKET;
	netd_ask(g, NETD_DGRAM, f->id, &f->dst, &f->client);
}

/* What comes next of it is a new question. */
void udp_cut(struct core *g, uint64_t id)
{
	struct udp_flow *f = flow_by_id(g, id);

	if (f)
		flow_end(g, f, EPERM);
}

void udp_socket_made(struct core *g, uint64_t id, int fd)
{
	struct udp_flow *f = flow_by_id(g, id);

	if (!f || f->state != FLOW_SOCKET) {
		if (fd >= 0)
			close(fd);
		return;
	}
	f->in.fd = fd;
	if (fd < 0 || gate_watch(g, &f->in, EPOLLIN) < 0 ||
	    gate_watch(g, &f->out, EPOLLIN) < 0) {
		flow_end(g, f, EIO);
		return;
	}
	f->state = FLOW_OPEN;
	for (const struct held *h = f->held.first; h; h = h->next)
		flow_up(f, h->data, h->len);
	held_drop(&f->held);
}

void udp_flow(struct core *g, struct source *src)
{
	bool up = src->kind == SRC_FLOW_IN;
	struct udp_flow *f = (struct udp_flow *)(void *)
		((char *)src - (up ? offsetof(struct udp_flow, in)
				   : offsetof(struct udp_flow, out)));

	for (int turn = 0; turn < 64 && f->state == FLOW_OPEN; turn++) {
		ssize_t n = recv(src->fd, g->copy, sizeof(g->copy),
				 MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			if (!up && errno == ECONNREFUSED)
				icmp_refuse(g, &f->client, &f->dst);
			flow_end(g, f, errno);
			return;
		}
		f->deadline = g->now + GATE_FLOW_MS;
		if (up)
			flow_up(f, g->copy, (size_t)n);
		else if (send(f->in.fd, g->copy, (size_t)n,
			      MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			f->down += (uint64_t)n;
	}
}

void udp_tick(struct core *g)
{
	for (int i = 0; g->flows && i < GATE_FLOWS; i++)
		if (g->flow[i].state != FLOW_FREE &&
		    g->flow[i].deadline <= g->now)
			flow_end(g, &g->flow[i], 0);
}
