#define _GNU_SOURCE
#include "gate_core.h"
#include "tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * TLS 1.3 has a server ask for a second ClientHello where it shares no key
 * with the first (HelloRetryRequest), and servers take the name from that one.
 * Until the server has answered, what the client says after its first is held;
 * a second must say the same as the first.
 */

int hello_begin(struct core *g, struct conn *c, const char *held, size_t len)
{
	struct tls_hello hello;

	/* The hello of SSL 2 has no second. */
	if (c->check == CHECK_NEVER ||
	    tls_parse((const uint8_t *)held, len, &hello) != TLS_HELLO ||
	    hello.length == 0)
		return pump_put(g, c, held, len);
	c->asked_for = malloc(sizeof(*c->asked_for));
	if (!c->asked_for)
		return -1;
	*c->asked_for = hello;
	c->hello = HELLO_SENT;
	if (pump_put(g, c, held, hello.length) < 0)
		return -1;
	return len > hello.length ? hello_feed(g, c, held + hello.length,
					       len - hello.length)
				  : 0;
}

bool hello_waits(const struct conn *c)
{
	return c->hello == HELLO_SENT;
}

/* The same name, or none again; nothing hidden that was not before. */
static bool same(const struct tls_hello *a, const struct tls_hello *b)
{
	return a->has_sni == b->has_sni && !strcasecmp(a->sni, b->sni) &&
	       a->ech == b->ech;
}

static int refused(struct core *g, struct conn *c, const struct tls_hello *said)
{
	sniff_tell_tls(g, c, said);
	errno = EPERM;
	return -1;
}

static void done(struct conn *c)
{
	c->hello = HELLO_DONE;
	free(c->asked_for);
	c->asked_for = NULL;
}

/* Passes what is known to be no hello, then a hello that agrees. */
static int retry_step(struct core *g, struct conn *c)
{
	const uint8_t *data = (const uint8_t *)c->head;
	size_t len = c->head_len, at = 0, n;
	enum tls_result r = TLS_MORE;
	struct tls_hello hello;

	while ((n = tls_between(data + at, len - at)) > 0)
		at += n;
	if (len > at && !tls_is_between(data[at]))
		r = tls_parse(data + at, len - at, &hello);
	if (r != TLS_MORE && (r != TLS_HELLO || !same(c->asked_for, &hello)))
		return refused(g, c, r == TLS_HELLO ? &hello : NULL);
	if (r == TLS_HELLO) {
		done(c);
		at = len;
	}
	if (pump_add(g, c, c->head, at) < 0)
		return -1;
	memmove(c->head, c->head + at, len - at);
	c->head_len -= (uint32_t)at;
	return 0;
}

int hello_feed(struct core *g, struct conn *c, const char *data, size_t len)
{
	if (conn_hold(c, data, len) < 0)
		return -1;
	return c->hello == HELLO_AGAIN ? retry_step(g, c) : 0;
}

int hello_answered(struct core *g, struct conn *c, const char *data, size_t len)
{
	size_t n = sizeof(c->answered) - c->answered_len;
	enum tls_answer said;

	if (n > len)
		n = len;
	memcpy(c->answered + c->answered_len, data, n);
	c->answered_len += (uint8_t)n;
	said = tls_answer(c->answered, c->answered_len);
	if (said == TLS_ANSWER_MORE)
		return 0;
	pump_later(g, c);	/* what the client said meanwhile goes on */
	if (said == TLS_ANSWER_RETRY) {
		c->hello = HELLO_AGAIN;
		return c->head_len > 0 ? retry_step(g, c) : 0;
	}
	done(c);
	n = c->head_len;
	c->head_len = 0;
	return pump_add(g, c, c->head, n);
}
