#define _GNU_SOURCE
#include "gate_core.h"
#include "gate_fd.h"
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Where an HTTP proxy is the only way out. Three parts: what is dialled goes
 * through it, by CONNECT or, for plain HTTP, request by request in absolute
 * form; and a client that is set up for the proxy finds it here, where what
 * it asks it for is judged as if the client had dialled that.
 */

#define ANSWER_MAX 8192		/* of the proxy to CONNECT */

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

/* It said no, or nothing that is an answer: the client is told which. */
static void tunnel_failed(struct core *g, struct conn *c, unsigned status)
{
	char why[128];

	c->proxy_said = status;
	if (status)
		snprintf(why, sizeof(why), "the proxy answered %u", status);
	else
		snprintf(why, sizeof(why), "the proxy gave no answer");
	c->denied = true;
	c->rule = strdup("net.upstream");
	c->message = strdup(why);
	refuse(g, c);
}

/* The status of a whole answer, 0 where it is none. */
static unsigned status_of(const char *head, size_t len)
{
	unsigned status = 0;

	if (len < 12 || memcmp(head, "HTTP/1.", 7) != 0 || head[8] != ' ')
		return 0;
	for (size_t i = 9; i < 12; i++) {
		if (head[i] < '0' || head[i] > '9')
			return 0;
		status = status * 10 + (unsigned)(head[i] - '0');
	}
	return status;
}

/* Reads no byte behind the answer: that is the server's already. */
void tunnel_step(struct core *g, struct conn *c)
{
	struct side *s = &c->s[1];
	ssize_t n = recv(s->src.fd, g->copy, ANSWER_MAX,
			 MSG_PEEK | MSG_DONTWAIT);
	const char *end = n > 0 ? memmem(g->copy, (size_t)n, "\r\n\r\n", 4)
				: NULL;
	unsigned status;
	size_t len;

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		s->rd = false;
		return;
	}
	if (!end && n > 0 && n < ANSWER_MAX && !s->hup) {
		s->rd = false;	/* the rest is a new edge */
		return;
	}
	if (!end) {
		tunnel_failed(g, c, 0);
		return;
	}
	len = (size_t)(end - g->copy) + 4;
	status = status_of(g->copy, len);
	if (recv(s->src.fd, g->copy, len, MSG_DONTWAIT) != (ssize_t)len) {
		tunnel_failed(g, c, 0);
		return;
	}
	if (status < 200 || status > 299) {
		tunnel_failed(g, c, status);
		return;
	}
	free(c->tunnel);
	c->tunnel = NULL;
	dial_done(g, c);
}

void tunnel_begin(struct core *g, struct conn *c)
{
	size_t len = strlen(c->tunnel);

	c->state = CONN_TUNNEL;
	conn_deadline(g, c, GATE_DIAL_MS);
	/* A fresh socket takes this much at once. */
	if (send(c->s[1].src.fd, c->tunnel, len, MSG_NOSIGNAL | MSG_DONTWAIT) !=
	    (ssize_t)len)
		tunnel_failed(g, c, 0);
	else if (c->s[1].rd)
		tunnel_step(g, c);
}

/* Where the path begins in a target: whose authority it was is known. */
static const char *path_of(const char *target, const char *end)
{
	const char *at = memmem(target, (size_t)(end - target), "://", 3);

	if (*target == '/')
		return target;
	if (*target == '*')
		return end;	/* of the server as a whole: no path */
	for (at = at ? at + 3 : end; at < end; at++)
		if (*at == '/' || *at == '?')
			break;
	return at;
}

/*
 * A request's head on its way to the proxy: the name that was judged is
 * written into its target, whatever the client wrote there.
 */
int via_put(struct core *g, struct conn *c, const struct http_head *h,
	    const char *data)
{
	const char *target = data + strlen(h->method) + 1;
	const char *eol = memmem(data, h->length, "\r\n", 2);
	const char *end = eol - 9, *path = path_of(target, end);

	if (pump_add(g, c, data, (size_t)(target - data)) < 0 ||
	    pump_add(g, c, c->prefix, strlen(c->prefix)) < 0 ||
	    pump_add(g, c, path, (size_t)(eol + 2 - path)) < 0 ||
	    pump_add(g, c, c->extra, c->extra ? strlen(c->extra) : 0) < 0)
		return -1;
	return pump_add(g, c, eol + 2, h->length - (size_t)(eol + 2 - data));
}

/* As the names that DNS is asked for. */
static bool is_name(const char *text)
{
	return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
					  "0123456789-_.")] == '\0';
}

/* The address that stands for what a client asks a proxy for. */
static bool address_of(struct core *g, char *host, struct in6_addr *to)
{
	size_t len = strlen(host);
	uint32_t index;

	memset(to, 0, sizeof(*to));
	if (host[0] == '[') {
		host[len - 1] = '\0';
		return inet_pton(AF_INET6, host + 1, to) == 1;
	}
	memset(to->s6_addr + 10, 0xff, 2);
	if (inet_pton(AF_INET, host, to->s6_addr + 12) == 1)
		return true;
	if (len > 1 && host[len - 1] == '.')
		host[len - 1] = '\0';
	index = is_name(host) ? names_add(&g->names, host, g->now) : 0;
	if (index)
		names_address(&g->names, index, to->s6_addr + 12);
	return index;
}

/* What was asked for takes the proxy's place, and is asked about. */
static bool redirect(struct core *g, struct conn *c, struct http_head *h)
{
	bool tunnel = !strcmp(h->method, "CONNECT");
	int port = h->authority_port > 0 ? h->authority_port
		 : tunnel ? 0 : 80;
	struct sockaddr_in6 dst = c->dst;

	if (!h->has_authority || port == 0 ||
	    (!tunnel && strncasecmp(h->target, "http://", 7) != 0) ||
	    !address_of(g, h->authority, &dst.sin6_addr) ||
	    gate_own(&dst.sin6_addr))
		return false;
	if (c->name)
		names_release(&g->names, &c->dst.sin6_addr, true, g->now);
	c->name = NULL;
	dst.sin6_port = htons((uint16_t)port);
	c->dst = dst;
	if (!tunnel)
		return true;
	c->head_len -= (uint32_t)h->length;
	memmove(c->head, c->head + h->length, c->head_len);
	return send(c->s[0].src.fd, established, sizeof(established) - 1,
		    MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)sizeof(established) - 1;
}

void proxy_step(struct core *g, struct conn *c)
{
	struct http_head h;
	enum http_result r;

	if (!sniff_read(g, c))
		return;
	r = http_parse(c->head, c->head_len, &h);
	if (r == HTTP_MORE && !c->s[0].eof && c->head_len < GATE_HEAD_MAX)
		return;
	if (r != HTTP_HEAD || !redirect(g, c, &h)) {
		c->error = EPROTO;
		conn_close(g, c, true);
		return;
	}
	conn_deadline(g, c, 0);
	c->state = CONN_ASKED;
	c->proxied = true;
	conn_ask(g, c);
}

/* The client has dialled the proxy itself. */
void proxy_begin(struct core *g, struct conn *c)
{
	c->state = CONN_PROXY;
	conn_deadline(g, c, GATE_HELLO_MS);
	proxy_step(g, c);
}
