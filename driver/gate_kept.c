#define _GNU_SOURCE
#include "gate_core.h"

#include <arpa/inet.h>
#include <string.h>

/*
 * A build opens hundreds of connections to one place. What was allowed
 * moments ago is begun again at once, while its question is on the way; the
 * answer confirms it or cuts it. Few may be ahead of their answers.
 */

static bool same_place(const struct kept *k, const struct conn *c)
{
	return k->name == c->name && k->dst.sin6_port == c->dst.sin6_port &&
	       !memcmp(&k->dst.sin6_addr, &c->dst.sin6_addr,
		       sizeof(k->dst.sin6_addr));
}

static struct kept *find(struct core *g, const struct conn *c)
{
	for (int i = 0; i < GATE_KEPT; i++)
		if (g->kept[i].until > g->now && same_place(&g->kept[i], c))
			return &g->kept[i];
	return NULL;
}

/* Remembers what the answer for c was; ms is the supervisor's. */
void kept_add(struct core *g, const struct conn *c, uint64_t ms)
{
	struct kept *k = find(g, c);

	if (!k)
		k = &g->kept[g->kept_next++ % GATE_KEPT];
	k->until = g->now + (ms > GATE_KEPT_MS ? GATE_KEPT_MS : ms);
	k->name = c->name;
	k->dst = c->dst;
	memcpy(k->addr, c->addr, sizeof(k->addr));
	k->addrs = c->addrs;
	k->expect = c->expect;
	k->check = c->check;
}

/* Fills c in as its last like was answered; false: it has to wait. */
bool kept_use(struct core *g, struct conn *c)
{
	const struct kept *k = g->unconfirmed < GATE_UNCONFIRMED ? find(g, c)
								 : NULL;

	if (!k)
		return false;
	memcpy(c->addr, k->addr, sizeof(c->addr));
	c->addrs = k->addrs;
	c->expect = k->expect;
	c->check = k->check;
	c->unconfirmed = true;
	g->unconfirmed++;
	return true;
}

void kept_forget(struct core *g, const struct gj_object *v)
{
	(void)v;
	memset(g->kept, 0, sizeof(g->kept));
}
