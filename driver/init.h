/* Process 1 of the sandbox. */
#ifndef AGENTFW_INIT_H
#define AGENTFW_INIT_H

#include <stdbool.h>

#include "spec.h"

/* Never returns. `sock`: the message socket to the driver. */
_Noreturn void init_main(const struct spec *s, int sock, int execs,
			 mode_t umask_of_caller, bool makes_cgroup_namespace);

#endif
