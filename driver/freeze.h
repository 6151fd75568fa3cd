/* Holds a running sandbox still: `agentfw-driver freeze DRIVER START`. */
#ifndef AGENTFW_FREEZE_H
#define AGENTFW_FREEZE_H

/* Returns the exit status. */
int freeze_main(const char *driver, const char *start);

#endif
