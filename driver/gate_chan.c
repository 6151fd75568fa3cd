#define _GNU_SOURCE
#include "gate_core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/*
 * The channel to the supervisor. Its end, an unknown word in it or a
 * supervisor that doesn't read are the end of the gate: nothing passes that
 * nobody decides and nobody records.
 */

void chan_put_endpoint(struct gj_writer *w, const char *ip, const char *port,
		       const struct sockaddr_in6 *at)
{
	char text[INET6_ADDRSTRLEN];
	const void *v4 = at->sin6_addr.s6_addr + 12;

	if (IN6_IS_ADDR_V4MAPPED(&at->sin6_addr))
		inet_ntop(AF_INET, v4, text, sizeof(text));
	else
		inet_ntop(AF_INET6, &at->sin6_addr, text, sizeof(text));
	gj_put_text(w, ip, text);
	gj_put_number(w, port, ntohs(at->sin6_port));
}

static void queue(struct core *g, const struct gj_writer *w)
{
	if (g->out_len + w->len > g->out_cap) {
		size_t cap = g->out_cap ? g->out_cap * 2 : 65536;
		char *grown;

		if (cap > GATE_OUT_MAX)
			gate_fatal(g, "the supervisor does not read");
		grown = realloc(g->out, cap);
		if (!grown)
			gate_fatal(g, "out of memory");
		g->out = grown;
		g->out_cap = cap;
	}
	memcpy(g->out + g->out_len, w->buf, w->len);
	g->out_len += w->len;
}

/* Somebody waits for the answer: it goes out at the end of this turn. */
void chan_send(struct core *g, struct gj_writer *w)
{
	if (!gj_end(w))
		gate_fatal(g, "a message is too long");
	queue(g, w);
	g->urgent = true;
}

/* Nobody waits: a moment later, several together, in the same order. */
void chan_tell(struct core *g, struct gj_writer *w)
{
	if (!gj_end(w))
		gate_fatal(g, "a message is too long");
	queue(g, w);
	if (!g->tell_at)
		g->tell_at = g->now + GATE_TELL_MS;
}

void chan_flush(struct core *g)
{
	while (g->out_at < g->out_len) {
		ssize_t n = send(g->channel.fd, g->out + g->out_at,
				 g->out_len - g->out_at,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			gate_fatal(g, "the supervisor is gone");
		g->out_at += (size_t)n;
	}
	if (g->out_at == g->out_len) {
		g->out_at = g->out_len = g->tell_at = 0;
		g->urgent = false;
	} else if (g->out_at > 65536) {
		memmove(g->out, g->out + g->out_at, g->out_len - g->out_at);
		g->out_len -= g->out_at;
		g->out_at = 0;
	}
}

void chan_turn(struct core *g)
{
	if (g->urgent || g->out_len - g->out_at >= GATE_TELL_BYTES ||
	    (g->tell_at && g->now >= g->tell_at))
		chan_flush(g);
}

static void cut(struct core *g, const struct gj_object *v)
{
	uint64_t id = 0;
	struct conn *c;

	gj_number(v, "id", &id);
	c = conn_by_id(g, id);
	if (!c) {
		udp_cut(g, id);
		return;
	}
	c->error = EPERM;
	conn_close(g, c, true);
}

static void stats(struct core *g, const struct gj_object *v)
{
	struct gj_writer w;
	uint64_t id = 0;

	gj_number(v, "id", &id);
	gj_begin(&w, "stats");
	gj_put_number(&w, "id", id);
	gj_put_number(&w, "conns", g->conns);
	gj_put_number(&w, "limit", g->conns_max);
	gj_put_number(&w, "names", g->names.count);
	gj_put_number(&w, "flows", g->flows);
	gj_put_number(&w, "dns", g->dns_waiting);
	gj_put_number(&w, "pipes", g->pipes_made);
	gj_put_number(&w, "stashed", g->stashed);
	chan_send(g, &w);
}

/* Everything the supervisor may say is a row of this table. */
static const struct {
	const char *type;
	void (*handle)(struct core *, const struct gj_object *);
} words[] = {
	{ "conn", conn_verdict },
	{ "first", first_verdict },
	{ "dns", dns_verdict },
	{ "udp", udp_verdict },
	{ "cut", cut },
	{ "forget", kept_forget },
	{ "publish", door_publish },
	{ "forward", door_forward },
	{ "shut", door_close },
	{ "stats", stats },
};

static void handle(struct core *g, char *text, size_t len)
{
	struct gj_object v;
	const char *type;

	if (!gj_parse(text, len, &v) || !(type = gj_text(&v, "t")))
		gate_fatal(g, "the supervisor sent no message");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i].type, type)) {
			words[i].handle(g, &v);
			return;
		}
	gate_fatal(g, "the supervisor sent an unknown word");
}

static void handle_frames(struct core *g)
{
	size_t at = 0;

	while (g->in_len - at >= 4) {
		const uint8_t *p = (const uint8_t *)g->in + at;
		size_t len = (size_t)p[0] | (size_t)p[1] << 8 |
			     (size_t)p[2] << 16 | (size_t)p[3] << 24;
		char kept;

		if (len > GATE_IN_MAX)
			gate_fatal(g, "the supervisor's message is too long");
		if (g->in_len - at - 4 < len)
			break;
		/* The parser may write one byte after the text. */
		kept = g->in[at + 4 + len];
		handle(g, g->in + at + 4, len);
		g->in[at + 4 + len] = kept;
		at += 4 + len;
	}
	memmove(g->in, g->in + at, g->in_len - at);
	g->in_len -= at;
}

void chan_readable(struct core *g)
{
	for (int turn = 0; turn < 16; turn++) {
		size_t room = sizeof(g->in) - 1 - g->in_len;
		ssize_t n = recv(g->channel.fd, g->in + g->in_len, room,
				 MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			gate_fatal(g, "the supervisor is gone");
		g->in_len += (size_t)n;
		handle_frames(g);
		if ((size_t)n < room)
			return;
	}
}
