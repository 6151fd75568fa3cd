/* What is asked of a key agent (draft-ietf-sshm-ssh-agent), read as it passes. */
#ifndef AGENTFW_KEYS_H
#define AGENTFW_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keys {
	uint32_t length; /* of the message, as far as it is read */
	uint32_t left;	 /* of its body */
	uint8_t read;	 /* bytes of the length */
};

/*
 * False when something else is asked for than which keys there are, a
 * signature, or an extension: to add or remove keys, to lock the agent, to
 * load a library into it. Nothing is to be passed on then.
 */
bool keys_allow(struct keys *k, const char *bytes, size_t n);

#endif
