/* Watches a started tree until its end; shared by `run` and `enter`. */
#ifndef AGENTFW_WATCH_H
#define AGENTFW_WATCH_H

#include <signal.h>

#include "broker.h"
#include "control.h"
#include "execs.h"
#include "gate.h"
#include "spec.h"
#include "terminal.h"

struct watch {
	const struct spec *spec;
	bool enter;
	pid_t child; /* init; `enter`: the agent itself */
	pid_t agent; /* in our pid namespace; 0 until it is known */
	int sock;    /* to init, or from the entering child until its exec */
	int signals;
	struct terminal terminal;
	struct control control;
	struct gate gate;
	struct broker broker;
	struct execs execs;

	bool await; /* init says when its namespaces are its own */
	bool started, ended, failed, killed;
	bool go, ready; /* told to; the agent waits for it */
	int status;	     /* wait status of the agent's first process */
	struct fault fault;
};

/* Blocks what watch_run reads from `signals`. Before any fork. */
int watch_signals(struct watch *w, struct fault *f);
/* Ends when `child` has. Reports the end; the driver's own exit status. */
int watch_run(struct watch *w);
/* Kills the tree and reports `f`; its exit status. */
int watch_abandon(struct watch *w, const struct fault *f);

#endif
