#ifndef AGENTFW_GATE_NAMES_H
#define AGENTFW_GATE_NAMES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* Names and the fake addresses that stand for them. Pure: now is given. */

#define NAMES_MAX 65535
#define NAMES_REST_MS 30000	/* after an answer: a client may still come */
#define NAMES_USED_MS 600000	/* after a connection that was allowed */

struct name;

struct names {
	struct name *name;	/* by index, 1… */
	uint16_t *hash;
	uint32_t count, hand;
};

/* 0, or -1 without memory. It is never freed: the gate lives as long. */
int names_init(struct names *n);

/* The name's index, new if need be; 0 when there is no place for it now. */
uint32_t names_add(struct names *n, const char *name, uint64_t now);

/* Until then the name's address is given again without a question. */
void names_know(struct names *n, uint32_t index, uint64_t until);
uint32_t names_known(const struct names *n, const char *name, uint64_t now);

/* The IPv4 address that stands for the name now, in network order. */
void names_address(const struct names *n, uint32_t index, uint8_t address[4]);

/*
 * The name that an address stands for, or NULL. *fake: it is one of ours,
 * whether or not it has a name.
 */
const char *names_of(const struct names *n, const struct in6_addr *addr,
		     bool *fake);

/*
 * The same for a connection or flow: the name stays what it is, and so does
 * the text, until it is released. used: it was allowed.
 */
const char *names_hold(struct names *n, const struct in6_addr *addr,
		       bool *fake);
void names_release(struct names *n, const struct in6_addr *addr, bool used,
		   uint64_t now);

#endif
