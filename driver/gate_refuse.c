#define _GNU_SOURCE
#include "gate_core.h"
#include "http.h"
#include "http2.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/*
 * A refusal in the client's own language, so that an agent reads "denied"
 * and not "flaky network": a TLS alert, an HTTP 403 that names the rule and
 * the way out, else a reset.
 */

/* Fatal alert access_denied: clients report it and don't retry. */
static const uint8_t tls_alert[7] = { 0x15, 0x03, 0x01, 0x00, 0x02, 0x02,
				      0x31 };

static void drop_upstream(struct conn *c)
{
	if (c->s[1].src.fd >= 0)
		close(c->s[1].src.fd);
	c->s[1].src.fd = -1;
}

static void say(struct core *g, struct conn *c, const void *data, size_t len)
{
	c->state = CONN_LINGER;
	/* A fresh socket takes this much at once, or its peer is hostile. */
	if (send(c->s[0].src.fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT) !=
		    (ssize_t)len ||
	    shutdown(c->s[0].src.fd, SHUT_WR) < 0) {
		conn_close(g, c, true);
		return;
	}
	conn_deadline(g, c, GATE_LINGER_MS);
	linger_step(g, c);
}

static size_t plain_text(char *to, size_t cap, const char *text)
{
	size_t n = 0;

	for (; text && *text && n + 1 < cap; text++)
		to[n++] = (unsigned char)*text < 0x20 || *text == 0x7f
				  ? ' ' : *text;
	to[n] = '\0';
	return n;
}

static bool wants_json(const struct conn *c)
{
	return c->head && memmem(c->head, c->head_len, "json", 4) != NULL;
}

static int http_body(const struct conn *c, char *out, size_t cap, bool json)
{
	char rule[256], message[1100], how[1100];
	struct gj_writer w;

	plain_text(rule, sizeof(rule), c->rule);
	plain_text(message, sizeof(message), c->message);
	plain_text(how, sizeof(how), c->how);
	if (!json)
		return snprintf(out, cap, "Forbidden by agentfw: %s\n"
				"Rule: %s\n%s%s", message, rule, how,
				how[0] ? "\n" : "");
	gj_begin(&w, NULL);
	gj_put_text(&w, "error", "forbidden by agentfw");
	gj_put_text(&w, "message", message);
	gj_put_text(&w, "rule", rule);
	gj_put_text(&w, "how", how);
	if (!gj_end(&w))
		return -1;
	return snprintf(out, cap, "%.*s\n", (int)w.len - 4, w.buf + 4);
}

static void say_http(struct core *g, struct conn *c)
{
	bool json = wants_json(c);
	char body[4096], reply[5120];
	int len = http_body(c, body, sizeof(body), json), n;

	if (len < 0 || (size_t)len >= sizeof(body)) {
		conn_close(g, c, true);
		return;
	}
	n = snprintf(reply, sizeof(reply),
		     "HTTP/1.1 403 Forbidden by agentfw\r\n"
		     "Content-Type: %s; charset=utf-8\r\n"
		     "Content-Length: %d\r\n"
		     "Cache-Control: no-store\r\n"
		     "Connection: close\r\n\r\n%s",
		     json ? "application/json" : "text/plain", len, body);
	say(g, c, reply, (size_t)n);
}

static void say_http2(struct core *g, struct conn *c)
{
	char body[4096], reply[5120];
	int len = http_body(c, body, sizeof(body), false);
	size_t n = len < 0 || (size_t)len >= sizeof(body) ? 0
		 : http2_refusal(reply, sizeof(reply),
				 http2_stream(c->head, c->head_len), body,
				 (size_t)len);

	if (n)
		say(g, c, reply, n);
	else
		conn_close(g, c, true);
}

/*
 * Reads to the end for a while: a close with unread bytes is a reset, and some
 * clients read nothing before all of a large body is sent. None of it goes on,
 * so it doesn't count as sent.
 */
void linger_step(struct core *g, struct conn *c)
{
	struct side *s = &c->s[0];

	for (size_t taken = 0; taken < GATE_TURN;) {
		ssize_t n = recv(s->src.fd, g->copy, GATE_READ,
				 MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			conn_close(g, c, n < 0);
			return;
		}
		taken += (size_t)n;
	}
}

/* gRPC asks for nothing before it has seen a server's settings. */
static bool greet(struct conn *c)
{
	static const char settings[9] = { [3] = 4 };

	if (c->greeted)
		return true;
	c->greeted = true;
	return send(c->s[0].src.fd, settings, sizeof(settings),
		    MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(settings);
}

/* `late`: the client said nothing, so its port speaks for it. */
void refuse_step(struct core *g, struct conn *c, bool late)
{
	uint16_t port = ntohs(c->dst.sin6_port);
	bool tls, http, http2;

	if (!late && !sniff_read(g, c))
		return;
	tls = c->head_len > 0 && c->head[0] == 0x16;
	http = c->head_len > 0 && http_like(c->head, c->head_len);
	http2 = c->head_len > 0 && http2_begun(c->head, c->head_len);
	/* Some send a request only when they were answered: those wait. */
	/* Passed already, so it is known. */
	if (c->head_len == 0 && c->spoken != SPOKE_NOTHING) {
		late = true;
		tls = c->spoken == SPOKE_TLS;
		http = c->spoken == SPOKE_HTTP;
	}
	if ((c->head_len == 0 ||
	     (http2 && !http2_stream(c->head, c->head_len))) &&
	    !late && !c->s[0].eof) {
		if (http2 && !greet(c))
			conn_close(g, c, true);
		return;
	}
	if (c->head_len == 0 && late && c->spoken == SPOKE_NOTHING) {
		tls = port == 443;
		http = port == 80;
	}
	if (c->head_len > 0 && c->spoken == SPOKE_NOTHING)
		c->spoken = tls ? SPOKE_TLS : http ? SPOKE_HTTP : SPOKE_OTHER;
	if (tls)
		say(g, c, tls_alert, sizeof(tls_alert));
	else if (http2)
		say_http2(g, c);
	else if (http)
		say_http(g, c);
	else
		conn_close(g, c, true);
}

void refuse(struct core *g, struct conn *c)
{
	drop_upstream(c);
	c->state = CONN_REFUSING;
	c->sniff = SNIFF_DONE;
	conn_deadline(g, c, GATE_REFUSE_MS);
	refuse_step(g, c, false);
}
