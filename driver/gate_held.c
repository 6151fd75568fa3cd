#include "gate_held.h"

#include <stdlib.h>
#include <string.h>

#define HELD_MAX 66560	/* the largest datagram fits */
#define HELD_EACH 64	/* counts as this much more, so that many are few */

void held_add(struct held_queue *q, const char *data, size_t len)
{
	size_t bytes = q->bytes + len + HELD_EACH;
	struct held *h = bytes <= HELD_MAX ? malloc(sizeof(*h) + len) : NULL;

	if (!h)
		return;
	h->next = NULL;
	h->len = len;
	memcpy(h->data, data, len);
	*q->last = h;
	q->last = &h->next;
	q->bytes = bytes;
}

void held_drop(struct held_queue *q)
{
	while (q->first) {
		struct held *h = q->first;

		q->first = h->next;
		free(h);
	}
	q->last = &q->first;
	q->bytes = 0;
}
