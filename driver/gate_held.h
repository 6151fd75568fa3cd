#ifndef AGENTFW_GATE_HELD_H
#define AGENTFW_GATE_HELD_H

#include <stddef.h>

/*
 * The datagrams that a flow begins with, until its question is answered. A
 * client that opens with several (a QUIC hello is two, a resolver asks for A
 * and AAAA) would else wait for its own timer each time.
 */

struct held {
	struct held *next;
	size_t len;
	char data[];
};

struct held_queue {
	struct held *first, **last;	/* oldest first */
	size_t bytes;
};

/* What finds no room is lost, as datagrams may be. */
void held_add(struct held_queue *q, const char *data, size_t len);

/* Empties it; before the first use, too, of zeroed memory. */
void held_drop(struct held_queue *q);

#endif
