/* Host sockets that the policy lets the agent reach, one process for all. */
#ifndef AGENTFW_BROKER_H
#define AGENTFW_BROKER_H

#include "spec.h"

struct broker {
	pid_t pid; /* 0: the spec names no socket */
	int notes; /* its events, for notes_pass; else -1 */
};

/*
 * Makes a listening socket at every LISTEN of the spec, which the view then
 * binds, and starts the broker. Before any other child: none may inherit.
 */
int broker_start(const struct spec *s, struct broker *b, struct fault *f);

#endif
