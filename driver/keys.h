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

/* What any server is asked, which may be a key agent that nothing names. */
struct keys_guess {
	bool other;	 /* no agent would read on */
	uint8_t head[9]; /* length, type and the first field's length */
	uint8_t read;
	uint32_t left;	 /* of the message */
};

/*
 * True when a key agent would take this for a wish to add or remove keys, to
 * lock, or to load a library: each message from the first on has to be one of
 * the protocol for that, so what others say is none.
 */
bool keys_manage(struct keys_guess *g, const char *bytes, size_t n);

#endif
