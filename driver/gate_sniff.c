#define _GNU_SOURCE
#include "gate_core.h"
#include "http.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * A client's first bytes are held until they are known to say the name that
 * DNS gave, or the address where none was asked: SNI of a ClientHello, Host
 * of an HTTP request. What agrees is passed here; everything else is a second
 * question to the supervisor.
 */

struct first {
	struct tls_hello tls;
	struct http_head http;
};

/* Reads what is there; false when the connection ended. */
bool sniff_read(struct core *g, struct conn *c)
{
	struct side *s = &c->s[0];

	if (!c->head) {
		c->head = malloc(GATE_HEAD_MAX);
		if (!c->head) {
			c->error = ENOMEM;
			conn_close(g, c, true);
			return false;
		}
	}
	while (s->rd && !s->eof && c->head_len < GATE_HEAD_MAX) {
		size_t room = GATE_HEAD_MAX - c->head_len;
		ssize_t n = recv(s->src.fd, c->head + c->head_len, room,
				 MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			s->rd = false;
		} else if (n < 0 && c->head_len == 0) {
			c->error = errno;
			conn_close(g, c, true);
			return false;
		} else if (n <= 0) {	/* it said something before it left */
			s->eof = true;
		} else {
			c->head_len += (uint32_t)n;
			/* Short: empty for now, and the next is an edge. */
			if ((size_t)n < room && !s->hup)
				s->rd = false;
		}
	}
	return true;
}

/* SPOKE_NOTHING: not enough bytes to tell. */
static enum spoken classify(const struct conn *c, struct first *f)
{
	bool full = c->head_len >= GATE_HEAD_MAX || c->s[0].eof;

	switch (tls_parse((const uint8_t *)c->head, c->head_len, &f->tls)) {
	case TLS_HELLO:
		return SPOKE_TLS;
	case TLS_BAD:
		return SPOKE_BAD;
	case TLS_MORE:
		if (c->head_len > 0)
			return full ? SPOKE_BAD : SPOKE_NOTHING;
		break;
	case TLS_NOT:
		break;
	}
	switch (http_parse(c->head, c->head_len, &f->http)) {
	case HTTP_HEAD:
		return SPOKE_HTTP;
	case HTTP_BAD:
		return SPOKE_BAD;
	case HTTP_NOT:
		return SPOKE_OTHER;
	case HTTP_MORE:
		break;
	}
	if (!full)
		return SPOKE_NOTHING;
	return c->head_len > 0 && http_like(c->head, c->head_len)
		       ? SPOKE_BAD : SPOKE_OTHER;
}

static bool same_host(const char *host, const char *name)
{
	return host[0] && !strcasecmp(host, name);
}

/* As a Host header says it: the name, or the address where none was asked. */
static const char *called(const struct conn *c,
			  char text[INET6_ADDRSTRLEN + 2])
{
	const uint8_t *at = c->dst.sin6_addr.s6_addr;

	if (c->name)
		return c->name;
	if (IN6_IS_ADDR_V4MAPPED(&c->dst.sin6_addr))
		return inet_ntop(AF_INET, at + 12, text, INET6_ADDRSTRLEN);
	text[0] = '[';
	inet_ntop(AF_INET6, at, text + 1, INET6_ADDRSTRLEN);
	return strcat(text, "]");
}

/* Of the Host header and the target, the port that was not dialled. */
static int said_port(const struct conn *c, const struct http_head *h)
{
	int port = ntohs(c->dst.sin6_port);

	return h->authority_port > 0 && h->authority_port != port
		       ? h->authority_port : h->port;
}

/* A request for the host that was dialled. Other notations are asked about. */
bool sniff_same(const struct conn *c, const struct http_head *h)
{
	char text[INET6_ADDRSTRLEN + 2];
	const char *name = called(c, text);
	int port = said_port(c, h);

	return c->expect != EXPECT_TLS && h->has_host &&
	       same_host(h->host, name) &&
	       (port < 0 || port == ntohs(c->dst.sin6_port)) &&
	       (!h->has_authority || same_host(h->authority, name)) &&
	       strcmp(h->method, "CONNECT") != 0;
}

/* By address, no name is due; one that is said may be denied. */
static bool same_tls(const struct conn *c, const struct tls_hello *t)
{
	return c->expect != EXPECT_HTTP && !t->ech &&
	       (c->name ? t->has_sni && same_host(t->sni, c->name)
			: !t->has_sni);
}

/* True when nothing remains to be judged. */
static bool agrees(const struct conn *c, const struct first *f)
{
	const struct http_head *h = &f->http;

	if (c->check != CHECK_MATCH)
		return false;
	if (c->spoken == SPOKE_OTHER)
		return c->expect == EXPECT_ANY;
	if (c->spoken == SPOKE_TLS)
		return same_tls(c, &f->tls);
	return c->spoken == SPOKE_HTTP && sniff_same(c, h);
}

