#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_addr.h"
#include "gate_fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * Doors: a host port that leads to the sandbox's loopback (publish), a
 * sandbox port that leads out (forward), and rung notify's listeners.
 */

static struct door *door_new(struct core *g, int use, uint64_t id)
{
	struct door *d;

	if (g->doors == GATE_DOORS)
		return NULL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->src = (struct source){ SRC_DOOR, -1 };
	d->use = use;
	d->id = id;
	g->door[g->doors++] = d;
	return d;
}

/* Events of this turn may still point to it: freed at the turn's end. */
static void door_free(struct core *g, struct door *d)
{
	for (uint32_t i = 0; i < g->doors; i++)
		if (g->door[i] == d)
			g->door[i] = g->door[--g->doors];
	if (d->src.fd >= 0)
		close(d->src.fd);
	d->src.fd = -1;
	d->use = DOOR_FREE;
	d->grave = g->door_graves;
	g->door_graves = d;
}

void door_bury(struct core *g)
{
	while (g->door_graves) {
		struct door *d = g->door_graves;

		g->door_graves = d->grave;
		free(d);
	}
}

static struct door *door_by_id(struct core *g, uint64_t id)
{
	for (uint32_t i = 0; i < g->doors; i++)
		if (g->door[i]->id == id && g->door[i]->use != DOOR_NOTIFY)
			return g->door[i];
	return NULL;
}

static void report_door(struct core *g, uint64_t id, int err, uint16_t port)
{
	struct gj_writer w;

	gj_begin(&w, "door");
	gj_put_number(&w, "id", id);
	gj_put_text(&w, "error", err ? strerrorname_np(err) : NULL);
	gj_put_number(&w, "port", port);
	chan_send(g, &w);
}

/* A host listener; 0 or the errno, and the port it got. */
static int host_listener(const char *addr, uint16_t port, int *out,
			 uint16_t *got)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
				   .sin6_port = htons(port) };
	struct sockaddr_in v4 = { .sin_family = AF_INET,
				  .sin_port = htons(port) };
	bool is4 = addr && inet_pton(AF_INET, addr, &v4.sin_addr) == 1;
	struct sockaddr *sa = is4 ? (struct sockaddr *)&v4
				  : (struct sockaddr *)&v6;
	socklen_t len = is4 ? sizeof(v4) : sizeof(v6);
	int on = 1, fd;

	if (!is4 && (!addr || inet_pton(AF_INET6, addr, &v6.sin6_addr) != 1))
		return EINVAL;
	fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    0);
	if (fd < 0)
		return errno;
	/* What was named, and nothing else: [::] is no address of IPv4. */
	if ((!is4 && setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    fd_reset_at_end(fd, 1) < 0 || bind(fd, sa, len) < 0 || listen(fd, 128) < 0 ||
	    getsockname(fd, sa, &len) < 0) {
		int err = errno;

		close(fd);
		return err;
	}
	*got = ntohs(is4 ? v4.sin_port : v6.sin6_port);
	*out = fd;
	return 0;
}

void door_publish(struct core *g, const struct gj_object *v)
{
	uint64_t id = 0, port = 0, inside = 0;
	uint16_t got = 0;
	int fd = -1, err = EINVAL;
	struct door *d;

	if (gj_number(v, "id", &id) && gj_number(v, "port", &port) &&
	    gj_number(v, "inside", &inside) && port < 65536 && inside > 0 &&
	    inside < 65536 && !door_by_id(g, id))
		err = host_listener(gj_text(v, "addr"), (uint16_t)port, &fd,
				    &got);
	if (!err) {
		d = door_new(g, DOOR_PUBLISH, id);
		if (d) {
			d->src.fd = fd;
			d->inside = (uint16_t)inside;
			if (gate_watch(g, &d->src, EPOLLIN) < 0) {
				err = errno;
				door_free(g, d);
			}
		} else {
			close(fd);
			err = ENOSPC;
		}
	}
	report_door(g, id, err, got);
}

void door_forward(struct core *g, const struct gj_object *v)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
	uint64_t id = 0, port = 0;
	struct door *d;

	if (!gj_number(v, "id", &id) || !gj_number(v, "port", &port) ||
	    port == 0 || port > 65535 || door_by_id(g, id)) {
		report_door(g, id, EINVAL, 0);
		return;
	}
	d = door_new(g, DOOR_FORWARD, id);
	if (!d) {
		report_door(g, id, ENOSPC, 0);
		return;
	}
	d->inside = (uint16_t)port;
	at.sin6_port = htons((uint16_t)port);
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &at.sin6_addr);
	netd_ask(g, NETD_LISTEN, id, &at, NULL);
}

