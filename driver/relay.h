/* One direction of a brokered connection: bytes pass, descriptors don't. */
#ifndef AGENTFW_RELAY_H
#define AGENTFW_RELAY_H

#include <stdbool.h>
#include <stddef.h>

enum { RELAY_BUFFER = 32768 };

struct half {
	int from, to;
	bool ended; /* `from` has no more, and `to` was told */
	size_t at, length;
	char *bytes; /* RELAY_BUFFER of them */
};

enum relay { RELAY_ON, RELAY_END, RELAY_RIGHTS };

/* As far as it goes now. RELAY_RIGHTS: a descriptor was sent, and is closed. */
enum relay relay_pump(struct half *h);

#endif
