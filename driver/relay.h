/* One direction of a brokered connection: bytes pass, descriptors don't. */
#ifndef AGENTFW_RELAY_H
#define AGENTFW_RELAY_H

#include <stdbool.h>
#include <stddef.h>

#include "keys.h"

enum { RELAY_BUFFER = 32768 };

struct half {
	int from, to;
	bool ended; /* `from` has no more, and `to` was told */
	size_t at, length;
	char *bytes; /* RELAY_BUFFER of them */
	bool is_keys; /* requests to a key agent */
	struct keys keys;
	bool is_asked; /* of another server */
	struct keys_guess guess;
};

enum relay { RELAY_ON, RELAY_END, RELAY_RIGHTS, RELAY_KEYS };

/*
 * As far as it goes now. RELAY_RIGHTS: a descriptor was sent, and is closed.
 * RELAY_KEYS: more is asked of a key agent than to use its keys.
 */
enum relay relay_pump(struct half *h);

#endif
