/* Holds a running sandbox still, and lets it go on. */
#ifndef AGENTFW_FREEZE_H
#define AGENTFW_FREEZE_H

#include <stdbool.h>

/* `agentfw-driver freeze DRIVER START [keep]` */
int freeze_main(const char *driver, const char *start, bool keep);

/* `agentfw-driver thaw DRIVER START [PID:START…]`; `left` ends with NULL */
int thaw_main(const char *driver, const char *start, char *const *left);

#endif
