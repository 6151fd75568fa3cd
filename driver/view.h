/* Builds the view that the spec describes, and makes it the root. */
#ifndef AGENTFW_VIEW_H
#define AGENTFW_VIEW_H

#include "spec.h"

/* Called by init in its fresh mount namespace; afterwards `/` is the view. */
int view_enter(const struct spec *s, struct fault *f);

#endif
