/*
 * Climbs the walls of a sandbox from inside: `agentfw-driver --climb`, which
 * `agentfw selftest` runs in place of an agent. Each attempt is chosen so that
 * it does no harm where it succeeds.
 */
#ifndef AGENTFW_CLIMB_H
#define AGENTFW_CLIMB_H

#include "util.h"

enum { CLIMB_DETAIL = 200 };

/* What the caller prepared outside, and what it wants tried. */
struct climb {
	const char *dir;   /* absolute; keep.txt, gone.txt, secret.txt, door.sock */
	const char *store; /* the host's store */
	int port;          /* a server on the host's 127.0.0.1; 0: no network */
	char *const *namespaces; /* the host's own, as readlink tells; NULL ends */
	char detail[CLIMB_DETAIL];
};

/* True: the wall held. Fills the detail. */
typedef bool climb_fn(struct climb *c);

struct climb_row {
	const char *name;
	climb_fn *attempt;
};

/* The call has failed (rc < 0) with an errno that only a wall gives. */
bool climb_refused(struct climb *c, long rc);

/* Of files, processes and the network; and of system calls. NULL ends both. */
extern const struct climb_row climb_reach[], climb_calls[];

/* DIR STORE PORT NAMESPACE…; writes DIR/result.jsonl. An exit status. */
int climb_main(int argc, char **argv);

#endif
