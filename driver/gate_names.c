#define _GNU_SOURCE
#include "gate_core.h"

#include <stdlib.h>
#include <string.h>

/*
 * One fake address per name, 198.19.0.1 on, never reused while the gate
 * lives: an address in a connection names what was asked.
 */

#define HASH 131072U

int names_init(struct names *n)
{
	n->name = calloc(GATE_NAMES + 1, sizeof(*n->name));
	n->hash = calloc(HASH, sizeof(*n->hash));
	n->known = calloc(GATE_NAMES + 1, sizeof(*n->known));
	n->count = 0;
	return n->name && n->hash && n->known ? 0 : -1;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261U;

	while (*name)
		h = (h ^ (uint8_t)*name++) * 16777619U;
	return h & (HASH - 1);
}

/* The name's index; 0 when it has none. */
uint32_t names_find(const struct names *n, const char *name)
{
	uint32_t at = hash_of(name);

	while (n->hash[at] && strcmp(n->name[n->hash[at]], name))
		at = (at + 1) & (HASH - 1);
	return n->hash[at];
}

/* The name's index, new if need be; 0 when the table is full. */
uint32_t names_add(struct names *n, const char *name)
{
	uint32_t at = hash_of(name);

	for (; n->hash[at]; at = (at + 1) & (HASH - 1))
		if (!strcmp(n->name[n->hash[at]], name))
			return n->hash[at];
	if (n->count == GATE_NAMES)
		return 0;
	n->name[n->count + 1] = strdup(name);
	if (!n->name[n->count + 1])
		return 0;
	n->hash[at] = (uint16_t)++n->count;
	return n->count;
}

void names_address(uint32_t index, uint8_t address[4])
{
	address[0] = 198;
	address[1] = 19;
	address[2] = (uint8_t)(index >> 8);
	address[3] = (uint8_t)index;
}

/* *fake: the address is one of ours, whether or not it has a name. */
const char *names_of(const struct names *n, const struct in6_addr *addr,
		     bool *fake)
{
	const uint8_t *b = addr->s6_addr + 12;
	uint32_t index = (uint32_t)(b[2] << 8 | b[3]);

	*fake = IN6_IS_ADDR_V4MAPPED(addr) && b[0] == 198 &&
		(b[1] == 18 || b[1] == 19);
	if (!*fake || b[1] != 19 || index == 0 || index > n->count)
		return NULL;
	return n->name[index];
}
