#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_addr.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * The resolver that every server address leads to. No query leaves from
 * here: the supervisor says what a name is to be, and an allowed name's
 * address is a fake one that stands for the name.
 */

#define TTL 1
#define SESSION_MS 10000
#define QUERY_MAX 1232

struct dns_pending {
	uint64_t id;		/* 0: free */
	uint64_t deadline;
	struct dns_query query;
	struct sockaddr_in6 peer;
	struct in6_pktinfo local;
	uint64_t session;	/* over TCP: its id; else 0 */
};

struct dns_session {
	struct source src;
	uint64_t id;		/* 0: free */
	uint64_t deadline;
	size_t len;
	uint8_t buf[QUERY_MAX + 2];
};

union pktinfo {
	char buf[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct cmsghdr align;
};

int dns_init(struct core *g)
{
	g->dns_pending = calloc(GATE_DNS_PENDING, sizeof(*g->dns_pending));
	g->dns_session = calloc(GATE_DNS_TCP, sizeof(*g->dns_session));
	return g->dns_pending && g->dns_session ? 0 : -1;
}

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

static void answer(struct core *g, const struct dns_pending *p,
		   uint8_t *reply, size_t len)
{
	if (p->session)
		send_tcp(g, p->session, reply, len);
	else
		send_udp(g, p, reply, dns_truncate(&p->query, reply, len));
}

static void answer_code(struct core *g, const struct dns_pending *p,
			enum dns_rcode code)
{
	uint8_t reply[DNS_REPLY_MAX];

	answer(g, p, reply, dns_reply(&p->query, code, reply));
}

static uint32_t answer_fake(struct core *g, const struct dns_pending *p)
{
	uint32_t index = names_add(&g->names, p->query.name);
	uint8_t reply[DNS_REPLY_MAX], address[4];

	if (p->query.type != DNS_A || index == 0) {
		answer_code(g, p, index ? DNS_NOERROR : DNS_SERVFAIL);
		return 0;
	}
	names_address(index, address);
	answer(g, p, reply, dns_reply_a(&p->query, address, TTL, reply));
	return index;
}

/* ms is the supervisor's: so long the name has this address without a question. */
static void remember(struct core *g, uint32_t index, uint64_t ms)
{
	if (index)
		g->names.known[index] =
			g->now + (ms > GATE_NAME_MS ? GATE_NAME_MS : ms);
}

/*
 * Clients look a name up for each connection. The address that stands for it
 * was given moments ago and allows nothing by itself: it is given again at
 * once, with no data of the types that never have any.
 */
static bool answer_known(struct core *g, const struct dns_pending *p)
{
	uint32_t index = names_find(&g->names, p->query.name);

	if (!index || g->names.known[index] <= g->now)
		return false;
	switch (p->query.type) {
	case DNS_A:
		answer_fake(g, p);
		return true;
	case DNS_AAAA:
	case DNS_SVCB:
	case DNS_HTTPS:
		answer_code(g, p, DNS_NOERROR);
		return true;
	default:
		return false;
	}
}

/* The reverse of our own addresses; nobody else's is known. */
static void answer_ptr(struct core *g, const struct dns_pending *p)
{
	struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
	uint8_t reply[DNS_REPLY_MAX];
	const char *name = NULL;
	bool fake;

	if (dns_reverse4(p->query.name, mapped.s6_addr + 12))
		name = names_of(&g->names, &mapped, &fake);
	if (!name) {
		answer_code(g, p, DNS_NXDOMAIN);
		return;
	}
	answer(g, p, reply, dns_reply_ptr(&p->query, name, TTL, reply));
}

static void ask(struct core *g, struct dns_pending *p)
{
	struct gj_writer w;

	gj_begin(&w, "dns");
	gj_put_number(&w, "id", p->id);
	gj_put_text(&w, "name", p->query.name);
	gj_put_number(&w, "type", p->query.type);
	chan_send(g, &w);
}

static void received(struct core *g, const uint8_t *data, size_t len,
		     const struct dns_pending *from)
{
	struct dns_pending *p = NULL, now = *from;
	enum dns_parsed parsed = dns_parse(data, len, &now.query);

	if (parsed == DNS_DROP)
		return;
	if (parsed == DNS_ERROR) {
		answer_code(g, &now, now.query.rcode);
		return;
	}
	if (now.query.type == DNS_PTR) {
		answer_ptr(g, &now);
		return;
	}
	if (answer_known(g, &now))
		return;
	for (int i = 0; i < GATE_DNS_PENDING && !p; i++)
		if (!g->dns_pending[i].id)
			p = &g->dns_pending[i];
	if (!p)
		return;	/* a flood; the client asks again */
	*p = now;
	p->id = gate_id(g, (uint32_t)(p - g->dns_pending));
	p->deadline = g->now + GATE_DNS_MS;
	g->dns_waiting++;
	ask(g, p);
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
		received(g, (uint8_t *)g->copy, (size_t)n, &from);
	}
}

