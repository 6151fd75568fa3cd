#define _GNU_SOURCE
#include "gate_names.h"

#include <stdlib.h>
#include <string.h>

/*
 * One fake address per name: an address in a connection names what was asked.
 * The places are bounded, so the place of a name that nobody has used for a
 * while goes to a new one, with another address: 198.19.0.1 on at first,
 * then 253.1.0.0 to 253.255.0.0 in turn. Who still has the old address
 * reaches nothing by it, least of all the new name.
 */

#define HASH 131072U
#define TURNS 256
#define LOOKED_AT 256	/* places, in search of one that can go */

struct name {
	char *text;
	uint64_t known;		/* given again until then, unasked */
	uint64_t last;		/* answered, or let go by a connection */
	uint16_t held;		/* connections and flows */
	uint8_t turn;
	bool used;		/* something was dialled */
};

_Static_assert(NAMES_MAX <= UINT16_MAX, "an index is 16 bits");

int names_init(struct names *n)
{
	n->name = calloc(NAMES_MAX + 1, sizeof(*n->name));
	n->hash = calloc(HASH, sizeof(*n->hash));
	n->count = n->hand = 0;
	return n->name && n->hash ? 0 : -1;
}

static uint32_t hash_of(const char *name)
{
	uint32_t h = 2166136261U;

	while (*name)
		h = (h ^ (uint8_t)*name++) * 16777619U;
	return h & (HASH - 1);
}

/* Where the name is in the hash, or the empty place where it would be. */
static uint32_t place_of(const struct names *n, const char *name)
{
	uint32_t at = hash_of(name);

	while (n->hash[at] && strcmp(n->name[n->hash[at]].text, name))
		at = (at + 1) & (HASH - 1);
	return at;
}

/* What comes behind it moves up, or a search would end too early. */
static void unhash(struct names *n, const char *name)
{
	uint32_t hole = place_of(n, name), at = hole;

	for (;;) {
		uint32_t home;

		at = (at + 1) & (HASH - 1);
		if (!n->hash[at])
			break;
		home = hash_of(n->name[n->hash[at]].text);
		if (((at - home) & (HASH - 1)) < ((at - hole) & (HASH - 1)))
			continue;
		n->hash[hole] = n->hash[at];
		hole = at;
	}
	n->hash[hole] = 0;
}

static bool rests(const struct name *e, uint64_t now)
{
	return e->held || now < e->last + (e->used ? NAMES_USED_MS
						   : NAMES_REST_MS);
}

/* A place for a new name: 0 when all were used a moment ago. */
static uint32_t take(struct names *n, uint64_t now)
{
	if (n->count < NAMES_MAX)
		return ++n->count;
	for (int i = 0; i < LOOKED_AT; i++) {
		uint32_t index = n->hand + 1;
		struct name *e = &n->name[index];

		n->hand = index % NAMES_MAX;
		if (rests(e, now))
			continue;
		unhash(n, e->text);
		free(e->text);
		*e = (struct name){
			.turn = (uint8_t)(e->turn + 1 < TURNS ? e->turn + 1
							      : 1),
		};
		return index;
	}
	return 0;
}

uint32_t names_add(struct names *n, const char *name, uint64_t now)
{
	uint32_t index = n->hash[place_of(n, name)];
	char *text;

	if (!index) {
		text = strdup(name);
		index = text ? take(n, now) : 0;
		if (!index) {
			free(text);
			return 0;
		}
		n->name[index].text = text;
		/* Searched anew: what went may have moved others. */
		n->hash[place_of(n, name)] = (uint16_t)index;
	}
	n->name[index].last = now;
	return index;
}

void names_know(struct names *n, uint32_t index, uint64_t until)
{
	n->name[index].known = until;
}

uint32_t names_known(const struct names *n, const char *name, uint64_t now)
{
	uint32_t index = n->hash[place_of(n, name)];

	return index && n->name[index].known > now ? index : 0;
}

void names_address(const struct names *n, uint32_t index, uint8_t address[4])
{
	uint8_t turn = n->name[index].turn;

	address[0] = turn ? 253 : 198;
	address[1] = turn ? turn : 19;
	address[2] = (uint8_t)(index >> 8);
	address[3] = (uint8_t)index;
}

static struct name *entry_of(const struct names *n, const struct in6_addr *addr,
			     bool *fake)
{
	const uint8_t *b = addr->s6_addr + 12;
	uint32_t index = (uint32_t)(b[2] << 8 | b[3]);
	uint8_t turn = b[0] == 253 ? b[1] : 0;

	*fake = IN6_IS_ADDR_V4MAPPED(addr) &&
		(b[0] == 253 || (b[0] == 198 && (b[1] == 18 || b[1] == 19)));
	if (!*fake || (b[0] == 198 ? b[1] != 19 : turn == 0) || index == 0 ||
	    index > n->count || n->name[index].turn != turn)
		return NULL;
	return &n->name[index];
}

const char *names_of(const struct names *n, const struct in6_addr *addr,
		     bool *fake)
{
	const struct name *e = entry_of(n, addr, fake);

	return e ? e->text : NULL;
}

const char *names_hold(struct names *n, const struct in6_addr *addr,
		       bool *fake)
{
	struct name *e = entry_of(n, addr, fake);

	if (!e)
		return NULL;
	e->held++;
	return e->text;
}

void names_release(struct names *n, const struct in6_addr *addr, bool used,
		   uint64_t now)
{
	bool fake;
	struct name *e = entry_of(n, addr, &fake);

	if (!e || !e->held)
		return;
	e->held--;
	e->used = e->used || used;
	e->last = now;
}
