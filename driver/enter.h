/* Joins a running sandbox: `agentfw-driver enter`. */
#ifndef AGENTFW_ENTER_H
#define AGENTFW_ENTER_H

#include "watch.h"

/* Returns the driver's exit status. */
int enter_main(const struct spec *s);

#endif
