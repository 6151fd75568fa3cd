#define _GNU_SOURCE
#include "gate_core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Plain HTTP, request by request. The first one of a connection was judged;
 * those after it, pipelined or kept alive, must be for the same host, or,
 * where the supervisor had to judge, for the same as that one, with its method
 * or one that the supervisor names.
 * A connection that says anything else is reset. Once a server has switched
 * protocols (101) nothing is read any more.
 */

int request_begin(struct conn *c, const struct http_head *head, bool judged)
{
	c->guard = true;
	c->upgrade = head->upgrade ? UPGRADE_ASKED : UPGRADE_NONE;
	body_begin(&c->body, head);
	if (!judged)
		return 0;
	c->said = malloc(sizeof(*c->said));
	if (!c->said)
		return -1;
	*c->said = *head;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return !strcasecmp(a, b);
}

static bool may(const struct conn *c, const char *method)
{
	char word[sizeof(c->said->method) + 2];

	if (!c->methods)
		return !strcmp(method, c->said->method);
	snprintf(word, sizeof(word), " %s ", method);
	return strstr(c->methods, word);
}

/* What an asked one was allowed for, nothing else. */
static bool as_judged(const struct conn *c, const struct http_head *h)
{
	const struct http_head *j = c->said;

	return j && may(c, h->method) &&
	       h->override == j->override &&
	       h->has_host == j->has_host && same_text(h->host, j->host) &&
	       h->port == j->port &&
	       h->authority_port == j->authority_port &&
	       h->has_authority == j->has_authority &&
	       same_text(h->authority, j->authority);
}

/* The reason goes to the supervisor, which records it; the answer is known. */
static int refused(struct core *g, struct conn *c, enum http_result r,
		   const struct http_head *h)
{
	sniff_tell(g, c, r == HTTP_HEAD ? h : NULL);
	errno = EPERM;
	return -1;
}

/* A following head, whole or not yet. The bytes of it, 0 for more, -1. */
static ssize_t next_head(struct core *g, struct conn *c, const char *data,
			 size_t len, struct http_head *h)
{
	enum http_result r = http_parse(data, len, h);

	if (r == HTTP_MORE && len < GATE_HEAD_MAX)
		return 0;
	if (r != HTTP_HEAD ||
	    !(c->said ? as_judged(c, h) : sniff_same(c, h)))
		return refused(g, c, r, h);
	/* Only the first may switch: an answer to it can be told apart. */
	body_begin(&c->body, h);
	return (ssize_t)h->length;
}

static int feed(struct core *g, struct conn *c, const char *data, size_t len)
{
	size_t at = 0, from = 0;	/* from: not passed yet */

	while (at < len) {
		struct http_head h;
		ssize_t n;

		if (c->body.state != BODY_END) {
			at += body_take(&c->body, data + at, len - at);
			if (c->body.state == BODY_BAD)
				return refused(g, c, HTTP_BAD, NULL);
			continue;
		}
		if (c->upgrade == UPGRADE_ASKED)
			break;
		n = next_head(g, c, data + at, len - at, &h);
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		if (c->prefix) {
			if (pump_add(g, c, data + from, at - from) < 0 ||
			    via_put(g, c, &h, data + at) < 0)
				return -1;
			from = at + (size_t)n;
		}
		at += (size_t)n;
	}
	if (pump_add(g, c, data + from, at - from) < 0)
		return -1;
	return at < len ? conn_hold(c, data + at, len - at) : 0;
}

static bool watched(struct conn *c, const char *data, size_t len)
{
	enum http_result r = http_line(&c->line, data, len);

	c->guard = c->in_line = r == HTTP_MORE;
	return r != HTTP_BAD;
}

/*
 * Neither TLS nor HTTP by the first bytes. They pass, and what follows is
 * read until its line has ended without becoming a request after all.
 */
int request_watch(struct conn *c, const char *data, size_t len)
{
	if (c->check != CHECK_NEVER && !watched(c, data, len)) {
		errno = EPERM;
		return -1;
	}
	return 0;
}

int request_feed(struct core *g, struct conn *c, const char *data, size_t len)
{
	char *held = c->head;
	int r;

	if (c->in_line)
		return watched(c, data, len)
			       ? pump_add(g, c, data, len)
			       : refused(g, c, HTTP_BAD, NULL);
	if (!held)
		return feed(g, c, data, len);
	if (conn_hold(c, data, len) < 0)
		return -1;
	held = c->head;
	len = c->head_len;
	c->head = NULL;
	c->head_len = 0;
	r = feed(g, c, held, len);
	free(held);
	return r;
}

/* Until the server has answered whether it switches. */
bool request_waits(const struct conn *c)
{
	return c->upgrade == UPGRADE_ASKED && c->body.state == BODY_END;
}

/* What is answered to a request that wanted to switch, piece by piece. */
int request_answered(struct core *g, struct conn *c, const char *data,
		     size_t len)
{
	enum answer said = http_answer(&c->answer, data, len);
	bool yes = said == ANSWER_SWITCHES;

	if (said == ANSWER_MORE)
		return 0;
	c->upgrade = yes ? UPGRADE_DONE : UPGRADE_NONE;
	c->guard = !yes;
	pump_later(g, c);	/* what the client said meanwhile goes on */
	if (!yes)
		return request_feed(g, c, "", 0);
	if (c->head_len > 0) {
		char *held = c->head;
		int r = pump_add(g, c, held, c->head_len);

		c->head = NULL;
		c->head_len = 0;
		free(held);
		return r;
	}
	return 0;
}
