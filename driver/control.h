/* Commands from the supervisor: frames on fd 4, see docs/driver-protocol.md. */
#ifndef AGENTFW_CONTROL_H
#define AGENTFW_CONTROL_H

#include <stddef.h>

enum { CONTROL_MAX = 4096 };

struct control {
	unsigned char bytes[4 + CONTROL_MAX];
	size_t used;
};

enum command { COMMAND_NONE, COMMAND_SIGNAL, COMMAND_KILL, COMMAND_GO,
	       COMMAND_BAD };

/* Takes what has arrived. -1 when the supervisor is gone. */
int control_fill(struct control *c, int fd);
/* The next whole command, and its signal number. */
enum command control_next(struct control *c, int *signal);
/* One command in JSON. Exposed for tests. */
enum command control_parse(const char *json, size_t length, int *signal);

#endif
