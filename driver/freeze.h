/* Holds a running sandbox still, and lets it go on. */
#ifndef AGENTFW_FREEZE_H
#define AGENTFW_FREEZE_H

#include <stdbool.h>

/* `agentfw-driver freeze DRIVER START [keep | GROUP]` */
int freeze_main(const char *driver, const char *start, const char *group,
		bool keep);

/* `agentfw-driver thaw DRIVER START [GROUP] [PID:START…]`; `left` ends with NULL */
int thaw_main(const char *driver, const char *start, const char *group,
	      char *const *left);

#endif
