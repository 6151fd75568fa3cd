#define _GNU_SOURCE
#include "gate_dns.h"

#include <string.h>

/* What a reply says. */

#define TTL 1

void dns_answer_code(struct core *g, const struct dns_pending *p,
		     enum dns_rcode code)
{
	uint8_t reply[DNS_REPLY_MAX];

	dns_send(g, p, reply, dns_reply(&p->query, code, reply));
}

static uint32_t answer_fake(struct core *g, const struct dns_pending *p)
{
	uint32_t index = names_add(&g->names, p->query.name, g->now);
	uint8_t reply[DNS_REPLY_MAX], address[4];

	if (p->query.type != DNS_A || index == 0) {
		dns_answer_code(g, p, index ? DNS_NOERROR : DNS_SERVFAIL);
		return 0;
	}
	names_address(&g->names, index, address);
	dns_send(g, p, reply, dns_reply_a(&p->query, address, TTL, reply));
	return index;
}

/* The name's own address; ms: so long it is given again without a question. */
void dns_answer_name(struct core *g, const struct dns_pending *p, uint64_t ms)
{
	uint32_t index = answer_fake(g, p);

	if (index)
		names_know(&g->names, index,
			   g->now + (ms > GATE_NAME_MS ? GATE_NAME_MS : ms));
}

/*
 * Clients look a name up for each connection. The address that stands for it
 * was given moments ago and allows nothing by itself: it is given again at
 * once, with no data of the types that never have any.
 */
bool dns_answer_known(struct core *g, const struct dns_pending *p)
{
	if (!names_known(&g->names, p->query.name, g->now))
		return false;
	switch (p->query.type) {
	case DNS_A:
		answer_fake(g, p);
		return true;
	case DNS_AAAA:
	case DNS_SVCB:
	case DNS_HTTPS:
		dns_answer_code(g, p, DNS_NOERROR);
		return true;
	default:
		return false;
	}
}

/*
 * The reverse of our own addresses; nobody else's is known. Of a name that is
 * no reverse one there is no such data, which is not to say that it is no name.
 */
void dns_answer_ptr(struct core *g, const struct dns_pending *p)
{
	struct in6_addr mapped = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
	uint8_t reply[DNS_REPLY_MAX];
	const char *name = NULL;
	bool fake;

	if (dns_reverse4(p->query.name, mapped.s6_addr + 12))
		name = names_of(&g->names, &mapped, &fake);
	if (!name) {
		dns_answer_code(g, p, dns_is_reverse(p->query.name)
					      ? DNS_NXDOMAIN : DNS_NOERROR);
		return;
	}
	dns_send(g, p, reply, dns_reply_ptr(&p->query, name, TTL, reply));
}

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static size_t base64(const char *text, uint8_t *out, size_t cap)
{
	uint32_t bits = 0;
	size_t n = 0;
	int have = 0;

	for (; *text && *text != '='; text++) {
		int digit = base64_digit(*text);

		if (digit < 0)
			return 0;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == cap)
			return 0;
		out[n++] = (uint8_t)(bits >> have);
	}
	return n;
}

void dns_answer_foreign(struct core *g, const struct dns_pending *p,
			const char *packet)
{
	uint8_t given[DNS_REPLY_MAX], reply[DNS_REPLY_MAX];
	size_t len = packet ? base64(packet, given, sizeof(given)) : 0;

	len = dns_reply_foreign(&p->query, given, len, reply);
	if (len == 0)
		dns_answer_code(g, p, DNS_SERVFAIL);
	else
		dns_send(g, p, reply, len);
}