void door_listener_made(struct core *g, uint64_t id, int fd, int err)
{
	struct door *d = door_by_id(g, id);
	uint16_t port = d ? d->inside : 0;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	d->src.fd = fd;
	if (fd >= 0 && gate_watch(g, &d->src, EPOLLIN) < 0)
		err = errno;
	if (fd < 0 || err)
		door_free(g, d);
	report_door(g, id, fd < 0 && !err ? EIO : err, port);
}

void door_close(struct core *g, const struct gj_object *v)
{
	uint64_t id = 0;
	struct door *d;

	gj_number(v, "id", &id);
	d = door_by_id(g, id);
	if (!d)
		return;
	door_free(g, d);
	report_door(g, id, ESHUTDOWN, 0);
}

/* As many as netd remembers: the oldest goes, and comes back if it is asked for. */
static void make_room(struct core *g)
{
	struct door *oldest = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < g->doors; i++) {
		struct door *d = g->door[i];

		if (d->use != DOOR_NOTIFY)
			continue;
		count++;
		if (!oldest || d->id < oldest->id)
			oldest = d;
	}
	if (count < GATE_NOTIFIED && g->doors < GATE_DOORS)
		return;
	if (!oldest)
		return;
	door_accept(g, oldest);	/* who came by it already */
	door_free(g, oldest);
}

/* Rung notify: a listener on exactly one destination. */
void door_arrived(struct core *g, int fd)
{
	struct door *d;

	make_room(g);
	d = door_new(g, DOOR_NOTIFY, ++g->arrived);

	if (!d) {
		close(fd);
		return;
	}
	d->src.fd = fd;
	if (gate_watch(g, &d->src, EPOLLIN) < 0)
		door_free(g, d);
}

static void put_inside(const struct core *g, struct conn *c, uint16_t port)
{
	static const char *const loopback[] = { "::ffff:127.0.0.1", "::1" };
	struct sockaddr_in *only = (struct sockaddr_in *)&c->addr[0];

	if (addr_only4(g->dns.fd)) {
		only->sin_family = AF_INET;
		only->sin_port = htons(port);
		only->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		c->addrs = 1;
		return;
	}

	/* Servers that say "localhost" may listen on either. */
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in6 *to = (struct sockaddr_in6 *)&c->addr[i];

		to->sin6_family = AF_INET6;
		to->sin6_port = htons(port);
		inet_pton(AF_INET6, loopback[i], &to->sin6_addr);
	}
	c->addrs = 2;
}

static void ingress(struct core *g, struct door *d, int fd,
		    const struct sockaddr_in6 *peer)
{
	struct conn *c = conn_new(g, fd, peer, peer);
	struct gj_writer w;

	if (!c) {
		close(fd);
		return;
	}
	c->ingress = true;
	c->sniff = SNIFF_DONE;
	c->state = CONN_INSIDE;
	put_inside(g, c, d->inside);
	gj_begin(&w, "ingress");
	gj_put_number(&w, "id", c->id);
	gj_put_number(&w, "door", d->id);
	chan_put_endpoint(&w, "ip", "port", peer);
	gj_put_number(&w, "inside", d->inside);
	chan_send(g, &w);
	conn_deadline(g, c, GATE_DIAL_MS);
	netd_ask(g, NETD_STREAM, c->id, NULL, NULL);
}

void door_accept(struct core *g, struct door *d)
{
	if (d->use == DOOR_FORWARD || d->use == DOOR_NOTIFY) {
		conn_accept(g, &d->src, d->use == DOOR_FORWARD);
		return;
	}
	if (d->use != DOOR_PUBLISH)
		return;
	for (int turn = 0; turn < 64; turn++) {
		struct sockaddr_in6 peer = { 0 };
		socklen_t len = sizeof(peer);
		int fd = accept4(d->src.fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && conn_is_shortage(errno))
			gate_pause(g, &d->src, GATE_SHORT_MS);
		if (fd < 0)
			return;
		addr_map(&peer);
		if (g->conns >= g->conns_max)
			close(fd);
		else
			ingress(g, d, fd, &peer);
	}
}

void door_socket_made(struct core *g, uint64_t id, int fd, int err)
{
	struct conn *c = conn_by_id(g, id);

	if (c && c->state == CONN_INSIDE && fd >= 0) {
		dial_inside(g, c, fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (c) {
		c->error = err ? err : EIO;
		conn_close(g, c, true);
	}
}
