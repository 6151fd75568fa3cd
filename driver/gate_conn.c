#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_addr.h"
#include "gate_fd.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

/* A connection's life: accepted, asked, dialled, pumped, closed. */

uint32_t conn_limit(void)
{
	struct rlimit limit;
	uint64_t fds;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 128;
	fds = limit.rlim_cur;
	if (fds < GATE_FD_RESERVE + 256)
		return 128;
	fds = (fds - GATE_FD_RESERVE) / 2;
	return fds > GATE_CONNS_MAX ? GATE_CONNS_MAX : (uint32_t)fds;
}

void conn_deadline(struct core *g, struct conn *c, uint64_t ms)
{
	g->timed += (ms > 0) - (c->deadline > 0);
	c->deadline = ms > 0 ? g->now + ms : 0;
}

struct conn *conn_new(struct core *g, int fd, const struct sockaddr_in6 *peer,
		      const struct sockaddr_in6 *dst)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->slot = g->free_slot[g->conns++];
	c->id = gate_id(g, c->slot);
	g->slot[c->slot] = c;
	c->s[0].src = (struct source){ SRC_CLIENT, fd };
	c->s[1].src = (struct source){ SRC_UPSTREAM, -1 };
	c->s[0].wr = true;
	c->peer = *peer;
	c->dst = c->local = *dst;
	c->started = g->now;
	c->next = g->all;
	if (c->next)
		c->next->prev = c;
	g->all = c;
	if (gate_watch(g, &c->s[0].src,
		       EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) < 0) {
		c->error = ENOSPC;
		conn_close(g, c, true);
		return NULL;
	}
	return c;
}

struct conn *conn_by_id(const struct core *g, uint64_t id)
{
	uint32_t slot = (uint32_t)(id % GATE_CONNS_MAX);

	if (slot >= g->conns_max || !g->slot[slot] || g->slot[slot]->id != id)
		return NULL;
	return g->slot[slot];
}

static void report_close(struct core *g, const struct conn *c)
{
	static const char *const spoken[] = { NULL, "other", "tls", "http",
					      "bad" };
	struct gj_writer w;

	gj_begin(&w, "close");
	gj_put_number(&w, "id", c->id);
	gj_put_number(&w, "up", c->d[0].total);
	gj_put_number(&w, "down", c->d[1].total);
	gj_put_number(&w, "ms", g->now - c->started);
	gj_put_text(&w, "spoke", spoken[c->spoken]);
	gj_put_text(&w, "alpn", c->alpn[0] ? c->alpn : NULL);
	gj_put_text(&w, "method", c->method[0] ? c->method : NULL);
	gj_put_text(&w, "error", c->error ? strerrorname_np(c->error) : NULL);
	if (c->proxy_said)
		gj_put_number(&w, "proxy", c->proxy_said);
	chan_tell(g, &w);
}

/* Without a word to the kernel it is a reset: fd_reset_at_end. */
static void close_side(struct side *s, bool reset)
{
	if (s->src.fd < 0)
		return;
	if (!reset)
		(void)fd_reset_at_end(s->src.fd, 0);
	close(s->src.fd);
	s->src.fd = -1;
}

/* Keeps what can't be passed yet. */
int conn_hold(struct conn *c, const char *data, size_t len)
{
	char *head = realloc(c->head, c->head_len + len);

	if (!head)
		return -1;
	memcpy(head + c->head_len, data, len);
	c->head = head;
	c->head_len += (uint32_t)len;
	return 0;
}

/* Memory stays until the end of the turn: events may still point to it. */
void conn_close(struct core *g, struct conn *c, bool reset)
{
	if (c->dead)
		return;
	c->dead = true;
	report_close(g, c);
	conn_deadline(g, c, 0);
	close_side(&c->s[0], reset);
	close_side(&c->s[1], reset);
	pump_free(g, c);
	if (c->name)
		names_release(&g->names, &c->dst.sin6_addr, c->addrs > 0,
			      g->now);
	if (c->prev)
		c->prev->next = c->next;
	else
		g->all = c->next;
	if (c->next)
		c->next->prev = c->prev;
	g->slot[c->slot] = NULL;
	g->free_slot[--g->conns] = c->slot;
	c->grave = g->graves;
	g->graves = c;
}

void conn_bury(struct core *g)
{
	while (g->graves) {
		struct conn *c = g->graves;

		g->graves = c->grave;
		free(c->head);
		free(c->said);
		free(c->asked_for);
		free(c->methods);
		free(c->rule);
		free(c->message);
		free(c->how);
		free(c->tunnel);
		free(c->prefix);
		free(c->extra);
		free(c);
	}
}

/* Where the client wanted to go: true as no client can forge it. */
static int destination(const struct core *g, int fd, bool door,
		       struct sockaddr_in6 *dst)
{
	struct sockaddr_in v4;
	socklen_t len = sizeof(*dst);

	if (getsockname(fd, (struct sockaddr *)dst, &len) < 0)
		return -1;
	addr_map(dst);
	if (g->rung != RUNG_REDIR || door)
		return 0;
	len = sizeof(v4);
	if (getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &v4, &len) == 0) {
		memset(dst, 0, sizeof(*dst));
		dst->sin6_family = AF_INET6;
		dst->sin6_port = v4.sin_port;
		memset(dst->sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(dst->sin6_addr.s6_addr + 12, &v4.sin_addr, 4);
		return 0;
	}
	len = sizeof(*dst);
	return getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, dst, &len);
}

