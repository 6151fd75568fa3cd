#define _GNU_SOURCE
#include "gate_dns.h"
#include "gate_addr.h"
#include "gate_fd.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Where queries come from and replies go: one UDP socket, sessions over TCP. */

#define SESSION_MS 10000

union pktinfo {
	char buf[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct cmsghdr align;
};

static void session_close(struct core *g, struct dns_session *s)
{
	close(s->src.fd);
	s->id = 0;
	g->dns_waiting--;
}

static struct dns_session *session_by_id(struct core *g, uint64_t id)
{
	for (int i = 0; i < GATE_DNS_TCP; i++)
		if (g->dns_session[i].id == id)
			return &g->dns_session[i];
	return NULL;
}

static void send_udp(struct core *g, const struct dns_pending *p,
		     const uint8_t *reply, size_t len)
{
	struct iovec iov = { .iov_base = (void *)(size_t)reply,
			     .iov_len = len };
	union pktinfo control = { .buf = { 0 } };
	struct sockaddr_storage peer;
	struct msghdr m = {
		.msg_name = &peer,
		.msg_namelen = addr_for(g->dns.fd, &p->peer, &peer),
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	/* From the very address that was asked. */
	if (addr_only4(g->dns.fd)) {
		struct in_pktinfo v4 = { 0 };

		memcpy(&v4.ipi_spec_dst, p->local.ipi6_addr.s6_addr + 12, 4);
		c->cmsg_level = SOL_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(v4));
		memcpy(CMSG_DATA(c), &v4, sizeof(v4));
		m.msg_controllen = CMSG_SPACE(sizeof(v4));
	} else {
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(p->local));
		memcpy(CMSG_DATA(c), &p->local, sizeof(p->local));
	}
	/* Lost datagrams are asked again. */
	(void)sendmsg(g->dns.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_tcp(struct core *g, uint64_t session, const uint8_t *reply,
		     size_t len)
{
	struct dns_session *s = session_by_id(g, session);
	uint8_t framed[DNS_REPLY_MAX + 2];

	if (!s)
		return;
	framed[0] = (uint8_t)(len >> 8);
	framed[1] = (uint8_t)len;
	memcpy(framed + 2, reply, len);
	if (send(s->src.fd, framed, len + 2, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)len + 2)
		session_close(g, s);
}

void dns_send(struct core *g, const struct dns_pending *p, uint8_t *reply,
	      size_t len)
{
	if (p->session)
		send_tcp(g, p->session, reply, len);
	else
		send_udp(g, p, reply, dns_truncate(&p->query, reply, len));
}

/* The address that was asked, with IPv4 mapped. */
static bool asked_at(const struct cmsghdr *c, struct in6_pktinfo *local)
{
	struct in_pktinfo v4;

	if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		memcpy(local, CMSG_DATA(c), sizeof(*local));
		return true;
	}
	if (!c || c->cmsg_level != SOL_IP || c->cmsg_type != IP_PKTINFO)
		return false;
	memcpy(&v4, CMSG_DATA(c), sizeof(v4));
	*local = (struct in6_pktinfo){ 0 };
	memset(local->ipi6_addr.s6_addr + 10, 0xff, 2);
	memcpy(local->ipi6_addr.s6_addr + 12, &v4.ipi_addr, 4);
	return true;
}

void dns_udp(struct core *g)
{
	for (int turn = 0; turn < 64; turn++) {
		struct dns_pending from = { 0 };
		union pktinfo control;
		struct iovec iov = { .iov_base = g->copy,
				     .iov_len = QUERY_MAX };
		struct msghdr m = {
			.msg_name = &from.peer,
			.msg_namelen = sizeof(from.peer),
			.msg_iov = &iov, .msg_iovlen = 1,
			.msg_control = control.buf,
			.msg_controllen = sizeof(control.buf),
		};
		ssize_t n = recvmsg(g->dns.fd, &m, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 || (m.msg_flags & MSG_TRUNC))
			continue;
		addr_map(&from.peer);
		if (!asked_at(CMSG_FIRSTHDR(&m), &from.local))
			continue;
		/* In a flood it is lost: the client asks again. */
		(void)dns_received(g, (uint8_t *)g->copy, (size_t)n, &from);
	}
}

void dns_tcp_new(struct core *g, int fd)
{
	struct dns_session *s = session_by_id(g, 0);

	if (!s || fd_reset_at_end(fd, 0) < 0) {
		close(fd);
		return;
	}
	s->src = (struct source){ SRC_DNS_TCP, fd };
	s->len = 0;
	s->waiting = 0;
	s->stalled = s->ended = false;
	s->deadline = g->now + SESSION_MS;
	s->id = gate_id(g, (uint32_t)(s - g->dns_session));
	g->dns_waiting++;
	if (gate_watch(g, &s->src, EPOLLIN) < 0)
		session_close(g, s);
}

/* Whole queries out of the session's buffer; false: too long a query. */
static bool take_queries(struct core *g, struct dns_session *s)
{
	struct dns_pending from = { .session = s->id };
	uint32_t waiting;

	while (s->len >= 2) {
		size_t want = (size_t)(s->buf[0] << 8 | s->buf[1]);

		if (want > QUERY_MAX)
			return false;
		if (s->len < want + 2)
			return true;
		waiting = g->dns_waiting;
		s->stalled = !dns_received(g, s->buf + 2, want, &from);
		if (s->stalled)
			return true;
		if (s->id != from.session)
			return true;	/* answered at once, and closed */
		s->waiting += g->dns_waiting - waiting;
		s->len -= want + 2;
		memmove(s->buf, s->buf + want + 2, s->len);
	}
	return true;
}

/*
 * Takes what can be taken, and goes on as the session is: while a query waits
 * for room nothing more is read, and one whose client has ended its side is
 * closed after its last answer.
 */
static void go_on(struct core *g, struct dns_session *s)
{
	struct epoll_event e = { .data.ptr = &s->src };
	uint64_t id = s->id;
	bool whole = take_queries(g, s);

	if (s->id != id)
		return;
	e.events = s->stalled || s->ended ? 0 : EPOLLIN;
	if (!whole || (s->ended && !s->stalled && !s->waiting) ||
	    epoll_ctl(g->epoll, EPOLL_CTL_MOD, s->src.fd, &e) < 0)
		session_close(g, s);
}

/* A pending question has its answer: its session ends, or another goes on. */
void dns_answered(struct core *g, uint64_t session)
{
	struct dns_session *s = session ? session_by_id(g, session) : NULL;

	if (s) {
		s->waiting--;
		s->deadline = g->now + SESSION_MS;
		if (s->ended && !s->stalled && !s->waiting)
			session_close(g, s);
	}
	for (int i = 0; i < GATE_DNS_TCP; i++)
		if (g->dns_session[i].id && g->dns_session[i].stalled)
			go_on(g, &g->dns_session[i]);
}

void dns_tcp(struct core *g, struct source *src, uint32_t events)
{
	struct dns_session *s = (struct dns_session *)(void *)src;
	ssize_t n;

	if (!s->id || !events)
		return;
	if (s->stalled || s->ended) {
		if (events & (EPOLLERR | EPOLLHUP))
			session_close(g, s);
		return;
	}
	n = recv(src->fd, s->buf + s->len, sizeof(s->buf) - s->len,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		session_close(g, s);
		return;
	}
	s->ended = n == 0;
	s->len += (size_t)n;
	s->deadline = g->now + SESSION_MS;
	go_on(g, s);
}

void dns_sessions_tick(struct core *g)
{
	for (int i = 0; g->dns_waiting && i < GATE_DNS_TCP; i++)
		if (g->dns_session[i].id && !g->dns_session[i].waiting &&
		    !g->dns_session[i].stalled &&
		    g->dns_session[i].deadline <= g->now)
			session_close(g, &g->dns_session[i]);
}
