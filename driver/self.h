/* Keeps the agent from rewriting the driver through /proc/PID/exe. */
#ifndef AGENTFW_SELF_H
#define AGENTFW_SELF_H

#include "status.h"

/*
 * Where the caller could write our program file: execute a sealed copy of it
 * instead (doesn't return). 0 when there is nothing to fear.
 */
int self_seal(char **argv, struct fault *f);

#endif