/* The sandbox's loopback and own address: nothing for the gate there. */
bool gate_own(const struct in6_addr *a)
{
	static const uint8_t own6[16] = { 0xfd, 0, 0xa6, 0xe7, [15] = 2 };
	const uint8_t *v4 = a->s6_addr + 12;

	if (!IN6_IS_ADDR_V4MAPPED(a))
		return IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_UNSPECIFIED(a) ||
		       !memcmp(a, own6, sizeof(own6));
	return v4[0] == 127 || v4[0] == 0 ||
	       (v4[0] == 198 && v4[1] == 18 && v4[2] == 0 && v4[3] == 2);
}

static void reset_fd(int fd)
{
	struct side s = { .src.fd = fd };

	close_side(&s, true);
}

static void accepted(struct core *g, int fd, const struct sockaddr_in6 *peer,
		     bool door)
{
	struct sockaddr_in6 dst;
	struct conn *c;

	memset(&dst, 0, sizeof(dst));
	if (destination(g, fd, door, &dst) < 0 ||
	    (gate_own(&dst.sin6_addr) && !door)) {
		reset_fd(fd);
		return;
	}
	if (dst.sin6_port == htons(53) && !door) {
		dns_tcp_new(g, fd);
		return;
	}
	c = conn_new(g, fd, peer, &dst);
	if (c)
		conn_ask(g, c);
	else
		reset_fd(fd);
}

bool conn_is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOBUFS ||
	       error == ENOMEM;
}

/* `door`: the listener is for one port of the sandbox's own loopback. */
void conn_accept(struct core *g, struct source *listener, bool door)
{
	for (int turn = 0; turn < 64 && g->conns < g->conns_max; turn++) {
		struct sockaddr_in6 peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			addr_map(&peer);
			accepted(g, fd, &peer, door);
			continue;
		}
		if (conn_is_shortage(errno))
			gate_pause(g, listener, GATE_SHORT_MS);
		if (errno != EINTR && errno != ECONNABORTED)
			return;
	}
	if (g->conns >= g->conns_max)
		gate_pause(g, listener, 0);
}

/*
 * A held client that hangs up: its question may live on, it doesn't. A client
 * that only ends its side, as one with nothing to say does, looks the same
 * from here, so netd is asked whether anybody still has the other end.
 */
static void asked_event(struct core *g, struct conn *c, uint32_t events)
{
	if (events & (EPOLLERR | EPOLLHUP))
		conn_close(g, c, true);
	else if (events & EPOLLRDHUP)
		netd_ask(g, NETD_WHO, c->id, &c->peer, &c->local);
}

static void tell_left(struct core *g, const struct conn *c)
{
	struct gj_writer w;

	gj_begin(&w, "left");
	gj_put_number(&w, "id", c->id);
	chan_send(g, &w);
}

/*
 * What it said before it left would have reached a server, so it waits for
 * the answer; the supervisor knows whether that is to come at once.
 */
void conn_orphan(struct core *g, uint64_t id)
{
	struct conn *c = conn_by_id(g, id);
	char first;

	if (!c || c->state != CONN_ASKED || !c->s[0].hup || c->gone)
		return;
	if (c->head_len == 0 && recv(c->s[0].src.fd, &first, 1,
				     MSG_PEEK | MSG_DONTWAIT) <= 0) {
		conn_close(g, c, true);
		return;
	}
	c->gone = true;
	tell_left(g, c);
}

static void note_events(struct side *s, uint32_t events)
{
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->rd = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		s->hup = true;
	if (events & EPOLLOUT)
		s->wr = true;
}

void conn_client(struct core *g, struct conn *c, uint32_t events)
{
	struct side *s = &c->s[0];

	if (c->dead)
		return;
	note_events(s, events);
	if (c->state == CONN_ASKED)
		asked_event(g, c, events);
	else if (c->state == CONN_REFUSING)
		refuse_step(g, c, false);
	else if (c->state == CONN_LINGER)
		linger_step(g, c);
	else if (c->state == CONN_PROXY)
		proxy_step(g, c);
	else if (c->sniff == SNIFF_PENDING && s->rd)
		sniff_step(g, c);
	else if (c->sniff == SNIFF_ASKED && (events & (EPOLLERR | EPOLLHUP)))
		conn_close(g, c, true);
	if (c->dead || c->state != CONN_OPEN)
		return;
	if (c->sniff == SNIFF_DONE && s->rd)
		pump(g, c, 0);
	if (!c->dead && (events & EPOLLOUT) &&
	    (c->sniff == SNIFF_DONE || c->expect == EXPECT_ANY))
		pump(g, c, 1);
}

void conn_upstream(struct core *g, struct conn *c, uint32_t events)
{
	struct side *s = &c->s[1];

	if (c->dead)
		return;
	if (c->state == CONN_DIALING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			dial_event(g, c, events);
		return;
	}
	note_events(s, events);
	if (c->state == CONN_TUNNEL && s->rd)
		tunnel_step(g, c);
	if (c->dead || c->state != CONN_OPEN)
		return;
	if (s->rd && (c->sniff == SNIFF_DONE || c->expect == EXPECT_ANY))
		pump(g, c, 1);
	if (!c->dead && (events & EPOLLOUT) && c->sniff == SNIFF_DONE)
		pump(g, c, 0);
}

static void conn_late(struct core *g, struct conn *c)
{
	if (c->state == CONN_DIALING) {
		dial_next(g, c, ETIMEDOUT);
	} else if (c->state == CONN_REFUSING) {
		refuse_step(g, c, true);
	} else if (c->state == CONN_LINGER) {
		conn_close(g, c, true);
	} else {
		c->error = ETIMEDOUT;
		conn_close(g, c, true);
	}
}

void conn_tick(struct core *g)
{
	struct conn *c, *next;

	for (c = g->timed ? g->all : NULL; c; c = next) {
		next = c->next;
		if (c->deadline && c->deadline <= g->now)
			conn_late(g, c);
	}
}
