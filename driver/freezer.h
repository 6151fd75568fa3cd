/*
 * The kernel's own way to hold a tree still, where it has a control group of
 * version 2: nothing in it can tell, and nothing but us lets it go on. (That of
 * version 1 holds back SIGKILL, too: it is not for us.)
 */
#ifndef AGENTFW_FREEZER_H
#define AGENTFW_FREEZER_H

#include "procs.h"

struct freezer {
	int freeze, events; /* its files; -1: there is none */
	char name[256];	    /* of the group: no other one has it */
};

/* `dir` NULL, or not to be had: none. */
void freezer_open(struct freezer *z, const char *dir);
bool freezer_is(const struct freezer *z);
/* True when all in the group stands still, which is waited for. */
bool freezer_hold(const struct freezer *z);
/* Of each of them, and of what they fork. */
bool freezer_has_all(const struct freezer *z, const struct procs *list);
void freezer_let_go(const struct freezer *z);
/* Lets it go on, and there is none from then on. */
void freezer_close(struct freezer *z);

#endif