static void put_http(struct gj_writer *w, const struct conn *c,
		     const struct http_head *h)
{
	int port = said_port(c, h);

	gj_put_text(w, "method", h->method);
	gj_put_text(w, "host", h->has_host ? h->host : NULL);
	gj_put_text(w, "target", h->target);
	gj_put_text(w, "authority", h->has_authority ? h->authority : NULL);
	gj_put_bool(w, "override", h->override);
	gj_put_bool(w, "upgrade", h->upgrade);
	if (port > 0)
		gj_put_number(w, "hostPort", (uint64_t)port);
}

/* A later request that is refused already; NULL: what came is none. */
void sniff_tell(struct core *g, struct conn *c, const struct http_head *h)
{
	struct gj_writer w;

	gj_begin(&w, "first");
	gj_put_number(&w, "id", c->id);
	gj_put_text(&w, "spoke", h ? "http" : "bad");
	if (h)
		put_http(&w, c, h);
	chan_send(g, &w);
}

static void put_tls(struct gj_writer *w, const struct tls_hello *t)
{
	gj_put_text(w, "sni", t->has_sni ? t->sni : NULL);
	gj_put_text(w, "alpn", t->alpn);
	gj_put_bool(w, "ech", t->ech);
}

/* The same of a later ClientHello. */
void sniff_tell_tls(struct core *g, struct conn *c, const struct tls_hello *t)
{
	struct gj_writer w;

	gj_begin(&w, "first");
	gj_put_number(&w, "id", c->id);
	gj_put_text(&w, "spoke", t && c->name ? "tls" : "bad");
	if (t && c->name)
		put_tls(&w, t);
	chan_send(g, &w);
}

static void ask_first(struct core *g, struct conn *c, const struct first *f)
{
	static const char *const spoke[] = { "nothing", "other", "tls", "http",
					     "bad" };
	struct gj_writer w;

	c->sniff = SNIFF_ASKED;
	/* Before that the deadline is of the dial. */
	if (c->state == CONN_OPEN)
		conn_deadline(g, c, 0);
	gj_begin(&w, "first");
	gj_put_number(&w, "id", c->id);
	gj_put_text(&w, "spoke", spoke[c->spoken]);
	if (c->spoken == SPOKE_TLS)
		put_tls(&w, &f->tls);
	if (c->spoken == SPOKE_HTTP)
		put_http(&w, c, &f->http);
	chan_send(g, &w);
}

void sniff_step(struct core *g, struct conn *c)
{
	struct first f;

	memset(&f, 0, sizeof(f));
	if (!sniff_read(g, c))
		return;
	c->spoken = classify(c, &f);
	if (c->spoken == SPOKE_NOTHING) {
		if (!c->deadline && c->head_len > 0)
			conn_deadline(g, c, GATE_HELLO_MS);
		return;
	}
	if (c->head_len == 0 && c->expect != EXPECT_ANY) {
		conn_close(g, c, false); /* left without a word */
		return;
	}
	if (c->spoken == SPOKE_TLS)
		snprintf(c->alpn, sizeof(c->alpn), "%.31s", f.tls.alpn);
	if (c->spoken == SPOKE_HTTP)
		snprintf(c->method, sizeof(c->method), "%s", f.http.method);
	if (agrees(c, &f))
		sniff_pass(g, c);
	else
		ask_first(g, c, &f);
}

/* What follows the first request is read as requests, too. */
static int pass_http(struct core *g, struct conn *c, const struct http_head *h,
		     const char *held, size_t len, bool judged)
{
	if (request_begin(c, h, judged) < 0 ||
	    (c->prefix ? via_put(g, c, h, held)
		       : pump_put(g, c, held, h->length)) < 0)
		return -1;
	return len > h->length
		       ? request_feed(g, c, held + h->length, len - h->length)
		       : 0;
}

static int pass_held(struct core *g, struct conn *c, bool judged)
{
	char *held = c->head;
	size_t len = c->head_len;
	struct http_head h;
	int r;

	c->head = NULL;
	c->head_len = 0;
	c->d[0].total += len;
	if (c->spoken == SPOKE_HTTP && http_parse(held, len, &h) == HTTP_HEAD)
		r = pass_http(g, c, &h, held, len, judged);
	else if (c->spoken == SPOKE_TLS)
		r = hello_begin(g, c, held, len);
	else if (c->spoken == SPOKE_OTHER && request_watch(c, held, len) < 0)
		r = -1;
	else
		r = pump_put(g, c, held, len);
	free(held);
	return r;
}

/* The held bytes become the first of the stream. */
void sniff_pass(struct core *g, struct conn *c)
{
	bool judged = c->sniff == SNIFF_ASKED;

	c->sniff = SNIFF_DONE;
	if (c->state == CONN_OPEN)
		conn_deadline(g, c, 0);
	if (c->head_len > 0 && pass_held(g, c, judged) < 0) {
		pump_broken(g, c, 0, errno);
		return;
	}
	if (c->state != CONN_OPEN)
		return;
	pump(g, c, 0);
	if (!c->dead)
		pump(g, c, 1);
}