void dns_tcp_new(struct core *g, int fd)
{
	struct dns_session *s = session_by_id(g, 0);

	if (!s) {
		close(fd);
		return;
	}
	s->src = (struct source){ SRC_DNS_TCP, fd };
	s->len = 0;
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

	while (s->len >= 2) {
		size_t want = (size_t)(s->buf[0] << 8 | s->buf[1]);

		if (want > QUERY_MAX)
			return false;
		if (s->len < want + 2)
			return true;
		received(g, s->buf + 2, want, &from);
		if (s->id != from.session)
			return true;	/* answered at once, and closed */
		s->len -= want + 2;
		memmove(s->buf, s->buf + want + 2, s->len);
	}
	return true;
}

void dns_tcp(struct core *g, struct source *src, uint32_t events)
{
	struct dns_session *s = (struct dns_session *)(void *)src;
	ssize_t n;

	if (!s->id || !events)
		return;
	n = recv(src->fd, s->buf + s->len, sizeof(s->buf) - s->len,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		session_close(g, s);
		return;
	}
	s->len += (size_t)n;
	s->deadline = g->now + SESSION_MS;
	if (!take_queries(g, s))
		session_close(g, s);
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static size_t base64(const char *text, uint8_t *out, size_t cap)
{
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (; *text && *text != '='; text++) {
		int digit = base64_digit(*text);

		if (digit < 0)
			return 0;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == cap)
			return 0;
		out[n++] = (uint8_t)(bits >> have);
	}
	return n;
}

static void answer_foreign(struct core *g, const struct dns_pending *p,
			   const char *packet)
{
	uint8_t given[DNS_REPLY_MAX], reply[DNS_REPLY_MAX];
	size_t len = packet ? base64(packet, given, sizeof(given)) : 0;

	len = dns_reply_foreign(&p->query, given, len, reply);
	if (len == 0)
		answer_code(g, p, DNS_SERVFAIL);
	else
		answer(g, p, reply, len);
}

void dns_verdict(struct core *g, const struct gj_object *v)
{
	const char *verdict = gj_text(v, "verdict");
	struct dns_pending *p;
	uint64_t id = 0, keep = 0;

	gj_number(v, "id", &id);
	gj_number(v, "keep", &keep);
	p = &g->dns_pending[id % GATE_CONNS_MAX % GATE_DNS_PENDING];
	if (!id || p->id != id)
		return;
	if (verdict && !strcmp(verdict, "fake"))
		remember(g, answer_fake(g, p), keep);
	else if (verdict && !strcmp(verdict, "nodata"))
		answer_code(g, p, DNS_NOERROR);
	else if (verdict && !strcmp(verdict, "nxdomain"))
		answer_code(g, p, DNS_NXDOMAIN);
	else if (verdict && !strcmp(verdict, "servfail"))
		answer_code(g, p, DNS_SERVFAIL);
	else if (verdict && !strcmp(verdict, "reply"))
		answer_foreign(g, p, gj_text(v, "packet"));
	else
		answer_code(g, p, DNS_REFUSED);
	p->id = 0;
	g->dns_waiting--;
}

void dns_tick(struct core *g)
{
	for (int i = 0; g->dns_waiting && i < GATE_DNS_PENDING; i++) {
		struct dns_pending *p = &g->dns_pending[i];

		if (!p->id || p->deadline > g->now)
			continue;
		answer_code(g, p, DNS_SERVFAIL);
		p->id = 0;
		g->dns_waiting--;
	}
	for (int i = 0; g->dns_waiting && i < GATE_DNS_TCP; i++)
		if (g->dns_session[i].id &&
		    g->dns_session[i].deadline <= g->now)
			session_close(g, &g->dns_session[i]);
}
