#define _GNU_SOURCE
#include "gate_dns.h"

#include <stdlib.h>
#include <string.h>

/*
 * The resolver that every server address leads to. No query leaves from
 * here: the supervisor says what a name is to be, and an allowed name's
 * address is a fake one that stands for the name.
 */

int dns_init(struct core *g)
{
	g->dns_pending = calloc(GATE_DNS_PENDING, sizeof(*g->dns_pending));
	g->dns_session = calloc(GATE_DNS_TCP, sizeof(*g->dns_session));
	return g->dns_pending && g->dns_session ? 0 : -1;
}

static void ask(struct core *g, struct dns_pending *p)
{
	struct gj_writer w;

	gj_begin(&w, "dns");
	gj_put_number(&w, "id", p->id);
	gj_put_text(&w, "name", p->query.name);
	gj_put_number(&w, "type", p->query.type);
	chan_send(g, &w);
}

bool dns_received(struct core *g, const uint8_t *data, size_t len,
		  const struct dns_pending *from)
{
	struct dns_pending *p = NULL, now = *from;
	enum dns_parsed parsed = dns_parse(data, len, &now.query);

	if (parsed == DNS_DROP)
		return true;
	if (parsed == DNS_ERROR) {
		dns_answer_code(g, &now, now.query.rcode);
		return true;
	}
	/* What is no host name is on record, too: it is asked like one. */
	if (now.query.host && now.query.type == DNS_PTR) {
		dns_answer_ptr(g, &now);
		return true;
	}
	if (dns_answer_known(g, &now))
		return true;
	for (int i = 0; i < GATE_DNS_PENDING && !p; i++)
		if (!g->dns_pending[i].id)
			p = &g->dns_pending[i];
	if (!p)
		return false;
	*p = now;
	p->id = gate_id(g, (uint32_t)(p - g->dns_pending));
	p->deadline = g->now + GATE_DNS_MS;
	g->dns_waiting++;
	ask(g, p);
	return true;
}

static void settled(struct core *g, struct dns_pending *p)
{
	p->id = 0;
	g->dns_waiting--;
	dns_answered(g, p->session);
}

void dns_verdict(struct core *g, const struct gj_object *v)
{
	const char *verdict = gj_text(v, "verdict");
	struct dns_pending *p;
	uint64_t id = 0, keep = 0;

	gj_number(v, "id", &id);
	gj_number(v, "keep", &keep);
	p = &g->dns_pending[id % GATE_CONNS_MAX % GATE_DNS_PENDING];
	if (!id || p->id != id)
		return;
	if (verdict && !strcmp(verdict, "fake"))
		dns_answer_name(g, p, keep);
	else if (verdict && !strcmp(verdict, "nodata"))
		dns_answer_code(g, p, DNS_NOERROR);
	else if (verdict && !strcmp(verdict, "nxdomain"))
		dns_answer_code(g, p, DNS_NXDOMAIN);
	else if (verdict && !strcmp(verdict, "servfail"))
		dns_answer_code(g, p, DNS_SERVFAIL);
	else if (verdict && !strcmp(verdict, "reply"))
		dns_answer_foreign(g, p, gj_text(v, "packet"));
	else
		dns_answer_code(g, p, DNS_REFUSED);
	settled(g, p);
}

void dns_tick(struct core *g)
{
	for (int i = 0; g->dns_waiting && i < GATE_DNS_PENDING; i++) {
		struct dns_pending *p = &g->dns_pending[i];

		if (!p->id || p->deadline > g->now)
			continue;
		dns_answer_code(g, p, DNS_SERVFAIL);
		settled(g, p);
	}
	dns_sessions_tick(g);
}
