#include "keys.h"

enum {
	REQUEST_IDENTITIES = 11,
	SIGN_REQUEST = 13,
	EXTENSION = 27, /* ssh tells the agent of its session by one */
	REMOVE_ALL_OLD = 9,
	ADD = 17,
	REMOVE = 18,
	REMOVE_ALL = 19,
	ADD_CARD = 20,
	REMOVE_CARD = 21,
	LOCK = 22,
	UNLOCK = 23,
	ADD_CONSTRAINED = 25,
	ADD_CARD_CONSTRAINED = 26,
};

/* Agents end a connection that says it sends more at once. */
#define LONGEST (16U << 20)

static bool is_use(uint8_t type)
{
	return type == REQUEST_IDENTITIES || type == SIGN_REQUEST ||
	       type == EXTENSION;
}

bool keys_allow(struct keys *k, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n;) {
		if (k->left > 0) {
			size_t part = n - i < k->left ? n - i : k->left;

			k->left -= (uint32_t)part;
			i += part;
		} else if (k->read < sizeof(k->length)) {
			k->length = k->length << 8 | (uint8_t)bytes[i++];
			k->read++;
		} else {
			/* Without a type it says nothing that is known. */
			if (k->length == 0 || !is_use((uint8_t)bytes[i++]))
				return false;
			k->left = k->length - 1;
			k->read = 0;
			k->length = 0;
		}
	}
	return true;
}

static uint32_t number(const uint8_t at[4])
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
	       (uint32_t)at[2] << 8 | at[3];
}

/* As far as the head is read; a first field that has no room is another's. */
static bool manages(const struct keys_guess *g)
{
	uint32_t length = number(g->head);

	switch (g->head[4]) {
	case REMOVE_ALL_OLD:
	case REMOVE_ALL:
	case LOCK:
	case UNLOCK:
		return true;
	case ADD:
	case REMOVE:
	case ADD_CARD:
	case REMOVE_CARD:
	case ADD_CONSTRAINED:
	case ADD_CARD_CONSTRAINED:
		return g->read == sizeof(g->head) && length >= 5 &&
		       number(g->head + 5) <= length - 5;
	default:
		return false;
	}
}

bool keys_manage(struct keys_guess *g, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n && !g->other;) {
		if (g->left > 0 && g->read == sizeof(g->head)) {
			size_t part = n - i < g->left ? n - i : g->left;

			g->left -= (uint32_t)part;
			i += part;
			if (g->left == 0)
				g->read = 0;
			continue;
		}
		g->head[g->read++] = (uint8_t)bytes[i++];
		if (g->read == 4) {
			g->left = number(g->head);
			g->other = g->left > LONGEST;
			if (g->left == 0)
				g->read = 0;
		} else if (g->read > 4) {
			g->left--;
			if (manages(g))
				return true;
			if (g->left == 0)
				g->read = 0;
		}
	}
	return false;
}
