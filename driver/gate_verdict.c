#define _GNU_SOURCE
#include "gate_core.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The question of a new connection, and the answers to it. */

static void begin(struct core *g, struct conn *c)
{
	if (c->check == CHECK_NEVER)
		c->sniff = SNIFF_DONE;
	dial_start(g, c);
	if (!c->dead && c->sniff == SNIFF_PENDING &&
	    (c->s[0].rd || c->head_len > 0) &&
	    (c->state == CONN_DIALING || c->state == CONN_OPEN))
		sniff_step(g, c);
}

void conn_ask(struct core *g, struct conn *c)
{
	struct gj_writer w;
	bool fake;

	c->name = names_hold(&g->names, &c->dst.sin6_addr, &fake);
	gj_begin(&w, "conn");
	gj_put_number(&w, "id", c->id);
	gj_put_text(&w, "name", c->name);
	chan_put_endpoint(&w, "ip", "port", &c->dst);
	/* An address of our range that no name was given: never dialled. */
	gj_put_bool(&w, "stray", fake && !c->name);
	/* One of the sandbox's own ports that was forwarded to the host. */
	gj_put_bool(&w, "forward", gate_own(&c->dst.sin6_addr));
	gj_put_bool(&w, "begun", kept_use(g, c));
	if (c->unconfirmed) {
		chan_tell(g, &w);
		begin(g, c);
	} else {
		chan_send(g, &w);
	}
	if (!c->dead && !c->proxied)
		netd_ask(g, NETD_WHO, c->id, &c->peer, &c->local);
}

static char *copy_text(const struct gj_object *v, const char *key)
{
	const char *text = gj_text(v, key);

	return text ? strndup(text, 4096) : NULL;
}

static void deny(struct core *g, struct conn *c, const struct gj_object *v)
{
	c->denied = true;
	c->rule = copy_text(v, "rule");
	c->message = copy_text(v, "message");
	c->how = copy_text(v, "how");
	refuse(g, c);
}

static bool add_address(struct conn *c, const char *text, uint16_t port)
{
	struct sockaddr_storage *ss = &c->addr[c->addrs];
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
	} else {
		return false;
	}
	c->addrs++;
	return true;
}

/* Through a proxy: what is told it first, or in each request. */
static void take_via(struct conn *c, const struct gj_object *v)
{
	c->tunnel = copy_text(v, "tunnel");
	c->prefix = copy_text(v, "prefix");
	c->extra = copy_text(v, "extra");
}

static enum expect expect_of(const char *text)
{
	if (text && !strcmp(text, "tls"))
		return EXPECT_TLS;
	return text && !strcmp(text, "http") ? EXPECT_HTTP : EXPECT_ANY;
}

static enum check check_of(const char *text)
{
	if (text && !strcmp(text, "never"))
		return CHECK_NEVER;
	return text && !strcmp(text, "match") ? CHECK_MATCH : CHECK_ALWAYS;
}

static bool said(const struct gj_object *v, const char *word)
{
	const char *verdict = gj_text(v, "verdict");

	return verdict && !strcmp(verdict, word);
}

static bool allowed(const struct gj_object *v)
{
	return said(v, "allow");
}

/* The answer to one that was begun: it goes on, or it is cut. */
static void confirm(struct core *g, struct conn *c, const struct gj_object *v)
{
	if (g->unconfirmed > 0)
		g->unconfirmed--;
	if (!c || !c->unconfirmed)
		return;
	c->unconfirmed = false;
	if (allowed(v))
		return;
	kept_forget(g, v);
	c->error = EPERM;
	conn_close(g, c, true);
}

/* Whatever is not clearly an allow is a deny. */
void conn_verdict(struct core *g, const struct gj_object *v)
{
	const struct gj_field *addrs = gj_get(v, "addrs", GJ_STRINGS);
	uint64_t id = 0, port = 0, keep = 0;
	struct conn *c;

	gj_number(v, "id", &id);
	c = conn_by_id(g, id);
	if (gj_true(v, "begun")) {
		confirm(g, c, v);
		return;
	}
	if (!c || c->state != CONN_ASKED || c->unconfirmed)
		return;
	if (said(v, "proxy") && !c->proxied) {
		proxy_begin(g, c);
		return;
	}
	if (!gj_number(v, "port", &port))
		port = ntohs(c->dst.sin6_port);
	for (size_t i = 0; addrs && i < addrs->count && c->addrs < GATE_ADDRS;
	     i++)
		if (!add_address(c, addrs->list[i], (uint16_t)port))
			c->error = EINVAL;
	if (!allowed(v) || !c->addrs || c->error || port == 0 ||
	    port > 65535) {
		deny(g, c, v);
		return;
	}
	c->expect = expect_of(gj_text(v, "expect"));
	c->check = check_of(gj_text(v, "check"));
	take_via(c, v);
	if (!c->tunnel && !c->prefix && gj_number(v, "keep", &keep) && keep > 0)
		kept_add(g, c, keep);
	begin(g, c);
}

/* Which methods may follow on the connection; false: no memory. */
static bool take_methods(struct conn *c, const struct gj_object *v)
{
	const struct gj_field *list = gj_get(v, "methods", GJ_STRINGS);
	size_t len = 2;

	if (!list)
		return true;
	for (size_t i = 0; i < list->count; i++)
		len += strlen(list->list[i]) + 1;
	c->methods = malloc(len);
	if (!c->methods)
		return false;
	strcpy(c->methods, " ");
	for (size_t i = 0; i < list->count; i++)
		strcat(strcat(c->methods, list->list[i]), " ");
	return true;
}

void first_verdict(struct core *g, const struct gj_object *v)
{
	uint64_t id = 0;
	struct conn *c;

	gj_number(v, "id", &id);
	c = conn_by_id(g, id);
	if (!c || c->sniff != SNIFF_ASKED)
		return;
	if (allowed(v) && take_methods(c, v))
		sniff_pass(g, c);
	else
		deny(g, c, v);
}
