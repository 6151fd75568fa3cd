/* Tries each step of a start on this machine: `agentfw-driver --probe`. */
#ifndef AGENTFW_PROBE_H
#define AGENTFW_PROBE_H

#include "status.h"

enum { PROBE_DETAIL = 200 };

struct probe {
	const char *dir; /* where layers would be: --dir, $TMPDIR or /tmp */
	char detail[PROBE_DETAIL];
};

/* Each returns 0 when it works, else an errno or -1; may fill the detail. */
typedef int probe_fn(struct probe *p);

probe_fn probe_gate;
probe_fn probe_overlay, probe_volatile, probe_root_overlay;

/* Makes, and removes, the directories of the three above. */
int probe_layers_make(const char *dir, char *made, size_t size);
void probe_layers_remove(const char *made);

/* Prints a line for each step; the exit status, 0 whatever works here. */
int probe_main(int argc, char **argv);

#endif
