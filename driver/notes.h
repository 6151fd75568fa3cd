/*
 * What the driver's helpers tell: events for the supervisor, framed as on
 * fd 4, which the driver passes on unread. Records leave in messages of many.
 */
#ifndef AGENTFW_NOTES_H
#define AGENTFW_NOTES_H

#include "status.h"

enum { NOTES_MAX = 64 << 10 };

struct notes {
	int sock;
	size_t used;
	unsigned char bytes[NOTES_MAX];
};

/* The helper's side. Ends the process when the driver is gone. */
void notes_add(struct notes *n, const char *json, size_t length);
void notes_flush(struct notes *n);

/* The driver's side: 0, or -1 when the helper or the supervisor has ended. */
int notes_pass(int sock);

#endif
