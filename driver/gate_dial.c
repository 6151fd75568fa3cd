#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_fd.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Dials the vetted addresses in order, nothing else. */

static socklen_t size_of(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET ? sizeof(struct sockaddr_in)
					: sizeof(struct sockaddr_in6);
}

/* The way is open to its end. */
void dial_done(struct core *g, struct conn *c)
{
	bool due = c->sniff != SNIFF_DONE &&
		   (c->expect != EXPECT_ANY || c->head_len > 0);

	c->state = CONN_OPEN;
	c->s[1].wr = true;
	conn_deadline(g, c, due ? GATE_HELLO_MS : 0);
	if (c->sniff == SNIFF_DONE)
		pump(g, c, 0);
	if (!c->dead && c->s[1].rd &&
	    (c->sniff == SNIFF_DONE || c->expect == EXPECT_ANY))
		pump(g, c, 1);
}

/* Takes fd. 0: under way or done; else the errno. */
static int dial_with(struct core *g, struct conn *c, int fd)
{
	const struct sockaddr_storage *to = &c->addr[c->tried++];
	int on = 1, err;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0 ||
	    /* A server may be bound to the port that it leaves from. */
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    fd_reset_at_end(fd, 1) < 0 ||
	    (connect(fd, (const struct sockaddr *)to, size_of(to)) < 0 &&
	     errno != EINPROGRESS)) {
		err = errno;
		close(fd);
		return err;
	}
	c->s[1].src.fd = fd;
	if (gate_watch(g, &c->s[1].src,
		       EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) == 0)
		return 0;
	err = errno;
	close(fd);
	c->s[1].src.fd = -1;
	return err;
}

static int dial(struct core *g, struct conn *c)
{
	int fd = socket(c->addr[c->tried].ss_family, SOCK_STREAM |
			SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		c->tried++;
		return errno;
	}
	return dial_with(g, c, fd);
}

/* On a socket that netd made in the sandbox's namespace. */
void dial_inside(struct core *g, struct conn *c, int fd)
{
	int err;

	c->state = CONN_DIALING;
	conn_deadline(g, c, GATE_DIAL_MS);
	err = dial_with(g, c, fd);
	if (err)
		dial_next(g, c, err);
}

void dial_next(struct core *g, struct conn *c, int err)
{
	if (c->s[1].src.fd >= 0) {
		close(c->s[1].src.fd);
		c->s[1].src.fd = -1;
	}
	if (c->ingress && c->tried < c->addrs) {
		c->state = CONN_INSIDE;
		netd_ask(g, NETD_STREAM, c->id, NULL, NULL);
		return;
	}
	while (c->tried < c->addrs) {
		err = dial(g, c);
		if (err)
			continue;
		conn_deadline(g, c, c->tried < c->addrs ? GATE_DIAL_NEXT_MS
							: GATE_DIAL_MS);
		return;
	}
	c->error = err;
	conn_close(g, c, true);
}

void dial_start(struct core *g, struct conn *c)
{
	c->state = CONN_DIALING;
	dial_next(g, c, EHOSTUNREACH);
}

void dial_event(struct core *g, struct conn *c, uint32_t events)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(c->s[1].src.fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err) {
		dial_next(g, c, err);
		return;
	}
	c->s[1].rd = events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP);
	c->s[1].hup = events & (EPOLLRDHUP | EPOLLHUP);
	if (c->tunnel)
		tunnel_begin(g, c);
	else
		dial_done(g, c);
}
